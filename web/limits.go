package web

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/limit"
)

// Limits bound what people of whom little is known may do. A zero pace stands for the default.
type Limits struct {
	// Chats are begun from one address (of IPv6, one /64), ChatsTotal from all.
	Chats, ChatsTotal limit.Pace
	// SignIns are begun from one address, SignInsTotal from all.
	SignIns, SignInsTotal limit.Pace
	// Messages are written by the customer of one chat, MessagesTotal by all customers.
	Messages, MessagesTotal limit.Pace
}

// DefaultLimits returns the limits where nothing else is set.
func DefaultLimits() Limits {
	return Limits{
		Chats: limit.Pace{Count: 10, Per: time.Minute}, ChatsTotal: limit.Pace{Count: 100, Per: 10 * time.Second},
		// One address may be a whole office where a shift begins.
		SignIns: limit.Pace{Count: 100, Per: 50 * time.Second}, SignInsTotal: limit.Pace{Count: 1000, Per: 20 * time.Second},
		Messages: limit.Pace{Count: 10, Per: 10 * time.Second}, MessagesTotal: limit.Pace{Count: 10_000, Per: 10 * time.Second},
	}
}

// or fills in what is not set.
func (l Limits) or(other Limits) Limits {
	return Limits{
		Chats: l.Chats.Or(other.Chats), ChatsTotal: l.ChatsTotal.Or(other.ChatsTotal),
		SignIns: l.SignIns.Or(other.SignIns), SignInsTotal: l.SignInsTotal.Or(other.SignInsTotal),
		Messages: l.Messages.Or(other.Messages), MessagesTotal: l.MessagesTotal.Or(other.MessagesTotal),
	}
}

// addressLimiter bounds how often something is done from one address.
type addressLimiter struct{ limiter *limit.Limiter }

func newAddressLimiter(each, total limit.Pace) addressLimiter {
	return addressLimiter{limit.New(each, total)}
}

// take counts an attempt from the request's address, and returns how long to wait where there were too many.
func (l addressLimiter) take(r *http.Request) time.Duration {
	return l.limiter.Take(forwarded.Of(r).Network())
}

// waits says with the answer how long to wait, if there is a wait, and returns the wait.
func (v *visit) waits(wait time.Duration) time.Duration {
	if wait != 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return wait
}

// tooMany is the sentence for too many of something, which says when the next is possible.
func tooMany(what string, wait time.Duration) string {
	seconds := int(math.Ceil(wait.Seconds()))
	in := plural(seconds, "second", "seconds")
	switch {
	case seconds > 90*60:
		in = plural((seconds+3599)/3600, "hour", "hours")
	case seconds > 90:
		in = plural((seconds+59)/60, "minute", "minutes")
	}
	return "Too many " + what + ". Please try again in " + in + "."
}

// How many streams may be open: of one chat or one person, and in all.
const (
	streamsOfOne = 8
	streamsOfAll = 20_000
)

// streams counts what is open: each holds a connection for as long as a browser likes.
type streams struct {
	mutex sync.Mutex
	open  int
	byKey map[string]int
}

func newStreams() *streams { return &streams{byKey: map[string]int{}} }

// enter counts one more of the key, until leave is called; false where there are too many already.
func (s *streams) enter(key string) (leave func(), ok bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.open >= streamsOfAll || s.byKey[key] >= streamsOfOne {
		return nil, false
	}
	s.open++
	s.byKey[key]++
	return sync.OnceFunc(func() { s.leave(key) }), true
}

func (s *streams) leave(key string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.open--
	if s.byKey[key]--; s.byKey[key] == 0 {
		delete(s.byKey, key)
	}
}
