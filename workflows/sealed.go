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
	// sealedFor is how long a signal is kept whose key the workers do not have. It is tried after sealedEvery, then
	// at growing intervals of at most sealedRarely.
	sealedFor    = time.Hour
	sealedEvery  = 10 * time.Second
	sealedRarely = 5 * time.Minute
	// sealedKept and sealedBytes limit the number and the size of these signals, because runs pass them to the next
	// one.
	sealedKept  = 50
	sealedBytes = 96 << 10
	// maxSignal is the most bytes of a signal's JSON: far more than any command needs, and far less than the server
	// accepts.
	maxSignal = 256 << 10
)

// sealed is a signal that was set aside because no worker had its key.
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

// arguments returns the payloads as types of Temporal's API.
func (s sealed) arguments() *commonpb.Payloads {
	var payloads []*commonpb.Payload
	for _, p := range s.Payloads {
		payloads = append(payloads, &commonpb.Payload{Metadata: p.Metadata, Data: p.Data})
	}
	return &commonpb.Payloads{Payloads: payloads}
}

// bytes returns the size of the JSON that is passed to the next run.
func (s sealed) bytes() int {
	encoded, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a signal that was set aside can't be encoded: %v", err)) // not reached: it has only bytes and names
	}
	return len(encoded)
}

// unopened are the encrypted arguments of a signal. The loop finds out whether the worker has their key, and
// records if it does not.
type unopened struct {
	arguments *commonpb.Payloads
	// open decrypts the arguments. The error is a [missingKey] if the worker does not have the key.
	open func(*commonpb.Payloads, ...any) error
}

// missingKey is the error for a payload whose key the worker does not have.
type missingKey interface {
	error
	MissingKey() string
}

// read reads the arguments of a signal into the arrival. It returns an error only for a missing key. Other errors
// become the arrival's refusal.
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
		return nil //nolint:nilerr // the error becomes a refusal
	}
	if length := len(jsonOf(payload)); length > maxSignal {
		// A large signal is decoded only if it is carried out in spite of its size: decoding many would make
		// replays slow.
		a.unstorable = conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"%s: the payload has %d bytes: send at most %d", name, length, maxSignal)
		a.large = func() (conversation.Command, error) { return decode(name, payload, extra, "") }
		return nil
	}
	a.command, a.refusal = decode(name, payload, extra, "")
	a.unstorable = conversation.RefuseUnstorable(name, jsonOf(payload))
	return nil
}

// openArrivals reads the encrypted signals in the inbox, and sets those aside whose key this worker does not have.
// These do not delay other commands, and are tried again later.
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
				panic(err.Error()) // fails only the workflow task, until a worker has the key, as the first worker had
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

// decidedHere returns which of the closed arrivals are set aside: those whose key is missing on this worker. The
// answer is recorded, so that a replay sets the same signals aside with any keys. Nothing is recorded while no key
// is missing.
func (r *run) decidedHere(ctx workflow.Context, closed []int, missing map[int]error) []int {
	if !r.keepsSealed {
		r.closedRounds++
		if len(missing) == 0 && !workflow.IsReplaying(ctx) {
			return nil
		}
		// In a replay, a round without a marker is one in which no key was missing.
		if workflow.GetVersion(ctx, "sealed-"+strconv.Itoa(r.closedRounds), workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			return nil
		}
		r.keepsSealed = true
	}
	return recorded(ctx, func() []int {
		return slices.DeleteFunc(slices.Clone(closed), func(i int) bool { return missing[i] == nil })
	})
}

// recorded returns the result of find, which can differ between workers, as recorded by the first execution.
func recorded(ctx workflow.Context, find func() []int) (found []int) {
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return find() }).Get(&found); err != nil {
		panic(fmt.Sprintf("this build can't read which keys were missing: %v", err)) // fails only the workflow task
	}
	return found
}

// setAside keeps a signal whose key is missing, or refuses it if too many or too large ones are kept already.
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
	r.log(ctx).Warn("signal set aside, its key is missing", "signal", a.name, "key", s.key())
}

// trySealed tries again, from time to time, to read the signals that were set aside. It refuses those that no
// worker was able to read for [sealedFor].
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
				panic(fmt.Sprintf("the %s signal needs a key that is not configured here", s.Name)) // fails only the workflow task, until a worker has the key
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

// nextTry returns when the signals that were set aside are tried again.
func (r *run) nextTry(ctx workflow.Context) time.Time {
	waited := workflow.Now(ctx).Sub(r.aside[0].At)
	return workflow.Now(ctx).Add(min(max(waited, sealedEvery), sealedRarely))
}

// keyName matches valid key IDs. Only these are repeated in texts.
var keyName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// asideDetails returns the part of the current details about signals that wait for their key, "" if there are none.
func (r *run) asideDetails() string {
	if len(r.aside) == 0 {
		return ""
	}
	return fmt.Sprintf("\n\nSignals that cannot be read yet: %d. The key %q is missing.", len(r.aside), r.aside[0].key())
}

// key returns the ID of the key that the signal is encrypted with, "unknown" if it has no valid one.
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
