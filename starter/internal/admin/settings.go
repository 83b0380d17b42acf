package admin

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// anyChanged reports whether one of the command's own flags was given.
func anyChanged(cmd *cobra.Command) bool {
	changed := false
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { changed = changed || f.Changed })
	return changed
}

func settingsCommand(c *cli.Env) *cobra.Command {
	var transfers, notes, timeoutActivity, unavailable, unanswered, by string
	var reservation, task, wrapup, reoffer time.Duration
	cmd := &cobra.Command{
		Use: "settings", Short: "Show or change the settings: switches, timeouts and policies", Args: cobra.NoArgs,
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
		switches, err := switches(changed, map[string]string{
			"messaging-transfers": transfers, "transfer-notes": notes, "timeout-activity": timeoutActivity,
		})
		if err != nil {
			return err
		}
		for flag, value := range map[string]time.Duration{
			"reservation-timeout": reservation, "task-timeout": task, "wrapup-timeout": wrapup, "reoffer-after": reoffer,
		} {
			if value%time.Second != 0 {
				return cli.WrongUsage("--%s is %s: use whole seconds", flag, value)
			}
		}
		return c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			settings, err := desk.ReadSettings(ctx, d)
			if err == nil && anyChanged(cmd) {
				settings, err = desk.SetSettings(ctx, d, by, func(s *conversation.Settings) {
					change(s)
					switches(s)
				})
			}
			if err != nil {
				return err
			}
			return c.Print(settings, func(w io.Writer) { showSettings(w, settings) })
		})(cmd, args)
	}
	flags := cmd.Flags()
	flags.StringVar(&transfers, "messaging-transfers", "", "on or off")
	flags.StringVar(&notes, "transfer-notes", "", "on or off; needs messaging transfers")
	cli.DurationVar(flags, &reservation, "reservation-timeout", 0, "time until an offer expires")
	cli.DurationVar(flags, &task, "task-timeout", 0, "maximum waiting time of a task")
	cli.DurationVar(flags, &wrapup, "wrapup-timeout", 0, "time until a wrapup completes itself; 0: never")
	flags.StringVar(&unavailable, "agent-unavailable", "", "transfer to an unavailable agent: refuse, wait or origin_queue")
	flags.StringVar(&unanswered, "unanswered", "", "where a task goes that its agent does not accept: origin_queue or sender")
	cli.DurationVar(flags, &reoffer, "reoffer-after", 0, "time until a queue offers a task again to an agent who did not accept it; 0: at once")
	flags.StringVar(&timeoutActivity, "timeout-activity", "", "on: an agent who lets an offer expire becomes unavailable")
	flags.StringVar(&by, "by", "", "who changes the settings (default: the user of this machine)")
	return cmd
}

// switches parses the flags that are on or off, and returns a function that sets them.
func switches(changed func(string) bool, values map[string]string) (func(*conversation.Settings), error) {
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
			return nil, cli.WrongUsage("--transfer-notes on needs --messaging-transfers on: turn both on, or both off")
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
	cli.Table(w, []string{"SETTING", "VALUE"}, [][]string{
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

// onOff parses the value of a flag that is on or off.
func onOff(flag, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "on", "true", "yes":
		return true, nil
	case "off", "false", "no":
		return false, nil
	}
	return false, cli.WrongUsage("--%s is %q: use on or off", flag, value)
}

func showSwitch(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
