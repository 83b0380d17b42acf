package conversation_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// The walk visits every state that a conversation can reach with two agents, two queues and up to four tasks,
// breadth first. In each state it tries every command: by every agent, for every live task and the last that ended,
// to every target, under every setting that facts can bring, with every deadline as the next one due. It checks
// each step against the invariants. It also checks that the conversation can be closed from each state after either
// agent has left.
//
// States that differ only in SIDs, times, counters, remembered commands, or in a past that no rule reads, are
// walked once (see identity). The clock does not move. To make a deadline due, the walk sets it to now: any
// deadline can come first, because any time can pass between commands and settings change. SIDs in a state do not
// change, so that the path printed on a failure can be repeated.
//
// faults_test.go checks that the walk fails if a rule is broken.

// walkTasksVariable sets the maximum number of tasks; faults_test.go sets a small one.
const walkTasksVariable = "BATON_WALK_TASKS"

var (
	walkAgents = []string{"alice", "bob"}
	walkQueues = []string{"support", "billing"}
)

// place is a state and how the walk reached it. The state is released when the place has been visited.
type place struct {
	state *conversation.State
	from  *place
	via   attempt
}

// path returns the steps to the place, by repeating them.
func (p *place) path() string {
	var way []attempt
	for ; p.from != nil; p = p.from {
		way = append(way, p.via)
	}
	s := &conversation.State{}
	var text strings.Builder
	for _, a := range slices.Backward(way) {
		if a.due != "" {
			s = withDue(s, a)
		}
		if _, err := s.Apply(a.command, a.facts, monday); err != nil {
			return err.Error()
		}
		fmt.Fprintf(&text, "\n  %s\n      → %s", a, summary(s))
	}
	return text.String()
}

// attempt is a command with the desk's answer, tried in a state whose deadline it may make due.
type attempt struct {
	command conversation.Command
	facts   *conversation.Facts
	due     conversation.DeadlineKind
	dueTask string
}

func (a attempt) String() string {
	payload, err := json.Marshal(a.command)
	if err != nil {
		return err.Error()
	}
	text := string(a.command.Name()) + " " + string(payload)
	if a.due != "" {
		text += " " + string(a.due)
	}
	if v := a.facts; v != nil {
		text += fmt.Sprintf(" (available: %v, agent_unavailable: %s, unanswered: %s, wrapup_timeout: %d)",
			v.AgentAvailable, v.Settings.AgentUnavailable, v.Settings.Unanswered, v.Settings.WrapupTimeout)
	}
	return text
}

func TestWalk(t *testing.T) {
	t.Parallel()
	tasks := 4
	if underRaceDetector || testing.Short() {
		tasks = 2
	}
	if n, err := strconv.Atoi(os.Getenv(walkTasksVariable)); err == nil {
		tasks = n
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the walk makes millions of short-lived copies
	started := time.Now()
	w := &walk{tasks: tasks, seen: map[string]bool{}, names: map[conversation.CommandName]bool{}}
	frontier := []*place{{state: &conversation.State{}}}
	for len(frontier) > 0 {
		var next []*place
		for group := range slices.Chunk(frontier, 512) {
			reached, err := w.visitAll(group)
			require.NoError(t, err)
			next = append(next, reached...)
		}
		frontier = next
	}
	t.Logf("%d states and %d steps with up to %d tasks, in %s", len(w.seen), w.steps, tasks, time.Since(started).Round(time.Millisecond))
	require.Greater(t, len(w.seen), 100)
	require.Empty(t, missing(w.names), "every command was carried out somewhere")
}

func missing(seen map[conversation.CommandName]bool) []conversation.CommandName {
	return slices.DeleteFunc([]conversation.CommandName{
		conversation.CommandStart, conversation.CommandTransfer, conversation.CommandAccept, conversation.CommandDecline,
		conversation.CommandWrapup, conversation.CommandEnd, conversation.CommandCancel, conversation.CommandMove,
		conversation.CommandClose, conversation.CommandReserve, conversation.CommandExpire,
	}, func(name conversation.CommandName) bool { return seen[name] })
}

type walk struct {
	tasks int
	seen  map[string]bool
	names map[conversation.CommandName]bool
	steps int
}

// visitAll visits the places in parallel and returns the new places in a fixed order.
func (w *walk) visitAll(places []*place) ([]*place, error) {
	type visited struct {
		reached []*place
		steps   int
		err     error
	}
	visits := make([]visited, len(places))
	var group sync.WaitGroup
	var claimed atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := claimed.Add(1) - 1; i < int64(len(places)); i = claimed.Add(1) - 1 {
				v := &visits[i]
				v.reached, v.steps, v.err = visit(places[i])
				places[i].state = nil
			}
		})
	}
	group.Wait()
	var next []*place
	for _, v := range visits {
		if v.err != nil {
			return nil, v.err
		}
		w.steps += v.steps
		for _, to := range v.reached {
			w.names[to.via.command.Name()] = true
			if key := identity(to.state); len(to.state.Tasks) <= w.tasks && !w.seen[key] {
				w.seen[key] = true
				next = append(next, to)
			}
		}
	}
	return next, nil
}

// visit tries every command in the place. Commands that must not change anything share one copy of the state, which
// must be unchanged at the end.
func visit(from *place) (reached []*place, steps int, err error) {
	var without []attempt
	untouched := copyOf(from.state)
	for _, a := range attemptsIn(from.state) {
		before, after := from.state, untouched
		mayChange := allowed(before, a.command, monday) && factsAllow(step{before: before, command: a.command, facts: a.facts})
		switch {
		case a.due != "":
			before = withDue(from.state, a)
			after = copyOf(before)
		case mayChange:
			after = copyOf(before)
		default:
			without = append(without, a)
		}
		st, err := carryOut(before, after, a)
		steps++
		if err != nil {
			err = cmp.Or(leavesAlone(from.state, without), err)
			return nil, steps, fmt.Errorf("%w%s\n  %s\n      → %s", err, from.path(), a, summary(after))
		}
		if st.result.Changed {
			reached = append(reached, &place{state: after, from: from, via: a})
		}
	}
	if !sameBytes(from.state, untouched) {
		return nil, steps, fmt.Errorf("%w%s", leavesAlone(from.state, without), from.path())
	}
	for i, gone := range walkAgents {
		if err := closesWithout(from.state, gone, walkAgents[1-i]); err != nil {
			return nil, steps, fmt.Errorf("%w%s\n  and then %s is gone", err, from.path(), gone)
		}
	}
	return reached, steps, nil
}

// carryOut applies the command to after, a copy of before, and checks the step.
func carryOut(before, after *conversation.State, a attempt) (st step, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = broken("statuses", "%v", r)
		}
	}()
	result, refused := after.Apply(a.command, a.facts, monday)
	st = step{before: before, command: a.command, facts: a.facts, now: monday, after: after, result: result, err: refused}
	return st, checkStep(st)
}

// leavesAlone checks that each of these commands leaves the state unchanged if it is refused (I7).
func leavesAlone(s *conversation.State, attempts []attempt) error {
	for _, a := range attempts {
		after := copyOf(s)
		if result, err := after.Apply(a.command, a.facts, monday); !result.Changed && !sameBytes(s, after) {
			return broken("I7", "%s changed the state (%v)", a, err)
		}
	}
	return nil
}

func sameBytes(one, other *conversation.State) bool {
	first, err := json.Marshal(one)
	second, otherErr := json.Marshal(other)
	return err == nil && otherErr == nil && bytes.Equal(first, second)
}

// closesWithout checks that the conversation can be closed when one of its agents sends nothing more. It also
// checks that before this the other agent can get it, unless the absent agent has it.
func closesWithout(s *conversation.State, gone, there string) error {
	if s.Status == "" || s.Status == conversation.ConversationClosed {
		return nil
	}
	if err := drain(copyOf(s), gone); err != nil || s.Status != conversation.ConversationActive {
		return err
	}
	taken := copyOf(s)
	for _, task := range taken.Tasks {
		if !task.Status.Waiting() {
			continue
		}
		commands := []attempt{
			{command: conversation.WrapupCommand{Agent: there}},
			{command: conversation.MoveCommand{To: conversation.Target{Agent: there}}, facts: factsOf(bothSwitchesOn(), true)},
			// The move changes nothing if the task waited for the absent agent.
			{command: conversation.ReserveCommand{Agent: there, Task: task.SID, PendingSeq: task.PendingSeq}},
			{command: conversation.AcceptCommand{Agent: there}},
			{command: conversation.EndCommand{Agent: there}},
		}
		if err := carryOutAll(taken, commands); err != nil {
			return err
		}
		if taken.Status == conversation.ConversationActive {
			return broken("I6", "%s can't have the conversation and end it", there)
		}
		break
	}
	return drain(taken, gone)
}

// drain closes the customer's side. Each present agent completes their wrapup, a supervisor that of the absent
// agent.
func drain(s *conversation.State, gone string) error {
	commands := []attempt{{command: conversation.CloseCommand{}}}
	for _, agent := range walkAgents {
		wrapup := conversation.WrapupCommand{Agent: agent}
		if agent == gone {
			wrapup.By = "carol"
		}
		commands = append(commands, attempt{command: wrapup})
	}
	if err := carryOutAll(s, commands); err != nil {
		return err
	}
	if s.Status != conversation.ConversationClosed {
		return broken("I6", "the conversation doesn't close: %s", summary(s))
	}
	return nil
}

// carryOutAll carries out the commands in order. Some may be refused.
func carryOutAll(s *conversation.State, attempts []attempt) error {
	for _, a := range attempts {
		if _, err := carryOut(copyOf(s), s, a); err != nil {
			return err
		}
	}
	return nil
}

// attemptsIn returns everything that can be tried in a state.
func attemptsIn(s *conversation.State) []attempt {
	if s.Status == "" {
		var starts []attempt
		for _, v := range factsToTry(false) {
			starts = append(starts, attempt{command: conversation.StartCommand{
				Conversation: storyConversation, Channel: conversation.ChannelWeb, Queue: "support", Priority: 2,
				Customer:   conversation.Customer{Name: "Crystal Minh"},
				Attributes: conversation.Attributes{"order": json.RawMessage(`{"number":17}`)},
			}, facts: v})
		}
		return starts
	}
	all := []attempt{{command: conversation.CloseCommand{}}, {command: conversation.ExpireCommand{}}}
	try := func(commands ...conversation.Command) {
		for _, c := range commands {
			all = append(all, attempt{command: c})
		}
	}
	named := s.LiveTasks()
	for _, task := range slices.Backward(s.Tasks) {
		if !task.Status.Live() {
			named = append(named, task)
			break
		}
	}
	targets := []conversation.Target{{Workflow: "Anything"}}
	for _, agent := range walkAgents {
		targets = append(targets, conversation.Target{Agent: agent})
		try(conversation.AcceptCommand{Agent: agent}, conversation.DeclineCommand{Agent: agent}, conversation.WrapupCommand{Agent: agent},
			conversation.EndCommand{Agent: agent}, conversation.CancelCommand{Agent: agent})
		for _, task := range named {
			try(conversation.AcceptCommand{Agent: agent, Task: task.SID}, conversation.DeclineCommand{Agent: agent, Task: task.SID},
				conversation.WrapupCommand{Agent: agent, Task: task.SID}, conversation.EndCommand{Agent: agent, Task: task.SID})
			if !task.Status.Live() || task.Status.Waiting() {
				try(conversation.ReserveCommand{Agent: agent, Task: task.SID, PendingSeq: task.PendingSeq},
					conversation.ReserveCommand{Agent: agent, Task: task.SID, PendingSeq: task.PendingSeq - 1})
			}
		}
		for _, transfer := range s.Transfers[max(0, len(s.Transfers)-1):] {
			try(conversation.CancelCommand{Agent: agent, Transfer: transfer.SID})
		}
	}
	for _, queue := range walkQueues {
		targets = append(targets, conversation.Target{Queue: queue})
	}
	for _, to := range targets {
		commands := []conversation.Command{conversation.MoveCommand{To: to}}
		for _, agent := range walkAgents {
			commands = append(commands, conversation.TransferCommand{From: agent, To: to, Note: "Please see to it"})
		}
		for _, c := range commands {
			all = append(all, attempt{command: c}) // the desk does not answer
			if s.Check(c, monday) == nil {
				for _, v := range factsToTry(to.Agent != "") {
					all = append(all, attempt{command: c, facts: v})
				}
			}
		}
	}
	return append(all, deadlinesIn(s)...)
}

// deadlinesIn makes each deadline of the state the next one due.
func deadlinesIn(s *conversation.State) []attempt {
	var all []attempt
	for _, task := range s.Tasks {
		due := func(kind conversation.DeadlineKind) {
			all = append(all, attempt{command: conversation.ExpireCommand{}, due: kind, dueTask: task.SID})
		}
		if task.Status == conversation.TaskReserved {
			due(conversation.DeadlineReservation)
		}
		if task.Status.Waiting() {
			due(conversation.DeadlineTask)
		}
		if task.Status == conversation.TaskWrapping && !task.WrapupTimeoutAt.IsZero() {
			due(conversation.DeadlineWrapup)
		}
	}
	return all
}

func withDue(s *conversation.State, a attempt) *conversation.State {
	due := copyOf(s)
	task := due.Task(a.dueTask)
	switch a.due {
	case conversation.DeadlineReservation:
		task.Reservation.ExpiresAt = monday
	case conversation.DeadlineTask:
		task.TimeoutAt = monday
	case conversation.DeadlineWrapup:
		task.WrapupTimeoutAt = monday
	}
	return due
}

// factsToTry returns the desk's answers that make a difference. The setting for unanswered tasks matters only for
// tasks that are directed to an agent.
func factsToTry(aboutAgent bool) []*conversation.Facts {
	var all []*conversation.Facts
	for _, wrapup := range []int{0, 60} {
		settings := bothSwitchesOn()
		settings.WrapupTimeout = wrapup
		all = append(all, factsOf(settings, true))
		if !aboutAgent {
			continue
		}
		for _, policy := range []conversation.AgentUnavailablePolicy{
			conversation.AgentUnavailableRefuse, conversation.AgentUnavailableWait, conversation.AgentUnavailableOriginQueue,
		} {
			settings.AgentUnavailable = policy
			all = append(all, factsOf(settings, false))
		}
		settings.Unanswered, settings.AgentUnavailable = conversation.UnansweredSender, conversation.AgentUnavailableWait
		all = append(all, factsOf(settings, true), factsOf(settings, false))
	}
	return all
}

func factsOf(settings conversation.Settings, available bool) *conversation.Facts {
	return &conversation.Facts{Settings: settings, AgentKnown: true, AgentAvailable: available, QueueKnown: true, QueueMembers: 1}
}

// copyOf copies the parts of a state that commands may change. Attributes are never changed in place; leavesAlone
// and I5 would detect it.
func copyOf(s *conversation.State) *conversation.State {
	c := *s
	c.Tasks = slices.Clone(s.Tasks)
	tasks, reservations := make([]conversation.Task, len(s.Tasks)), make([]conversation.Reservation, len(s.Tasks))
	for i, t := range s.Tasks {
		tasks[i] = *t
		c.Tasks[i] = &tasks[i]
		if t.Reservation != nil {
			reservations[i] = *t.Reservation
			tasks[i].Reservation = &reservations[i]
		}
	}
	c.Transfers = slices.Clone(s.Transfers)
	for i, t := range s.Transfers {
		transfer := *t
		c.Transfers[i] = &transfer
	}
	c.Remembered = slices.Clone(s.Remembered)
	return &c
}

// identity returns the same key for states with the same possible futures. States that differ only in SIDs, times,
// counters, remembered commands, or in a past that no rule reads any more, are the same. Of ended tasks it keeps
// their number and how the last one of each agent ended.
func identity(s *conversation.State) string {
	key := []byte(s.Status)
	word := func(words ...string) {
		for _, w := range words {
			key = append(append(key, ' '), w...)
		}
	}
	flag := func(set bool) {
		if set {
			word("yes")
		} else {
			word("no")
		}
	}
	word(strconv.Itoa(len(s.Tasks)), strconv.Itoa(len(s.Transfers)))
	active := s.ActiveTransfer()
	for i, t := range s.Tasks {
		if !t.Status.Live() {
			continue
		}
		sends := active != nil && active.FromTask == t.SID
		word("task", string(t.Status), t.Agent)
		flag(sends)
		flag(slices.ContainsFunc(s.Tasks[i+1:], func(later *conversation.Task) bool { return later.Agent == t.Agent }))
		if t.Status != conversation.TaskWrapping || sends {
			word(t.Queue)
		}
		if t.Status == conversation.TaskWrapping {
			flag(!t.WrapupTimeoutAt.IsZero())
		}
		if t.Status.Waiting() {
			flag(t.Direct)
			flag(t.Head)
			if t.Direct && active != nil {
				word(string(s.Settings.Unanswered)) // the next transfer or move brings its own settings
			}
			if r := t.Reservation; r != nil {
				word(r.Agent, string(r.Status))
			}
		}
	}
	if s.Status == conversation.ConversationActive {
		flag(s.Settings.WrapupTimeout > 0)
	}
	for _, agent := range walkAgents {
		for _, t := range slices.Backward(s.Tasks) {
			if t.Agent == agent && !t.Status.Live() {
				word(agent, string(t.Status))
				break
			}
		}
	}
	if n := len(s.Transfers); n > 0 {
		last := s.Transfers[n-1]
		word(last.From, string(last.Status))
		flag(last.FailureReason == conversation.ReasonCanceled)
	}
	return string(key)
}
