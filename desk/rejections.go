package desk

import "sync"

// rejections remembers which snapshots the database has refused, so that each is logged once: their conversations
// send them again and again.
type rejections struct {
	mutex sync.Mutex
	known map[string]int
}

// rejectionsKept is the maximum number of remembered snapshots.
const rejectionsKept = 1000

// first records that the database refuses the conversation's snapshot, and reports whether it is the first time.
func (r *rejections) first(conversation string, revision int) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if before, ok := r.known[conversation]; ok && before == revision {
		return false
	}
	if r.known == nil || len(r.known) >= rejectionsKept {
		r.known = map[string]int{}
	}
	r.known[conversation] = revision
	return true
}
