package deskload

import (
	"bufio"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/routing"
)

// callerArgument is the first argument of a process that runs [Caller].
const callerArgument = "deskload-caller"

// IsCaller reports whether these are the arguments of a process that has to run [Caller].
func IsCaller(args []string) bool { return len(args) > 1 && args[1] == callerArgument }

// order is what a caller's process is to do, as the first of its input. Deliveries follow.
type order struct {
	Options

	// Address is the database's. Number is the process's.
	Address string
	Number  int
	// OwnCallers and OwnConversations are the process's share. Lasts is how long conversations are started.
	OwnCallers, OwnConversations int
	Lasts                        time.Duration
}

// message is what Run and a caller's process send each other. Each has one field.
type message struct {
	// Ready is sent when the desk is open, and Go when all are ready.
	Ready, Go bool
	// Deliver is a command for a conversation of another process.
	Deliver *delivery
	// Finished is sent when the process has ended its conversations. It continues to deliver until its input ends.
	Finished *finished
}

type delivery struct {
	SID     string
	Name    conversation.CommandName
	Command []byte // as JSON
}

// finished is what a process has done.
type finished struct {
	Conversations, Transferred, Unfinished, Failed int
	Took                                           []time.Duration
	Writes, Retries                                int64
	// CPU is the process's CPU time while it ran conversations, zero if the system does not report it.
	CPU   time.Duration
	Error string
}

// finishWithin is how long conversations may take to end after the last was started.
const finishWithin = 2 * time.Minute

// callers are a process of conversations.
type callers struct {
	order

	desk *desk.Desk
	// conversations is the desk as conversations use it.
	conversations *routing.ConversationDesk
	out           struct {
		sync.Mutex
		*gob.Encoder
	}
	mutex   sync.Mutex
	inboxes map[string]chan conversation.Command
	started atomic.Int64
	writes  atomic.Int64
	retries atomic.Int64
	// since is the CPU time before the first conversation.
	since time.Duration
}

// Caller runs conversations as the order in its input says, and reports on its output. [Run] starts it.
func Caller(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	c := &callers{inboxes: map[string]chan conversation.Command{}}
	c.out.Encoder = gob.NewEncoder(out)
	messages := gob.NewDecoder(bufio.NewReader(in))
	if err := messages.Decode(&c.order); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	c.desk, err = desk.Open(ctx, c.Address, desk.Options{Observe: func(t desk.Transaction) {
		if t.Write {
			c.writes.Add(1)
		}
		c.retries.Add(int64(t.Retries))
	}})
	if err != nil {
		return err
	}
	c.conversations = routing.NewConversationDesk(c.desk)
	ctx, stop := context.WithCancel(ctx)
	var dispatching sync.WaitGroup
	dispatching.Go(func() { _ = routing.RunDispatcher(ctx, c.desk, c) }) // ends with ctx
	defer func() {
		stop()
		dispatching.Wait()
		err = errors.Join(err, c.desk.Close())
	}()
	c.send(message{Ready: true})
	var talking sync.WaitGroup
	defer talking.Wait()
	for {
		var next message
		if err := messages.Decode(&next); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a message: %w", err)
		}
		switch {
		case next.Go:
			talking.Go(func() {
				done := c.talk(ctx)
				c.send(message{Finished: &done})
			})
		case next.Deliver != nil:
			command, err := conversation.Decode(next.Deliver.Name, next.Deliver.Command, "")
			if err != nil {
				return err
			}
			c.post(next.Deliver.SID, command)
		}
	}
}

func (c *callers) send(m message) {
	c.out.Lock()
	defer c.out.Unlock()
	_ = c.out.Encode(m) // Run has ended if it cannot be written, and then the input ends
}

// Deliver implements [routing.Courier].
func (c *callers) Deliver(_ context.Context, sid string, command conversation.Command) error {
	process, err := processOf(sid)
	if err != nil {
		return err
	}
	if process == c.Number {
		c.post(sid, command)
		return nil
	}
	payload, err := json.Marshal(command)
	if err != nil {
		return fmt.Errorf("encode a command: %w", err)
	}
	c.send(message{Deliver: &delivery{SID: sid, Name: command.Name(), Command: payload}})
	return nil
}

// post puts a command into the inbox of a conversation. One that has ended ignores it.
func (c *callers) post(sid string, command conversation.Command) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	select {
	case c.inboxes[sid] <- command:
	default:
	}
}

// talk runs conversations, one after the other in each of the callers.
func (c *callers) talk(ctx context.Context) finished {
	settings, err := desk.ReadSettings(ctx, c.desk)
	if err != nil {
		return finished{Error: err.Error()}
	}
	facts := conversation.Facts{Settings: settings, QueueKnown: true, QueueMembers: 1}
	c.since, _ = cpuOf("self")
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.Lasts+finishWithin, fmt.Errorf("the conversations did not end within %s", finishWithin))
	defer cancel()
	each := make([]finished, c.OwnCallers)
	group, ctx := errgroup.WithContext(ctx)
	for i := range each {
		group.Go(func() error {
			for time.Since(began) < c.Lasts {
				number := int(c.started.Add(1))
				if c.OwnConversations > 0 && number > c.OwnConversations {
					return nil
				}
				if err := c.talkOnce(ctx, facts, number, &each[i]); err != nil {
					each[i].Unfinished++
					return err
				}
			}
			return nil
		})
	}
	var all finished
	if err := group.Wait(); err != nil {
		all.Error = err.Error()
	}
	for _, one := range each {
		all.Conversations += one.Conversations
		all.Transferred += one.Transferred
		all.Unfinished += one.Unfinished
		all.Failed += one.Failed
		all.Took = append(all.Took, one.Took...)
	}
	all.Writes, all.Retries = c.writes.Load(), c.retries.Load()
	if now, err := cpuOf("self"); err == nil {
		all.CPU = now - c.since
	}
	return all
}

func (c *callers) talkOnce(ctx context.Context, facts conversation.Facts, number int, done *finished) error {
	sid, queue, to := newSID(c.Number), rand.IntN(c.Queues), "" //nolint:gosec // any queue
	if c.TransferEvery > 0 && number%c.TransferEvery == 0 {
		to = c.secondName(queue)
		done.Transferred++
	}
	t := &talk{desk: c.desk, conversations: c.conversations, facts: facts, inbox: make(chan conversation.Command, inboxSize), took: &done.Took, failed: &done.Failed}
	c.mutex.Lock()
	c.inboxes[sid] = t.inbox
	c.mutex.Unlock()
	defer func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		delete(c.inboxes, sid)
	}()
	if err := t.run(ctx, sid, queueName(queue), to); err != nil {
		return err
	}
	done.Conversations++
	return nil
}
