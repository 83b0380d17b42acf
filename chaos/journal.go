package main

import (
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// verdict is what became of something that was asked.
type verdict string

const (
	// done was answered with an outcome, refused with a refusal; handed is a signal that the server has taken,
	// and unknown was never answered, however often it was asked.
	done    verdict = "done"
	refused verdict = "refused"
	handed  verdict = "handed"
	unknown verdict = "unknown"
)

// entry is one thing that the driver has asked, and what it was answered.
type entry struct {
	// id stands as `by` in the events that come of it, so that each effect can be told whose it is. It is
	// used once in a conversation.
	id           string
	conversation string
	name         conversation.CommandName
	way          way
	command      conversation.Command
	// author and text are of a message.
	author, text string
	// presence is what an agent was to become, agent who.
	agent, presence string

	// intended is when it was meant to be sent, sent when it was at first, answered when its answer came.
	intended, sent, answered time.Time
	// attempts is how often it was sent, unanswered how many of them had no answer.
	attempts, unanswered int

	verdict verdict
	code    conversation.Code
	// refusal is how it was refused, for people.
	refusal string
	// outcome is what the client was answered, nil over HTTP; told is the SID in an answer over HTTP.
	outcome *conversation.Outcome
	told    string
}

// What the driver does that is no command of the rules.
const (
	nameSay      conversation.CommandName = "say"
	nameNote     conversation.CommandName = "note"
	nameClaim    conversation.CommandName = "claim"
	namePresence conversation.CommandName = "presence"
)

// took is how long the answer took from when it was meant to be sent: what held up the sender counts too.
func (e *entry) took() time.Duration { return e.answered.Sub(e.intended) }

// journal is the driver's log. It is safe for concurrent use.
type journal struct {
	mutex   sync.Mutex
	entries []*entry
	// looked counts the states that were looked at, broken holds what was wrong with them. stranded are
	// conversations that waited although somebody was free.
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

// correct changes what became of an entry that was written already.
func (j *journal) correct(e *entry, to verdict, code conversation.Code) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	e.verdict, e.code = to, code
}

// counts returns how many entries there are of each verdict so far, and how many of them are starts.
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

// enough tells whether there is something of each kind that the verdict says something about: a machine under
// load gets to little in a short time.
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

// look notes that a state was looked at, and what it breaks.
func (j *journal) look(record *conversation.Record) {
	err := record.Broken()
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.looked++
	if err != nil {
		j.broken = append(j.broken, err)
	}
}

// strand notes a conversation that waits although somebody is free.
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
