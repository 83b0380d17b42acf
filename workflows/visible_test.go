package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

// upserts collects the upserted search attributes, one element for each upsert.
func upserts(s *environment) *[]temporal.SearchAttributes {
	var all []temporal.SearchAttributes
	s.env.OnUpsertTypedSearchAttributes(mock.MatchedBy(func(attributes temporal.SearchAttributes) bool {
		all = append(all, attributes)
		return true
	})).Return(nil)
	return &all
}

// upsertsSinceAccept calls do once alice has accepted, and returns how often search attributes are upserted after
// that.
func upsertsSinceAccept(s *environment, do func()) func() int {
	all := upserts(s)
	var before int
	s.aliceAccepts()
	s.step(func() {
		before = len(*all)
		do()
	})
	return func() int { return len(*all) - before }
}

func TestSearchAttributesAreUpsertedWhenTheyChange(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	all := upserts(s)
	found := func(key temporal.SearchAttributeKeyKeywordList) []string {
		list, ok := (*all)[len(*all)-1].GetKeywordList(key)
		require.True(t, ok, "%s has not been upserted", key.GetName())
		return list
	}
	s.step(func() {
		require.Len(t, *all, 1, "started and offered")
		first := (*all)[0]
		status, _ := first.GetKeyword(workflows.SearchStatus)
		channel, _ := first.GetKeyword(workflows.SearchChannel)
		queue, _ := first.GetKeyword(workflows.SearchQueue)
		require.Equal(t, []string{"active", "web", "support"}, []string{status, channel, queue})
		require.Equal(t, []string{"alice"}, found(workflows.SearchAgents))
		s.signal("accept", conversation.AcceptCommand{Agent: "alice"})
	})
	s.step(func() {
		require.Len(t, *all, 1, "the same agent, queue and status")
		s.signal("accept", conversation.AcceptCommand{Agent: "bob"})
	})
	s.step(func() {
		require.Len(t, *all, 1, "a refusal changes nothing")
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.step(func() {
		require.Len(t, *all, 2)
		require.Equal(t, 3, (*all)[1].Size(), "only what has changed")
		require.Equal(t, []string{"bob"}, found(workflows.SearchAgents))
		require.Equal(t, []string{"alice"}, found(workflows.SearchWrapping))
		transfers, _ := (*all)[1].GetInt64(workflows.SearchTransfers)
		require.Equal(t, int64(1), transfers)
		s.signal("move", conversation.MoveCommand{To: toQueue("billing")})
	})
	s.step(func() {
		queue, _ := (*all)[2].GetKeyword(workflows.SearchQueue)
		require.Equal(t, "billing", queue)
	})
	s.play()
	last := s.env.GetWorkflowError()
	require.NoError(t, last)
	status, _ := (*all)[len(*all)-1].GetKeyword(workflows.SearchStatus)
	require.Equal(t, "closed", status)
}

func TestSeveralCommandsOfAWorkflowTaskUpsertOnce(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	count := upsertsSinceAccept(s, func() {
		s.slip("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
		s.slip("accept", conversation.AcceptCommand{Agent: "bob"})
		s.slip("wrapup", conversation.WrapupCommand{Agent: "alice"})
		s.signal("end", conversation.EndCommand{Agent: "bob"})
	})
	s.step(func() { require.Equal(t, 1, count()) })
	s.play()
}

// Callers do not wait for search attributes. These are written with the desk's answer, or without it if the desk is
// unreachable.
func TestSearchAttributesDoWithoutADeskThatIsAway(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	count := upsertsSinceAccept(s, func() {
		s.desk.syncsToFail = 16
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.step(func() { require.Zero(t, count(), "the desk may answer yet") })
	s.after(6*time.Second, func() {
		require.Positive(t, s.desk.syncsToFail)
		require.Equal(t, 1, count(), "the desk is away")
		s.signal("accept", conversation.AcceptCommand{Agent: "bob"})
		s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
	})
	s.after(time.Millisecond, func() {
		require.Positive(t, s.desk.syncsToFail)
		require.Equal(t, 2, count(), "it is away still")
	})
	s.after(time.Minute, func() { require.Zero(t, s.desk.syncsToFail) })
	s.play()
}

func TestASignalAndTheDesksAnswerInOneWorkflowTaskUpsertOnce(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.overtaken = true
	count := upsertsSinceAccept(s, func() {
		s.desk.duringSync = func(conversation.Snapshot) {
			s.desk.duringSync = nil
			s.slip("wrapup", conversation.WrapupCommand{Agent: "alice"}) // it arrives with the match of bob
		}
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toQueue("billing")})
	})
	s.step(func() {
		require.True(t, s.task(1).OfferedTo("bob"))
		require.Equal(t, 1, count(), "the transfer's, the wrapup's and the match's together")
	})
	s.play()
}

func TestAContinuedRunUpsertsOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	first.aliceAccepts()
	second := continues(t, first)
	all := upserts(second)
	second.transfers("alice", toAgent("bob"))
	second.step(func() {
		require.Len(t, *all, 1)
		_, status := (*all)[0].GetKeyword(workflows.SearchStatus)
		require.False(t, status, "the server has carried it over")
	})
	second.play()
}

func TestNothingOfTheCustomerIsShown(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	all := upserts(s)
	s.aliceAccepts()
	s.step(func() {
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: "has moved to Leeds"})
	})
	s.step(func() {
		details := s.metadata().GetCurrentDetails()
		require.NotContains(t, details, "Crystal")
		require.NotContains(t, details, "+15550100")
		require.NotContains(t, details, "Leeds")
		for _, attributes := range *all {
			for key, value := range attributes.GetUntypedValues() {
				require.NotContains(t, jsonOf(value), "Crystal", key.GetName())
			}
		}
	})
	s.play()
}

func TestTheCurrentDetailsSayHowItStands(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	details := func() string { return s.metadata().GetCurrentDetails() }
	s.step(func() {
		require.Contains(t, details(), "**active** on web")
		require.Contains(t, details(), "offered to **alice**, until 2126-03-04 09:02:00 UTC")
		require.NotContains(t, details(), "Transfers")
		s.signal("accept", conversation.AcceptCommand{Agent: "alice"})
	})
	s.step(func() {
		require.Contains(t, details(), "**alice** has the conversation, since 2126-03-04 09:00:01 UTC")
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toQueue("billing")})
	})
	s.step(func() {
		require.Contains(t, details(), "**alice** wraps up, since 2126-03-04 09:00:02 UTC")
		require.Contains(t, details(), "offered to **bob**")
		require.Contains(t, details(), "alice → queue billing, active")
		s.signal("accept", conversation.AcceptCommand{Agent: "carol"})
	})
	s.step(func() {
		require.Contains(t, details(), "**Last refused signal** `accept`, 2126-03-04 09:00:03 UTC: no task of this conversation is reserved for carol")
		s.signal("accept", conversation.AcceptCommand{Agent: "bob"})
	})
	s.step(func() { require.Contains(t, details(), "accepted by bob") })
	s.play()
	require.Contains(t, details(), "**closed**")
	require.Contains(t, details(), "nothing is pending")
}

func TestEveryMessageIsDescribed(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.step(func() {
		definition := s.metadata().GetDefinition()
		described := map[string]string{}
		for _, signal := range definition.GetSignalDefinitions() {
			described["signal "+signal.GetName()] = signal.GetDescription()
		}
		for _, update := range definition.GetUpdateDefinitions() {
			described["update "+update.GetName()] = update.GetDescription()
		}
		for _, query := range definition.GetQueryDefinitions() {
			described["query "+query.GetName()] = query.GetDescription()
		}
		for _, name := range conversation.ServiceCommands() {
			require.Equal(t, name.Description(), described["signal "+string(name)])
			require.Equal(t, name.Description(), described["update "+string(name)])
		}
		require.NotEmpty(t, described["signal reserve"])
		require.NotContains(t, described, "update reserve", "it is the desk's signal")
		require.NotEmpty(t, described["query "+workflows.Query])
	})
	s.play()
}

func TestTheQueryHasTheShapeOfTheContract(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.aliceAccepts()
	s.step(func() {
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: "knows the order"})
	})
	s.step(func() {
		value, err := s.env.QueryWorkflow(workflows.Query)
		require.NoError(t, err)
		var shape map[string]any
		require.NoError(t, value.Get(&shape))
		require.Equal(t, testSID, shape["conversation"])
		require.Equal(t, map[string]any{"name": "Crystal Minh", "address": "+15550100"}, shape["customer"])
		require.Equal(t, []any{}, shape["refusals"], "empty, and there")
		task := shape["tasks"].([]any)[1].(map[string]any)
		for _, key := range []string{"sid", "status", "queue", "agent", "previous", "transfer", "attributes", "reservation", "created_at"} {
			require.Contains(t, task, key)
		}
		require.NotContains(t, task, "assigned_at", "left out where it is empty")
		require.Equal(t, "2126-03-04T09:00:02Z", task["created_at"])
		transfer := shape["transfers"].([]any)[0].(map[string]any)
		require.Equal(t, map[string]any{"agent": "bob"}, transfer["to"])
		require.Regexp(t, "^KQ", transfer["note"])
		require.NotContains(t, jsonOf(shape), "knows the order", "a note's text is at the desk")
	})
	s.play()
}

// The current details show a client's text literally: it creates no link, no image and no line.
func TestTheCurrentDetailsEscapeWhatClientsSend(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.step(func() { s.signal("x` ![i](https://example.com/a.png)\n# y", struct{}{}) })
	s.step(func() {
		details := s.metadata().GetCurrentDetails()
		_, last, _ := strings.Cut(details, "**Last refused")
		require.Equal(t, 1, strings.Count(last, "\n"), last)
		require.Equal(t, 2, strings.Count(strings.ReplaceAll(last, "\\`", ""), "`"), last)
		require.Contains(t, last, `!\[i\](https&#58;//`)
		s.signal("accept", map[string]any{"agent": "bob", "task": "[a](https://example.com) <img src=x> www.example.com *b* \u202e@c"})
	})
	s.step(func() {
		details := s.metadata().GetCurrentDetails()
		_, last, _ := strings.Cut(details, "**Last refused")
		require.Contains(t, last, `\[a\](https&#58;//example.com) &#60;img src=x&#62; www&#46;example.com \*b\*`)
		require.NotContains(t, last, "\u202e")
		s.signal("close", struct{}{})
	})
	s.play()
}

// The SDK's replayer uses "ReplayId" for a workflow whose ID it does not know. A client must not use it.
func TestTheReplayersWorkflowIDIsRefused(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "ReplayId", TaskQueue: workflows.TaskQueue})
	s.run()
	require.Error(t, s.env.GetWorkflowError())
	require.ErrorContains(t, s.env.GetWorkflowError(), "the workflow ID has to be")
}
