package web

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pace is how often something may be done: some times at once, and then once in every so long.
type pace struct {
	every  time.Duration
	atOnce int
}

func (p pace) limiter() *rate.Limiter { return rate.NewLimiter(rate.Every(p.every), p.atOnce) }

// How often what costs the desk a row may be done by people of whom nothing is known, or not enough.
var (
	// chatPace is of chats begun from one address, allChatsPace from all together.
	chatPace     = pace{6 * time.Second, 10}
	allChatsPace = pace{time.Second / 10, 100}
	// signInPace is of sign-ins begun from one address, which may be that of a whole house where a shift begins.
	signInPace     = pace{time.Second / 2, 100}
	allSignInsPace = pace{time.Second / 50, 1000}
	// sayPace is of what is said in one chat.
	sayPace = pace{time.Second, 10}
)

// firstSweep is with how many keys a limiter first looks for those that it can forget.
const firstSweep = 1000

// limiter bounds how often something is done, for each key and for all together. A key that has rested until
// its limit is full again is forgotten in time, for it is as good as new.
type limiter struct {
	each pace
	// total is nil where each key alone is bounded.
	total *rate.Limiter

	mutex sync.Mutex
	byKey map[string]*rate.Limiter
	// sweepAt is with how many keys to look again: twice as many as were left, so that looking costs little
	// however many there are.
	sweepAt int
}

func newLimiter(each pace, total *rate.Limiter) *limiter {
	return &limiter{each: each, total: total, byKey: map[string]*rate.Limiter{}, sweepAt: firstSweep}
}

// allow tells whether it may be done now, and counts it where it may. Who is refused for their own sake takes
// nothing from the others; and where all together have had too much, new keys aren't kept.
func (l *limiter) allow(key string) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.total != nil && l.total.Tokens() < 1 {
		return false
	}
	limit := l.byKey[key]
	if limit == nil {
		l.sweep()
		limit = l.each.limiter()
		l.byKey[key] = limit
	}
	return limit.Allow() && (l.total == nil || l.total.Allow())
}

func (l *limiter) sweep() {
	if len(l.byKey) < l.sweepAt {
		return
	}
	for key, limit := range l.byKey {
		if limit.Tokens() >= float64(l.each.atOnce) {
			delete(l.byKey, key)
		}
	}
	l.sweepAt = max(firstSweep, 2*len(l.byKey))
}

// addressLimiter bounds how often something is done from one address.
type addressLimiter struct{ limiter *limiter }

func newAddressLimiter(each, total pace) addressLimiter {
	return addressLimiter{newLimiter(each, total.limiter())}
}

func (l addressLimiter) allow(r *http.Request) bool { return l.limiter.allow(network(r.RemoteAddr)) }

// network is whom an address is of. One house has a whole /64 of IPv6, and so as many addresses as it likes.
func network(remote string) string {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := from.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
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
