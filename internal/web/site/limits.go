package site

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/web/words"
)

// Limits bound what visitors of whom little is known may do. A zero pace means the default.
type Limits struct {
	// Chats bounds the chats that begin from one address (for IPv6, one /64), ChatsTotal those from all addresses.
	Chats, ChatsTotal limit.Pace
	// SignIns bounds the sign-ins that begin from one address, SignInsTotal those from all addresses.
	SignIns, SignInsTotal limit.Pace
	// Messages bounds the messages of the customer of one chat, MessagesTotal those of all customers.
	Messages, MessagesTotal limit.Pace
}

// DefaultLimits returns the limits that apply if no others are set.
func DefaultLimits() Limits {
	return Limits{
		Chats: limit.Pace{Count: 10, Per: time.Minute}, ChatsTotal: limit.Pace{Count: 100, Per: 10 * time.Second},
		// One address may be a whole office at the start of a shift.
		SignIns: limit.Pace{Count: 100, Per: 50 * time.Second}, SignInsTotal: limit.Pace{Count: 1000, Per: 20 * time.Second},
		Messages: limit.Pace{Count: 10, Per: 10 * time.Second}, MessagesTotal: limit.Pace{Count: 10_000, Per: 10 * time.Second},
	}
}

// Or returns l with its zero paces replaced by those of other.
func (l Limits) Or(other Limits) Limits {
	return Limits{
		Chats: l.Chats.Or(other.Chats), ChatsTotal: l.ChatsTotal.Or(other.ChatsTotal),
		SignIns: l.SignIns.Or(other.SignIns), SignInsTotal: l.SignInsTotal.Or(other.SignInsTotal),
		Messages: l.Messages.Or(other.Messages), MessagesTotal: l.MessagesTotal.Or(other.MessagesTotal),
	}
}

// AddressLimiter bounds how often an action is done from one address.
type AddressLimiter struct{ limiter *limit.Limiter }

// NewAddressLimiter returns a limiter with a pace for each address, and one for all addresses together.
func NewAddressLimiter(each, total limit.Pace) AddressLimiter {
	return AddressLimiter{limit.New(each, total)}
}

// Take counts an attempt from the request's address. It returns how long to wait if there were too many, else 0.
func (l AddressLimiter) Take(r *http.Request) time.Duration {
	return l.limiter.Take(forwarded.Of(r).Network())
}

// RetryAfter sets the header Retry-After unless wait is 0. It returns wait.
func RetryAfter(w http.ResponseWriter, wait time.Duration) time.Duration {
	if wait != 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return wait
}

// TooMany returns the sentence that there were too many of what, and when the next is possible.
func TooMany(what string, wait time.Duration) string {
	seconds := int(math.Ceil(wait.Seconds()))
	in := words.Plural(seconds, "second", "seconds")
	switch {
	case seconds > 90*60:
		in = words.Plural((seconds+3599)/3600, "hour", "hours")
	case seconds > 90:
		in = words.Plural((seconds+59)/60, "minute", "minutes")
	}
	return "Too many " + what + ". Please try again in " + in + "."
}

// The maximum number of open streams: of one chat or one person, and in total.
const (
	streamsOfOne = 8
	streamsOfAll = 20_000
)

// streams counts the open streams. Each holds a connection until the browser closes it.
type streams struct {
	mutex sync.Mutex
	open  int
	byKey map[string]int
}

func newStreams() *streams { return &streams{byKey: map[string]int{}} }

// enter counts one more stream of the key until leave is called. ok is false if too many are open already.
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
