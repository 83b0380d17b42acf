package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/naming"
)

// flagOf returns the command's flag for a field of the desk or of the rules; "" if there is none.
func flagOf(cmd *cobra.Command, field string) string {
	whole, _, _ := strings.Cut(field, ".") // --to has both the agent and the queue of a target
	for _, name := range []string{strings.NewReplacer("_", "-", ".", "-").Replace(field), whole} {
		if field != "" && cmd.Flags().Lookup(name) != nil {
			return "--" + name
		}
	}
	return ""
}

// Refusal returns the line about a refusal: its code, a sentence that names the command's flag, and what to do. It
// may read the desk's names for that.
func (c *Env) Refusal(ctx context.Context, ran *cobra.Command, refusal *conversation.Refusal) string {
	line := string(refusal.Code) + ": " + refusal.Naming(flagOf(ran, refusal.Details.Field))
	if advice := c.advice(ctx, ran, refusal); advice != "" {
		line += "; " + advice
	}
	return line
}

// advice returns what to do about a refusal on the command line: use the unique name instead of the friendly one,
// or the command that shows who has a conversation.
func (c *Env) advice(ctx context.Context, cmd *cobra.Command, refusal *conversation.Refusal) string {
	kind, given := "", ""
	switch refusal.Code { //nolint:exhaustive // the others need no advice
	case conversation.CodeNotYourTask:
		if args := cmd.Flags().Args(); len(args) > 0 && CheckConversation(args[0]) == nil {
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
	known, err := c.reachableNames(ctx)
	if err != nil {
		return "" // the refusal matters more than this error
	}
	friendly := known.Of.Agents
	if kind == "queue" {
		friendly = known.Of.Queues
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
