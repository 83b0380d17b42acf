package desk

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/conversation"
)

// requireShown requires that the desk shows exactly the conversation's state.
func requireShown(t require.TestingT, h *house, th *thread) {
	c, err := h.Desk.Conversation(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Equal(t, th.state.Status, c.Status)
	require.Equal(t, th.state.Channel, c.Channel)
	require.Equal(t, th.state.Customer, c.Customer)
	require.Equal(t, th.state.Revision, c.Revision)
	require.Equal(t, th.state.ClosedAt, c.ClosedAt)

	tasks, err := h.Desk.Tasks(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Len(t, tasks, len(th.state.Tasks))
	live := 0
	for i, task := range tasks {
		requireSameJSON(t, th.state.Tasks[i], task.Task)
		if task.Status.Live() {
			requireSameJSON(t, task.Task, c.Live[live])
			live++
		}
	}
	require.Len(t, c.Live, live)

	transfers, err := h.Desk.Transfers(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Len(t, transfers, len(th.state.Transfers))
	for i, transfer := range transfers {
		requireSameJSON(t, th.state.Transfers[i], transfer.Transfer)
	}

	events, err := h.Desk.Events(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Len(t, events, th.state.Events)
	for i, e := range events {
		require.Equal(t, i+1, e.Number)
	}
}

func requireSameJSON(t require.TestingT, want, got any) {
	wanted, err := json.Marshal(want)
	require.NoError(t, err)
	gotten, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wanted), string(gotten))
}

func testPictureBecomesRows(t *testing.T, h *house) {
	h.staff("support", "alice")
	h.staff("billing", "bob")
	h.transfersOn()
	th := h.start("support", withPriority(2), func(c *conversation.StartCommand) {
		c.Attributes = conversation.Attributes{"order": json.RawMessage(`{"id": 7}`)}
	})
	th.follow()
	requireShown(t, h, th)
	th.accept("alice").transfer("alice", toQueue("billing"), "wants a refund")
	requireShown(t, h, th)
	th.accept("bob").wrapup("alice").end("bob").wrapup("bob")
	require.Equal(t, conversation.ConversationClosed, th.state.Status)
	requireShown(t, h, th)

	notes, err := h.Notes(h.t.Context(), th.sid, AsSystem())
	require.NoError(t, err)
	require.Len(t, notes, 1)
	require.Equal(t, "wants a refund", notes[0].Text)
	require.Equal(t, th.state.Transfers[0].SID, notes[0].Transfer)

	reservations, err := h.Reservations(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Len(t, reservations, 2)
	for i, agent := range []string{"alice", "bob"} {
		require.Equal(t, agent, reservations[i].Agent)
		require.Equal(t, conversation.ReservationCompleted, reservations[i].Status)
		one, err := h.Reservation(h.t.Context(), reservations[i].SID)
		require.NoError(t, err)
		require.Equal(t, reservations[i], one)
	}
	task, err := h.Task(h.t.Context(), th.task().SID)
	require.NoError(t, err)
	requireSameJSON(t, th.task(), task.Task)
	transfer, err := h.Transfer(h.t.Context(), th.state.Transfers[0].SID)
	require.NoError(t, err)
	require.Equal(t, th.sid, transfer.Conversation)
	_, err = h.Task(h.t.Context(), "WT00000000000000000000000000000000")
	require.Equal(t, conversation.CodeNoSuchTask, conversation.CodeOf(err))
	_, err = h.Desk.Conversation(h.t.Context(), newSID())
	require.ErrorIs(t, err, ErrUnknownConversation)
}

func testSamePictureAgain(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support")
	first := th.picture()
	answer, err := h.Sync(h.t.Context(), first)
	require.NoError(t, err)
	for range 3 {
		again, err := h.Sync(h.t.Context(), first)
		require.NoError(t, err)
		require.Equal(t, answer, again)
	}
	requireShown(t, h, th)
	require.Len(t, h.matches(), 1)
	require.Equal(t, 1, h.load("alice", conversation.ChannelWeb))

	th.events = nil
	th.follow()
	th.do(conversation.AcceptCommand{Agent: "alice"})
	accepted := th.picture()
	th.follow()
	_, err = h.Sync(h.t.Context(), accepted)
	require.NoError(t, err)
	requireShown(t, h, th)
	require.Equal(t, 1, h.load("alice", conversation.ChannelWeb))
}

func testOlderPicture(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support")
	old := th.picture()
	th.follow().accept("alice")
	answer, err := h.Sync(h.t.Context(), old)
	require.NoError(t, err)
	require.Equal(t, th.state.Revision, answer.Revision)
	require.Empty(t, answer.Matches)
	requireShown(t, h, th)
}

func testOverlappingEvents(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support")
	var told []conversation.Event
	remember := func() {
		told = append(told, th.events...)
		answer, err := h.Sync(h.t.Context(), th.state.Snapshot(told, nil)) // everything, each time
		require.NoError(t, err)
		th.events = nil
		for _, reserve := range answer.Matches {
			th.do(reserve)
		}
	}
	remember()
	remember()
	th.do(conversation.AcceptCommand{Agent: "alice"})
	remember()
	th.do(conversation.EndCommand{Agent: "alice"})
	remember()
	requireShown(t, h, th)
	feed, err := h.ConversationEvents(h.t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, feed, th.state.Events)
}

func testEventGap(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support").follow()
	th.do(conversation.AcceptCommand{Agent: "alice"})
	th.events = nil // acknowledged by a desk whose older file was restored
	th.do(conversation.EndCommand{Agent: "alice"})
	_, err := h.Sync(h.t.Context(), th.picture())
	require.NoError(t, err)
	c, err := h.Desk.Conversation(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Equal(t, conversation.ConversationWrapping, c.Status, "the rows follow all the same")
	events, err := h.Events(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Equal(t, 5, events[3].Number, "what came is kept, under its own number")
	again, err := h.Sync(h.t.Context(), th.picture())
	require.NoError(t, err)
	require.Equal(t, th.state.Revision, again.Revision)
	after, err := h.Events(h.t.Context(), th.sid)
	require.NoError(t, err)
	require.Len(t, after, len(events), "nothing is kept twice")
}

func testFeed(t *testing.T, h *house) {
	h.staff("support", "alice", "bob")
	threads := []*thread{h.start("support").follow(), h.start("support").follow()}
	for _, th := range threads {
		th.accept(th.task().Agent).end(th.task().Agent)
	}
	var read []LoggedEvent
	for position := int64(0); ; {
		page, err := h.ConversationEvents(h.t.Context(), position, 3)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		require.LessOrEqual(t, len(page), 3)
		for _, e := range page {
			require.Greater(t, e.Position, position)
			position = e.Position
		}
		read = append(read, page...)
	}
	for _, th := range threads {
		number := 0
		for _, e := range read {
			if e.Conversation == th.sid {
				number++
				require.Equal(t, number, e.Number)
			}
		}
		require.Equal(t, th.state.Events, number)
	}
}

func testAttributesOutlive(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support").follow().accept("alice")
	kept := th.task().Attributes
	th.do(conversation.EndCommand{Agent: "alice"})
	th.task().Attributes = nil // as the conversation does with tasks that ended long ago
	th.follow()
	tasks, err := h.Desk.Tasks(h.t.Context(), th.sid)
	require.NoError(t, err)
	requireSameJSON(t, kept, tasks[0].Attributes)
}

// testForeignRows: a conversation with a SID of another conversation's row changes nothing of that row, and an
// offer under it is declined.
func testForeignRows(t *testing.T, h *house) {
	h.staff("support", "alice")
	first := h.start("support").follow()
	require.Equal(t, conversation.TaskReserved, first.task().Status)
	before := h.contents()["reservations"]
	require.NoError(t, h.AddAgent(t.Context(), NewAgent{Name: "bob"}))
	second := h.start("support")
	second.sync()
	second.do(conversation.ReserveCommand{
		Task: second.task().SID, Agent: "bob", PendingSeq: second.task().PendingSeq, Reservation: first.task().Reservation.SID,
	})
	second.sync()
	require.Equal(t, before, h.contents()["reservations"])
	requireShown(t, h, first)
	due, err := h.takeDue(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, second.sid, due[0].conversation)
	require.Equal(t, conversation.CommandDecline, due[0].command.Name())
	second.do(due[0].command)
	second.sync()
	require.Equal(t, conversation.TaskPending, second.task().Status)
	require.Equal(t, before, h.contents()["reservations"])
	due, err = h.takeDue(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, due)
}

// testInvalidText syncs conversations that an earlier build started, with texts that no database accepts. They are
// offered like others.
func testInvalidText(t *testing.T, h *house) {
	h.staff("support", "alice")
	sync := func(t require.TestingT, value, name, reason string) {
		th := h.start("support", func(c *conversation.StartCommand) {
			c.Attributes = conversation.Attributes{"company": json.RawMessage(value)}
		})
		th.state.Customer.Name = name
		for _, reserve := range th.sync().Matches {
			th.do(reserve)
		}
		th.sync()
		th.do(conversation.CloseCommand{Reason: reason})
		th.sync()
		tasks, err := h.Desk.Tasks(h.t.Context(), th.sid)
		require.NoError(t, err)
		require.Len(t, tasks, 1)
		require.Equal(t, "alice", tasks[0].Agent, "it was offered")
		require.True(t, utf8.Valid(tasks[0].Attributes["company"]))
		require.JSONEq(t, strings.ToValidUTF8(value, "\uFFFD"), string(tasks[0].Attributes["company"]))
	}
	for _, value := range []string{"\"M\xfcller\"", "\"\xff\xfe\"", "\"\xed\xa0\x80\"", `"\ud800"`, "{\"\xfc\":[\"\xc0\x80\"]}"} {
		sync(t, value, "M\xfcller\x00", "\xe4")
	}
	rapid.Check(t, func(t *rapid.T) {
		written := rapid.SliceOfN(rapid.Byte(), 0, 20)
		value := slices.DeleteFunc(written.Draw(t, "value"), func(b byte) bool { return b < ' ' || b == '"' || b == '\\' })
		sync(t, `"`+string(value)+"\xfc\"", string(written.Draw(t, "name")), strings.ReplaceAll(string(written.Draw(t, "reason")), "\x00", ""))
	})
}

func testAwaitRevision(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support")
	other := h.open()
	seen := make(chan error, 2)
	for _, d := range []*Desk{h.Desk, other} {
		go func() { seen <- d.AwaitRevision(h.t.Context(), th.sid, 1) }()
	}
	th.sync()
	require.NoError(t, <-seen)
	require.NoError(t, <-seen)
	require.Empty(t, h.shown.waiters)

	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Millisecond)
	defer cancel()
	err := h.AwaitRevision(ctx, th.sid, 9)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "await revision 9")
}

// testFollowsAnyConversation runs several conversations concurrently at random, with snapshots that are lost,
// duplicated and late, agents who change their presence, and processes that die.
func testFollowsAnyConversation(t *testing.T, h *house) {
	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	people := []string{"ann", "ben", "cat", "dan"}
	h.staff("sales", "ann", "ben")
	h.staff("care", "ben", "cat", "dan")
	for _, name := range people {
		require.NoError(t, h.SetCapacity(h.t.Context(), name, conversation.ChannelWeb, 2))
	}
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		if rounds++; rounds > 20 && h.few() {
			return
		}
		threads := []*thread{h.start("sales")}
		var late []conversation.Snapshot
		anyThread := func() *thread { return rapid.SampledFrom(threads).Draw(rt, "conversation") }
		person := func() string { return rapid.SampledFrom(people).Draw(rt, "agent") }
		try := func(c func(th *thread) conversation.Command) func(*rapid.T) {
			return func(*rapid.T) {
				th := anyThread()
				_, _ = th.try(c(th)) // most are refused; the rules are tested elsewhere
			}
		}
		take := func(th *thread, answer conversation.Acknowledgement) {
			for _, reserve := range answer.Matches {
				require.Equal(rt, th.sid, reserve2conversation(rt, h, reserve))
				_, err := th.try(reserve)
				require.NoError(rt, err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"start": func(*rapid.T) {
				threads = append(threads, h.start(rapid.SampledFrom([]string{"sales", "care"}).Draw(rt, "queue")))
			},
			"accept": try(func(*thread) conversation.Command { return conversation.AcceptCommand{Agent: person()} }),
			"acceptOffered": try(func(th *thread) conversation.Command {
				return conversation.AcceptCommand{Agent: th.task().Agent}
			}),
			"decline": try(func(th *thread) conversation.Command {
				return conversation.DeclineCommand{Agent: th.task().Agent}
			}),
			"transferToAgent": try(func(th *thread) conversation.Command {
				return conversation.TransferCommand{From: th.task().Agent, To: toAgent(person())}
			}),
			"transferToQueue": try(func(th *thread) conversation.Command {
				return conversation.TransferCommand{From: th.task().Agent, To: toQueue("care"), Note: "a note"}
			}),
			"move":   try(func(*thread) conversation.Command { return conversation.MoveCommand{To: toAgent(person())} }),
			"wrapup": try(func(*thread) conversation.Command { return conversation.WrapupCommand{Agent: person()} }),
			"end":    try(func(th *thread) conversation.Command { return conversation.EndCommand{Agent: th.task().Agent} }),
			"close":  try(func(*thread) conversation.Command { return conversation.CloseCommand{} }),
			"cancel": try(func(th *thread) conversation.Command {
				from := "nobody"
				if transfer := th.state.ActiveTransfer(); transfer != nil {
					from = transfer.From
				}
				return conversation.CancelCommand{Agent: from}
			}),
			"expire": func(*rapid.T) {
				th := anyThread()
				if deadline, ok := th.state.Deadline(); ok {
					h.clock.advance(max(deadline.At.Sub(h.clock.now()), 0))
					_, err := th.try(conversation.ExpireCommand{})
					require.NoError(rt, err)
				}
			},
			"sync": func(*rapid.T) {
				th := anyThread()
				answer := th.sync()
				require.Equal(rt, th.state.Revision, answer.Revision)
				requireShown(rt, h, th)
				take(th, answer)
			},
			"syncAnswerLost": func(*rapid.T) {
				th := anyThread()
				_, err := h.Sync(h.t.Context(), th.picture())
				require.NoError(rt, err)
			},
			"syncLate": func(*rapid.T) {
				late = append(late, anyThread().picture())
				if len(late) > 3 {
					// The only acceptable failure is being late: the missing events have arrived since, or the
					// snapshot is not late.
					_, _ = h.Sync(h.t.Context(), late[0])
					late = late[1:]
				}
			},
			"presence": func(*rapid.T) {
				presence := rapid.SampledFrom([]Presence{PresenceAvailable, PresenceAvailable, PresenceBreak}).Draw(rt, "presence")
				require.NoError(rt, h.SetPresence(h.t.Context(), person(), presence))
			},
			"dispatch": func(*rapid.T) { require.NoError(rt, h.Dispatch(h.t.Context())) },
			"deliver": func(*rapid.T) {
				h.clock.advance(time.Second)
				due, err := h.takeDue(h.t.Context(), 4)
				require.NoError(rt, err)
				for _, item := range due {
					for _, th := range threads {
						if th.sid == item.conversation {
							_, _ = th.try(item.command)
						}
					}
				}
			},
			"claim": func(*rapid.T) { _, _ = h.Claim(h.t.Context(), anyThread().sid, person()) },
			"": func(rt *rapid.T) {
				requireConsistent(rt, h)
			},
		})
		for _, th := range threads { // so that the next round starts without these conversations
			_, err := th.try(conversation.CloseCommand{})
			require.True(rt, err == nil || conversation.CodeOf(err) == conversation.CodeConversationClosed, "%v", err)
			for _, name := range people {
				_, _ = th.try(conversation.WrapupCommand{Agent: name})
			}
			require.Equal(rt, conversation.ConversationClosed, th.state.Status)
			th.sync()
			requireShown(rt, h, th)
		}
		require.Empty(rt, h.matches())
		for _, name := range people {
			require.Zero(rt, h.load(name, conversation.ChannelWeb))
		}
	})
}

func reserve2conversation(t require.TestingT, h *house, c conversation.ReserveCommand) string {
	task, err := h.Desk.Task(h.t.Context(), c.Task)
	require.NoError(t, err)
	return task.Conversation
}

// requireConsistent checks invariants of the rows that always hold.
func requireConsistent(t require.TestingT, h *house) {
	for _, broken := range []struct{ what, query string }{
		{"a load that isn't the count", `SELECT count(*) FROM agent_channels c WHERE load <>
			(SELECT count(*) FROM tasks WHERE agent = c.agent AND channel = c.channel AND status IN ('reserved', 'assigned', 'wrapping'))
			+ (SELECT count(*) FROM placements WHERE agent = c.agent AND channel = c.channel)`},
		{"a member whose presence or idleness isn't the agent's", `SELECT count(*) FROM queue_agents q JOIN agents a ON a.name = q.agent
			WHERE q.idle_since <> a.idle_since OR (q.available = 1) <> (a.presence = 'available')`},
		{"a match of a task that isn't pending under its number", `SELECT count(*) FROM placements p JOIN tasks t ON t.sid = p.task
			WHERE t.status <> 'pending' OR t.placement <> p.placement OR t.waiting = 1`},
		{"a pending task that neither waits nor is matched", `SELECT count(*) FROM tasks t WHERE status = 'pending' AND waiting = 0
			AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.task = t.sid)`},
		{"a task that waits and isn't pending", `SELECT count(*) FROM tasks WHERE waiting = 1 AND status <> 'pending'`},
		{"a match of somebody who isn't available", `SELECT count(*) FROM placements p JOIN agents a ON a.name = p.agent WHERE a.presence <> 'available'`},
		{"a match of somebody who has or wraps up the conversation", `SELECT count(*) FROM placements p JOIN tasks t
			ON t.conversation = p.conversation AND t.agent = p.agent WHERE t.status IN ('assigned', 'wrapping')`},
		{"an offer open for somebody absent, and not declined", `SELECT count(*) FROM reservations r JOIN agents a ON a.name = r.agent
			WHERE r.status = 'pending' AND a.presence <> 'available' AND NOT EXISTS (SELECT 1 FROM declines d WHERE d.reservation = r.sid)`},
		{"a decline of what isn't open", `SELECT count(*) FROM declines d JOIN reservations r ON r.sid = d.reservation WHERE r.status <> 'pending'`},
		{"a reservation without its task's word", `SELECT count(*) FROM reservations r JOIN tasks t ON t.sid = r.task
			WHERE r.status = 'pending' AND (t.status <> 'reserved' OR t.reservation <> r.sid)`},
	} {
		var count int
		require.NoError(t, h.db.Reader().QueryRowContext(h.t.Context(), broken.query).Scan(&count))
		require.Zero(t, count, broken.what)
	}
}
