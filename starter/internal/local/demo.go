package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/starter/internal/admin"
	"github.com/baton-transfers/baton/starter/internal/cli"
	"github.com/baton-transfers/baton/starter/internal/conversations"
)

// demoTimeout is much longer than the seconds that the demo takes.
const demoTimeout = 2 * time.Minute

// Demo returns the command `baton demo`.
func Demo(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Run a transfer from start to end: refused, turned on, transferred, wrapped up",
		Long: "Runs a real Temporal server, desk and worker on free ports, plays one conversation on them, and stops them. The\n" +
			"conversation stays in the data folder: 'baton dev' with this folder shows it in the Temporal Web UI.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), c) },
	}
}

func runDemo(ctx context.Context, c *cli.Env) (err error) {
	data := filepath.Join(config.Data(c.Getenv, c.Data), "demo")
	logger := slog.New(slog.NewTextHandler(c.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	keys, err := config.LoadKeys(c.Getenv)
	if err != nil {
		return err
	}
	h, err := runHere(ctx, place{
		data: data, database: config.Database(data), temporal: "127.0.0.1:0", ui: "127.0.0.1:0", progress: c.Stderr, keys: keys, logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop(ctx)) }()
	telling, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	s := &story{out: c.Stdout, sender: commands.New(baton.NewClient(h.temporal), h.desk, logger), desk: h.desk}
	if c.JSON {
		s.out = io.Discard
	}
	if err := s.tell(telling); err != nil {
		return fmt.Errorf("the story broke off: %w", err)
	}
	record, err := s.sender.State(telling, s.sid)
	if err != nil {
		return err
	}
	return c.Print(record, func(w io.Writer) {
		fmt.Fprintf(w, "\nTo see its history in the Temporal Web UI:\n  go run ./starter dev --data %s\n  %s\n", data, page("http://"+config.DefaultUI, s.sid))
	})
}

// story runs the demo. Each step does what it says, or ends the demo with an error.
type story struct {
	out    io.Writer
	sender *commands.Sender
	desk   *desk.Desk
	sid    string
	step   int
}

func (s *story) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		s.transfersAreOff, s.turnedOn, s.alicePassesOn, s.bobAccepts, s.wrapupFirst, s.theEnd, s.figures,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return nil
}

// say prints one step of the demo.
func (s *story) say(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.out, "%2d. %s\n", s.step, fmt.Sprintf(format, args...))
}

func (s *story) quote(format string, args ...any) {
	fmt.Fprintf(s.out, "      %s\n", cli.OneLine(fmt.Sprintf(format, args...)))
}

// refused checks that the command was refused with that code, and prints the refusal.
func (s *story) refused(err error, code conversation.Code) error {
	if conversation.CodeOf(err) != code {
		return fmt.Errorf("%s was expected, and this came: %w", code, err)
	}
	s.quote("refused  %v", err)
	return nil
}

func (s *story) transfersAreOff(ctx context.Context) error {
	// The folder may be of an earlier demo.
	if _, err := desk.SetSettings(ctx, s.desk, "demo", func(settings *conversation.Settings) { *settings = conversation.DefaultSettings() }); err != nil {
		return err
	}
	for _, agent := range []string{"alice", "bob"} {
		if err := routing.SetPresence(ctx, s.desk, agent, desk.PresenceAvailable); err != nil {
			return err
		}
	}
	var err error
	if s.sid, err = s.sender.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "support", Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
		Attributes: conversation.Attributes{"order": baton.Attribute("3348917502")},
	}); err != nil {
		return err
	}
	s.say("Crystal Minh opens a web chat: conversation %s, waiting in the queue support", s.sid)
	for _, line := range []string{"Hi! I need to return an item.", "It is the wrong size, and I was charged twice."} {
		if err := s.writes(ctx, "customer", line); err != nil {
			return err
		}
	}
	if err := s.accepts(ctx, "alice"); err != nil {
		return err
	}
	if err := s.writes(ctx, "alice", "Sure! The second charge is for our billing team, let me pass you on."); err != nil {
		return err
	}
	s.say("alice tries to pass the chat to billing, but messaging transfers are off")
	_, err = s.send(ctx, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}})
	return s.refused(err, conversation.CodeMessagingTransfersOff)
}

func (s *story) turnedOn(ctx context.Context) error {
	s.say("An administrator turns messaging transfers on, and notes on them")
	_, err := desk.SetSettings(ctx, s.desk, "admin", func(settings *conversation.Settings) {
		settings.MessagingTransfers, settings.TransferNotes = true, true
	})
	return err
}

func (s *story) alicePassesOn(ctx context.Context) error {
	const note = "Order 3348917502 was charged twice. The return itself is done."
	outcome, err := s.send(ctx, conversation.TransferCommand{
		From: "alice", To: conversation.Target{Queue: "billing"}, Note: note,
	})
	if err != nil {
		return err
	}
	s.say("alice passes the chat to the queue billing with a note: transfer %s", outcome.Transfer.SID)
	return nil
}

func (s *story) bobAccepts(ctx context.Context) error {
	if err := s.offered(ctx, "bob"); err != nil {
		return err
	}
	offers, err := routing.ListOffers(ctx, s.desk, "bob")
	if err != nil {
		return err
	}
	s.say("bob is offered the chat, and sees history and note together")
	for _, offer := range offers {
		if offer.Conversation.SID != s.sid {
			continue
		}
		for _, message := range offer.Transcript {
			s.quote("%-9s %s", message.From+":", message.Text)
		}
		for _, note := range offer.Notes {
			s.quote("%-9s (note) %s", note.Author+":", note.Text)
		}
	}
	if err := s.accepts(ctx, "bob"); err != nil {
		return err
	}
	if err := s.writes(ctx, "bob", "Hello Crystal, I have refunded the second charge."); err != nil {
		return err
	}
	outcome, err := s.send(ctx, conversation.TransferCommand{
		From: "bob", To: conversation.Target{Agent: "alice"}, Note: "Refunded. Please finish the return.",
	})
	if err != nil {
		return err
	}
	s.say("bob passes it back to alice: transfer %s", outcome.Transfer.SID)
	return nil
}

func (s *story) wrapupFirst(ctx context.Context) error {
	s.say("alice accepts, but she still wraps up her first turn: wrapup before accept")
	_, err := s.send(ctx, conversation.AcceptCommand{Agent: "alice"})
	if err := s.refused(err, conversation.CodeWrapupPending); err != nil {
		return err
	}
	if _, err := s.send(ctx, conversation.WrapupCommand{Agent: "alice", Disposition: "passed_on"}); err != nil {
		return err
	}
	s.say("alice completes that wrapup, and the same accept works")
	return s.accepts(ctx, "alice")
}

func (s *story) theEnd(ctx context.Context) error {
	if err := s.writes(ctx, "alice", "All done, Crystal. Have a great day!"); err != nil {
		return err
	}
	if _, err := s.send(ctx, conversation.EndCommand{Agent: "alice"}); err != nil {
		return err
	}
	for _, agent := range []string{"alice", "bob"} {
		if _, err := s.send(ctx, conversation.WrapupCommand{Agent: agent, Disposition: "resolved"}); err != nil {
			return err
		}
	}
	record, err := s.await(ctx, func(r conversation.Record) bool { return r.Status == conversation.ConversationClosed })
	if err != nil {
		return err
	}
	s.say("alice ends the chat, both wrap up, and the conversation is closed")
	fmt.Fprintln(s.out)
	conversations.ShowRecord(s.out, record, cli.Names{})
	return nil
}

func (s *story) figures(ctx context.Context) error {
	now := time.Now()
	report, err := insights.Read(ctx, s.desk, insights.Filter{From: now.Add(-24 * time.Hour), To: now})
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, "\nThe supervisor's figures of the last 24 hours:")
	admin.ShowInsights(s.out, report)
	return nil
}

// accepts waits for the offer to the agent, and accepts it.
func (s *story) accepts(ctx context.Context, agent string) error {
	if err := s.offered(ctx, agent); err != nil {
		return err
	}
	outcome, err := s.send(ctx, conversation.AcceptCommand{Agent: agent})
	if err != nil {
		return err
	}
	s.say("%s accepts: %s", agent, conversations.OutcomeSentence(outcome, cli.Names{}))
	return nil
}

// offered waits until the conversation is offered to the agent, and the desk shows it.
func (s *story) offered(ctx context.Context, agent string) error {
	_, err := s.await(ctx, func(r conversation.Record) bool {
		return slices.ContainsFunc(r.Tasks, func(t *conversation.Task) bool { return t.OfferedTo(agent) })
	})
	return err
}

// await waits until the conversation is as wanted, and the desk shows it.
func (s *story) await(ctx context.Context, wanted func(conversation.Record) bool) (conversation.Record, error) {
	return commands.Await(ctx, s.sender, s.desk, s.sid, wanted)
}

func (s *story) send(ctx context.Context, command conversation.Command) (conversation.Outcome, error) {
	return s.sender.Send(ctx, s.sid, command)
}

func (s *story) writes(ctx context.Context, from, text string) error {
	if err := commands.CaughtUp(ctx, s.sender, s.desk, s.sid); err != nil {
		return err
	}
	if _, err := records.Say(ctx, s.desk, records.NewMessage{Conversation: s.sid, From: from, Text: text}); err != nil {
		return err
	}
	s.quote("%-9s %s", from+":", text)
	return nil
}
