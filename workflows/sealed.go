package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

const (
	// sealedFor is how long a signal is kept whose key the workers do not have. It is tried after sealedEvery, then
	// at growing intervals of at most sealedRarely.
	sealedFor    = time.Hour
	sealedEvery  = 10 * time.Second
	sealedRarely = 5 * time.Minute
	// sealedKept and sealedBytes limit the number and the size of these signals, because runs pass them to the next
	// one.
	sealedKept  = 50
	sealedBytes = 96 << 10
	// maxSignal is the most bytes of a signal's JSON: far more than any command needs, and far less than the server
	// accepts.
	maxSignal = 256 << 10
)

// sealed is a signal that was set aside because no worker had its key.
type sealed struct {
	Name     string          `json:"name"`
	Payloads []sealedPayload `json:"payloads"`
	At       time.Time       `json:"at"`
}

// sealedPayload is a payload of Temporal's API as it was sent.
type sealedPayload struct {
	Metadata map[string][]byte `json:"metadata"`
	Data     []byte            `json:"data"`
}

// arguments returns the payloads as types of Temporal's API.
func (s sealed) arguments() *commonpb.Payloads {
	var payloads []*commonpb.Payload
	for _, p := range s.Payloads {
		payloads = append(payloads, &commonpb.Payload{Metadata: p.Metadata, Data: p.Data})
	}
	return &commonpb.Payloads{Payloads: payloads}
}

// bytes returns the size of the JSON that is passed to the next run.
func (s sealed) bytes() int {
	encoded, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a signal that was set aside can't be encoded: %v", err)) // not reached: it has only bytes and names
	}
	return len(encoded)
}

// unopened are the encrypted arguments of a signal. The loop finds out whether the worker has their key, and
// records if it does not.
type unopened struct {
	arguments *commonpb.Payloads
	// open decrypts the arguments. The error is a [missingKey] if the worker does not have the key.
	open func(*commonpb.Payloads, ...any) error
}

// missingKey is the error for a payload whose key the worker does not have.
type missingKey interface {
	error
	MissingKey() string
}

// read reads the arguments of a signal into the arrival. It returns an error only for a missing key. Other errors
// become the arrival's refusal.
func (a *arrival) read(open func(*commonpb.Payloads, ...any) error, arguments *commonpb.Payloads) error {
	var payload, extra converter.RawValue
	err := open(arguments, &payload, &extra)
	if missing, ok := errors.AsType[missingKey](err); ok {
		return missing
	}
	name := conversation.CommandName(a.name)
	if err != nil {
		a.refusal = conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"%s: the payload can't be decoded: encode it for this workflow, as this service's workers do", name)
		return nil //nolint:nilerr // the error becomes a refusal
	}
	if length := len(jsonOf(payload)); length > maxSignal {
		// A large signal is decoded only if it is carried out in spite of its size: decoding many would make
		// replays slow.
		a.unstorable = conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"%s: the payload has %d bytes: send at most %d", name, length, maxSignal)
		a.large = func() (conversation.Command, error) { return decode(name, payload, extra, "") }
		return nil
	}
	a.command, a.refusal = decode(name, payload, extra, "")
	a.unstorable = conversation.RefuseUnstorable(name, jsonOf(payload))
	return nil
}

// sealedSignals are the signals that were set aside because no worker had their key.
type sealedSignals struct {
	inbox    *inbox
	refusals *refusals
	aside    []sealed
	// triedAt is when they were last tried, alarm when they are tried next.
	triedAt time.Time
	alarm   alarm
	// records is set from the first such signal on. Until then rounds counts how often encrypted signals were read.
	records bool
	rounds  int
}

// open reads the encrypted signals in the inbox, and sets those aside whose key this worker does not have.
// These do not delay other commands, and are tried again later.
func (s *sealedSignals) open(ctx workflow.Context) {
	var closed []int
	missing := map[int]error{}
	for i := range s.inbox.arrivals {
		a := &s.inbox.arrivals[i]
		if a.unopened == nil {
			continue
		}
		closed = append(closed, i)
		if err := a.read(a.unopened.open, a.unopened.arguments); err != nil {
			missing[i] = err
		}
	}
	if len(closed) == 0 {
		return
	}
	aside := s.decide(ctx, closed, missing)
	for _, i := range closed {
		if !slices.Contains(aside, i) {
			if err := missing[i]; err != nil {
				panic(err.Error()) // fails only the workflow task, until a worker has the key, as the first worker had
			}
			s.inbox.arrivals[i].unopened = nil
		}
	}
	kept := s.inbox.arrivals[:0]
	for i, a := range s.inbox.arrivals {
		if slices.Contains(aside, i) {
			s.setAside(ctx, a)
			continue
		}
		kept = append(kept, a)
	}
	clear(s.inbox.arrivals[len(kept):])
	if s.inbox.arrivals = kept; len(kept) == 0 {
		s.inbox.arrivals = nil
	}
}

// decide returns which of the closed arrivals are set aside: those whose key is missing on this worker. The
// answer is recorded, so that a replay sets the same signals aside with any keys. Nothing is recorded while no key
// is missing.
func (s *sealedSignals) decide(ctx workflow.Context, closed []int, missing map[int]error) []int {
	if !s.records {
		s.rounds++
		if len(missing) == 0 && !workflow.IsReplaying(ctx) {
			return nil
		}
		// In a replay, a round without a marker is one in which no key was missing.
		if workflow.GetVersion(ctx, "sealed-"+strconv.Itoa(s.rounds), workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return nil
		}
		s.records = true
	}
	return recorded(ctx, func() []int {
		return slices.DeleteFunc(slices.Clone(closed), func(i int) bool { return missing[i] == nil })
	})
}

// recorded returns the result of find, which can differ between workers, as recorded by the first execution.
func recorded(ctx workflow.Context, find func() []int) (found []int) {
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return find() }).Get(&found); err != nil {
		panic(fmt.Sprintf("this build can't read which keys were missing: %v", err)) // fails only the workflow task
	}
	return found
}

// setAside keeps a signal whose key is missing, or refuses it if too many or too large ones are kept already.
func (s *sealedSignals) setAside(ctx workflow.Context, a arrival) {
	signal := sealed{Name: a.name, At: workflow.Now(ctx)}
	for _, p := range a.unopened.arguments.GetPayloads() {
		signal.Payloads = append(signal.Payloads, sealedPayload{p.GetMetadata(), p.GetData()})
	}
	kept := signal.bytes()
	for i := range s.aside {
		kept += s.aside[i].bytes()
	}
	if len(s.aside) >= sealedKept || kept > sealedBytes {
		s.refuse(ctx, signal, "and too much of such signals is kept already")
		return
	}
	s.aside = append(s.aside, signal)
	countSetAside(ctx, a.name)
	logger(ctx).Warn("signal set aside, its key is missing", "signal", a.name, "key", signal.key())
}

// retry tries again, from time to time, to read the signals that were set aside. It refuses those that no worker was
// able to read for [sealedFor].
func (s *sealedSignals) retry(ctx workflow.Context) {
	now := workflow.Now(ctx)
	if len(s.aside) == 0 || (!s.alarm.rang() && now.Sub(s.triedAt) < sealedEvery) {
		return
	}
	s.triedAt = now
	s.alarm.cancel()
	opened := map[int]arrival{}
	for i, signal := range s.aside {
		a := arrival{name: signal.Name}
		if a.read(s.inbox.open, signal.arguments()) == nil {
			opened[i] = a
		}
	}
	found := recorded(ctx, func() (found []int) {
		for i := range s.aside {
			if _, ok := opened[i]; ok {
				found = append(found, i)
			}
		}
		return found
	})
	var still []sealed
	for i, signal := range s.aside {
		a, ok := opened[i]
		switch {
		case slices.Contains(found, i):
			if !ok {
				panic(fmt.Sprintf("the %s signal needs a key that is not configured here", signal.Name)) // fails only the workflow task, until a worker has the key
			}
			s.inbox.put(a)
		case now.Sub(signal.At) >= sealedFor:
			s.refuse(ctx, signal, "and the worker of this conversation did not have it for an hour")
		default:
			still = append(still, signal)
		}
	}
	s.aside = still
}

// setAlarm sets the alarm for the next try, if signals are set aside.
func (s *sealedSignals) setAlarm(ctx workflow.Context) {
	if len(s.aside) == 0 || s.alarm.set() {
		return
	}
	waited := workflow.Now(ctx).Sub(s.aside[0].At)
	s.alarm.at(ctx, workflow.Now(ctx).Add(min(max(waited, sealedEvery), sealedRarely)), "read signals again whose key was missing")
}

// keyName matches valid key IDs. Only these are repeated in texts.
var keyName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// details returns the part of the current details about signals that wait for their key, "" if there are none.
func (s *sealedSignals) details() string {
	if len(s.aside) == 0 {
		return ""
	}
	return fmt.Sprintf("\n\nSignals that cannot be read yet: %d. The key %q is missing.", len(s.aside), s.aside[0].key())
}

// key returns the ID of the key that the signal is encrypted with, "unknown" if it has no valid one.
func (s sealed) key() string {
	for _, p := range s.Payloads {
		if id := string(p.Metadata[metadataKeyID]); keyName.MatchString(id) {
			return id
		}
	}
	return "unknown"
}

// refuseAll refuses the signals that are still set aside when the conversation has ended.
func (s *sealedSignals) refuseAll(ctx workflow.Context) {
	for _, signal := range s.aside {
		s.refuse(ctx, signal, "and the conversation has ended")
	}
}

func (s *sealedSignals) refuse(ctx workflow.Context, signal sealed, why string) {
	refusal := conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
		"%s: the payload is encrypted with the key %q, %s: give every worker that key, then send it again", signal.Name, signal.key(), why)
	countRefused(ctx, signal.Name, refusal)
	s.refusals.add(ctx, signal.Name, refusal)
}
