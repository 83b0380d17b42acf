package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

const (
	// sealedFor is how long a signal is kept whose key the workers do not have. It is tried meanwhile after sealedEvery, then less
	// and less often, and at least every sealedRarely.
	sealedFor    = time.Hour
	sealedEvery  = 10 * time.Second
	sealedRarely = 5 * time.Minute
	// sealedKept and sealedBytes bound what is kept of such signals: runs leave it to the next one.
	sealedKept  = 50
	sealedBytes = 96 << 10
	// maxSignal is how many bytes a signal's JSON may have: far more than any command needs, and far less than the server takes.
	maxSignal = 256 << 10
)

// sealed is a signal that was set aside: no worker had its key.
type sealed struct {
	Name     string          `json:"name"`
	Payloads []sealedPayload `json:"payloads"`
	At       time.Time       `json:"at"`
}

// sealedPayload is a payload of Temporal's API as it was sent.
type sealedPayload struct {
	Metadata map[string][]byte `json:"metadata"`
	Data     []byte            `json:"data"`
}

// arguments are the payloads as Temporal's API has them.
func (s sealed) arguments() *commonpb.Payloads {
	var payloads []*commonpb.Payload
	for _, p := range s.Payloads {
		payloads = append(payloads, &commonpb.Payload{Metadata: p.Metadata, Data: p.Data})
	}
	return &commonpb.Payloads{Payloads: payloads}
}

// bytes is how much of it is left to the next run: JSON.
func (s sealed) bytes() int {
	encoded, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a signal that was set aside can't be encoded: %v", err)) // bytes and names
	}
	return len(encoded)
}

// unopened are the arguments of a signal that are encrypted: whether the worker has their key is found out by the loop, which
// records that it does not.
type unopened struct {
	arguments *commonpb.Payloads
	// open reads them; the error is a [missingKey] where the worker does not have the key.
	open func(*commonpb.Payloads, ...any) error
}

// missingKey is the error of a payload whose key the worker does not have.
type missingKey interface {
	error
	MissingKey() string
}

// read reads the arguments of a signal into the arrival. The error is that of a missing key: others are refusals.
func (a *arrival) read(open func(*commonpb.Payloads, ...any) error, arguments *commonpb.Payloads) error {
	var payload, extra converter.RawValue
	err := open(arguments, &payload, &extra)
	if missing, ok := errors.AsType[missingKey](err); ok {
		return missing
	}
	name := conversation.CommandName(a.name)
	if err != nil {
		a.refusal = conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"%s: the payload can't be decoded: encode it for this workflow, as this service's workers do", name)
		return nil //nolint:nilerr // it is refused
	}
	if length := len(jsonOf(payload)); length > maxSignal {
		// It is decoded only where it is carried out all the same: a replay of many takes long enough.
		a.unstorable = conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"%s: the payload has %d bytes: send at most %d", name, length, maxSignal)
		a.large = func() (conversation.Command, error) { return decode(name, payload, extra, "") }
		return nil
	}
	a.command, a.refusal = decode(name, payload, extra, "")
	a.unstorable = conversation.RefuseUnstorable(name, jsonOf(payload))
	return nil
}

// openArrivals reads the signals in the inbox that are encrypted, and sets those aside whose key this worker does not have. They
// hold nothing up, and are tried again.
func (r *run) openArrivals(ctx workflow.Context) {
	var closed []int
	missing := map[int]error{}
	for i := range r.inbox.arrivals {
		a := &r.inbox.arrivals[i]
		if a.unopened == nil {
			continue
		}
		closed = append(closed, i)
		if err := a.read(a.unopened.open, a.unopened.arguments); err != nil {
			missing[i] = err
		}
	}
	if len(closed) == 0 {
		return
	}
	aside := r.decidedHere(ctx, closed, missing)
	for _, i := range closed {
		if !slices.Contains(aside, i) {
			if err := missing[i]; err != nil {
				panic(err.Error()) // fails the workflow task only: it waits for a worker that has the key, as the first one had
			}
			r.inbox.arrivals[i].unopened = nil
		}
	}
	kept := r.inbox.arrivals[:0]
	for i, a := range r.inbox.arrivals {
		if slices.Contains(aside, i) {
			r.setAside(ctx, a)
			continue
		}
		kept = append(kept, a)
	}
	clear(r.inbox.arrivals[len(kept):])
	if r.inbox.arrivals = kept; len(kept) == 0 {
		r.inbox.arrivals = nil
	}
}

// decidedHere returns which of the closed arrivals are set aside: those whose key is missing here, which is recorded, so that a
// replay sets the same signals aside with any keys. Nothing is recorded while no key is missing.
func (r *run) decidedHere(ctx workflow.Context, closed []int, missing map[int]error) []int {
	if !r.keepsSealed {
		r.closedRounds++
		if len(missing) == 0 && !workflow.IsReplaying(ctx) {
			return nil
		}
		// While replaying, a round that has no marker of its own was one in which no key was missing.
		if workflow.GetVersion(ctx, "sealed-"+strconv.Itoa(r.closedRounds), workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return nil
		}
		r.keepsSealed = true
	}
	return recorded(ctx, func() []int {
		return slices.DeleteFunc(slices.Clone(closed), func(i int) bool { return missing[i] == nil })
	})
}

// recorded returns what a function finds that differs between workers, as it was found first.
func recorded(ctx workflow.Context, find func() []int) (found []int) {
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return find() }).Get(&found); err != nil {
		panic(fmt.Sprintf("this build can't read which keys were missing: %v", err)) // fails the workflow task only
	}
	return found
}

// setAside keeps a signal whose key is missing, or refuses it where too much is kept already.
func (r *run) setAside(ctx workflow.Context, a arrival) {
	s := sealed{Name: a.name, At: workflow.Now(ctx)}
	for _, p := range a.unopened.arguments.GetPayloads() {
		s.Payloads = append(s.Payloads, sealedPayload{p.GetMetadata(), p.GetData()})
	}
	kept := s.bytes()
	for i := range r.aside {
		kept += r.aside[i].bytes()
	}
	if len(r.aside) >= sealedKept || kept > sealedBytes {
		r.refuseSealed(ctx, s, "and too much of such signals is kept already")
		return
	}
	r.aside = append(r.aside, s)
	countSetAside(ctx, a.name)
	r.log(ctx).Warn("signal set aside: its key is missing", "signal", a.name, "key", s.key())
}

// trySealed reads the signals that were set aside again, now and then, and refuses those that no worker has been able to read for
// too long.
func (r *run) trySealed(ctx workflow.Context) {
	now := workflow.Now(ctx)
	if len(r.aside) == 0 || (!r.unseal.rang() && now.Sub(r.triedAt) < sealedEvery) {
		return
	}
	r.triedAt = now
	r.unseal.cancel()
	opened := map[int]arrival{}
	for i, s := range r.aside {
		a := arrival{name: s.Name}
		if a.read(r.inbox.open, s.arguments()) == nil {
			opened[i] = a
		}
	}
	found := recorded(ctx, func() (found []int) {
		for i := range r.aside {
			if _, ok := opened[i]; ok {
				found = append(found, i)
			}
		}
		return found
	})
	var still []sealed
	for i, s := range r.aside {
		a, ok := opened[i]
		switch {
		case slices.Contains(found, i):
			if !ok {
				panic(fmt.Sprintf("the %s signal needs a key that is not configured here", s.Name)) // waits for a worker that has it
			}
			r.inbox.put(a)
		case now.Sub(s.At) >= sealedFor:
			r.refuseSealed(ctx, s, "and the worker of this conversation did not have it for an hour")
		default:
			still = append(still, s)
		}
	}
	r.aside = still
}

// nextTry is when the signals that were set aside are read again.
func (r *run) nextTry(ctx workflow.Context) time.Time {
	waited := workflow.Now(ctx).Sub(r.aside[0].At)
	return workflow.Now(ctx).Add(min(max(waited, sealedEvery), sealedRarely))
}

// keyName is what key IDs look like: only such a one is repeated.
var keyName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// asideDetails says in the current details that signals wait for their key.
func (r *run) asideDetails() string {
	if len(r.aside) == 0 {
		return ""
	}
	return fmt.Sprintf("\n\nSignals that cannot be read yet: %d. The key %q is missing.", len(r.aside), r.aside[0].key())
}

// key is the ID of the key that the signal is encrypted with.
func (s sealed) key() string {
	for _, p := range s.Payloads {
		if id := string(p.Metadata[metadataKeyID]); keyName.MatchString(id) {
			return id
		}
	}
	return "unknown"
}

func (r *run) refuseSealed(ctx workflow.Context, s sealed, why string) {
	refusal := conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
		"%s: the payload is encrypted with the key %q, %s: give every worker that key, then send it again", s.Name, s.key(), why)
	countRefused(ctx, s.Name, refusal)
	r.recordRefusal(ctx, s.Name, refusal)
}
