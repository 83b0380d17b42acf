package benchmark

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/internal/deskload"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// deskCommand returns the command `baton bench desk`.
func deskCommand(c *cli.Env) *cobra.Command {
	var o deskload.Options
	var agents string
	cmd := &cobra.Command{
		Use: "desk DATABASE", Short: "Measure a desk alone, on an empty database, and check that it stays correct",
		Long: "Fills an empty database with queues and agents, and runs conversations on it, without a Temporal server: conversations\n" +
			"per second that this database takes, from as many processes as will use it. It looks for overbooked agents, tasks that\n" +
			"were matched twice or left waiting, and holes in the event log. The database is of no other use afterwards: drop it.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Database, o.Agents = args[0], deskload.Staffing(agents)
			if _, err := o.Fill(); err != nil {
				return cli.WrongUsage("%s", err)
			}
			found, err := deskload.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := c.Print(found, func(w io.Writer) { printDesk(w, found) }); err != nil {
				return err
			}
			if faults := found.Faults.Sum(); faults > 0 {
				return fmt.Errorf("the desk has %d faults: report them", faults)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Callers, "callers", 128, "number of conversations at a time, in all processes") //nolint:mnd // a default
	flags.IntVar(&o.Processes, "processes", 1, "number of processes")
	flags.IntVar(&o.Queues, "queues", 10, "number of queues in which conversations start") //nolint:mnd // a default
	flags.StringVar(&agents, "agents", string(deskload.Plenty), "plenty: tasks rarely wait; scarce: most tasks wait")
	flags.IntVar(&o.TransferEvery, "transfer-every", 5, "number of conversations of which one is transferred; 0: none") //nolint:mnd // a default
	cli.DurationVar(flags, &o.For, "for", 10*time.Second, "duration of the load")
	return cmd
}

func printDesk(w io.Writer, f deskload.Figures) {
	fmt.Fprintf(w, "%d conversations in %.1f s: %.1f a second, with %.1f snapshots a second.\n\n", f.Conversations, f.Seconds, f.ConversationsRate, f.SnapshotsRate)
	rows := [][]string{
		{"sync, p50 and p99 in ms", milliseconds(f.SyncP50) + ", " + milliseconds(f.SyncP99)},
		{"this machine's CPU for a conversation, in ms", milliseconds(f.GoCPU)},
		{"matches that passed over a better task", fmt.Sprintf("%d of %d", f.Inversions, f.Matches)},
		{"faults", strconv.Itoa(f.Faults.Sum())},
	}
	if f.DatabaseCPU > 0 {
		rows = append(rows, []string{"PostgreSQL's CPU for a conversation, in ms", milliseconds(f.DatabaseCPU)})
	}
	cli.Table(w, []string{"FIGURE", "VALUE"}, rows)
	for _, example := range f.Faults.Examples {
		fmt.Fprintln(w, "fault:", example)
	}
}
