// Package dialogues has the command that plays recorded dialogues as conversations.
//
// Must not import: the other packages with commands, except conversations.
package dialogues

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/starter/internal/cli"
	"github.com/baton-transfers/baton/starter/internal/conversations"
)

// dialogue is one conversation of a file in the format of the Action-Based Conversations Dataset
// (ABCD, github.com/asappresearch/abcd): turns of [speaker, text], where the speaker is agent,
// customer, or action for what the agent's tools reported.
type dialogue struct {
	ID       int         `json:"convo_id"`
	Original [][2]string `json:"original"`
	Scenario struct {
		Personal struct {
			Name  string `json:"customer_name"`
			Email string `json:"email"`
		} `json:"personal"`
		Flow    string `json:"flow"`
		Subflow string `json:"subflow"`
	} `json:"scenario"`
}

// imported is the result of importing a dialogue.
type imported struct {
	Dialogue     int    `json:"dialogue"`
	Conversation string `json:"conversation"`
	Turns        int    `json:"turns"`
	PassedOnAt   int    `json:"passed_on_at"`
	From         string `json:"from"`
	To           string `json:"to"`
	Identical    bool   `json:"identical"`
}

// Command returns the command `baton import`.
func Command(c *cli.Env) *cobra.Command {
	var i importer
	var transferTo string
	cmd := &cobra.Command{
		Use: "import FILE --queue QUEUE --transfer-to agent:NAME|queue:NAME", Short: "Play recorded dialogues as conversations with a transfer",
		Long: "Plays each dialogue of a JSON file in ABCD's format as a conversation. The agent who gets the offer accepts, the turns\n" +
			"are written in order, the conversation is transferred on the way, and closed. The receiver's transcript is compared\n" +
			"with the file, turn by turn. Messaging transfers must be on, and agents available.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.WrongUsage("name one file of dialogues")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if i.at < 0 || i.at > 1 {
				return cli.WrongUsage("--at is %v: use a part of the dialogue from 0 to 1", i.at)
			}
			if i.to, err = conversations.ParseTarget("transfer-to", transferTo); err != nil {
				return err
			}
			dialogues, err := readDialogues(args[0])
			if err != nil {
				return err
			}
			c.Timeout = time.Duration(len(dialogues)) * c.Timeout
			return c.WithBoth(cmd.Context(), func(ctx context.Context, b *baton.Client, d *desk.Desk) error {
				i.sender, i.desk = commands.New(b, d, nil), d
				var results []imported
				for n, dialogue := range dialogues {
					result, err := i.play(ctx, dialogue)
					if err != nil {
						return fmt.Errorf("dialogue %d: %w", dialogue.ID, err)
					}
					results = append(results, result)
					fmt.Fprintf(c.Stderr, "played %d of %d\n", n+1, len(dialogues))
				}
				return printImported(c, results)
			})
		},
	}
	cmd.Flags().StringVar(&i.queue, "queue", "", "queue of the new conversations")
	cmd.Flags().StringVar(&transferTo, "transfer-to", "", "agent:NAME or queue:NAME")
	cmd.Flags().Float64Var(&i.at, "at", 0.5, "part of the turns before the transfer, from 0 to 1")
	cli.Required(cmd, "queue", "transfer-to")
	return cmd
}

func printImported(c *cli.Env, results []imported) error {
	return c.Print(results, func(w io.Writer) {
		var rows [][]string
		for _, r := range results {
			rows = append(rows, []string{
				strconv.Itoa(r.Dialogue), r.Conversation, strconv.Itoa(r.Turns), strconv.Itoa(r.PassedOnAt),
				cli.OneLine(r.From), cli.OneLine(r.To), strconv.FormatBool(r.Identical),
			})
		}
		cli.Table(w, []string{"DIALOGUE", "CONVERSATION", "TURNS", "PASSED ON AT", "FROM", "TO", "IDENTICAL"}, rows)
	})
}

func readDialogues(file string) ([]dialogue, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the dialogues: %w", err)
	}
	var dialogues []dialogue
	if err := json.Unmarshal(content, &dialogues); err != nil {
		return nil, fmt.Errorf("%s is not a file of dialogues in ABCD's format (a JSON array with \"original\" turns): %w", file, err)
	}
	for n, d := range dialogues {
		if len(d.Original) == 0 {
			return nil, fmt.Errorf("%s: dialogue %d has no turns under \"original\"", file, n+1)
		}
	}
	return dialogues, nil
}

// importer replays dialogues as conversations.
type importer struct {
	sender *commands.Sender
	desk   *desk.Desk
	queue  string
	to     conversation.Target
	at     float64
}

// offerPatience is how long a dialogue waits until its task is offered to an agent.
const offerPatience = 15 * time.Second

func (i *importer) play(ctx context.Context, d dialogue) (imported, error) {
	result := imported{Dialogue: d.ID, Turns: len(d.Original), PassedOnAt: int(i.at * float64(len(d.Original)))}
	sid, err := i.sender.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: i.queue,
		Customer: conversation.Customer{Name: d.Scenario.Personal.Name, Address: d.Scenario.Personal.Email},
		Attributes: conversation.Attributes{
			"dialogue": json.RawMessage(strconv.Itoa(d.ID)),
			"flow":     baton.Attribute(d.Scenario.Flow), "subflow": baton.Attribute(d.Scenario.Subflow),
		},
	})
	if err != nil {
		return result, err
	}
	result.Conversation = sid
	if result.From, err = i.taken(ctx, sid); err != nil {
		return result, err
	}
	if err := i.write(ctx, sid, result.From, d.Original[:result.PassedOnAt]); err != nil {
		return result, err
	}
	if _, err := i.sender.Send(ctx, sid, conversation.TransferCommand{From: result.From, To: i.to}); err != nil {
		return result, err
	}
	if result.To, err = i.taken(ctx, sid); err != nil {
		return result, err
	}
	if _, err := i.sender.Send(ctx, sid, conversation.WrapupCommand{Agent: result.From, Disposition: "passed_on"}); err != nil {
		return result, err
	}
	if err := i.write(ctx, sid, result.To, d.Original[result.PassedOnAt:]); err != nil {
		return result, err
	}
	if result.Identical, err = i.identical(ctx, sid, result, d.Original); err != nil {
		return result, err
	}
	if _, err := i.sender.Send(ctx, sid, conversation.EndCommand{Agent: result.To}); err != nil {
		return result, err
	}
	_, err = i.sender.Send(ctx, sid, conversation.WrapupCommand{Agent: result.To, Disposition: "imported"})
	return result, err
}

// taken waits until the conversation is offered to an agent, accepts on their behalf, and returns the agent.
func (i *importer) taken(ctx context.Context, sid string) (string, error) {
	offer, cancel := context.WithTimeout(ctx, offerPatience)
	defer cancel()
	var agent string
	record, err := i.sender.Await(offer, sid, func(r conversation.Record) bool {
		for _, t := range r.Tasks {
			if t.Status == conversation.TaskReserved {
				agent = t.Agent
				return true
			}
		}
		return false
	})
	if err != nil && offer.Err() != nil && ctx.Err() == nil {
		return "", fmt.Errorf("conversation %s is not offered to any agent (it is %s): make an agent of the queue available, with capacity left", sid, record.Status)
	}
	if err != nil {
		return "", err
	}
	if _, err := i.sender.Send(ctx, sid, conversation.AcceptCommand{Agent: agent}); err != nil {
		return "", err
	}
	return agent, commands.CaughtUp(ctx, i.sender, i.desk, sid)
}

// write sends the turns as messages of the customer, the agent, or the tools whose reports the agent saw.
func (i *importer) write(ctx context.Context, sid, agent string, turns [][2]string) error {
	for _, turn := range turns {
		from, err := author(turn[0], agent)
		if err != nil {
			return err
		}
		if _, err := records.Say(ctx, i.desk, records.NewMessage{Conversation: sid, From: from, Text: turn[1]}); err != nil {
			return err
		}
	}
	return nil
}

func author(speaker, agent string) (string, error) {
	switch speaker {
	case "customer":
		return records.FromCustomer, nil
	case "agent":
		return agent, nil
	case "action":
		return records.FromSystem, nil
	}
	return "", fmt.Errorf("a turn of %q: the speakers are customer, agent and action", speaker)
}

// identical reports whether the transcript, as the receiving agent sees it, equals the source.
func (i *importer) identical(ctx context.Context, sid string, result imported, turns [][2]string) (bool, error) {
	transcript, err := records.ReadTranscript(ctx, i.desk, sid, records.AsAgent(result.To))
	if err != nil {
		return false, err
	}
	if len(transcript) != len(turns) {
		return false, nil
	}
	for n, turn := range turns {
		agent := result.From
		if n >= result.PassedOnAt {
			agent = result.To
		}
		from, err := author(turn[0], agent)
		if err != nil {
			return false, err
		}
		if transcript[n].From != from || transcript[n].Text != turn[1] {
			return false, nil
		}
	}
	return true, nil
}
