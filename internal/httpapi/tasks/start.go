package tasks

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
)

// Opening is a conversation that is about to start.
type Opening struct {
	Start conversation.StartCommand
	// Workflow is the SID (WW…) of the workflow that routes it; "" for the default one.
	Workflow string
}

// Attributes reads attributes, which are a JSON object or a string that contains one.
func Attributes(c *rest.Call, given json.RawMessage) (conversation.Attributes, error) {
	attributes := conversation.Attributes{}
	if len(given) == 0 || string(given) == "null" {
		return attributes, nil
	}
	var quoted string
	if json.Unmarshal(given, &quoted) == nil {
		given = json.RawMessage(quoted)
		if quoted == "" {
			return attributes, nil
		}
	}
	if err := json.Unmarshal(given, &attributes); err != nil || attributes == nil {
		return nil, c.Wrong("attributes", `attributes have to be a JSON object, as in {"customerName":"Crystal Minh"}`)
	}
	return attributes, nil
}

// Route returns the name of the given queue, else the queue and the priority that the workflow chooses. Both SIDs may
// be empty.
func Route(c *rest.Call, queueSID, workflowSID string, attributes conversation.Attributes) (string, int, error) {
	if workflowSID != "" {
		if err := workflowThere(c, workflowSID); err != nil {
			return "", 0, err
		}
	}
	if queueSID != "" {
		queue, err := QueueOf(c, "queue_sid", queueSID)
		return queue, 0, err
	}
	route, err := routes.FindRoute(c.Ctx, c.Desk, workflowSID, records.DecodeAttributes(attributes))
	return route.Queue, route.Priority, err
}

// AgentOf returns the name of the agent whose SID the parameter holds.
func AgentOf(c *rest.Call, field, given string) (string, error) {
	if !rest.IsSID(conversation.PrefixAgent, given) {
		return "", c.NoSID(field, conversation.PrefixAgent)
	}
	return people.AgentNameOf(c.Ctx, c.Desk, conversation.PrefixAgent+strings.ToLower(given[2:]))
}

// QueueOf returns the name of the queue whose SID the parameter holds.
func QueueOf(c *rest.Call, field, given string) (string, error) {
	if !rest.IsSID(conversation.PrefixQueue, given) {
		return "", c.NoSID(field, conversation.PrefixQueue)
	}
	return routes.QueueNameOf(c.Ctx, c.Desk, conversation.PrefixQueue+strings.ToLower(given[2:]))
}

// workflowThere refuses the SID of a workflow that does not exist.
func workflowThere(c *rest.Call, given string) error {
	workflows, err := routes.ListWorkflows(c.Ctx, c.Desk)
	if err == nil && !slices.ContainsFunc(workflows, func(w routes.Workflow) bool { return rest.SameDigits(given, w.SID) }) {
		return c.Lost("workflow", given)
	}
	return err
}

// CustomerOf reads the customer from the task attributes that Flex and its samples use.
func CustomerOf(attributes conversation.Attributes) conversation.Customer {
	find := func(names ...string) string {
		for _, name := range names {
			var value string
			if json.Unmarshal(attributes[name], &value) == nil && value != "" {
				return value
			}
		}
		return ""
	}
	return conversation.Customer{Name: find("customerName", "name", "from"), Address: find("customerAddress", "address", "from")}
}

// Start starts a conversation, and waits until it has begun. It checks and stores the details before: an agent may
// already have to answer a conversation that has begun.
func Start(c *rest.Call, o Opening, details records.Details) error {
	sid := o.Start.Conversation
	details.Workflow = o.Workflow
	if c.Token() != "" {
		details.StartedBy = c.Derived("", "start").String()
	}
	if _, err := records.SetDetails(c.Ctx, c.Desk, sid, AddTo(details)); err != nil {
		return err
	}
	if _, err := c.Conversations.Start(c.Ctx, o.Start); err != nil {
		if own, other := startedBefore(c, err, sid, details.StartedBy); !own {
			return other
		}
	}
	record, err := c.Conversations.Await(c.Ctx, sid, func(conversation.Record) bool { return true })
	if err != nil {
		return err
	}
	// A client that has the answer may write and leave notes at once. The desk takes those.
	c.SettleConversation(sid, record.Revision)
	for _, task := range record.Tasks {
		c.Remember(task.SID, sid)
	}
	return nil
}

// startedBefore reports whether a start was refused because an earlier attempt of this request started the
// conversation. If not, the error is the answer.
func startedBefore(c *rest.Call, refused error, sid, request string) (bool, error) {
	refusal, coded := rest.AsRefusal(refused)
	if !coded || refusal.Details.Field != "conversation" {
		return false, refused
	}
	details, err := records.ReadDetails(c.Ctx, c.Desk, sid)
	if err != nil {
		return false, err
	}
	if request != "" && details.StartedBy == request {
		return true, nil
	}
	return false, c.Conflict(refusal)
}

// AddTo returns a function that adds the given details to those that are stored for a conversation. Empty ones change
// nothing.
func AddTo(given records.Details) func(*records.Details) {
	return func(d *records.Details) {
		for into, value := range map[*string]string{&d.Workflow: given.Workflow, &d.ContextSID: given.ContextSID, &d.WebhookTTID: given.WebhookTTID} {
			if value != "" {
				*into = value
			}
		}
		if d.StartedBy == "" {
			d.StartedBy = given.StartedBy
		}
	}
}
