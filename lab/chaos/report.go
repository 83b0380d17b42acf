package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/lab/chaos/check"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// report is the result of a run.
type report struct {
	options options
	journal *journal.Journal
	faults  *faults
	began   time.Time
	rested  time.Time
	rows    []check.Row
	trials  *trials
	// restores are the results of putting older copies in place at the end.
	restores []restored
	// waits is how long tasks waited for an agent, by the faults that were active meanwhile.
	waits map[string][]time.Duration
	// told is how many webhooks the receiver accepted, events how many events there were to deliver.
	told, events int
	// folders hold the databases and the output of the processes, if they were kept.
	folders []string
}

// progress describes the progress of the run.
func (r *report) progress() string {
	counts, begun := r.journal.Counts()
	return fmt.Sprintf("%d conversations begun; %d commands done, %d refused, %d signals handed over, %d never answered",
		begun, counts[journal.Done], counts[journal.Refused], counts[journal.Handed], counts[journal.Unknown])
}

// errWrong is the error of a run that found something.
var errWrong = errors.New("something was lost, doubled or wrong: see above")

func (r *report) verdict() error {
	if slices.ContainsFunc(r.rows, func(one check.Row) bool { return !one.Clean() }) || len(r.rows) == 0 {
		return errWrong
	}
	return nil
}

func (r *report) print(w io.Writer) {
	r.printFaults(w)
	r.printCommands(w)
	r.printLatencies(w)
	r.printWaits(w)
	r.printAgreed(w)
	r.printRows(w)
	if r.verdict() == nil {
		return
	}
	for _, one := range r.rows {
		for _, detail := range one.Details {
			fmt.Fprintf(w, "\n%s\n  %s\n", one.What, detail)
		}
	}
	fmt.Fprintf(w, "\nThe databases and what the processes printed are in %s.\nThe plan again: go run ./lab/chaos --seed %d --for %s --conversations %d --database %s\n",
		strings.Join(r.folders, " and "), r.options.seed, r.options.faultsFor, r.options.conversations, r.options.database)
}

func (r *report) printFaults(w io.Writer) {
	fmt.Fprintf(w, "\nSeed %d: faults for %s, at rest after %s.\n\n", r.options.seed, r.options.faultsFor, r.rested.Sub(r.began).Round(time.Second))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FAULT\tTIMES")
	counts := r.faults.counts()
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(t, "%s\t%d\n", k, counts[k])
	}
	fmt.Fprintf(t, "webhooks sent more than once\t%d of %d\n", r.told-r.events, r.events)
	_ = t.Flush() // errors of w are ignored, as for the other prints
}

func (r *report) printCommands(w io.Writer) {
	type counts struct{ done, refused, handed, unknown, repeated int }
	byName := map[conversation.CommandName]*counts{}
	for _, e := range r.journal.All() {
		c := byName[e.Name]
		if c == nil {
			c = &counts{}
			byName[e.Name] = c
		}
		if e.Unanswered > 0 {
			c.repeated++
		}
		switch e.Verdict {
		case journal.Done:
			c.done++
		case journal.Refused:
			c.refused++
		case journal.Handed:
			c.handed++
		case journal.Unknown:
			c.unknown++
		}
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "COMMAND\tDONE\tREFUSED\tSIGNALS\tNEVER ANSWERED\tREPEATED FOR A LOST ANSWER\t")
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c := byName[name]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, c.done, c.refused, c.handed, c.unknown, c.repeated)
	}
	_ = t.Flush()
}

// printLatencies prints how long answers took, counted from when the command was planned to be sent.
func (r *report) printLatencies(w io.Writer) {
	type column struct {
		way    plan.Way
		faults bool
	}
	took := map[column][]time.Duration{}
	for _, e := range r.journal.All() {
		if e.Verdict == journal.Unknown || e.Name == plan.NamePresence {
			continue
		}
		at := column{e.Way, r.faults.within(e.Intended, e.Answered)}
		took[at] = append(took[at], e.Took())
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ANSWERED\tTIMES\tP50\tP90\tP99\tLONGEST\t")
	for _, way := range []plan.Way{plan.ByClient, plan.ByHTTP, plan.BySignal} {
		for _, inFaults := range []bool{false, true} {
			times := took[column{way, inFaults}]
			when := "in quiet"
			if inFaults {
				when = "in faults"
			}
			slices.Sort(times)
			fmt.Fprintf(t, "%s, %s\t%d\t%s\t%s\t%s\t%s\t\n", way, when, len(times), share(times, 0.5), share(times, 0.9), share(times, 0.99), share(times, 1))
		}
	}
	_ = t.Flush()
}

// noFault is the name under which waits without a fault are counted.
const noFault = "no fault"

// wait records how long each task waited until it was offered, by the faults that were active meanwhile.
func (r *report) wait(events []desk.LoggedEvent) {
	r.waits = map[string][]time.Duration{}
	since := map[string]time.Time{}
	for _, e := range events {
		switch e.Name { //nolint:exhaustive // the others do not concern waits
		case conversation.EventTaskQueueEntered, conversation.EventTaskCreated:
			since[e.Task] = e.At
		case conversation.EventReservationCreated:
			from, waits := since[e.Task]
			if !waits {
				continue // offered again
			}
			delete(since, e.Task)
			met := r.faults.during(from, e.At)
			if len(met) == 0 {
				met = []string{noFault}
			}
			for _, k := range met {
				r.waits[k] = append(r.waits[k], e.At.Sub(from))
			}
		}
	}
}

// printWaits prints how long customers waited for an agent. A wait counts for each of several simultaneous faults.
func (r *report) printWaits(w io.Writer) {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "WAITED FOR AN AGENT\tTIMES\tP50\tP90\tLONGEST\t")
	for _, k := range slices.Sorted(maps.Keys(r.waits)) {
		times := r.waits[k]
		slices.Sort(times)
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t\n", k, len(times), share(times, 0.5), share(times, 0.9), share(times, 1))
	}
	_ = t.Flush()
}

// agreed returns how long the desk took to agree with a trial's conversation, counted from the end of the last
// fault.
func (r *report) agreed(t *trial) time.Duration {
	return max(0, t.agreed.Sub(r.faults.quietFrom(t.from, t.agreed)))
}

// judgeTrials checks the trials.
func (r *report) judgeTrials() check.Row {
	one := check.Row{What: "conversations reset, ended outside, poisoned, asked again", Looked: len(r.trials.all)}
	for _, t := range r.trials.all {
		switch {
		case t.err != nil:
			one.Mistake("%s, %s: %v", t.sid, t.kind, t.err)
		case r.agreed(t) > trialWithin || t.agreed.Sub(t.from) > mostTrial:
			one.Mistake("%s, %s: the desk agreed after %s, %s after the last fault", t.sid, t.kind, t.agreed.Sub(t.from), r.agreed(t))
		}
	}
	return one
}

// judgeRestores checks what came of the older copies.
func (r *report) judgeRestores() check.Row {
	one := check.Row{What: "conversations as the desk shows them after older copies"}
	for _, restored := range r.restores {
		one.Looked += restored.looked
		if restored.err != nil {
			one.Mistake("%s: %v", restored.what, restored.err)
		}
	}
	if one.Looked == 0 {
		one.Mistake("there was none: the run says nothing about them")
	}
	return one
}

// printAgreed prints how long the desk took to agree with conversations that had gone back in time or were ended.
func (r *report) printAgreed(w io.Writer) {
	took, whole := map[string][]time.Duration{}, map[string]time.Duration{}
	for _, t := range r.trials.all {
		if k := string(t.kind); t.err == nil {
			took[k], whole[k] = append(took[k], r.agreed(t)), max(whole[k], t.agreed.Sub(t.from))
		}
	}
	for _, restored := range r.restores {
		if restored.err == nil {
			took[restored.what], whole[restored.what] = []time.Duration{restored.after}, restored.after
		}
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "THE DESK AGREED AFTER\tTIMES\tP50\tLONGEST\tWITH OTHER FAULTS\t")
	for _, k := range slices.Sorted(maps.Keys(took)) {
		slices.Sort(took[k])
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t\n", k, len(took[k]), share(took[k], 0.5), share(took[k], 1), whole[k].Round(time.Millisecond))
	}
	_ = t.Flush()
}

// share returns the shortest time that the given share of the sorted times does not exceed.
func share(times []time.Duration, of float64) string {
	if len(times) == 0 {
		return "-"
	}
	at := max(0, int(of*float64(len(times))+0.5)-1)
	return times[min(at, len(times)-1)].Round(time.Millisecond).String()
}

func (r *report) printRows(w io.Writer) {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "LOOKED AT\tHOW MANY\tLOST\tDOUBLED\tWRONG\t")
	for _, one := range r.rows {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t\n", one.What, one.Looked, one.Lost, one.Doubled, one.Wrong)
	}
	_ = t.Flush()
}
