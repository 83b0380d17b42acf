package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/desk"
)

func (c *cli) insights() *cobra.Command {
	var since time.Duration
	var asCSV bool
	cmd := &cobra.Command{
		Use: "insights", Short: "Show the figures about transfers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if since <= 0 {
				return wrongUsage("--since is %s: use a time that has passed, as in 24h", since)
			}
			return c.onDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
				now := time.Now()
				insights, err := d.Insights(ctx, now.Add(-since), now)
				if err != nil {
					return err
				}
				if asCSV {
					return writeCSV(c.stdout, insights)
				}
				return c.print(insights, func(w io.Writer) { showInsights(w, insights) })
			})(cmd, args)
		},
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "from how long ago until now")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV; durations are seconds")
	return cmd
}

// figureRow is one line of the figures: of the desk, a queue, an agent or a channel.
type figureRow struct {
	group, name string
	desk.Figures
}

func figureRows(insights desk.Insights) []figureRow {
	rows := []figureRow{{"all", "", insights.Total}}
	for _, groups := range []struct {
		name   string
		groups []desk.Group
	}{{"queue", insights.Queues}, {"agent", insights.Agents}, {"channel", insights.Channels}} {
		for _, g := range groups.groups {
			rows = append(rows, figureRow{groups.name, g.Name, g.Figures})
		}
	}
	return rows
}

func showInsights(w io.Writer, insights desk.Insights) {
	var rows [][]string
	number := strconv.Itoa
	for _, r := range figureRows(insights) {
		sent := r.Sent
		rows = append(rows, []string{
			r.group, dash(r.name), number(r.Conversations), fmt.Sprintf("%.0f%%", 100*r.ShareTransferred()), fmt.Sprintf("%.1f", r.HopsPerConversation()),
			number(sent.Initiated), number(sent.Completed), number(sent.Declined), number(sent.Expired), number(sent.Canceled), number(sent.TimedOut),
			number(sent.Abandoned), number(sent.Redirected), number(sent.Open), seconds(sent.TimeToAccept.Median), seconds(sent.TimeToAccept.P90),
			seconds(r.TimeInQueue.Mean), seconds(r.HandleTime.Mean), seconds(r.WrapupTime.Mean),
		})
	}
	tableOfSome(w, []string{
		"BY", "NAME", "CONVS", "TRANSFERRED", "HOPS", "SENT", "COMPLETED", "DECLINED", "EXPIRED", "CANCELED", "TIMED OUT", "ABANDONED", "REDIRECTED", "OPEN",
		"ACCEPT P50", "P90", "IN QUEUE", "HANDLE", "WRAPUP",
	}, rows)
}

func writeCSV(w io.Writer, insights desk.Insights) error {
	out := csv.NewWriter(w)
	number := strconv.Itoa
	inSeconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
	rows := [][]string{{
		"by", "name", "conversations", "transferred", "hops", "sent", "completed", "declined", "expired", "canceled", "timed_out", "abandoned",
		"redirected", "open", "time_to_accept_median", "time_to_accept_p90", "time_in_queue_mean", "handle_mean", "talk_mean", "wrapup_mean",
	}}
	for _, r := range figureRows(insights) {
		sent := r.Sent
		rows = append(rows, []string{
			r.group, r.name, number(r.Conversations), number(r.Transferred), number(r.Hops), number(sent.Initiated), number(sent.Completed),
			number(sent.Declined), number(sent.Expired), number(sent.Canceled), number(sent.TimedOut), number(sent.Abandoned), number(sent.Redirected),
			number(sent.Open), inSeconds(sent.TimeToAccept.Median), inSeconds(sent.TimeToAccept.P90), inSeconds(r.TimeInQueue.Mean),
			inSeconds(r.HandleTime.Mean), inSeconds(r.TalkTime.Mean), inSeconds(r.WrapupTime.Mean),
		})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("print CSV: %w", err)
	}
	return nil
}
