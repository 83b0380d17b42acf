package admin

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func insightsCommand(c *cli.Env) *cobra.Command {
	var since time.Duration
	var filter insights.Filter
	var channel string
	var asCSV bool
	var zone string
	cmd := &cobra.Command{
		Use: "insights", Short: "Show the figures of conversations and transfers", Args: cobra.NoArgs,
		Long: "Show the figures about transfers. Times are medians; --json and --csv have means and 90th percentiles as well.\n\n" +
			insightColumns(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if since <= 0 {
				return cli.WrongUsage("--since is %s: use a time that has passed, as in 24h", since)
			}
			filter.Channel = conversation.Channel(channel)
			if channel != "" && !slices.Contains(conversation.Channels(), filter.Channel) {
				return cli.WrongUsage("--channel is %q: use web, sms, whatsapp, messenger, chat or email", channel)
			}
			var err error
			if filter.Zone, err = zoneOf(zone, c.Getenv("TZ")); err != nil {
				return err
			}
			return c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
				filter.To = time.Now()
				filter.From = filter.To.Add(-since)
				report, err := insights.Read(ctx, d, filter)
				if err == nil && len(report.Queues)+len(report.Agents)+len(report.Channels) == 0 {
					err = cli.RequireKnown(ctx, d, filter.Agent, filter.Queue)
				}
				if err != nil {
					return err
				}
				if asCSV {
					c.Security().Write(ctx, seclog.Entry{Event: seclog.Export, Subject: "insights", Reason: "csv"})
					return writeCSV(c.Stdout, report, cli.IsTerminal(c.Stdout))
				}
				return c.Print(report, func(w io.Writer) { ShowInsights(w, report) })
			})(cmd, args)
		},
	}
	flags := cmd.Flags()
	cli.DurationVar(flags, &since, "since", 24*time.Hour, "length of the period, which ends now")
	flags.StringVar(&filter.Queue, "queue", "", "only figures of this queue")
	flags.StringVar(&filter.Agent, "agent", "", "only figures of this agent")
	flags.StringVar(&channel, "channel", "", "only figures of this channel")
	flags.StringVar(&zone, "zone", "", "time zone of days and times, as Europe/Berlin (default: this machine's)")
	flags.BoolVar(&asCSV, "csv", false, "print CSV; durations are seconds")
	return cmd
}

// zoneOf returns the time zone with the given name. For "" it returns this machine's, from TZ or the link
// /etc/localtime.
func zoneOf(name, machine string) (*time.Location, error) {
	if name != "" {
		zone, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			return nil, cli.WrongUsage("--zone is %q: use the name of a time zone, as in Europe/Berlin or UTC", name)
		}
		return zone, nil
	}
	link, _ := os.Readlink("/etc/localtime") // without the link, the offset below is used
	if _, linked, found := strings.Cut(link, "zoneinfo/"); found && machine == "" {
		machine = linked
	}
	if zone, err := time.LoadLocation(machine); err == nil && machine != "" {
		return zone, nil
	}
	offset := time.Now().Format("-07:00")
	if offset == "+00:00" {
		return time.UTC, nil
	}
	_, seconds := time.Now().Zone()
	return time.FixedZone("UTC"+offset, seconds), nil
}

// insightColumns returns an explanation of the columns whose headings need one.
func insightColumns() string {
	return `TRANSFERRED is the share of conversations with at least one transfer, HOPS how many completed transfers a
conversation has on average. SENT to OPEN count the transfers that were sent, by what became of them; REDIRECTED went
to another target than the one named. PING-PONG counts transfers back to where the one before came from, RECEIVED those
that arrived here. REFUSED counts accepts that were refused because the agent had not wrapped up. ACCEPT is the time
from sending a transfer to its accept (P90: 90 of 100 take no longer).`
}

// figureRow is one line of the figures: of the desk, a queue, an agent or a channel.
type figureRow struct {
	group, name string
	insights.Figures
}

func figureRows(report insights.Report) []figureRow {
	rows := []figureRow{{"all", "", report.Total}}
	for _, groups := range []struct {
		name   string
		groups []insights.Group
	}{{"queue", report.Queues}, {"agent", report.Agents}, {"channel", report.Channels}} {
		for _, g := range groups.groups {
			rows = append(rows, figureRow{groups.name, cli.Named(g.FriendlyName, g.Name), g.Figures})
		}
	}
	return rows
}

// ShowInsights prints the figures as tables.
func ShowInsights(w io.Writer, report insights.Report) {
	var rows [][]string
	number := strconv.Itoa
	for _, r := range figureRows(report) {
		sent := r.Sent
		rows = append(rows, []string{
			r.group, cli.Dash(r.name), number(r.Conversations), fmt.Sprintf("%.0f%%", 100*r.ShareTransferred()), fmt.Sprintf("%.1f", r.HopsPerConversation()),
			number(sent.Initiated), number(sent.Completed), number(sent.Declined), number(sent.Expired), number(sent.Canceled), number(sent.TimedOut),
			number(sent.Abandoned), number(sent.Redirected), number(sent.Open), number(sent.PingPong), number(r.Received.Initiated), number(r.WrapupRefusals),
			seconds(sent.TimeToAccept.Median), seconds(sent.TimeToAccept.P90),
			seconds(r.TimeInQueue.Median), seconds(r.HandleTime.Median), seconds(r.TalkTime.Median), seconds(r.WrapupTime.Median),
		})
	}
	tableOfSome(w, []string{
		"BY", "NAME", "CONVS", "TRANSFERRED", "HOPS", "SENT", "COMPLETED", "DECLINED", "EXPIRED", "CANCELED", "TIMED OUT", "ABANDONED", "REDIRECTED", "OPEN",
		"PING-PONG", "RECEIVED", "REFUSED", "ACCEPT P50", "P90", "IN QUEUE", "HANDLE", "TALK", "WRAPUP",
	}, rows)
	for _, matrix := range []struct {
		what     string
		passings []insights.Passing
	}{{"QUEUE", report.QueueTransfers}, {"AGENT", report.AgentTransfers}} {
		if len(matrix.passings) == 0 {
			continue
		}
		rows = nil
		for _, p := range matrix.passings {
			rows = append(rows, []string{cli.Dash(cli.Named(p.FromFriendlyName, p.From)), cli.OneLine(cli.Named(p.ToFriendlyName, p.To)), number(p.Initiated), number(p.Completed)})
		}
		fmt.Fprintln(w)
		cli.Table(w, []string{"FROM " + matrix.what, "TO " + matrix.what, "SENT", "COMPLETED"}, rows)
	}
	fmt.Fprintf(w, "\nfrom %s to %s (%s)\n", report.From.Format(time.DateTime), report.To.Format(time.DateTime), report.Zone)
}

// writeCSV prints the figures as CSV. On a terminal it removes control characters, as [cli.Env.Print] does; a program
// that reads the CSV gets the unchanged text.
func writeCSV(w io.Writer, report insights.Report, terminal bool) error {
	rows := report.CSV()
	if terminal {
		for _, row := range rows {
			for i, cell := range row {
				row[i] = cli.OneLine(cell)
			}
		}
	}
	if err := csv.NewWriter(w).WriteAll(rows); err != nil {
		return fmt.Errorf("print CSV: %w", err)
	}
	return nil
}

// tableOfSome prints a wide table without the columns that are empty in all rows.
func tableOfSome(w io.Writer, header []string, rows [][]string) {
	kept := make([][]string, len(rows)+1)
	for column := range header {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[column] != "0" && row[column] != "-" }) {
			continue
		}
		for i, row := range append([][]string{header}, rows...) {
			kept[i] = append(kept[i], row[column])
		}
	}
	cli.Table(w, kept[0], kept[1:])
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Millisecond).String()
}
