package routing_test

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
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

func testPictureBecomesRows(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	h.TransfersOn()
	th := h.Start("support", desktest.WithPriority(2), func(c *conversation.StartCommand) {
		c.Attributes = conversation.Attributes{"order": json.RawMessage(`{"id": 7}`)}
	})
	th.Follow()
	desktest.RequireShownWhole(t, h, th)
	th.Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "wants a refund")
	desktest.RequireShownWhole(t, h, th)
	th.Accept("bob").WrapUp("alice").End("bob").WrapUp("bob")
	require.Equal(t, conversation.ConversationClosed, th.State.Status)
	desktest.RequireShownWhole(t, h, th)

	notes, err := records.ListNotes(h.T.Context(), h.Desk, th.SID, records.AsSystem())
	require.NoError(t, err)
	require.Len(t, notes, 1)
	require.Equal(t, "wants a refund", notes[0].Text)
	require.Equal(t, th.State.Transfers[0].SID, notes[0].Transfer)

	reservations, err := records.ListReservations(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, reservations, 2)
	for i, agent := range []string{"alice", "bob"} {
		require.Equal(t, agent, reservations[i].Agent)
		require.Equal(t, conversation.ReservationCompleted, reservations[i].Status)
		one, err := records.FindReservation(h.T.Context(), h.Desk, reservations[i].SID)
		require.NoError(t, err)
		require.Equal(t, reservations[i], one)
	}
	task, err := records.FindTask(h.T.Context(), h.Desk, th.Task().SID)
	require.NoError(t, err)
	desktest.RequireSameJSON(t, th.Task(), task.Task)
	transfer, err := records.FindTransfer(h.T.Context(), h.Desk, th.State.Transfers[0].SID)
	require.NoError(t, err)
	require.Equal(t, th.SID, transfer.Conversation)
	_, err = records.FindTask(h.T.Context(), h.Desk, "WT00000000000000000000000000000000")
	require.Equal(t, conversation.CodeNoSuchTask, conversation.CodeOf(err))
	_, err = records.FindConversation(h.T.Context(), h.Desk, desktest.NewSID())
	require.ErrorIs(t, err, records.ErrUnknownConversation)
}

func testSamePictureAgain(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support")
	first := th.Snapshot()
	answer, err := routing.Sync(h.T.Context(), h.Desk, first)
	require.NoError(t, err)
	for range 3 {
		again, err := routing.Sync(h.T.Context(), h.Desk, first)
		require.NoError(t, err)
		require.Equal(t, answer, again)
	}
	desktest.RequireShownWhole(t, h, th)
	require.Len(t, h.Matches(), 1)
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))

	th.Pending = nil
	th.Follow()
	th.Do(conversation.AcceptCommand{Agent: "alice"})
	accepted := th.Snapshot()
	th.Follow()
	_, err = routing.Sync(h.T.Context(), h.Desk, accepted)
	require.NoError(t, err)
	desktest.RequireShownWhole(t, h, th)
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))
}

func testOlderPicture(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support")
	old := th.Snapshot()
	th.Follow().Accept("alice")
	answer, err := routing.Sync(h.T.Context(), h.Desk, old)
	require.NoError(t, err)
	require.Equal(t, th.State.Revision, answer.Revision)
	require.Empty(t, answer.Matches)
	desktest.RequireShownWhole(t, h, th)
}

func testOverlappingEvents(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support")
	var events []conversation.Event
	remember := func() {
		events = append(events, th.Pending...)
		answer, err := routing.Sync(h.T.Context(), h.Desk, th.State.Snapshot(events, nil)) // everything, each time
		require.NoError(t, err)
		th.Pending = nil
		for _, reserve := range answer.Matches {
			th.Do(reserve)
		}
	}
	remember()
	remember()
	th.Do(conversation.AcceptCommand{Agent: "alice"})
	remember()
	th.Do(conversation.EndCommand{Agent: "alice"})
	remember()
	desktest.RequireShownWhole(t, h, th)
	feed, err := outbox.ConversationEvents(h.T.Context(), h.Desk, 0, 100)
	require.NoError(t, err)
	require.Len(t, feed, th.State.Events)
}

func testEventGap(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	th.Do(conversation.AcceptCommand{Agent: "alice"})
	th.Pending = nil // acknowledged by a desk whose older file was restored
	th.Do(conversation.EndCommand{Agent: "alice"})
	_, err := routing.Sync(h.T.Context(), h.Desk, th.Snapshot())
	require.NoError(t, err)
	c, err := records.FindConversation(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, conversation.ConversationWrapping, c.Status, "the rows follow all the same")
	events, err := records.ListEvents(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, 5, events[3].Number, "what came is kept, under its own number")
	again, err := routing.Sync(h.T.Context(), h.Desk, th.Snapshot())
	require.NoError(t, err)
	require.Equal(t, th.State.Revision, again.Revision)
	after, err := records.ListEvents(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, after, len(events), "nothing is kept twice")
}

func testFeed(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob")
	threads := []*desktest.Conversation{h.Start("support").Follow(), h.Start("support").Follow()}
	for _, th := range threads {
		th.Accept(th.Task().Agent).End(th.Task().Agent)
	}
	var read []desk.LoggedEvent
	for position := int64(0); ; {
		page, err := outbox.ConversationEvents(h.T.Context(), h.Desk, position, 3)
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
			if e.Conversation == th.SID {
				number++
				require.Equal(t, number, e.Number)
			}
		}
		require.Equal(t, th.State.Events, number)
	}
}

func testAttributesOutlive(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow().Accept("alice")
	kept := th.Task().Attributes
	th.Do(conversation.EndCommand{Agent: "alice"})
	th.Task().Attributes = nil // as the conversation does with tasks that ended long ago
	th.Follow()
	tasks, err := records.ListTasks(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	desktest.RequireSameJSON(t, kept, tasks[0].Attributes)
}

// testForeignRows: a conversation with a SID of another conversation's row changes nothing of that row, and an
// offer under it is declined.
func testForeignRows(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	first := h.Start("support").Follow()
	require.Equal(t, conversation.TaskReserved, first.Task().Status)
	before := h.Contents()["reservations"]
	require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: "bob"}))
	second := h.Start("support")
	second.Sync()
	second.Do(conversation.ReserveCommand{
		Task: second.Task().SID, Agent: "bob", PendingSeq: second.Task().PendingSeq, Reservation: first.Task().Reservation.SID,
	})
	second.Sync()
	require.Equal(t, before, h.Contents()["reservations"])
	desktest.RequireShownWhole(t, h, first)
	due, err := routing.TakeDue(t.Context(), h.Desk, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.Equal(t, second.SID, due[0].Conversation)
	require.Equal(t, conversation.CommandDecline, due[0].Command.Name())
	second.Do(due[0].Command)
	second.Sync()
	require.Equal(t, conversation.TaskPending, second.Task().Status)
	require.Equal(t, before, h.Contents()["reservations"])
	due, err = routing.TakeDue(t.Context(), h.Desk, 10)
	require.NoError(t, err)
	require.Empty(t, due)
}

// testInvalidText syncs conversations that an earlier build started, with texts that no database accepts. They are
// offered like others.
func testInvalidText(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	sync := func(t require.TestingT, value, name, reason string) {
		th := h.Start("support", func(c *conversation.StartCommand) {
			c.Attributes = conversation.Attributes{"company": json.RawMessage(value)}
		})
		th.State.Customer.Name = name
		for _, reserve := range th.Sync().Matches {
			th.Do(reserve)
		}
		th.Sync()
		th.Do(conversation.CloseCommand{Reason: reason})
		th.Sync()
		tasks, err := records.ListTasks(h.T.Context(), h.Desk, th.SID)
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

func testAwaitRevision(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support")
	other := h.Reopen()
	seen := make(chan error, 2)
	for _, d := range []*desk.Desk{h.Desk, other} {
		go func() { seen <- routing.AwaitRevision(h.T.Context(), d, th.SID, 1) }()
	}
	th.Sync()
	require.NoError(t, <-seen)
	require.NoError(t, <-seen)
	require.Zero(t, h.Waiters())

	ctx, cancel := context.WithTimeout(h.T.Context(), 20*time.Millisecond)
	defer cancel()
	err := routing.AwaitRevision(ctx, h.Desk, th.SID, 9)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "await revision 9")
}

// testFollowsAnyConversation runs several conversations concurrently at random, with snapshots that are lost,
// duplicated and late, agents who change their presence, and processes that die.
func testFollowsAnyConversation(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	agents := []string{"ann", "ben", "cat", "dan"}
	h.Staff("sales", "ann", "ben")
	h.Staff("care", "ben", "cat", "dan")
	for _, name := range agents {
		require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, name, conversation.ChannelWeb, 2))
	}
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		if rounds++; rounds > 20 && h.Few() {
			return
		}
		threads := []*desktest.Conversation{h.Start("sales")}
		var late []conversation.Snapshot
		anyThread := func() *desktest.Conversation { return rapid.SampledFrom(threads).Draw(rt, "conversation") }
		person := func() string { return rapid.SampledFrom(agents).Draw(rt, "agent") }
		try := func(c func(th *desktest.Conversation) conversation.Command) func(*rapid.T) {
			return func(*rapid.T) {
				th := anyThread()
				_, _ = th.Try(c(th)) // most are refused; the rules are tested elsewhere
			}
		}
		take := func(th *desktest.Conversation, answer conversation.Acknowledgement) {
			for _, reserve := range answer.Matches {
				require.Equal(rt, th.SID, reserve2conversation(rt, h, reserve))
				_, err := th.Try(reserve)
				require.NoError(rt, err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"start": func(*rapid.T) {
				threads = append(threads, h.Start(rapid.SampledFrom([]string{"sales", "care"}).Draw(rt, "queue")))
			},
			"accept": try(func(*desktest.Conversation) conversation.Command { return conversation.AcceptCommand{Agent: person()} }),
			"acceptOffered": try(func(th *desktest.Conversation) conversation.Command {
				return conversation.AcceptCommand{Agent: th.Task().Agent}
			}),
			"decline": try(func(th *desktest.Conversation) conversation.Command {
				return conversation.DeclineCommand{Agent: th.Task().Agent}
			}),
			"transferToAgent": try(func(th *desktest.Conversation) conversation.Command {
				return conversation.TransferCommand{From: th.Task().Agent, To: desktest.ToAgent(person())}
			}),
			"transferToQueue": try(func(th *desktest.Conversation) conversation.Command {
				return conversation.TransferCommand{From: th.Task().Agent, To: desktest.ToQueue("care"), Note: "a note"}
			}),
			"move": try(func(*desktest.Conversation) conversation.Command {
				return conversation.MoveCommand{To: desktest.ToAgent(person())}
			}),
			"wrapup": try(func(*desktest.Conversation) conversation.Command { return conversation.WrapupCommand{Agent: person()} }),
			"end": try(func(th *desktest.Conversation) conversation.Command {
				return conversation.EndCommand{Agent: th.Task().Agent}
			}),
			"close": try(func(*desktest.Conversation) conversation.Command { return conversation.CloseCommand{} }),
			"cancel": try(func(th *desktest.Conversation) conversation.Command {
				from := "missing"
				if transfer := th.State.ActiveTransfer(); transfer != nil {
					from = transfer.From
				}
				return conversation.CancelCommand{Agent: from}
			}),
			"expire": func(*rapid.T) {
				th := anyThread()
				if deadline, ok := th.State.Deadline(); ok {
					h.Clock.Advance(max(deadline.At.Sub(h.Clock.Now()), 0))
					_, err := th.Try(conversation.ExpireCommand{})
					require.NoError(rt, err)
				}
			},
			"sync": func(*rapid.T) {
				th := anyThread()
				answer := th.Sync()
				require.Equal(rt, th.State.Revision, answer.Revision)
				desktest.RequireShownWhole(rt, h, th)
				take(th, answer)
			},
			"syncAnswerLost": func(*rapid.T) {
				th := anyThread()
				_, err := routing.Sync(h.T.Context(), h.Desk, th.Snapshot())
				require.NoError(rt, err)
			},
			"syncLate": func(*rapid.T) {
				late = append(late, anyThread().Snapshot())
				if len(late) > 3 {
					// The only acceptable failure is being late: the missing events have arrived since, or the
					// snapshot is not late.
					_, _ = routing.Sync(h.T.Context(), h.Desk, late[0])
					late = late[1:]
				}
			},
			"presence": func(*rapid.T) {
				presence := rapid.SampledFrom([]desk.Presence{desk.PresenceAvailable, desk.PresenceAvailable, desk.PresenceBreak}).Draw(rt, "presence")
				require.NoError(rt, routing.SetPresence(h.T.Context(), h.Desk, person(), presence))
			},
			"dispatch": func(*rapid.T) { require.NoError(rt, routing.Dispatch(h.T.Context(), h.Desk)) },
			"deliver": func(*rapid.T) {
				h.Clock.Advance(time.Second)
				due, err := routing.TakeDue(h.T.Context(), h.Desk, 4)
				require.NoError(rt, err)
				for _, item := range due {
					for _, th := range threads {
						if th.SID == item.Conversation {
							_, _ = th.Try(item.Command)
						}
					}
				}
			},
			"claim": func(*rapid.T) { _, _ = routing.Claim(h.T.Context(), h.Desk, anyThread().SID, person()) },
			"": func(rt *rapid.T) {
				requireConsistent(rt, h)
			},
		})
		for _, th := range threads { // so that the next round starts without these conversations
			_, err := th.Try(conversation.CloseCommand{})
			require.True(rt, err == nil || conversation.CodeOf(err) == conversation.CodeConversationClosed, "%v", err)
			for _, name := range agents {
				_, _ = th.Try(conversation.WrapupCommand{Agent: name})
			}
			require.Equal(rt, conversation.ConversationClosed, th.State.Status)
			th.Sync()
			desktest.RequireShownWhole(rt, h, th)
		}
		require.Empty(rt, h.Matches())
		for _, name := range agents {
			require.Zero(rt, h.Load(name, conversation.ChannelWeb))
		}
	})
}

func reserve2conversation(t require.TestingT, h *desktest.Environment, c conversation.ReserveCommand) string {
	task, err := records.FindTask(h.T.Context(), h.Desk, c.Task)
	require.NoError(t, err)
	return task.Conversation
}

// requireConsistent checks invariants of the rows that always hold.
func requireConsistent(t require.TestingT, h *desktest.Environment) {
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
		{"a match of an agent who isn't available", `SELECT count(*) FROM placements p JOIN agents a ON a.name = p.agent WHERE a.presence <> 'available'`},
		{"a match of an agent who has or wraps up the conversation", `SELECT count(*) FROM placements p JOIN tasks t
			ON t.conversation = p.conversation AND t.agent = p.agent WHERE t.status IN ('assigned', 'wrapping')`},
		{"an offer open for an absent agent, and not declined", `SELECT count(*) FROM reservations r JOIN agents a ON a.name = r.agent
			WHERE r.status = 'pending' AND a.presence <> 'available' AND NOT EXISTS (SELECT 1 FROM declines d WHERE d.reservation = r.sid)`},
		{"a decline of what isn't open", `SELECT count(*) FROM declines d JOIN reservations r ON r.sid = d.reservation WHERE r.status <> 'pending'`},
		{"a reservation without its task's word", `SELECT count(*) FROM reservations r JOIN tasks t ON t.sid = r.task
			WHERE r.status = 'pending' AND (t.status <> 'reserved' OR t.reservation <> r.sid)`},
	} {
		var count int
		require.NoError(t, h.DB().Reader().QueryRowContext(h.T.Context(), broken.query).Scan(&count))
		require.Zero(t, count, broken.what)
	}
}
