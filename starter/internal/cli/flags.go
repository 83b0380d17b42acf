package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
)

// Required marks flags of the command that must be given.
func Required(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		if err := cmd.MarkFlagRequired(flag); err != nil {
			panic(err) // no such flag: a mistake in this file
		}
	}
}

// CheckConversation returns wrong usage unless the text is the SID of a conversation, CH….
func CheckConversation(sid string) error {
	if !conversation.IsSID(conversation.PrefixConversation, sid) {
		return WrongUsage("%q is not a conversation: its SID is CH and 32 lower-case hex digits, as `baton start` prints it", sid)
	}
	return nil
}

// OnDesk returns the RunE of a command that needs only the desk.
func (c *Env) OnDesk(do func(ctx context.Context, d *desk.Desk, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return c.WithDesk(cmd.Context(), false, func(ctx context.Context, d *desk.Desk) error { return do(ctx, d, args) })
	}
}
