package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
)

// Way is how a command is sent to a conversation.
type Way string

// Ways.
const (
	// ByClient is an update through baton.Client, ByHTTP a request to one of the gateways, and BySignal a bare
	// signal, sent twice.
	ByClient Way = "client"
	ByHTTP   Way = "http"
	BySignal Way = "signal"
)

// Act is what a customer, agent or service means to do. Its target is chosen when the step is taken.
type Act string

// Acts.
const (
	ActAnswer   Act = "answer" // accept or decline the offer
	ActTransfer Act = "transfer"
	ActWrapup   Act = "wrapup"
	ActEnd      Act = "end"
	ActCancel   Act = "cancel"
	ActMove     Act = "move"
	ActClaim    Act = "claim"
	ActClose    Act = "close"
	ActSay      Act = "say"
	// ActWrong is a command by an agent who is most likely not allowed to give it.
	ActWrong Act = "wrong"
	// ActRace sends several commands at once. ActShuffle sends several signals, each twice and in random order.
	ActRace    Act = "race"
	ActShuffle Act = "shuffle"
)

// Step is one planned action in a conversation.
type Step struct {
	// gap is the time from the previous step's planned time to this one's.
	Gap time.Duration
	Act Act
	Way Way
	// copies is how many times the same request is sent at the same time.
	Copies int
	// dice decide the rest when the step is taken: which agent, which queue, with a note or without.
	Dice Dice
}

// Dice are random numbers.
type Dice [4]uint32

// of returns a number in [0, n).
func (d Dice) of(which, n int) int { return int(d[which] % uint32(n)) } //nolint:gosec // n is small and positive

// Talk is the planned course of a conversation.
type Talk struct {
	Number int
	At     time.Duration
	Way    Way
	Start  conversation.StartCommand
	Steps  []Step
	// stays reports whether the conversation is left open at the end.
	Stays bool
}

// One conversation of every stayingOf is left open.
const stayingOf = 8

func (p *Plan) planTalk(r *rand.Rand, number int) Talk {
	// The last conversations start early enough to be transferred a few times.
	last := min(p.Lasts*8/10, max(p.Lasts/3, p.Lasts-15*time.Second))
	t := Talk{Number: number, At: between(r, 0, last), Way: pick(r, ByClient, ByHTTP), Stays: number%stayingOf == 0}
	marked, err := json.Marshal(map[string]any{"number": number, "words": []string{"ünïcode", "\"quoted\""}})
	if err != nil {
		panic(fmt.Sprintf("numbers and words have no JSON: %v", err)) // they always have
	}
	t.Start = conversation.StartCommand{
		Conversation: sid(r), Channel: pick(r, conversation.ChannelWeb, conversation.ChannelWeb, conversation.ChannelSMS),
		Customer: conversation.Customer{Name: fmt.Sprintf("Customer %d", number)}, Queue: pick(r, p.Queues...), Priority: r.IntN(3),
		Attributes: conversation.Attributes{"order": baton.Attribute(strconv.Itoa(number)), "marked": marked},
	}
	if r.IntN(10) == 0 {
		t.Start.Agent = pick(r, p.Agents...).Name
	}
	plan := func(acts ...Act) { t.plan(r, min(2*time.Second, p.Lasts/24), acts...) }
	plan(ActSay, ActAnswer)
	for range 1 + r.IntN(4) {
		plan(ActSay, ActSay, ActTransfer)
		plan(pick(r, ActAnswer, ActAnswer, ActAnswer, ActAnswer, ActCancel, ActMove, ActRace, ActShuffle, ActClaim))
		plan(pick(r, ActWrapup, ActWrapup, ActWrapup, ActWrong, ActShuffle), ActAnswer)
	}
	if r.IntN(4) != 0 { // else agents soon have all that they can take
		plan(pick(r, ActClose, ActEnd, ActRace), ActWrapup)
	}
	return t
}

// plan appends steps with at most gap between them. One step in eight is replaced by a random other one.
func (t *Talk) plan(r *rand.Rand, gap time.Duration, acts ...Act) {
	for _, a := range acts {
		s := Step{Gap: between(r, gap/40, gap), Act: a, Copies: 1}
		if r.IntN(8) == 0 {
			s.Act = pick(r, ActWrong, ActRace, ActShuffle, ActMove, ActCancel, ActWrapup, ActSay)
		}
		s.Way = pick(r, ByClient, ByClient, ByHTTP, ByHTTP, BySignal)
		if r.IntN(6) == 0 {
			s.Copies = 2
		}
		for i := range s.Dice {
			s.Dice[i] = r.Uint32()
		}
		t.Steps = append(t.Steps, s)
	}
}

// Names for the driver's actions that are not commands.
const (
	NameSay      conversation.CommandName = "say"
	NameNote     conversation.CommandName = "note"
	NameClaim    conversation.CommandName = "claim"
	NamePresence conversation.CommandName = "presence"
)
