// Package conversations has the commands that drive, show and find conversations.
//
// Must not import: the other packages with commands.
package conversations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// Commands returns the commands of the group "Drive a conversation".
func Commands(c *cli.Env) []*cobra.Command {
	return []*cobra.Command{
		startCommand(c), listCommand(c), findCommand(c), showCommand(c), watchCommand(c), sayCommand(c), noteCommand(c), transcriptCommand(c), offersCommand(c),
		transferCommand(c), acceptCommand(c), declineCommand(c), wrapupCommand(c), endCommand(c), takeCommand(c), cancelCommand(c), moveCommand(c), closeCommand(c),
	}
}

// oneConversation is an argument check that requires one SID CH….
func oneConversation(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.WrongUsage("name one conversation, CH…")
	}
	return cli.CheckConversation(args[0])
}

// conversationAndText is an argument check that requires one SID CH… and words.
func conversationAndText(_ *cobra.Command, args []string) error {
	if len(args) < 2 {
		return cli.WrongUsage("name the conversation (CH…) and the text")
	}
	return cli.CheckConversation(args[0])
}

func startCommand(c *cli.Env) *cobra.Command {
	var command conversation.StartCommand
	var channel string
	var attributes []string
	cmd := &cobra.Command{
		Use: "start --queue QUEUE [--channel CHANNEL] [--customer NAME]", Short: "Start a conversation and print its SID", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			command.Channel = conversation.Channel(channel)
			for _, attribute := range attributes {
				key, value, ok := strings.Cut(attribute, "=")
				if !ok || key == "" {
					return cli.WrongUsage("--attribute is %q: use key=value", attribute)
				}
				if command.Attributes == nil {
					command.Attributes = conversation.Attributes{}
				}
				command.Attributes[key] = attributeValue(value)
			}
			return c.WithClient(cmd.Context(), func(ctx context.Context, b *baton.Client) error {
				sid, err := b.Start(ctx, command)
				if err != nil {
					return err
				}
				record, err := b.Await(ctx, sid, func(conversation.Record) bool { return true })
				if err != nil {
					return err
				}
				return c.Print(record, func(w io.Writer) { fmt.Fprintln(w, sid) })
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&command.Conversation, "conversation", "", "the conversation's SID (default: a new one)")
	flags.StringVar(&channel, "channel", string(conversation.ChannelWeb), "web, sms, whatsapp, messenger, chat or email")
	flags.StringVar(&command.Customer.Name, "customer", "", "the customer's name")
	flags.StringVar(&command.Customer.Address, "address", "", "the customer's address on the channel")
	flags.StringVar(&command.Queue, "queue", "", "queue of the first task")
	flags.IntVar(&command.Priority, "priority", 0, "priority in the queue; higher numbers come first")
	flags.StringArrayVar(&attributes, "attribute", nil, "attribute of the task, key=value (value: JSON or text); may be repeated")
	cli.Required(cmd, "queue")
	return cmd
}

// attributeValue returns valid JSON unchanged, and other text as a JSON string.
func attributeValue(value string) json.RawMessage {
	if json.Valid([]byte(value)) {
		return json.RawMessage(value)
	}
	return baton.Attribute(value)
}

// sendCommand returns the cobra command for a command that services send too. It makes the payload from flags, and
// prints the outcome.
func sendCommand(c *cli.Env, use, short string, payload func() (conversation.Command, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: oneConversation,
		RunE: func(cmd *cobra.Command, args []string) error {
			command, err := payload()
			if err != nil {
				return err
			}
			return c.WithSender(cmd.Context(), func(ctx context.Context, s *commands.Sender) error {
				outcome, err := s.Send(ctx, args[0], command)
				if err != nil {
					return err
				}
				known := c.Names(ctx)
				return c.Print(outcome, func(w io.Writer) { fmt.Fprintln(w, OutcomeSentence(outcome, known)) })
			})
		},
	}
}

// OutcomeSentence describes the task, the transfer and the conversation after a command.
func OutcomeSentence(o conversation.Outcome, known cli.Names) string {
	var parts []string
	if t := o.Task; t != nil {
		part := fmt.Sprintf("task %s is %s", t.SID, t.Status)
		if t.Agent != "" {
			part += " (" + known.Agent(t.Agent) + ")"
		} else {
			part += " in " + known.Queue(t.Queue)
		}
		parts = append(parts, part)
	}
	if t := o.Transfer; t != nil {
		parts = append(parts, fmt.Sprintf("transfer %s is %s", t.SID, t.Status))
	}
	parts = append(parts, fmt.Sprintf("the conversation is %s", o.ConversationStatus))
	if o.Unchanged {
		parts = append(parts, "nothing was changed, for this was done before")
	}
	return cli.OneLine(strings.Join(parts, "; "))
}

func agentFlag(cmd *cobra.Command, into *string) *cobra.Command {
	cmd.Flags().StringVar(into, "agent", "", "the agent's name")
	cli.Required(cmd, "agent")
	return cmd
}

func taskFlag(cmd *cobra.Command, into *string) *cobra.Command {
	cmd.Flags().StringVar(into, "task", "", "the task (default: the only one that fits)")
	return cmd
}

func metaFlags(cmd *cobra.Command, meta *conversation.Meta) *cobra.Command {
	by := "who sends the command"
	if cmd.Flags().Lookup("agent") != nil || cmd.Flags().Lookup("from") != nil {
		by = "who sends the command, if it is not the agent"
	}
	cmd.Flags().StringVar(&meta.CommandID, "command-id", "", "ID that makes the command safe to repeat: it has one effect")
	cmd.Flags().StringVar(&meta.By, "by", "", by)
	return cmd
}

// ParseTarget parses agent:NAME or queue:NAME.
func ParseTarget(flag, value string) (conversation.Target, error) {
	kind, name, _ := strings.Cut(value, ":")
	switch {
	case name == "":
	case kind == "agent":
		return conversation.Target{Agent: name}, nil
	case kind == "queue":
		return conversation.Target{Queue: name}, nil
	case kind == "workflow":
		return conversation.Target{Workflow: name}, nil
	}
	return conversation.Target{}, cli.WrongUsage("--%s is %q: use agent:NAME or queue:NAME", flag, value)
}

func transferCommand(c *cli.Env) *cobra.Command {
	var command conversation.TransferCommand
	var to, mode string
	cmd := sendCommand(c, "transfer CH… --from AGENT --to agent:NAME|queue:NAME", "Transfer a conversation to an agent or a queue",
		func() (_ conversation.Command, err error) {
			command.Mode = conversation.Mode(mode)
			command.To, err = ParseTarget("to", to)
			return command, err
		})
	cmd.Flags().StringVar(&command.From, "from", "", "the agent who has the conversation")
	cmd.Flags().StringVar(&to, "to", "", "agent:NAME or queue:NAME")
	cmd.Flags().StringVar(&command.Note, "note", "", "a note for the receiver, or the SID (KQ…) of one")
	cmd.Flags().StringVar(&mode, "mode", string(conversation.ModeCold), "cold")
	cli.Required(cmd, "from", "to")
	return metaFlags(cmd, &command.Meta)
}

func acceptCommand(c *cli.Env) *cobra.Command {
	var command conversation.AcceptCommand
	var patiently bool
	cmd := sendCommand(c, "accept CH… --agent AGENT", "Accept a task that is offered to the agent",
		func() (conversation.Command, error) { return command, nil })
	accept := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if patiently {
			if err := awaitOffer(cmd.Context(), c, args[0], command.Agent); err != nil {
				return err
			}
		}
		return accept(cmd, args)
	}
	cmd.Flags().BoolVar(&patiently, "wait", false, "wait until a task is offered to the agent")
	return metaFlags(taskFlag(agentFlag(cmd, &command.Agent), &command.Task), &command.Meta)
}

// awaitOffer waits until a task of the conversation is offered to the agent, or the conversation is closed.
func awaitOffer(ctx context.Context, c *cli.Env, sid, agent string) error {
	err := c.WithClient(ctx, func(ctx context.Context, b *baton.Client) error {
		_, err := b.Await(ctx, sid, func(r conversation.Record) bool {
			return r.Status != conversation.ConversationActive ||
				slices.ContainsFunc(r.Tasks, func(t *conversation.Task) bool { return t.OfferedTo(agent) })
		})
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return whyNoOffer(ctx, c, sid, agent, err)
	}
	return err
}

// explainedWithin bounds the time to find out why a command has timed out.
const explainedWithin = 10 * time.Second

// whyNoOffer returns an error that says why no task of the conversation was offered to the agent in time. If the
// conversation does not answer, it returns the error that ended the waiting.
func whyNoOffer(ctx context.Context, c *cli.Env, sid, agent string, late error) error {
	waited := c.Timeout
	c.Timeout = explainedWithin // the command's own timeout has passed
	var record conversation.Record
	if err := c.WithClient(ctx, func(ctx context.Context, b *baton.Client) (err error) {
		record, err = b.State(ctx, sid)
		return err
	}); err != nil || record.Status == "" {
		return late
	}
	var reasons []string
	var queue string
	for _, t := range record.LiveTasks() {
		switch {
		case t.Status == conversation.TaskPending && t.Agent != "":
			reasons = append(reasons, fmt.Sprintf("task %s waits for %s", t.SID, t.Agent))
		case t.Status == conversation.TaskPending:
			queue = t.Queue
			reasons = append(reasons, fmt.Sprintf("task %s waits in the queue %s", t.SID, t.Queue))
		default:
			reasons = append(reasons, fmt.Sprintf("task %s is %s (%s)", t.SID, t.Status, t.Agent))
		}
	}
	about, err := availability(ctx, c, agent, queue, record.Channel)
	if conversation.CodeOf(err) != "" {
		return err
	}
	reasons = append(reasons, about...)
	if err != nil {
		reasons = append(reasons, "the desk cannot be read: "+err.Error())
	}
	return conversation.Refuse(conversation.CodeNoReservation, conversation.Details{Agent: agent},
		"no task of %s was offered to %s within %s: %s; wait on, change that, or ask for the task with `baton take %s --agent %s`",
		sid, agent, cli.Brief(waited), strings.Join(reasons, "; "), sid, agent)
}

// availability returns the reasons why the agent is not offered a task of the queue on the channel. Refused with
// unknown_agent.
func availability(ctx context.Context, c *cli.Env, agent, queue string, channel conversation.Channel) (reasons []string, err error) {
	err = c.WithDesk(ctx, false, func(ctx context.Context, d *desk.Desk) error {
		agents, err := people.ListAgents(ctx, d)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(agents, func(a people.Agent) bool { return a.Name == agent })
		if at < 0 {
			return cli.UnknownAgent(agent)
		}
		a := agents[at]
		if !a.Available() {
			reasons = append(reasons, fmt.Sprintf("%s is not available (%s)", agent, a.Presence))
		}
		if queue != "" && !slices.Contains(a.Queues, queue) {
			reasons = append(reasons, fmt.Sprintf("%s is not on the queue %s", agent, queue))
		}
		for _, of := range a.Channels {
			if of.Channel == channel && of.Load >= of.Capacity {
				reasons = append(reasons, fmt.Sprintf("%s has %d of at most %d tasks on %s", agent, of.Load, of.Capacity, channel))
			}
		}
		return nil
	})
	return reasons, err
}

func declineCommand(c *cli.Env) *cobra.Command {
	var command conversation.DeclineCommand
	cmd := sendCommand(c, "decline CH… --agent AGENT", "Decline a task that is offered to the agent",
		func() (conversation.Command, error) { return command, nil })
	cmd.Flags().StringVar(&command.Reason, "reason", "", "why")
	return metaFlags(taskFlag(agentFlag(cmd, &command.Agent), &command.Task), &command.Meta)
}

func wrapupCommand(c *cli.Env) *cobra.Command {
	var command conversation.WrapupCommand
	cmd := sendCommand(c, "wrapup CH… --agent AGENT", "Complete the agent's wrapup",
		func() (conversation.Command, error) { return command, nil })
	cmd.Flags().StringVar(&command.Disposition, "disposition", "", "result of the conversation, in a word")
	cmd.Flags().StringVar(&command.Note, "note", "", "note for the desk")
	return metaFlags(taskFlag(agentFlag(cmd, &command.Agent), &command.Task), &command.Meta)
}

func endCommand(c *cli.Env) *cobra.Command {
	var command conversation.EndCommand
	cmd := sendCommand(c, "end CH… --agent AGENT", "End the agent's turn, which starts their wrapup",
		func() (conversation.Command, error) { return command, nil })
	return metaFlags(taskFlag(agentFlag(cmd, &command.Agent), &command.Task), &command.Meta)
}

func cancelCommand(c *cli.Env) *cobra.Command {
	var command conversation.CancelCommand
	cmd := sendCommand(c, "cancel CH… --agent AGENT", "Cancel a transfer that no agent has accepted",
		func() (conversation.Command, error) { return command, nil })
	cmd.Flags().StringVar(&command.Transfer, "transfer", "", "the transfer (default: the active one)")
	return metaFlags(agentFlag(cmd, &command.Agent), &command.Meta)
}

func moveCommand(c *cli.Env) *cobra.Command {
	var command conversation.MoveCommand
	var to string
	cmd := sendCommand(c, "move CH… --to agent:NAME|queue:NAME", "Move a waiting task to another agent or queue",
		func() (_ conversation.Command, err error) {
			command.To, err = ParseTarget("to", to)
			return command, err
		})
	cmd.Flags().StringVar(&to, "to", "", "agent:NAME or queue:NAME")
	cli.Required(cmd, "to")
	return metaFlags(taskFlag(cmd, &command.Task), &command.Meta)
}

func closeCommand(c *cli.Env) *cobra.Command {
	var command conversation.CloseCommand
	cmd := sendCommand(c, "close CH…", "Close the customer's side of a conversation",
		func() (conversation.Command, error) { return command, nil })
	cmd.Flags().StringVar(&command.Reason, "reason", "", "why")
	return metaFlags(cmd, &command.Meta)
}

func takeCommand(c *cli.Env) *cobra.Command {
	var agent string
	cmd := &cobra.Command{
		Use: "take CH… --agent AGENT", Short: "Claim a waiting task for an agent, who then gets the offer", Args: oneConversation,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.WithBoth(cmd.Context(), func(ctx context.Context, b *baton.Client, d *desk.Desk) error {
				if err := commands.CaughtUp(ctx, b, d, args[0]); err != nil {
					return err
				}
				claim, record, err := commands.Claim(ctx, b, d, args[0], args[0], agent)
				if err != nil {
					return err
				}
				task := record.Task(claim.Task)
				switch {
				case task == nil:
					return conversation.Refuse(conversation.CodeNoSuchTask, conversation.Details{Task: claim.Task}, "task %s ended long ago: see `baton show %s`", claim.Task, args[0])
				case !task.OfferedTo(agent):
					return conversation.Refuse(conversation.CodeNoReservation, conversation.Details{Task: claim.Task, Agent: task.Agent},
						"task %s is not reserved for %s: it is %s; see `baton show %s`", claim.Task, agent, task.Status, args[0])
				}
				known, err := cli.ReadNames(ctx, d)
				if err != nil {
					return err
				}
				return c.Print(task, func(w io.Writer) {
					fmt.Fprintf(w, "task %s is reserved for %s until %s: accept it with `baton accept %s --agent %s`\n",
						task.SID, cli.OneLine(known.Agent(agent)), cli.Clock(task.Reservation.ExpiresAt), args[0], agent)
				})
			})
		},
	}
	return agentFlag(cmd, &agent)
}

func sayCommand(c *cli.Env) *cobra.Command {
	var as string
	cmd := &cobra.Command{
		Use: "say CH… --as customer|AGENT TEXT", Short: "Write a message as the customer or as a holder of the conversation",
		Args: conversationAndText,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.WithBoth(cmd.Context(), func(ctx context.Context, b *baton.Client, d *desk.Desk) error {
				if err := commands.CaughtUp(ctx, b, d, args[0]); err != nil {
					return err
				}
				message, err := records.Say(ctx, d, records.NewMessage{Conversation: args[0], From: as, Text: strings.Join(args[1:], " ")})
				if err != nil {
					return err
				}
				return c.Print(message, func(w io.Writer) { fmt.Fprintln(w, message.SID) })
			})
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "customer, or the agent's name")
	cli.Required(cmd, "as")
	return cmd
}
