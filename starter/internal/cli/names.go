package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
)

// Names formats the names of agents and queues for people. If a friendly name differs from the unique name, it
// shows both, as in "Иван Петров (ivan-petrov)", because commands take the unique name.
type Names struct{ Of desk.Names }

// Agent returns an agent for people.
func (n Names) Agent(name string) string { return Named(n.Of.Agent(name), name) }

// Queue returns a queue for people.
func (n Names) Queue(name string) string { return Named(n.Of.Queue(name), name) }

// Author returns the author of a message.
func (n Names) Author(from string) string {
	if from == records.FromCustomer || from == records.FromSystem {
		return from
	}
	return n.Agent(from)
}

// Agents returns agents for people, with commas between them.
func (n Names) Agents(all []string) string { return joined(all, n.Agent) }

// Queues returns queues for people, with commas between them.
func (n Names) Queues(all []string) string { return joined(all, n.Queue) }

func joined(all []string, shown func(string) string) string {
	parts := make([]string, len(all))
	for i, name := range all {
		parts[i] = shown(name)
	}
	return strings.Join(parts, ",")
}

// Target returns the target of a transfer for people, as in "queue Billing (billing)".
func (n Names) Target(to conversation.Target) string {
	switch {
	case to.Agent != "":
		return "agent " + n.Agent(to.Agent)
	case to.Queue != "":
		return "queue " + n.Queue(to.Queue)
	}
	return to.String()
}

// Holder returns the agent who has a task, or the queue that it waits in.
func (n Names) Holder(agent, queue string) string {
	if agent == "" {
		return n.Queue(queue)
	}
	return n.Agent(agent)
}

// UnknownAgent returns the refusal of an agent that the desk does not know.
func UnknownAgent(name string) error {
	return conversation.Refuse(conversation.CodeUnknownAgent, conversation.Details{Agent: name},
		"there is no agent named %q: `baton agents` shows the names", name)
}

func unknownQueue(name string) error {
	return conversation.Refuse(conversation.CodeUnknownQueue, conversation.Details{Queue: name},
		"there is no queue named %q: `baton queues` shows the names", name)
}

// RequireKnown refuses a search for an agent or a queue that the desk does not know. It ignores empty names.
// Removed agents and queues still have conversations, so search for them before calling it.
func RequireKnown(ctx context.Context, d *desk.Desk, agent, queue string) error {
	if agent != "" {
		agents, err := people.ListAgents(ctx, d)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(agents, func(a people.Agent) bool { return a.Name == agent }) {
			return UnknownAgent(agent)
		}
	}
	if queue != "" {
		queues, err := people.ListQueues(ctx, d)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(queues, func(q people.Queue) bool { return q.Name == queue }) {
			return unknownQueue(queue)
		}
	}
	return nil
}

// ReadNames reads the names of agents and queues.
func ReadNames(ctx context.Context, d *desk.Desk) (Names, error) {
	known, err := desk.ReadNames(ctx, d)
	return Names{known}, err
}

// reachableNames reads the names for a command that does not need the desk.
func (c *Env) reachableNames(ctx context.Context) (known Names, err error) {
	err = c.withReachableDesk(ctx, func(ctx context.Context, d *desk.Desk) (err error) {
		known, err = ReadNames(ctx, d)
		return err
	})
	return known, err
}

// Names reads the names for a command that needs nothing else of the desk. If the desk cannot be read, the unique names
// are shown, and the error is printed on stderr.
func (c *Env) Names(ctx context.Context) Names {
	if c.JSON {
		return Names{} // JSON has the unique names
	}
	known, err := c.reachableNames(ctx)
	if err != nil {
		fmt.Fprintln(c.Stderr, Printable("agents and queues are shown by their unique names, the desk cannot be read: "+err.Error()))
	}
	return known
}
