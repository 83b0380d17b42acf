package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/naming"
)

// names formats the names of agents and queues for people. If a friendly name differs from the unique name, it
// shows both, as in "Иван Петров (ivan-petrov)", because commands take the unique name.
type names struct{ of desk.Names }

func (n names) agent(name string) string { return named(n.of.Agent(name), name) }

func (n names) queue(name string) string { return named(n.of.Queue(name), name) }

// author returns the author of a message.
func (n names) author(from string) string {
	if from == desk.FromCustomer || from == desk.FromSystem {
		return from
	}
	return n.agent(from)
}

func (n names) agents(all []string) string { return joined(all, n.agent) }

func (n names) queues(all []string) string { return joined(all, n.queue) }

func joined(all []string, shown func(string) string) string {
	parts := make([]string, len(all))
	for i, name := range all {
		parts[i] = shown(name)
	}
	return strings.Join(parts, ",")
}

func (n names) target(to conversation.Target) string {
	switch {
	case to.Agent != "":
		return "agent " + n.agent(to.Agent)
	case to.Queue != "":
		return "queue " + n.queue(to.Queue)
	}
	return to.String()
}

// holder returns the agent who has a task, or the queue that it waits in.
func (n names) holder(agent, queue string) string {
	if agent == "" {
		return n.queue(queue)
	}
	return n.agent(agent)
}

func unknownAgent(name string) error {
	return conversation.Refuse(conversation.CodeUnknownAgent, conversation.Details{Agent: name},
		"there is no agent named %q: `baton agents` shows the names", name)
}

func unknownQueue(name string) error {
	return conversation.Refuse(conversation.CodeUnknownQueue, conversation.Details{Queue: name},
		"there is no queue named %q: `baton queues` shows the names", name)
}

// requireKnown refuses a search for an agent or a queue that the desk does not know. It ignores empty names.
// Removed agents and queues still have conversations, so search for them before calling it.
func requireKnown(ctx context.Context, d *desk.Desk, agent, queue string) error {
	if agent != "" {
		agents, err := d.Agents(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(agents, func(a desk.Agent) bool { return a.Name == agent }) {
			return unknownAgent(agent)
		}
	}
	if queue != "" {
		queues, err := d.Queues(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(queues, func(q desk.Queue) bool { return q.Name == queue }) {
			return unknownQueue(queue)
		}
	}
	return nil
}

// advice returns what to do about a refusal on the command line: use the unique name instead of the friendly one,
// or the command that shows who has a conversation.
func (c *cli) advice(ctx context.Context, cmd *cobra.Command, refusal *conversation.Refusal) string {
	kind, given := "", ""
	switch refusal.Code { //nolint:exhaustive // the others need no advice
	case conversation.CodeNotYourTask:
		if args := cmd.Flags().Args(); len(args) > 0 && validConversation(args[0]) == nil {
			return fmt.Sprintf("`baton show %s` shows who has it", args[0])
		}
		return ""
	case conversation.CodeUnknownAgent:
		kind, given = "agent", refusal.Details.Agent
	case conversation.CodeUnknownQueue:
		kind, given = "queue", refusal.Details.Queue
	case conversation.CodeInvalidPayload:
		kind, given = namedBy(cmd, refusal.Details.Field)
	}
	if given == "" {
		return ""
	}
	settings, err := c.config()
	if err != nil || requireFile(settings.Database) != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, namesWithin)
	defer cancel()
	var known names
	if err := c.withDesk(ctx, false, func(ctx context.Context, d *desk.Desk) (err error) {
		known, err = readNames(ctx, d)
		return err
	}); err != nil {
		return "" // the refusal matters more than this error
	}
	friendly := known.of.Agents
	if kind == "queue" {
		friendly = known.of.Queues
	}
	var unique []string
	for name, shown := range friendly {
		if naming.Same(shown, given) {
			unique = append(unique, name)
		}
	}
	if len(unique) == 0 {
		return ""
	}
	slices.Sort(unique)
	return "commands take the unique name, here " + strings.Join(unique, " or ")
}

// namedBy returns the agent or the queue in the flag of a refused field.
func namedBy(cmd *cobra.Command, field string) (kind, given string) {
	flag := cmd.Flags().Lookup(strings.TrimPrefix(flagOf(cmd, field), "--"))
	if flag == nil {
		return "", ""
	}
	given = flag.Value.String()
	if kind, given, found := strings.Cut(given, ":"); found && flag.Name == "to" {
		return kind, given
	}
	if flag.Name == "queue" {
		return "queue", given
	}
	return "agent", given
}

// readNames reads the names of agents and queues.
func readNames(ctx context.Context, d *desk.Desk) (names, error) {
	known, err := d.Names(ctx)
	return names{known}, err
}

// namesWithin bounds the time to read names for a command that needs nothing else of the desk.
const namesWithin = 3 * time.Second

// names reads the names for a command that needs nothing else of the desk. A machine that reaches the conversations
// may not reach the desk: then the unique names are shown, and the error is printed on stderr.
func (c *cli) names(ctx context.Context) names {
	settings, err := c.config()
	if err != nil || c.json || requireFile(settings.Database) != nil {
		return names{} // JSON has the unique names
	}
	ctx, cancel := context.WithTimeout(ctx, namesWithin)
	defer cancel()
	var known names
	err = c.withDesk(ctx, false, func(ctx context.Context, d *desk.Desk) (err error) {
		known, err = readNames(ctx, d)
		return err
	})
	if err != nil {
		fmt.Fprintln(c.stderr, printable("agents and queues are shown by their unique names, the desk cannot be read: "+err.Error()))
	}
	return known
}
