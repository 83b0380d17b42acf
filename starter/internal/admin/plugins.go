package admin

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func pluginsCommand(c *cli.Env) *cobra.Command {
	show := c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return showPlugins(ctx, c, d) })
	cmd := &cobra.Command{Use: "plugins", Short: "Show, add, change or remove installed plugins", Args: cobra.NoArgs, RunE: show}
	cmd.AddCommand(setPlugin(c, "add"), setPlugin(c, "set"), &cobra.Command{
		Use: "remove NAME", Short: "Remove a plugin", Args: name("plugin"),
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := desk.RemovePlugin(ctx, d, args[0]); err != nil {
				return err
			}
			return showPlugins(ctx, c, d)
		}),
	})
	return cmd
}

// transferPlugin is part of the names of plugins that transfer conversations, as in Twilio's template.
const transferPlugin = "conversation-transfer"

func setPlugin(c *cli.Env, verb string) *cobra.Command {
	var version, enabled, transfers string
	cmd := &cobra.Command{Use: verb + " NAME", Short: "Record an installed plugin", Args: name("plugin")}
	if verb == "set" {
		cmd.Short = "Change an installed plugin"
	}
	cmd.RunE = c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
		plugin := desk.Plugin{Name: args[0], Enabled: true, ConversationTransfer: strings.Contains(args[0], transferPlugin)}
		installed, err := desk.ListPlugins(ctx, d)
		if err != nil {
			return err
		}
		found := false
		for _, p := range installed {
			if p.Name == args[0] {
				plugin, found = p, true
			}
		}
		if verb == "set" && !found {
			return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Plugin: args[0]},
				"there is no plugin %s: add it first", args[0])
		}
		if cmd.Flags().Changed("version") {
			plugin.Version = version
		}
		for flag, into := range map[string]*bool{"enabled": &plugin.Enabled, transferPlugin: &plugin.ConversationTransfer} {
			if cmd.Flags().Changed(flag) {
				if *into, err = onOff(flag, cmd.Flag(flag).Value.String()); err != nil {
					return err
				}
			}
		}
		if err := desk.SetPlugin(ctx, d, plugin); err != nil {
			return err
		}
		return showPlugins(ctx, c, d)
	})
	cmd.Flags().StringVar(&version, "version", "", "its version")
	cmd.Flags().StringVar(&enabled, "enabled", "on", "on or off")
	cmd.Flags().StringVar(&transfers, transferPlugin, "", "on: it transfers conversations itself (default: on if its name says so)")
	return cmd
}

func showPlugins(ctx context.Context, c *cli.Env, d *desk.Desk) error {
	plugins, err := desk.ListPlugins(ctx, d)
	if err != nil {
		return err
	}
	return c.Print(plugins, func(w io.Writer) {
		var rows [][]string
		for _, p := range plugins {
			rows = append(rows, []string{cli.OneLine(p.Name), cli.Dash(p.Version), showSwitch(p.Enabled), showSwitch(p.ConversationTransfer)})
		}
		cli.Table(w, []string{"PLUGIN", "VERSION", "ENABLED", "TRANSFERS CONVERSATIONS"}, rows)
	})
}
