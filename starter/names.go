package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// names are how people read the names of agents and queues. Where a friendly name is another one than the unique name, both
// are shown, as in "Иван Петров (ivan-petrov)": commands take the unique name.
type names struct{ of desk.Names }

func (n names) agent(name string) string { return named(n.of.Agent(name), name) }

func (n names) queue(name string) string { return named(n.of.Queue(name), name) }

// author is who wrote a message.
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

// holder is who has a task, or the queue that it waits in.
func (n names) holder(agent, queue string) string {
	if agent == "" {
		return n.queue(queue)
	}
	return n.agent(agent)
}

// readNames reads how people read names.
func readNames(ctx context.Context, d *desk.Desk) (names, error) {
	known, err := d.Names(ctx)
	return names{known}, err
}

// namesWithin is for how long a command that needs nothing else of the desk waits for names.
const namesWithin = 3 * time.Second

// names reads how people read names, for a command that needs nothing else of the desk. A machine that reaches the
// conversations need not reach the desk: the unique names are shown then, and what went wrong is said on stderr.
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
