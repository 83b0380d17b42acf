package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
)

// way is how something is said to a conversation.
type way string

const (
	// byClient is an update through baton.Client, byHTTP a request to one of the gateways, and bySignal a
	// bare signal, sent twice.
	byClient way = "client"
	byHTTP   way = "http"
	bySignal way = "signal"
)

// act is what somebody means to do. Whom it is done to is found out at the time.
type act string

const (
	actAnswer   act = "answer" // accept or decline what is offered
	actTransfer act = "transfer"
	actWrapup   act = "wrapup"
	actEnd      act = "end"
	actCancel   act = "cancel"
	actMove     act = "move"
	actClaim    act = "claim"
	actClose    act = "close"
	actSay      act = "say"
	// actWrong is a command of somebody who has no business there.
	actWrong act = "wrong"
	// actRace has several at once, actShuffle several signals, each twice and in any order.
	actRace    act = "race"
	actShuffle act = "shuffle"
)

// step is one thing that is meant to be done in a conversation.
type step struct {
	// gap is how long after the step before it is meant to be done.
	gap time.Duration
	act act
	way way
	// copies is how often the same is sent at the same time.
	copies int
	// dice decide what is left to be found out: which agent, which queue, with a note or without.
	dice dice
}

type dice [4]uint32

// of is a number below n.
func (d dice) of(which, n int) int { return int(d[which] % uint32(n)) } //nolint:gosec // n is small and positive

// talkPlan is a conversation as its customer, its agents and the services around it mean it to go.
type talkPlan struct {
	number int
	at     time.Duration
	way    way
	start  conversation.StartCommand
	steps  []step
	// stays is set where the conversation is left open at the end.
	stays bool
}

// stayingOf is of how many conversations one is left open.
const stayingOf = 8

func (p *plan) planTalk(r *rand.Rand, number int) talkPlan {
	// The last ones begin early enough to be passed on a few times.
	last := min(p.lasts*8/10, max(p.lasts/3, p.lasts-15*time.Second))
	t := talkPlan{number: number, at: between(r, 0, last), way: pick(r, byClient, byHTTP), stays: number%stayingOf == 0}
	marked, err := json.Marshal(map[string]any{"number": number, "words": []string{"ünïcode", "\"quoted\""}})
	if err != nil {
		panic(fmt.Sprintf("numbers and words have no JSON: %v", err)) // they always have
	}
	t.start = conversation.StartCommand{
		Conversation: sid(r), Channel: pick(r, conversation.ChannelWeb, conversation.ChannelWeb, conversation.ChannelSMS),
		Customer: conversation.Customer{Name: fmt.Sprintf("Customer %d", number)}, Queue: pick(r, p.queues...), Priority: r.IntN(3),
		Attributes: conversation.Attributes{"order": baton.Attribute(strconv.Itoa(number)), "marked": marked},
	}
	if r.IntN(10) == 0 {
		t.start.Agent = pick(r, p.agents...).name
	}
	plan := func(acts ...act) { t.plan(r, min(2*time.Second, p.lasts/24), acts...) }
	plan(actSay, actAnswer)
	for range 1 + r.IntN(4) {
		plan(actSay, actSay, actTransfer)
		plan(pick(r, actAnswer, actAnswer, actAnswer, actAnswer, actCancel, actMove, actRace, actShuffle, actClaim))
		plan(pick(r, actWrapup, actWrapup, actWrapup, actWrong, actShuffle), actAnswer)
	}
	if r.IntN(3) == 0 {
		plan(pick(r, actClose, actEnd, actRace), actWrapup)
	}
	return t
}

// plan appends steps, of which one in eight is something else, with at most that time between them.
func (t *talkPlan) plan(r *rand.Rand, gap time.Duration, acts ...act) {
	for _, a := range acts {
		s := step{gap: between(r, gap/40, gap), act: a, copies: 1}
		if r.IntN(8) == 0 {
			s.act = pick(r, actWrong, actRace, actShuffle, actMove, actCancel, actWrapup, actSay)
		}
		s.way = pick(r, byClient, byClient, byHTTP, byHTTP, bySignal)
		if r.IntN(6) == 0 {
			s.copies = 2
		}
		for i := range s.dice {
			s.dice[i] = r.Uint32()
		}
		t.steps = append(t.steps, s)
	}
}
