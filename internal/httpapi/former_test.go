package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestAFormerAgentLearnsNothingLater sends every request that an agent's key may send while its agent wraps up and
// afterwards, before and after something happens in the next agent's turn.
func TestAFormerAgentLearnsNothingLater(t *testing.T) {
	t.Parallel()
	t.Run("wrapping", func(t *testing.T) {
		t.Parallel()
		learnsNothing(t, func(*environment, string) {})
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		learnsNothing(t, func(h *environment, sid string) { h.do(sid, conversation.WrapupCommand{Agent: "alice"}) })
	})
}

func learnsNothing(t *testing.T, left func(h *environment, sid string)) {
	t.Helper()
	h := newEnvironment(t)
	sid := h.give("alice")
	path := "/v1/Conversations/" + sid
	h.ask(h.service, http.MethodPost, path, url.Values{"FriendlyName": {"Crystal's order"}, "Attributes": {`{"step":1}`}}).is(http.StatusOK)
	member := h.ask(h.service, http.MethodPost, path+"/Participants", url.Values{"Identity": {"brother"}, "Attributes": {`{"a":1}`}}).is(http.StatusCreated).object()["sid"].(string)
	own := h.state(sid).Tasks[0]
	transfer := h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}}).Transfer
	h.do(sid, conversation.AcceptCommand{Agent: "bob"})
	bobs := h.state(sid).Tasks[1]

	digits := sid[2:]
	channel := "/v1/Interactions/" + conversation.PrefixInteraction + digits + "/Channels/" + conversation.PrefixInteractionChannel + digits
	workspace := "/v1/Workspaces/" + h.workspace()
	reads := []string{
		path, path + "/Participants", path + "/Participants/" + member, path + "/Messages", "/v1/Conversations", "/v1/Conversations?State=active", "/v1/Conversations?State=closed",
		"/v1/Interactions/" + conversation.PrefixInteraction + digits, channel, channel + "/Participants", channel + "/Invites", channel + "/Transfers/" + transfer.SID,
		"/v1/Instances/" + h.instance() + "/Notes?InteractionSid=" + conversation.PrefixInteraction + digits,
		workspace + "/Tasks", workspace + "/Tasks?AssignmentStatus=assigned", workspace + "/Tasks/" + own.SID, workspace + "/Tasks/" + bobs.SID,
		workspace + "/Tasks/" + own.SID + "/Reservations", workspace + "/Tasks/" + own.SID + "/Reservations/" + own.Reservation.SID,
		workspace + "/Tasks/" + bobs.SID + "/Reservations", workspace + "/Tasks/" + bobs.SID + "/Reservations/" + bobs.Reservation.SID,
		workspace + "/Workers/" + conversation.AgentSID("alice") + "/Reservations",
		workspace + "/Workers/" + conversation.AgentSID("alice") + "/Reservations/" + own.Reservation.SID,
	}
	// Refusals must not reveal it either.
	writes := []struct{ method, path, kind, body string }{
		{http.MethodPost, channel + "/Transfers", "application/json", `{"from":"UT` + own.SID[2:] + `","to":"` + conversation.AgentSID("carol") + `"}`},
		{http.MethodPost, workspace + "/Tasks/" + own.SID, "application/x-www-form-urlencoded", "AssignmentStatus=canceled&Reason=x"},
		{http.MethodPost, workspace + "/Tasks/" + bobs.SID, "application/x-www-form-urlencoded", "AssignmentStatus=completed"},
		{http.MethodPost, workspace + "/Tasks/" + bobs.SID + "/Reservations", "application/x-www-form-urlencoded", "WorkerSid=" + conversation.AgentSID("alice")},
		{http.MethodPost, channel, "application/x-www-form-urlencoded", "Status=closed"},
		{http.MethodPost, channel + "/Participants/UT" + bobs.SID[2:], "application/x-www-form-urlencoded", "Status=closed"},
		{http.MethodPost, path + "/Messages", "application/x-www-form-urlencoded", "Body=hello"},
		{http.MethodPost, channel + "/Transfers/" + transfer.SID, "application/json", `{"status":"failed"}`},
		{http.MethodPost, channel + "/Participants", "application/x-www-form-urlencoded", "Type=agent&MediaProperties={}&RoutingProperties=" + url.QueryEscape(`{"worker_sid":"`+conversation.AgentSID("alice")+`"}`)},
	}
	learned := func() map[string]string {
		told := map[string]string{}
		for _, read := range reads {
			got := h.ask(h.alice, http.MethodGet, read, nil)
			told["GET "+read] = got.header.Get("ETag") + "\n" + got.ageless()
		}
		for _, w := range writes {
			got := h.send(h.alice, w.method, w.path, w.kind, w.body)
			told[w.method+" "+w.path+" "+w.body] = http.StatusText(got.status) + "\n" + got.body
		}
		return told
	}
	left(h, sid)
	before := learned()
	same := func(what string) {
		t.Helper()
		after := learned()
		for ask, told := range before {
			if told != after[ask] {
				t.Errorf("%s tells that %s: %s", ask, what, difference(told, after[ask]))
			}
		}
	}
	if h.state(sid).Tasks[0].Status == conversation.TaskWrapping {
		require.Contains(t, before["GET "+path], "Crystal's order")
	}

	h.ask(h.service, http.MethodPost, path+"/Messages", url.Values{"Body": {"only for bob"}}).is(http.StatusCreated)
	same("the customer wrote")
	theirNote := h.ask(h.bob, http.MethodPost, "/v1/Instances/"+h.instance()+"/Notes", url.Values{"InteractionSid": {conversation.PrefixInteraction + digits}, "Summary": {"bob's"}}).is(http.StatusOK).object()["sid"].(string)
	same("bob wrote a note")
	h.ask(h.service, http.MethodPost, path+"/Participants", url.Values{"Identity": {"sister"}}).is(http.StatusCreated)
	same("a person was added")
	h.do(sid, conversation.TransferCommand{From: "bob", To: conversation.Target{Agent: "carol"}})
	same("bob passed it on")
	h.do(sid, conversation.AcceptCommand{Agent: "carol"})
	same("carol accepted")
	h.do(sid, conversation.WrapupCommand{Agent: "bob", Disposition: "sold"})
	same("bob completed the wrap-up")
	h.do(sid, conversation.EndCommand{Agent: "carol"})
	same("the customer's side is over")
	h.do(sid, conversation.WrapupCommand{Agent: "carol"})
	same("carol completed the wrap-up")
	h.ask(h.service, http.MethodPost, path+"/Participants/"+member, url.Values{"Attributes": {`{"a":2}`}}).is(http.StatusOK)
	h.ask(h.service, http.MethodPost, path, url.Values{"FriendlyName": {"Fraud case"}, "Attributes": {`{"step":2}`}}).is(http.StatusOK)
	// A resource that exists gets the same answer as one that does not: the SIDs of a conversation's parts can be
	// computed from its own.
	state := h.state(sid)
	for existing, paths := range map[string][]string{
		state.Tasks[2].SID[2:]: {
			workspace + "/Tasks/WT%s", workspace + "/Tasks/WT%s/Reservations",
			"POST " + workspace + "/Tasks/WT%s?AssignmentStatus=completed", "POST " + workspace + "/Tasks/WT%s?AssignmentStatus=canceled&Reason=x",
			"POST " + workspace + "/Tasks/WT%s/Reservations?WorkerSid=" + conversation.AgentSID("alice"),
			"POST " + channel + "/Participants/UT%s?Status=closed",
			channel + "/Transfers UT%s",
		},
		state.Tasks[2].Reservation.SID[2:]: {
			workspace + "/Tasks/" + bobs.SID + "/Reservations/WR%s", workspace + "/Workers/" + conversation.AgentSID("alice") + "/Reservations/WR%s",
			"POST " + workspace + "/Tasks/" + bobs.SID + "/Reservations/WR%s?ReservationStatus=accepted",
		},
		state.Transfers[1].SID[2:]: {channel + "/Transfers/UX%s"},
		theirNote[2:]:              {"/v1/Instances/" + h.instance() + "/Notes/KQ%s"},
	} {
		for _, template := range paths {
			told := map[string]string{}
			for _, digits := range []string{existing, "0123456789abcdef0123456789abcdef"} {
				path := fmt.Sprintf(template, digits)
				var got answer
				if where, from, ok := strings.Cut(path, " UT"); ok {
					got = h.send(h.alice, http.MethodPost, where, "application/json", `{"from":"UT`+from+`","to":"`+conversation.AgentSID("dave")+`"}`)
				} else if path, ok := strings.CutPrefix(path, "POST "); ok {
					path, form, _ := strings.Cut(path, "?")
					got = h.send(h.alice, http.MethodPost, path, "application/x-www-form-urlencoded", form)
				} else {
					got = h.ask(h.alice, http.MethodGet, path, nil)
				}
				told[digits] = strings.ReplaceAll(http.StatusText(got.status)+got.body, digits, "")
			}
			require.Equal(t, told["0123456789abcdef0123456789abcdef"], told[existing], template)
		}
	}
	after := learned()
	for ask, told := range after {
		require.NotContains(t, told, "Fraud", ask)
		require.NotContains(t, told, `step\":2`, ask)
		require.NotContains(t, told, `\"a\":2`, ask)
	}
}

// TestAgentsKeysGuessNoUniqueName checks that a unique name that exists gets the same answer as one that does not.
func TestAgentsKeysGuessNoUniqueName(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("bob")
	h.ask(h.service, http.MethodPost, "/v1/Conversations/"+sid, url.Values{"UniqueName": {"order-4711"}}).is(http.StatusOK)
	for _, path := range []string{"", "/Messages", "/Participants"} {
		existing := h.ask(h.alice, http.MethodGet, "/v1/Conversations/order-4711"+path, nil).is(http.StatusForbidden)
		require.Equal(t, h.ask(h.alice, http.MethodGet, "/v1/Conversations/order-4712"+path, nil).is(http.StatusForbidden).body, existing.body)
	}
	require.Equal(t, sid, h.ask(h.bob, http.MethodGet, "/v1/Conversations/order-4711", nil).is(http.StatusOK).object()["sid"])
	h.ask(h.service, http.MethodGet, "/v1/Conversations/order-4712", nil).is(http.StatusNotFound)
}

// ageless returns the body without the values that only the clock changes.
func (a answer) ageless() string { return ages.ReplaceAllString(a.body, "") }

var ages = regexp.MustCompile(`"(age|age_in_queue)":\d+,?`)

// difference returns two texts around the first place at which they differ.
func difference(before, after string) string {
	at := 0
	for at < min(len(before), len(after)) && before[at] == after[at] {
		at++
	}
	from := max(at-60, 0)
	return before[from:min(at+60, len(before))] + " – " + after[from:min(at+60, len(after))]
}
