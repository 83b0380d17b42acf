package admin

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func agentsCommand(c *cli.Env) *cobra.Command {
	show := c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return showAgents(ctx, c, d) })
	cmd := &cobra.Command{Use: "agents", Short: "Show, add, change or remove agents", Args: cobra.NoArgs, RunE: show}
	cmd.AddCommand(addAgent(c), setAgent(c), &cobra.Command{
		Use: "remove NAME", Short: "Remove an agent who has no task", Args: name("agent"),
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := people.RemoveAgent(ctx, d, args[0]); err != nil {
				return err
			}
			return showAgents(ctx, c, d)
		}),
	}, &cobra.Command{
		Use: "identities", Short: "Show the account at the OpenID Connect provider that each agent is bound to", Args: cobra.NoArgs,
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return showIdentities(ctx, c, d) }),
	}, unbindAgent(c))
	return cmd
}

// unbindAgent returns the command `baton agents unbind`.
func unbindAgent(c *cli.Env) *cobra.Command {
	var every bool
	cmd := &cobra.Command{
		Use: "unbind NAME | --all", Short: "Release an agent from their account at the OpenID Connect provider",
		Long: "The first sign-in binds an agent to an account at the provider (iss and sub of the ID token). Other accounts with the\n" +
			"same name are then refused. This command releases the binding, and the next sign-in under the name binds again. Use\n" +
			"--all when BATON_OIDC_ISSUER changes to another provider.",
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if every == (len(args) > 0) || len(args) > 1 {
				return cli.WrongUsage("name one agent, or give --all")
			}
			if every {
				identities, err := access.ListIdentities(ctx, d)
				if err != nil {
					return err
				}
				for _, bound := range identities {
					args = append(args, bound.Agent)
				}
			}
			for _, agent := range args {
				if err := access.ReleaseIdentity(ctx, d, agent); err != nil {
					return err
				}
			}
			return showIdentities(ctx, c, d)
		}),
	}
	cmd.Flags().BoolVar(&every, "all", false, "release every agent")
	return cmd
}

func showIdentities(ctx context.Context, c *cli.Env, d *desk.Desk) error {
	identities, err := access.ListIdentities(ctx, d)
	if err != nil {
		return err
	}
	if identities == nil {
		identities = []access.Identity{}
	}
	known, err := cli.ReadNames(ctx, d)
	if err != nil {
		return err
	}
	return c.Print(identities, func(w io.Writer) {
		var rows [][]string
		for _, bound := range identities {
			rows = append(rows, []string{cli.OneLine(known.Agent(bound.Agent)), cli.OneLine(bound.Issuer), cli.OneLine(bound.Subject), cli.Moment(bound.BoundAt)})
		}
		cli.Table(w, []string{"AGENT", "ISSUER", "SUBJECT", "SINCE"}, rows)
	})
}

func addAgent(c *cli.Env) *cobra.Command {
	var role, status, friendly string
	var capacity int
	var queues []string
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Add an agent", Args: name("agent"), Long: addedName("Add an agent.", "Иван Петров", "ivan-petrov"),
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			unique, shown := namesOf(args[0], friendly)
			if err := people.AddAgent(ctx, d, people.NewAgent{
				Name: unique, FriendlyName: shown, Role: desk.Role(role), Capacity: capacity, Presence: desk.Presence(status), Queues: queues,
			}); err != nil {
				return err
			}
			return showAgents(ctx, c, d)
		}),
	}
	cmd.Flags().StringVar(&role, "role", string(desk.RoleAgent), "agent, supervisor or admin")
	cmd.Flags().StringVar(&status, "status", string(desk.PresenceOffline), "available, break or offline")
	cmd.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script (default: NAME)")
	cmd.Flags().IntVar(&capacity, "capacity", people.DefaultCapacity, "maximum number of tasks at a time, for each channel")
	cmd.Flags().StringSliceVar(&queues, "queue", nil, "a queue to work on; may be repeated")
	return cmd
}

func setAgent(c *cli.Env) *cobra.Command {
	var status, role, friendly string
	var capacities []string
	cmd := &cobra.Command{Use: "set NAME", Short: "Set an agent's presence, capacity, role or friendly name", Args: name("agent")}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !anyChanged(cmd) {
			return cli.WrongUsage("say what to set: --status, --capacity, --role or --friendly-name")
		}
		change := people.AgentChange{Capacity: map[conversation.Channel]int{}}
		for _, capacity := range capacities {
			channel, number, _ := strings.Cut(capacity, "=")
			limit, err := strconv.Atoi(number)
			if err != nil {
				return cli.WrongUsage("--capacity is %q: use CHANNEL=NUMBER, as in web=3", capacity)
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
		return c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := people.UpdateAgent(ctx, d, args[0], change); err != nil {
				return err
			}
			return showAgents(ctx, c, d)
		})(cmd, args)
	}
	cmd.Flags().StringVar(&status, "status", "", "available, break or offline")
	cmd.Flags().StringVar(&role, "role", "", "agent, supervisor or admin")
	cmd.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script")
	cmd.Flags().StringSliceVar(&capacities, "capacity", nil, "CHANNEL=NUMBER; may be repeated")
	return cmd
}

func showAgents(ctx context.Context, c *cli.Env, d *desk.Desk) error {
	agents, err := people.ListAgents(ctx, d)
	if err != nil {
		return err
	}
	known, err := cli.ReadNames(ctx, d)
	if err != nil {
		return err
	}
	return c.Print(agents, func(w io.Writer) {
		var rows [][]string
		for _, a := range agents {
			var load []string
			for _, channel := range a.Channels {
				load = append(load, fmt.Sprintf("%s %d/%d", channel.Channel, channel.Load, channel.Capacity))
			}
			rows = append(rows, []string{a.Name, shownAs(a.FriendlyName, a.Name), string(a.Role), string(a.Presence), cli.Dash(known.Queues(a.Queues)), strings.Join(load, " ")})
		}
		cli.Table(w, []string{"AGENT", "FRIENDLY NAME", "ROLE", "STATUS", "QUEUES", "LOAD/CAPACITY"}, rows)
	})
}
