package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// answersWithin is how long a part may take to answer before it counts as away.
	answersWithin = 2 * time.Second
	// askedEvery is how often the parts are asked at most, however often a probe comes.
	askedEvery = time.Second
)

// How a part is.
const (
	partOK    = "ok"
	partAway  = "away"
	partEnded = "ended"
)

// Health tells whether a process is alive and ready. It is safe for concurrent use.
type Health struct {
	log *slog.Logger

	mutex sync.Mutex
	parts map[string]func(context.Context) error
	// process is how the process itself is, ended the part that has ended for good.
	process, ended string

	// asking is held by whoever asks the parts, so that they are asked once for all who wait.
	asking  sync.Mutex
	last    map[string]string
	askedAt time.Time
}

// NewHealth returns the health of a process that starts: it is alive.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, process: "starting", parts: map[string]func(context.Context) error{}}
}

// Ready says that the process has started: it is ready while its parts answer.
func (h *Health) Ready() { h.is(partOK) }

// Drain says that the process is about to end: it isn't ready any more, and is alive.
func (h *Health) Drain() { h.is("draining") }

func (h *Health) is(process string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.process = process
}

// Needs adds a part without which the process isn't ready. The function returns why it doesn't answer; each is
// asked at most once a second.
func (h *Health) Needs(part string, answers func(context.Context) error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.parts[part] = answers
}

// End says that a part has ended which doesn't come back in this process: it is neither ready nor alive.
func (h *Health) End(part string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.ended = part
}

// Register has the mux answer GET /healthz and GET /readyz.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", h.answerAlive)
	mux.HandleFunc("GET /readyz", h.answerReady)
}

// answerAlive answers 200 while the process works, whatever is away beside it: starting it again would help nobody.
func (h *Health) answerAlive(w http.ResponseWriter, _ *http.Request) {
	h.mutex.Lock()
	ended := h.ended
	h.mutex.Unlock()
	if ended != "" {
		answerParts(w, http.StatusServiceUnavailable, map[string]string{ended: partEnded})
		return
	}
	answerParts(w, http.StatusOK, map[string]string{"process": partOK})
}

// answerReady answers 200 while every part answers, else 503; how each part is, in either case.
func (h *Health) answerReady(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	parts := h.how(r.Context())
	for _, how := range parts {
		if how != partOK {
			status = http.StatusServiceUnavailable
		}
	}
	answerParts(w, status, parts)
}

// how tells how each part is.
func (h *Health) how(ctx context.Context) map[string]string {
	h.asking.Lock()
	defer h.asking.Unlock()
	if time.Since(h.askedAt) >= askedEvery {
		h.ask(context.WithoutCancel(ctx))
	}
	parts := maps.Clone(h.last)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	parts["process"] = h.process
	if h.ended != "" {
		parts[h.ended] = partEnded
	}
	return parts
}

// ask asks all parts at once, and logs what has changed.
func (h *Health) ask(ctx context.Context) {
	h.mutex.Lock()
	parts := maps.Clone(h.parts)
	h.mutex.Unlock()
	within, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	names := slices.Sorted(maps.Keys(parts))
	errs := make([]error, len(names))
	var asked sync.WaitGroup
	for i, name := range names {
		asked.Go(func() { errs[i] = parts[name](within) })
	}
	asked.Wait()

	how := map[string]string{}
	for i, name := range names {
		how[name] = partOK
		if errs[i] != nil {
			how[name] = partAway
		}
		switch before := h.last[name]; {
		case how[name] == partAway && before != partAway:
			h.log.WarnContext(ctx, "Not ready: a part doesn't answer", "part", name, "error", errs[i])
		case how[name] == partOK && before == partAway:
			h.log.InfoContext(ctx, "A part answers again", "part", name)
		}
	}
	h.last, h.askedAt = how, time.Now()
}

func answerParts(w http.ResponseWriter, status int, parts map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(parts); err != nil {
		return // whoever asked is gone
	}
}
