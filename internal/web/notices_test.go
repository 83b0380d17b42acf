package web_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
)

// unfolding is a conversation that follows the real rules and is synced to the desk step by step.
type unfolding struct {
	o        *environment
	state    conversation.State
	settings conversation.Settings
	at       time.Time
}

func (o *environment) unfolds(customer string, change ...func(*conversation.Settings)) *unfolding {
	o.t.Helper()
	u := &unfolding{o: o, settings: conversation.DefaultSettings(), at: time.Now().Add(-time.Minute)}
	u.settings.MessagingTransfers = true
	for _, c := range change {
		c(&u.settings)
	}
	u.does(conversation.StartCommand{
		Conversation: conversation.SIDOf(conversation.PrefixConversation, uuid.New()), Channel: conversation.ChannelWeb, Queue: "support",
		Customer: conversation.Customer{Name: customer},
	})
	return u
}

func (u *unfolding) does(commands ...conversation.Command) *unfolding {
	u.o.t.Helper()
	facts := &conversation.Facts{Settings: u.settings, AgentKnown: true, AgentAvailable: true, QueueKnown: true, QueueMembers: 1}
	for _, c := range commands {
		u.at = u.at.Add(time.Second)
		result, err := u.state.Apply(c, facts, u.at)
		require.NoError(u.o.t, err)
		_, err = routing.Sync(u.o.t.Context(), u.o.desk, u.state.Snapshot(result.Events, result.Notes))
		require.NoError(u.o.t, err)
	}
	return u
}

// offered offers the newest task to the agent.
func (u *unfolding) offered(agent string) *unfolding {
	u.o.t.Helper()
	task := u.state.Tasks[len(u.state.Tasks)-1]
	return u.does(conversation.ReserveCommand{Task: task.SID, PendingSeq: task.PendingSeq, Agent: agent})
}

// expires lets the open offer expire.
func (u *unfolding) expires() *unfolding {
	u.o.t.Helper()
	deadline, ok := u.state.Deadline()
	require.True(u.o.t, ok)
	u.at = deadline.At
	return u.does(conversation.ExpireCommand{})
}

func (u *unfolding) acceptedBy(agent string) *unfolding {
	u.o.t.Helper()
	return u.offered(agent).does(conversation.AcceptCommand{Agent: agent})
}

func (o *environment) reads(b identitytest.Browser, path string) string {
	o.t.Helper()
	page := o.open(b, path)
	require.Equal(o.t, http.StatusOK, page.Status, page.Body)
	return page.Body
}

// TestTheSenderReadsWhatBecameOfATransfer checks every page, the list, and the conversation.
func TestTheSenderReadsWhatBecameOfATransfer(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	alice := o.signedIn(url.Values{"agent": {"alice"}})
	u := o.unfolds("Crystal Minh").acceptedBy("alice").does(conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	sid := u.state.Conversation
	u.offered("bob")
	require.Contains(t, o.reads(alice, "/desk/"+sid), "not accepted yet")
	require.NotContains(t, o.reads(alice, "/desk"), `id="notice-`)

	u.does(conversation.DeclineCommand{Agent: "bob", Reason: "at lunch"})
	const declined = "bob declined: ‘at lunch’. Now waiting in support."
	for _, path := range []string{"/desk", "/desk/" + sid} {
		require.Contains(t, o.reads(alice, path), declined, path)
	}
	open := o.reads(alice, "/desk/"+sid)
	require.NotContains(t, open, "not accepted yet")
	require.Contains(t, open, "</time> bob declined: ‘at lunch’</div>", "a line of the transcript")

	u.does(conversation.WrapupCommand{Agent: "alice"})
	list := o.reads(alice, "/desk")
	require.Contains(t, list, `<span class="more">`+declined+`</span>`)
	require.NotContains(t, list, "not accepted yet")

	u.offered("bob").expires()
	require.Contains(t, o.reads(alice, "/desk"), "bob did not answer in time. Now waiting in support.")

	notice := formOf(t, o.reads(alice, "/desk"), "/desk/notices")
	notice.Del("do")
	require.Equal(t, http.StatusOK, o.send(alice, "/desk/notices", notice).Status)
	require.NotContains(t, o.reads(alice, "/desk"), `id="notice-`, "it is dismissed")

	u.acceptedBy("bob")
	require.Contains(t, o.reads(alice, "/desk"), "bob accepted.", "what happened since is shown")
	require.NotContains(t, o.reads(o.signedIn(url.Values{"agent": {"bob"}}), "/desk"), "bob accepted.", "to the sender alone")
}

// TestASupervisorWhoSendsIsNotifiedOnEveryPage checks the notices of a supervisor who has transferred a
// conversation.
func TestASupervisorWhoSendsIsNotifiedOnEveryPage(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	u := o.unfolds("Crystal Minh", func(s *conversation.Settings) { s.Unanswered = conversation.UnansweredSender }).
		acceptedBy("carol").does(conversation.TransferCommand{From: "carol", To: conversation.Target{Agent: "bob"}}).
		offered("bob").does(conversation.DeclineCommand{Agent: "bob", Reason: "no <idea>"})
	for _, path := range []string{"/desk", "/conversations", "/conversations/" + u.state.Conversation, "/insights", "/admin/transfers", "/admin/agents"} {
		require.Contains(t, o.at(path).Body, "bob declined: ‘no &lt;idea&gt;’. You have the conversation again.", path)
	}
	u.does(conversation.TransferCommand{From: "carol", To: conversation.Target{Queue: "billing"}}, conversation.CloseCommand{})
	require.Contains(t, o.at("/insights").Body, "The conversation was closed before the transfer to billing was accepted.")
}

// TestAMissedOfferIsExplained: the notice stays until the agent is available again or dismisses it.
func TestAMissedOfferIsExplained(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	alice, another := o.signedIn(url.Values{"agent": {"alice"}}), o.signedIn(url.Values{"agent": {"alice"}})
	const why = "You missed an offer from <b><bdi>Crystal Minh</bdi></b>"
	for _, answer := range []string{"available", "dismiss"} {
		require.NoError(t, routing.SetPresence(t.Context(), o.desk, "alice", desk.PresenceAvailable))
		u := o.unfolds("Crystal Minh")
		u.at = time.Now()
		u.offered("alice").expires()
		require.Equal(t, desk.PresenceOffline, o.agent("alice").Presence)
		for _, b := range []identitytest.Browser{alice, another, alice} {
			require.Contains(t, o.reads(b, "/desk"), why, "in every tab, and after a reload")
		}
		require.Equal(t, http.StatusOK, o.send(alice, "/desk/notices", url.Values{"notice": {"missed"}, "do": {answer}}).Status)
		require.NotContains(t, o.reads(another, "/desk"), why)
		require.Equal(t, answer == "available", o.agent("alice").Available())
		u.does(conversation.CloseCommand{})
	}
}

// TestTheTransferPanelKeepsTheHistoryThatIsShown: without scripts, loaded earlier messages stay when the transfer
// panel opens and when it closes.
func TestTheTransferPanelKeepsTheHistoryThatIsShown(t *testing.T) {
	t.Parallel()
	o := newEnvironment(t)
	_, err := desk.SetSettings(t.Context(), o.desk, "carol", func(s *conversation.Settings) { s.MessagingTransfers = true })
	require.NoError(t, err)
	alice := o.signedIn(url.Values{"agent": {"alice"}})
	sid := o.unfolds("Crystal Minh").acceptedBy("alice").state.Conversation
	for n := range 250 {
		_, err := records.Say(t.Context(), o.desk, records.NewMessage{Conversation: sid, From: records.FromCustomer, Text: "number " + strconv.Itoa(n) + "."})
		require.NoError(t, err)
	}
	newest := o.reads(alice, "/desk/"+sid)
	require.NotContains(t, newest, "number 3.")
	require.Contains(t, newest, `href="/desk/`+sid+`/transfer"`)
	earlier := o.reads(alice, "/desk/"+sid+"?before=51")
	require.Contains(t, earlier, "number 0.", "it can be read to its beginning")
	require.Contains(t, earlier, "number 3.")
	require.Contains(t, earlier, `href="/desk/`+sid+`/transfer?before=201"`)
	panel := o.reads(alice, "/desk/"+sid+"/transfer?before=201")
	require.Contains(t, panel, "number 3.")
	require.Contains(t, panel, `action="/desk/`+sid+`/transfer?before=201"`)
	require.Contains(t, panel, `href="/desk/`+sid+`?before=201" data-key="Escape"`)
	require.Equal(t, http.StatusBadRequest, o.open(alice, "/desk/"+sid+"?before=x").Status)
}
