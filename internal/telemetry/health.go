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
	// answersWithin is how long a part may take to answer before it counts as unavailable.
	answersWithin = 2 * time.Second
	// askedEvery is the minimum time between two checks of the parts, however many probes arrive.
	askedEvery = time.Second
)

// The states of a part.
const (
	partOK    = "ok"
	partAway  = "away"
	partEnded = "ended"
)

// Health records whether a process is alive and ready. It is safe for concurrent use.
type Health struct {
	log *slog.Logger

	mutex sync.Mutex
	parts map[string]func(context.Context) error
	// process is the state of the process itself. ended is the part that has ended permanently, if any.
	process, ended string

	// asking is held while the parts are checked, so that concurrent probes share one check.
	asking  sync.Mutex
	last    map[string]string
	askedAt time.Time
}

// NewHealth returns the health of a starting process: it is alive and not ready.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, process: "starting", parts: map[string]func(context.Context) error{}}
}

// Ready reports that the process has started: it is ready while its parts answer.
func (h *Health) Ready() { h.is(partOK) }

// Drain reports that the process is about to end: it is alive and no longer ready.
func (h *Health) Drain() { h.is("draining") }

func (h *Health) is(process string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.process = process
}

// Needs adds a part that the process needs to be ready. The function returns an error if the part does not answer;
// it is called at most once a second.
func (h *Health) Needs(part string, answers func(context.Context) error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.parts[part] = answers
}

// End reports that a part has ended permanently: the process is neither ready nor alive.
func (h *Health) End(part string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.ended = part
}

// Register adds GET /healthz and GET /readyz to the mux.
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", h.answerAlive)
	mux.HandleFunc("GET /readyz", h.answerReady)
}

// answerAlive answers 200 unless a part has ended permanently. Unavailable dependencies do not matter here: a
// restart would not help.
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

// answerReady answers 200 if every part answers, and 503 otherwise. The body has the state of each part.
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

// how returns the state of each part.
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

// ask checks all parts concurrently, and logs changes.
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
			h.log.WarnContext(ctx, "not ready", "part", name, "error", errs[i])
		case how[name] == partOK && before == partAway:
			h.log.InfoContext(ctx, "part is ready again", "part", name)
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
		return // the client has disconnected
	}
}
