package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// soon is how long the dispatcher may take to find a free agent on a busy machine.
const soon = 10 * time.Second

func TestQueueTransferReachesAFreeAgentWithHistoryAndNote(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)
	c.says(t, sid, records.FromCustomer, "I was charged twice.")
	c.says(t, sid, "alice", "Let me pass you on.")

	c.do(t, sid, conversation.TransferCommand{From: "alice", To: toQueue("billing"), Note: "Charged twice."})
	offer := c.offered(t, sid, "bob")
	require.Equal(t, "billing", offer.Queue)
	requireAgreement(t, c, sid)
	offers, err := routing.ListOffers(t.Context(), c.Desk, "bob")
	require.NoError(t, err)
	require.Len(t, offers, 1)
	require.Equal(t, offer.SID, offers[0].Task.SID)
	require.Equal(t, "Charged twice.", offers[0].Notes[0].Text)
	require.Equal(t, "Let me pass you on.", offers[0].Transcript[1].Text)
	require.JSONEq(t, `"3348917502"`, string(offers[0].Task.Attributes["order"]))
}

func TestAgentAtCapacityIsOfferedTheNextTaskWhenOneIsDone(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	require.NoError(t, people.AddQueue(t.Context(), c.Desk, "sales"))
	c.hire(t, "dave", 1, "sales")

	first := c.begin(t, "sales")
	c.offered(t, first, "dave")
	ordinary := c.begin(t, "sales")
	urgent, err := c.Baton.Start(t.Context(), conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "sales", Priority: 5})
	require.NoError(t, err)
	requireAgreement(t, c, first, ordinary, urgent)
	c.do(t, first, conversation.AcceptCommand{Agent: "dave"})
	c.do(t, first, conversation.EndCommand{Agent: "dave"})
	for _, sid := range []string{ordinary, urgent} {
		require.Equal(t, conversation.TaskPending, requireAgreement(t, c, sid)[sid].Tasks[0].Status, "a wrapup counts against capacity")
	}

	c.do(t, first, conversation.WrapupCommand{Agent: "dave"})
	c.offered(t, urgent, "dave")
	agreed := requireAgreement(t, c, first, ordinary, urgent)
	require.Equal(t, conversation.TaskPending, agreed[ordinary].Tasks[0].Status, "priority comes first")
	require.NoError(t, people.SetCapacity(t.Context(), c.Desk, "dave", conversation.ChannelWeb, 2))
	c.offered(t, ordinary, "dave")
	requireAgreement(t, c, first, ordinary, urgent)
}

func TestAgentWhoGoesAwayIsDeclinedForAndTheTaskPlacedOn(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	require.NoError(t, people.AddQueue(t.Context(), c.Desk, "sales"))
	c.hire(t, "dave", 3, "sales")
	kept := c.begin(t, "sales")
	c.offered(t, kept, "dave")
	c.do(t, kept, conversation.AcceptCommand{Agent: "dave"})
	offered := c.begin(t, "sales")
	c.offered(t, offered, "dave")
	requireAgreement(t, c, kept, offered)
	c.hire(t, "erin", 3, "sales")

	require.NoError(t, routing.SetPresence(t.Context(), c.Desk, "dave", desk.PresenceBreak))
	c.offered(t, offered, "erin")
	agreed := requireAgreement(t, c, kept, offered)
	require.Equal(t, "dave", agreed[kept].Tasks[0].Agent, "who goes away keeps what they have")
	require.Equal(t, conversation.TaskAssigned, agreed[kept].Tasks[0].Status)
	c.refused(t, offered, conversation.AcceptCommand{Agent: "dave"}, conversation.CodeNoReservation)

	reservations, err := records.ListReservations(t.Context(), c.Desk, offered)
	require.NoError(t, err)
	require.Len(t, reservations, 2)
	require.Equal(t, conversation.ReservationRejected, reservations[0].Status)
	require.Equal(t, desk.ReasonAgentUnavailable, reservations[0].Reason)
}

func TestOfferThatExpiresMakesTheAgentUnavailableAndIsPlacedOn(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	// Long enough for erin to accept on a busy machine: her offer would expire too.
	_, err := desk.SetSettings(t.Context(), c.Desk, "test", func(s *conversation.Settings) { s.ReservationTimeout = 10 })
	require.NoError(t, err)
	require.NoError(t, people.AddQueue(t.Context(), c.Desk, "sales"))
	c.hire(t, "dave", 3, "sales")
	sid := c.begin(t, "sales")
	c.offered(t, sid, "dave")
	c.hire(t, "erin", 3, "sales")

	c.offered(t, sid, "erin")
	c.do(t, sid, conversation.AcceptCommand{Agent: "erin"})
	requireAgreement(t, c, sid)
	dave, err := people.FindAgent(t.Context(), c.Desk, "dave")
	require.NoError(t, err)
	require.False(t, dave.Available())
	erin, err := people.FindAgent(t.Context(), c.Desk, "erin")
	require.NoError(t, err)
	require.True(t, erin.Available())
}

func TestWaitingTaskIsTakenByHand(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	require.NoError(t, people.AddQueue(t.Context(), c.Desk, "sales"))
	sid := c.begin(t, "sales")
	requireAgreement(t, c, sid)

	_, err := routing.Claim(t.Context(), c.Desk, sid, "bob")
	require.NoError(t, err)
	_, err = routing.Claim(t.Context(), c.Desk, sid, "alice")
	require.Equal(t, conversation.CodeNoReservation, conversation.CodeOf(err), "another agent was quicker: %v", err)
	// The worker's dispatcher delivers a claim that another process has made.
	c.offered(t, sid, "bob")
	c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	requireAgreement(t, c, sid)
}

// A worker is killed before it could deliver a match: the next worker delivers the match.
func TestMatchThatWasNotDeliveredIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	worker := c.startWorker(t)
	require.NoError(t, people.AddQueue(t.Context(), c.Desk, "sales"))
	sid := c.begin(t, "sales")
	requireAgreement(t, c, sid)

	c.Server.Kill()
	claim, err := routing.Claim(t.Context(), c.Desk, sid, "bob")
	require.NoError(t, err)
	waitFor(t, testenv.Patience, "a delivery that fails", func() bool {
		return strings.Contains(worker.Stderr.String(), "delivery to the conversation failed")
	})
	worker.Kill()
	require.NoError(t, c.StartServer(t.Context()))
	c.startWorker(t)
	offer := c.offered(t, sid, "bob")
	require.Equal(t, claim.Reservation, offer.Reservation.SID)
	c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	require.Equal(t, 3, requireAgreement(t, c, sid)[sid].Revision, "start, reserve, accept: once each")
}

// Two workers on one desk file match waiting tasks: each task once, and no agent above their capacity. One worker
// is killed, and the other continues.
func TestTwoWorkersPlaceEachTaskOnce(t *testing.T) {
	t.Parallel()
	const conversations, capacity = 24, 4
	agents := []string{"dave", "erin", "frank"}
	c := openEnvironment(t, nil)
	one := c.startWorker(t)
	c.startWorker(t)
	require.NoError(t, people.AddQueue(t.Context(), c.Desk, "sales"))
	var sids []string
	for range conversations {
		sids = append(sids, c.begin(t, "sales"))
	}
	for _, agent := range agents {
		c.hire(t, agent, capacity, "sales")
	}

	served := map[string]bool{}
	for len(served) < conversations {
		reserved := c.reservedOf(t, sids, served, min(len(agents)*capacity, conversations-len(served)))
		requireWithinCapacity(t, c)
		for sid, agent := range reserved {
			c.do(t, sid, conversation.AcceptCommand{Agent: agent})
			c.do(t, sid, conversation.EndCommand{Agent: agent})
			c.do(t, sid, conversation.WrapupCommand{Agent: agent})
			served[sid] = true
		}
		if one.Runs() {
			one.Kill()
		}
	}
	for _, record := range requireAgreement(t, c, sids...) {
		require.Len(t, record.Tasks, 1)
		require.Equal(t, 5, record.Revision, "start, reserve, accept, end, wrapup: once each in\n%s", pretty(record))
	}
}

// reservedOf waits until that many of the conversations not yet served are offered, and returns the agents.
func (c *environment) reservedOf(t *testing.T, sids []string, served map[string]bool, count int) map[string]string {
	t.Helper()
	reserved := map[string]string{}
	waitFor(t, testenv.Patience, "offers", func() bool {
		clear(reserved)
		for _, sid := range sids {
			if served[sid] {
				continue
			}
			record, err := c.Baton.State(in(t, testenv.Patience), sid)
			require.NoError(t, err)
			for _, task := range record.Tasks {
				if task.Status == conversation.TaskReserved {
					reserved[sid] = task.Agent
				}
			}
		}
		return len(reserved) >= count
	})
	return reserved
}

func requireWithinCapacity(t *testing.T, c *environment) {
	t.Helper()
	agents, err := people.ListAgents(in(t, testenv.Patience), c.Desk)
	require.NoError(t, err)
	for _, agent := range agents {
		at := slices.IndexFunc(agent.Channels, func(a people.AgentChannel) bool { return a.Channel == conversation.ChannelWeb })
		require.LessOrEqual(t, agent.Channels[at].Load, agent.Channels[at].Capacity, "load of %s", agent.Name)
	}
}

// says writes a message into the transcript.
func (c *environment) says(t *testing.T, sid, from, text string) {
	t.Helper()
	_, err := records.Say(in(t, testenv.Patience), c.Desk, records.NewMessage{Conversation: sid, From: from, Text: text})
	require.NoError(t, err)
}

// A search by search attributes finds the conversation with its current state, before and after a change.
func TestConversationsAreFoundByWhoHasThem(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	other := c.beginWithAlice(t)
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	for query, wanted := range map[string][]string{
		`ConversationWrapping = "alice"`:                                {sid},
		`ConversationAgents = "bob"`:                                    {sid},
		`ConversationAgents = "alice"`:                                  {other},
		`ConversationTransfers > 0 AND ConversationStatus = "active"`:   {sid},
		`ConversationQueue = "support" AND ConversationChannel = "web"`: {sid, other},
	} {
		slices.Sort(wanted)
		var found []string
		waitFor(t, soon, query, func() bool {
			found = nil
			for info, err := range c.Baton.List(in(t, testenv.Patience), query) {
				require.NoError(t, err)
				found = append(found, info.Conversation)
			}
			slices.Sort(found)
			return slices.Equal(wanted, found)
		})
	}
}
