package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// name returns an argument check that requires exactly one name.
func name(of string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrongUsage("name one %s", of)
		}
		return nil
	}
}

// shownAs returns the friendly name for a table, or a dash if it equals the name.
func shownAs(friendly, name string) string {
	if friendly == name {
		return "-"
	}
	return oneLine(friendly)
}

// onDesk returns the RunE of a command that needs only the desk.
func (c *cli) onDesk(do func(ctx context.Context, d *desk.Desk, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return c.withDesk(cmd.Context(), false, func(ctx context.Context, d *desk.Desk) error { return do(ctx, d, args) })
	}
}

// anyChanged reports whether one of the command's own flags was given.
func anyChanged(cmd *cobra.Command) bool {
	changed := false
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { changed = changed || f.Changed })
	return changed
}

func (c *cli) settings() *cobra.Command {
	var transfers, notes, timeoutActivity, unavailable, unanswered, by string
	var reservation, task, wrapup, reoffer time.Duration
	cmd := &cobra.Command{
		Use: "settings", Short: "Show or change the settings: the switches, timeouts and policies", Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		changed := cmd.Flags().Changed
		change := func(s *conversation.Settings) {
			inSeconds := func(flag string, value time.Duration, into *int) {
				if changed(flag) {
					*into = int(value / time.Second)
				}
			}
			inSeconds("reservation-timeout", reservation, &s.ReservationTimeout)
			inSeconds("task-timeout", task, &s.TaskTimeout)
			inSeconds("wrapup-timeout", wrapup, &s.WrapupTimeout)
			inSeconds("reoffer-after", reoffer, &s.ReofferAfter)
			if changed("agent-unavailable") {
				s.AgentUnavailable = conversation.AgentUnavailablePolicy(unavailable)
			}
			if changed("unanswered") {
				s.Unanswered = conversation.UnansweredPolicy(unanswered)
			}
		}
		switches, err := c.switches(changed, map[string]string{
			"messaging-transfers": transfers, "transfer-notes": notes, "timeout-activity": timeoutActivity,
		})
		if err != nil {
			return err
		}
		for flag, value := range map[string]time.Duration{
			"reservation-timeout": reservation, "task-timeout": task, "wrapup-timeout": wrapup, "reoffer-after": reoffer,
		} {
			if value%time.Second != 0 {
				return wrongUsage("--%s is %s: use whole seconds", flag, value)
			}
		}
		return c.onDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			settings, err := d.Settings(ctx)
			if err == nil && anyChanged(cmd) {
				settings, err = d.SetSettings(ctx, by, func(s *conversation.Settings) {
					change(s)
					switches(s)
				})
			}
			if err != nil {
				return err
			}
			return c.print(settings, func(w io.Writer) { showSettings(w, settings) })
		})(cmd, args)
	}
	flags := cmd.Flags()
	flags.StringVar(&transfers, "messaging-transfers", "", "on or off")
	flags.StringVar(&notes, "transfer-notes", "", "on or off; needs transfers")
	durationVar(flags, &reservation, "reservation-timeout", 0, "how long an offer stands")
	durationVar(flags, &task, "task-timeout", 0, "how long a task may wait")
	durationVar(flags, &wrapup, "wrapup-timeout", 0, "after how long a wrapup completes itself; 0: never")
	flags.StringVar(&unavailable, "agent-unavailable", "", "transfer to an unavailable agent: refuse, wait or origin_queue")
	flags.StringVar(&unanswered, "unanswered", "", "a task its agent doesn't take goes to: origin_queue or sender")
	durationVar(flags, &reoffer, "reoffer-after", 0, "how long a queue does not offer a task again to the agent who declined it or let the offer expire; 0: at once")
	flags.StringVar(&timeoutActivity, "timeout-activity", "", "on: an agent who lets an offer expire becomes unavailable")
	flags.StringVar(&by, "by", "", "who changes them (default: the user of this machine)")
	return cmd
}

// switches parses the flags that are on or off, and returns a function that sets them.
func (c *cli) switches(changed func(string) bool, values map[string]string) (func(*conversation.Settings), error) {
	on := map[string]bool{}
	for flag, value := range values {
		if !changed(flag) {
			continue
		}
		var err error
		if on[flag], err = onOff(flag, value); err != nil {
			return nil, err
		}
	}
	if notes, given := on["transfer-notes"]; given && notes {
		if transfers, given := on["messaging-transfers"]; given && !transfers {
			return nil, wrongUsage("--transfer-notes on needs --messaging-transfers on: turn both on, or both off")
		}
	}
	return func(s *conversation.Settings) {
		for flag, into := range map[string]*bool{
			"messaging-transfers": &s.MessagingTransfers, "transfer-notes": &s.TransferNotes, "timeout-activity": &s.TimeoutActivity,
		} {
			if value, ok := on[flag]; ok {
				*into = value
			}
		}
	}, nil
}

func showSettings(w io.Writer, s conversation.Settings) {
	duration := func(n int) string { return (time.Duration(n) * time.Second).String() }
	table(w, []string{"SETTING", "VALUE"}, [][]string{
		{"messaging-transfers", showSwitch(s.MessagingTransfers)},
		{"transfer-notes", showSwitch(s.TransferNotes)},
		{"reservation-timeout", duration(s.ReservationTimeout)},
		{"task-timeout", duration(s.TaskTimeout)},
		{"wrapup-timeout", duration(s.WrapupTimeout)},
		{"agent-unavailable", string(s.AgentUnavailable)},
		{"unanswered", string(s.Unanswered)},
		{"reoffer-after", duration(s.ReofferAfter)},
		{"timeout-activity", showSwitch(s.TimeoutActivity)},
	})
}

func (c *cli) agents() *cobra.Command {
	show := c.onDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return c.showAgents(ctx, d) })
	cmd := &cobra.Command{Use: "agents", Short: "Show, add, change or remove agents", Args: cobra.NoArgs, RunE: show}
	cmd.AddCommand(c.addAgent(), c.setAgent(), &cobra.Command{
		Use: "remove NAME", Short: "Remove an agent who has no task", Args: name("agent"),
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := d.RemoveAgent(ctx, args[0]); err != nil {
				return err
			}
			return c.showAgents(ctx, d)
		}),
	}, &cobra.Command{
		Use: "identities", Short: "Show which account at the OpenID Connect provider each agent is bound to", Args: cobra.NoArgs,
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return c.showIdentities(ctx, d) }),
	}, c.unbindAgent())
	return cmd
}

// addedName returns the help about names for a command that adds an agent or a queue.
func addedName(does, friendly, unique string) string {
	return does + "\n\nA NAME that is one word in ASCII is the unique name: lower-case letters, digits, '.', '_' and '-'. Of any other,\n" +
		"such as \"" + friendly + "\", the unique name is made (" + unique + "), and people read the NAME as it was given.\n" +
		"Commands take the unique name."
}

// namesOf returns the unique and the friendly name of an agent or a queue to add. The unique name is empty if the
// desk has to make it.
func namesOf(given, friendly string) (unique, shown string) {
	made := strings.ContainsFunc(given, func(r rune) bool { return r == ' ' || r > unicode.MaxASCII })
	if friendly != "" || !made {
		return given, friendly // "Dave" may be a mistake: the desk's error explains unique names
	}
	return "", given
}

// unbindAgent returns the command `baton agents unbind`.
func (c *cli) unbindAgent() *cobra.Command {
	var every bool
	cmd := &cobra.Command{
		Use: "unbind NAME | --all", Short: "Release an agent from their account at the OpenID Connect provider",
		Long: "At the first sign-in an agent is bound to their account at the provider (iss and sub of the ID token); another account under the\n" +
			"same name is refused. This releases the binding: the account that next signs in under the name is bound. --all releases every\n" +
			"agent, for when BATON_OIDC_ISSUER changes to another provider.",
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if every == (len(args) > 0) || len(args) > 1 {
				return wrongUsage("name one agent, or give --all")
			}
			if every {
				identities, err := d.Identities(ctx)
				if err != nil {
					return err
				}
				for _, bound := range identities {
					args = append(args, bound.Agent)
				}
			}
			for _, agent := range args {
				if err := d.ReleaseIdentity(ctx, agent); err != nil {
					return err
				}
			}
			return c.showIdentities(ctx, d)
		}),
	}
	cmd.Flags().BoolVar(&every, "all", false, "release every agent")
	return cmd
}

func (c *cli) showIdentities(ctx context.Context, d *desk.Desk) error {
	identities, err := d.Identities(ctx)
	if err != nil {
		return err
	}
	if identities == nil {
		identities = []desk.Identity{}
	}
	known, err := readNames(ctx, d)
	if err != nil {
		return err
	}
	return c.print(identities, func(w io.Writer) {
		var rows [][]string
		for _, bound := range identities {
			rows = append(rows, []string{oneLine(known.agent(bound.Agent)), oneLine(bound.Issuer), oneLine(bound.Subject), moment(bound.BoundAt)})
		}
		table(w, []string{"AGENT", "ISSUER", "SUBJECT", "SINCE"}, rows)
	})
}

func (c *cli) addAgent() *cobra.Command {
	var role, status, friendly string
	var capacity int
	var queues []string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add an agent", Args: name("agent"), Long: addedName("Add an agent.", "Иван Петров", "ivan-petrov"),
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			unique, shown := namesOf(args[0], friendly)
			if err := d.AddAgent(ctx, desk.NewAgent{
				Name: unique, FriendlyName: shown, Role: desk.Role(role), Capacity: capacity, Presence: desk.Presence(status), Queues: queues,
			}); err != nil {
				return err
			}
			return c.showAgents(ctx, d)
		}),
	}
	cmd.Flags().StringVar(&role, "role", string(desk.RoleAgent), "agent, supervisor or admin")
	cmd.Flags().StringVar(&status, "status", string(desk.PresenceOffline), "available, break or offline")
	cmd.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script (default: NAME)")
	cmd.Flags().IntVar(&capacity, "capacity", desk.DefaultCapacity, "how many tasks at a time, for each channel")
	cmd.Flags().StringSliceVar(&queues, "queue", nil, "a queue to work on; may be repeated")
	return cmd
}

func (c *cli) setAgent() *cobra.Command {
	var status, role, friendly string
	var capacities []string
	cmd := &cobra.Command{Use: "set NAME", Short: "Set an agent's presence, capacity, role or friendly name", Args: name("agent")}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !anyChanged(cmd) {
			return wrongUsage("say what to set: --status, --capacity, --role or --friendly-name")
		}
		change := desk.AgentChange{Capacity: map[conversation.Channel]int{}}
		for _, capacity := range capacities {
			channel, number, _ := strings.Cut(capacity, "=")
			limit, err := strconv.Atoi(number)
			if err != nil {
				return wrongUsage("--capacity is %q: use CHANNEL=NUMBER, as in web=3", capacity)
			}
			change.Capacity[conversation.Channel(channel)] = limit
		}
		if cmd.Flags().Changed("status") {
			change.Presence = new(desk.Presence(status))
		}
		if cmd.Flags().Changed("role") {
			change.Role = new(desk.Role(role))
		}
		if cmd.Flags().Changed("friendly-name") {
			change.FriendlyName = &friendly
		}
		return c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := d.UpdateAgent(ctx, args[0], change); err != nil {
				return err
			}
			return c.showAgents(ctx, d)
		})(cmd, args)
	}
	cmd.Flags().StringVar(&status, "status", "", "available, break or offline")
	cmd.Flags().StringVar(&role, "role", "", "agent, supervisor or admin")
	cmd.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script")
	cmd.Flags().StringSliceVar(&capacities, "capacity", nil, "CHANNEL=NUMBER; may be repeated")
	return cmd
}

func (c *cli) showAgents(ctx context.Context, d *desk.Desk) error {
	agents, err := d.Agents(ctx)
	if err != nil {
		return err
	}
	known, err := readNames(ctx, d)
	if err != nil {
		return err
	}
	return c.print(agents, func(w io.Writer) {
		var rows [][]string
		for _, a := range agents {
			var load []string
			for _, channel := range a.Channels {
				load = append(load, fmt.Sprintf("%s %d/%d", channel.Channel, channel.Load, channel.Capacity))
			}
			rows = append(rows, []string{a.Name, shownAs(a.FriendlyName, a.Name), string(a.Role), string(a.Presence), dash(known.queues(a.Queues)), strings.Join(load, " ")})
		}
		table(w, []string{"AGENT", "FRIENDLY NAME", "ROLE", "STATUS", "QUEUES", "LOAD/CAPACITY"}, rows)
	})
}

func (c *cli) queues() *cobra.Command {
	show := c.onDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return c.showQueues(ctx, d) })
	cmd := &cobra.Command{Use: "queues", Short: "Show, add, change or remove queues", Args: cobra.NoArgs, RunE: show}
	var members []string
	var friendly string
	add := &cobra.Command{
		Use: "add NAME", Short: "Add a queue", Args: name("queue"), Long: addedName("Add a queue.", "Возвраты", "vozvraty"),
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			unique, shown := namesOf(args[0], friendly)
			if err := d.CreateQueue(ctx, desk.NewQueue{Name: unique, FriendlyName: shown, Members: members}); err != nil {
				return err
			}
			return c.showQueues(ctx, d)
		}),
	}
	add.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script (default: NAME)")
	set := &cobra.Command{
		Use: "set NAME --member AGENT", Short: "Put exactly these agents on a queue, or set its friendly name", Args: name("queue"),
	}
	set.RunE = c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
		change := desk.QueueChange{}
		if set.Flags().Changed("friendly-name") {
			change.FriendlyName = &friendly
		}
		if set.Flags().Changed("member") || change.FriendlyName == nil {
			change.Members = &members
		}
		if err := d.UpdateQueue(ctx, args[0], change); err != nil {
			return err
		}
		return c.showQueues(ctx, d)
	})
	set.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script")
	for _, command := range []*cobra.Command{add, set} {
		command.Flags().StringSliceVar(&members, "member", nil, "an agent on the queue; may be repeated")
	}
	cmd.AddCommand(add, set, &cobra.Command{
		Use: "remove NAME", Short: "Remove a queue that has no tasks", Args: name("queue"),
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := d.RemoveQueue(ctx, args[0]); err != nil {
				return err
			}
			return c.showQueues(ctx, d)
		}),
	})
	return cmd
}

func (c *cli) showQueues(ctx context.Context, d *desk.Desk) error {
	queues, err := d.Queues(ctx)
	if err != nil {
		return err
	}
	known, err := readNames(ctx, d)
	if err != nil {
		return err
	}
	return c.print(queues, func(w io.Writer) {
		var rows [][]string
		for _, q := range queues {
			rows = append(rows, []string{q.Name, shownAs(q.FriendlyName, q.Name), dash(known.agents(q.Members)), strconv.Itoa(q.Waiting), clock(q.WaitingSince)})
		}
		table(w, []string{"QUEUE", "FRIENDLY NAME", "MEMBERS", "WAITING", "SINCE"}, rows)
	})
}

func (c *cli) plugins() *cobra.Command {
	show := c.onDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return c.showPlugins(ctx, d) })
	cmd := &cobra.Command{Use: "plugins", Short: "Show, add, change or remove what is installed beside Baton", Args: cobra.NoArgs, RunE: show}
	cmd.AddCommand(c.setPlugin("add"), c.setPlugin("set"), &cobra.Command{
		Use: "remove NAME", Short: "Remove a plugin", Args: name("plugin"),
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := d.RemovePlugin(ctx, args[0]); err != nil {
				return err
			}
			return c.showPlugins(ctx, d)
		}),
	})
	return cmd
}

// transferPlugin is part of the names of plugins that transfer conversations, as in Twilio's template.
const transferPlugin = "conversation-transfer"

func (c *cli) setPlugin(verb string) *cobra.Command {
	var version, enabled, transfers string
	cmd := &cobra.Command{Use: verb + " NAME", Short: "Record an installed plugin", Args: name("plugin")}
	if verb == "set" {
		cmd.Short = "Change an installed plugin"
	}
	cmd.RunE = c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
		plugin := desk.Plugin{Name: args[0], Enabled: true, ConversationTransfer: strings.Contains(args[0], transferPlugin)}
		installed, err := d.Plugins(ctx)
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
		if err := d.SetPlugin(ctx, plugin); err != nil {
			return err
		}
		return c.showPlugins(ctx, d)
	})
	cmd.Flags().StringVar(&version, "version", "", "its version")
	cmd.Flags().StringVar(&enabled, "enabled", "on", "on or off")
	cmd.Flags().StringVar(&transfers, transferPlugin, "", "on: it transfers conversations itself (default: on where its name says so)")
	return cmd
}

func (c *cli) showPlugins(ctx context.Context, d *desk.Desk) error {
	plugins, err := d.Plugins(ctx)
	if err != nil {
		return err
	}
	return c.print(plugins, func(w io.Writer) {
		var rows [][]string
		for _, p := range plugins {
			rows = append(rows, []string{oneLine(p.Name), dash(p.Version), showSwitch(p.Enabled), showSwitch(p.ConversationTransfer)})
		}
		table(w, []string{"PLUGIN", "VERSION", "ENABLED", "TRANSFERS CONVERSATIONS"}, rows)
	})
}
