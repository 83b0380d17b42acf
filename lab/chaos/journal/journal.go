// Package journal keeps the driver's log of a run of chaos: every command and request with its answer, and what the
// driver saw of the conversations meanwhile.
//
// Must not import: packages that run or check anything.
package journal

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// Verdict is the result of a command or request.
type Verdict string

// Verdicts.
const (
	// Done was answered with an outcome, Refused with a refusal. Handed is a signal that the server accepted.
	// Unknown was never answered, despite all retries.
	Done    Verdict = "done"
	Refused Verdict = "refused"
	Handed  Verdict = "handed"
	Unknown Verdict = "unknown"
)

// Entry is one command or request of the driver, with its answer.
type Entry struct {
	// id is the value of `by` in the events that the command causes, so that each effect can be traced to its
	// entry. It is used once in a conversation.
	ID           string
	Conversation string
	Name         conversation.CommandName
	Way          plan.Way
	Command      conversation.Command
	// author and text belong to a message.
	Author, Text string
	// presence is the presence that was requested for agent.
	Agent, Presence string

	// intended is when it was planned to be sent, sent when it was first sent, answered when its answer arrived.
	Intended, Sent, Answered time.Time
	// attempts is how often it was sent, unanswered how many of those attempts had no answer.
	Attempts, Unanswered int

	Verdict Verdict
	Code    conversation.Code
	// refusal is the text of the refusal.
	Refusal string
	// outcome is the client's outcome, nil over HTTP. told is the SID in the answer over HTTP.
	Outcome *conversation.Outcome
	Told    string
}

// Took is the time from when it was planned to be sent until the answer: delays of the sender count too.
func (e *Entry) Took() time.Duration { return e.Answered.Sub(e.Intended) }

// Answer records the result of an attempt and reports whether it was an answer.
func (e *Entry) Answer(err error) bool {
	e.Attempts++
	code := conversation.CodeOf(err)
	switch {
	case err == nil:
		e.Verdict, e.Answered = Done, time.Now()
		return true
	case code == conversation.CodeDeskUnavailable: // nothing was changed: retry in a moment
		return false
	case code != "":
		if e.Verdict != Done {
			e.Verdict, e.Code, e.Refusal, e.Answered = Refused, code, err.Error(), time.Now()
		}
		return true
	default:
		e.Unanswered++
		return false
	}
}

// Journal is the driver's log. It is safe for concurrent use.
type Journal struct {
	mutex   sync.Mutex
	entries []*Entry
	seen    Seen
}

// Write adds an entry that is answered, or will not be.
func (j *Journal) Write(e *Entry) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.entries = append(j.entries, e)
}

// Correct changes the verdict of an entry that is already in the journal.
func (j *Journal) Correct(e *Entry, to Verdict, code conversation.Code) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	e.Verdict, e.Code = to, code
}

// Counts returns how many entries each verdict has so far, and how many entries are starts.
func (j *Journal) Counts() (of map[Verdict]int, starts int) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	of = map[Verdict]int{}
	for _, e := range j.entries {
		of[e.Verdict]++
		if e.Name == conversation.CommandStart {
			starts++
		}
	}
	return of, starts
}

// Enough reports whether the journal has something of each kind that the checks need: a busy machine gets little
// done in a short run.
func (j *Journal) Enough() bool {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	had := map[conversation.CommandName]bool{}
	var signal, noted bool
	for _, e := range j.entries {
		had[e.Name] = had[e.Name] || e.Verdict == Done
		signal = signal || e.Verdict == Handed
		noted = noted || (e.Verdict == Done && e.Text != "" && e.Name != plan.NameSay)
	}
	return signal && noted && had[plan.NameSay] && had[conversation.CommandTransfer] && had[conversation.CommandAccept] && had[conversation.CommandWrapup]
}

// Look counts a state that was read, and records the invariants that it breaks.
func (j *Journal) Look(record *conversation.Record) {
	err := record.Broken()
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.seen.Looked++
	if err != nil {
		j.seen.Broken = append(j.seen.Broken, err)
	}
}

// Strand records a conversation that waits although an agent is free.
func (j *Journal) Strand(err error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.seen.Stranded = append(j.seen.Stranded, err)
}

// All returns the entries so far.
func (j *Journal) All() []*Entry {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return append([]*Entry{}, j.entries...)
}

// Seen is what the driver saw while it read the conversations' states.
type Seen struct {
	// Looked is how many states were read, and Broken holds the invariants that they broke.
	Looked int
	Broken []error
	// Stranded are conversations that waited although an agent was free.
	Stranded []error
}

// Seen returns what the driver has seen so far.
func (j *Journal) Seen() Seen {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.seen
}

// Under returns the command with that ID as its ID and sender, by which its effects are recognized.
func Under[C conversation.Command](id string, c C) conversation.Command {
	payload, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a %s command has no JSON: %v", c.Name(), err)) // its fields are text
	}
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		panic(fmt.Sprintf("the JSON of a %s command isn't an object: %v", c.Name(), err))
	}
	fields["by"] = id
	if payload, err = json.Marshal(fields); err != nil {
		panic(fmt.Sprintf("a %s command has no JSON: %v", c.Name(), err))
	}
	command, err := conversation.Decode(c.Name(), payload, id)
	if err != nil {
		panic(fmt.Sprintf("the driver makes a %s command that is none: %v", c.Name(), err))
	}
	return command
}
