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

// way is how a command is sent to a conversation.
type way string

const (
	// byClient is an update through baton.Client, byHTTP a request to one of the gateways, and bySignal a bare
	// signal, sent twice.
	byClient way = "client"
	byHTTP   way = "http"
	bySignal way = "signal"
)

// act is what a customer, agent or service means to do. Its target is chosen when the step is taken.
type act string

const (
	actAnswer   act = "answer" // accept or decline the offer
	actTransfer act = "transfer"
	actWrapup   act = "wrapup"
	actEnd      act = "end"
	actCancel   act = "cancel"
	actMove     act = "move"
	actClaim    act = "claim"
	actClose    act = "close"
	actSay      act = "say"
	// actWrong is a command by an agent who is most likely not allowed to give it.
	actWrong act = "wrong"
	// actRace sends several commands at once. actShuffle sends several signals, each twice and in random order.
	actRace    act = "race"
	actShuffle act = "shuffle"
)

// step is one planned action in a conversation.
type step struct {
	// gap is the time from the previous step's planned time to this one's.
	gap time.Duration
	act act
	way way
	// copies is how many times the same request is sent at the same time.
	copies int
	// dice decide the rest when the step is taken: which agent, which queue, with a note or without.
	dice dice
}

type dice [4]uint32

// of returns a number in [0, n).
func (d dice) of(which, n int) int { return int(d[which] % uint32(n)) } //nolint:gosec // n is small and positive

// talkPlan is the planned course of a conversation.
type talkPlan struct {
	number int
	at     time.Duration
	way    way
	start  conversation.StartCommand
	steps  []step
	// stays reports whether the conversation is left open at the end.
	stays bool
}

// One conversation of every stayingOf is left open.
const stayingOf = 8

func (p *plan) planTalk(r *rand.Rand, number int) talkPlan {
	// The last conversations start early enough to be transferred a few times.
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
	if r.IntN(4) != 0 { // else agents soon have all that they can take
		plan(pick(r, actClose, actEnd, actRace), actWrapup)
	}
	return t
}

// plan appends steps with at most gap between them. One step in eight is replaced by a random other one.
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
