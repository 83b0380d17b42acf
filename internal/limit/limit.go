// Package limit limits rates, for each key and in total.
//
// Must not import: other packages of Baton.
package limit

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace is a rate limit: Count times at once, and then Count times in each Per, evenly spaced.
type Pace struct {
	Count int
	Per   time.Duration
}

// The maximum of a configured [Pace].
const (
	maxCount = 1_000_000
	maxPer   = 24 * time.Hour
)

// ParsePace parses a pace in the form of [Pace.String], such as 10/1m.
func ParsePace(text string) (Pace, error) {
	wrong := func() (Pace, error) {
		return Pace{}, fmt.Errorf("%q is not a limit: set it to a number from 1 to %d and a time of at most 24h, as 10/1m for ten at once and then ten a minute", text, maxCount)
	}
	count, per, _ := strings.Cut(text, "/")
	var p Pace
	var err error
	if p.Count, err = strconv.Atoi(count); err != nil || p.Count < 1 || p.Count > maxCount {
		return wrong()
	}
	if p.Per, err = time.ParseDuration(per); err != nil || p.Per < time.Millisecond || p.Per > maxPer {
		return wrong()
	}
	return p, nil
}

// String returns the pace as COUNT/TIME, the form used in settings.
func (p Pace) String() string { return strconv.Itoa(p.Count) + "/" + p.Per.String() }

// Or returns the pace, or other if the pace is zero.
func (p Pace) Or(other Pace) Pace {
	if p == (Pace{}) {
		return other
	}
	return p
}

// bucket holds the tokens of a pace.
type bucket struct {
	*rate.Limiter

	pace Pace
}

func (p Pace) bucket() *bucket {
	return &bucket{rate.NewLimiter(rate.Limit(float64(p.Count)/p.Per.Seconds()), p.Count), p}
}

// firstSweep is the number of keys at which a limiter first looks for keys to forget.
const firstSweep = 1000

// Limiter limits a rate for each key and in total. It forgets a key whose limit is completely available again. It
// is safe for concurrent use.
type Limiter struct {
	each Pace
	// total is nil if there is no limit in total.
	total *bucket

	mutex sync.Mutex
	byKey map[string]*bucket
	// sweepAt is the number of keys at which to sweep next: twice the number that was left after the last sweep, so
	// that the cost of sweeping is constant for each new key.
	sweepAt int
}

// New returns a limiter. A zero total means no limit in total.
func New(each, total Pace) *Limiter {
	l := &Limiter{each: each, byKey: map[string]*bucket{}, sweepAt: firstSweep}
	if total != (Pace{}) {
		l.total = total.bucket()
	}
	return l
}

// Allow reports whether the key may act now, and counts it if so.
func (l *Limiter) Allow(key string) bool { return l.Take(key) == 0 }

// Take takes a token of the key and returns zero, or returns how long to wait for one. A key without tokens takes
// none from the total. While the total has no tokens, new keys are not stored.
func (l *Limiter) Take(key string) (wait time.Duration) { return l.TakeAt(key, l.each) }

// TakeAt is like [Limiter.Take] for a key that has a pace of its own. With another pace than before, the key begins
// again with all tokens of the pace.
func (l *Limiter) TakeAt(key string, pace Pace) (wait time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.total != nil && l.total.Tokens() < 1 {
		return untilNext(l.total)
	}
	own := l.byKey[key]
	if own == nil || own.pace != pace {
		l.sweep()
		own = pace.bucket()
		l.byKey[key] = own
	}
	if !own.Allow() {
		return untilNext(own)
	}
	if l.total != nil {
		l.total.Allow() // succeeds: only this method takes tokens from it, under the mutex
	}
	return 0
}

// untilNext returns how long it takes until the limiter has a token.
func untilNext(b *bucket) time.Duration {
	missing := 1 - b.Tokens()
	return max(time.Duration(missing/float64(b.Limit())*float64(time.Second)), 1)
}

func (l *Limiter) sweep() {
	if len(l.byKey) < l.sweepAt {
		return
	}
	for key, b := range l.byKey {
		if b.Tokens() >= float64(b.pace.Count) {
			delete(l.byKey, key)
		}
	}
	l.sweepAt = max(firstSweep, 2*len(l.byKey))
}
