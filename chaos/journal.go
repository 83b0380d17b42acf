package main

import (
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// verdict is the result of a command or request.
type verdict string

const (
	// done was answered with an outcome, refused with a refusal. handed is a signal that the server accepted.
	// unknown was never answered, despite all retries.
	done    verdict = "done"
	refused verdict = "refused"
	handed  verdict = "handed"
	unknown verdict = "unknown"
)

// entry is one command or request of the driver, with its answer.
type entry struct {
	// id is the value of `by` in the events that the command causes, so that each effect can be traced to its
	// entry. It is used once in a conversation.
	id           string
	conversation string
	name         conversation.CommandName
	way          way
	command      conversation.Command
	// author and text belong to a message.
	author, text string
	// presence is the presence that was requested for agent.
	agent, presence string

	// intended is when it was planned to be sent, sent when it was first sent, answered when its answer arrived.
	intended, sent, answered time.Time
	// attempts is how often it was sent, unanswered how many of those attempts had no answer.
	attempts, unanswered int

	verdict verdict
	code    conversation.Code
	// refusal is the text of the refusal.
	refusal string
	// outcome is the client's outcome, nil over HTTP. told is the SID in the answer over HTTP.
	outcome *conversation.Outcome
	told    string
}

// Names for the driver's actions that are not commands.
const (
	nameSay      conversation.CommandName = "say"
	nameNote     conversation.CommandName = "note"
	nameClaim    conversation.CommandName = "claim"
	namePresence conversation.CommandName = "presence"
)

// took is the time from when it was planned to be sent until the answer: delays of the sender count too.
func (e *entry) took() time.Duration { return e.answered.Sub(e.intended) }

// journal is the driver's log. It is safe for concurrent use.
type journal struct {
	mutex   sync.Mutex
	entries []*entry
	// looked is how many states were read, and broken holds the invariants that they broke. stranded are
	// conversations that waited although an agent was free.
	looked   int
	broken   []error
	stranded []error
}

// write adds an entry that is answered, or will not be.
func (j *journal) write(e *entry) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.entries = append(j.entries, e)
}

// correct changes the verdict of an entry that is already in the journal.
func (j *journal) correct(e *entry, to verdict, code conversation.Code) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	e.verdict, e.code = to, code
}

// counts returns how many entries each verdict has so far, and how many entries are starts.
func (j *journal) counts() (of map[verdict]int, starts int) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	of = map[verdict]int{}
	for _, e := range j.entries {
		of[e.verdict]++
		if e.name == conversation.CommandStart {
			starts++
		}
	}
	return of, starts
}

// enough reports whether the journal has something of each kind that the checks need: a busy machine gets little
// done in a short run.
func (j *journal) enough() bool {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	had := map[conversation.CommandName]bool{}
	var signal, noted bool
	for _, e := range j.entries {
		had[e.name] = had[e.name] || e.verdict == done
		signal = signal || e.verdict == handed
		noted = noted || (e.verdict == done && e.text != "" && e.name != nameSay)
	}
	return signal && noted && had[nameSay] && had[conversation.CommandTransfer] && had[conversation.CommandAccept] && had[conversation.CommandWrapup]
}

// look counts a state that was read, and records the invariants that it breaks.
func (j *journal) look(record *conversation.Record) {
	err := record.Broken()
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.looked++
	if err != nil {
		j.broken = append(j.broken, err)
	}
}

// strand records a conversation that waits although an agent is free.
func (j *journal) strand(err error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.stranded = append(j.stranded, err)
}

// all returns the entries so far.
func (j *journal) all() []*entry {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return append([]*entry{}, j.entries...)
}
