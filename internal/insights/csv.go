package insights

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
)

// CSV returns the figures as table rows under a header: of the desk ("all"), and of every queue, agent and channel.
// Durations are in seconds; from and to are the period in the zone. Column "name" is for programs,
// "friendly_name" for people; a spreadsheet takes neither for a formula.
func (i Report) CSV() [][]string {
	rows := [][]string{{
		"by", "name", "conversations", "transferred", "hops", "sent", "completed", "declined", "expired", "canceled", "timed_out", "abandoned",
		"redirected", "open", "time_to_accept_median", "time_to_accept_p90", "time_in_queue_mean", "handle_mean", "talk_mean", "wrapup_mean",
		"failed", "ping_pong", "wrapup_refusals", "received", "received_completed", "tasks",
		"time_in_queue_median", "time_in_queue_p90", "talk_median", "talk_p90", "wrapup_median", "wrapup_p90", "handle_median", "handle_p90",
		"from", "to", "zone", "friendly_name",
	}}
	number := strconv.Itoa
	inSeconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
	add := func(by, name, friendly string, f Figures) {
		x := f.Sent
		row := []string{
			by, cell(name), number(f.Conversations), number(f.Transferred), number(f.Hops), number(x.Initiated), number(x.Completed),
			number(x.Declined), number(x.Expired), number(x.Canceled), number(x.TimedOut), number(x.Abandoned), number(x.Redirected),
			number(x.Open), inSeconds(x.TimeToAccept.Median), inSeconds(x.TimeToAccept.P90), inSeconds(f.TimeInQueue.Mean),
			inSeconds(f.HandleTime.Mean), inSeconds(f.TalkTime.Mean), inSeconds(f.WrapupTime.Mean),
			number(x.Failed), number(x.PingPong), number(f.WrapupRefusals), number(f.Received.Initiated), number(f.Received.Completed), number(f.Tasks),
		}
		for _, d := range []Durations{f.TimeInQueue, f.TalkTime, f.WrapupTime, f.HandleTime} {
			row = append(row, inSeconds(d.Median), inSeconds(d.P90))
		}
		rows = append(rows, append(row, i.From.Format(time.RFC3339), i.To.Format(time.RFC3339), i.Zone, cell(friendly)))
	}
	add("all", "", "", i.Total)
	for _, kind := range []struct {
		by     string
		groups []Group
	}{{"queue", i.Queues}, {"agent", i.Agents}, {"channel", i.Channels}} {
		for _, g := range kind.groups {
			add(kind.by, g.Name, g.FriendlyName, g.Figures)
		}
	}
	return rows
}

// formulas are the characters that begin a formula, in half and full width.
const formulas = "=+-@\uff1d\uff0b\uff0d\uff20"

// cell returns a text for a spreadsheet. It adds a leading quote to a text that the spreadsheet would take for a
// formula.
func cell(text string) string {
	first, _ := utf8.DecodeRuneInString(text)
	shown, _ := utf8.DecodeRuneInString(conversation.CleanName(text)) // old names may begin with invisible characters
	if strings.ContainsRune(formulas, shown) || strings.ContainsRune("\t\r\n", first) {
		return "'" + text
	}
	return text
}
