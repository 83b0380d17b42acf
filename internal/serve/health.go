package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/desk"
)

// healthTimeout is how long a part may take to answer before it counts as away.
const healthTimeout = 2 * time.Second

// ServeHealth answers GET /healthz on the address until ctx ends: 200 while the Temporal server and
// the desk answer, else 503, with what is wrong by part.
func ServeHealth(ctx context.Context, address string, c client.Client, d *desk.Desk, logger *slog.Logger) (net.Addr, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve health on %s: choose another address with --http: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answerHealth(w, r, c, d) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: healthTimeout, WriteTimeout: 3 * healthTimeout}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("Health is no longer served", "error", err)
		}
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return listener.Addr(), nil
}

func answerHealth(w http.ResponseWriter, r *http.Request, c client.Client, d *desk.Desk) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	parts := map[string]string{"temporal": "ok", "desk": "ok"}
	status := http.StatusOK
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		parts["temporal"], status = "away", http.StatusServiceUnavailable
	}
	if _, err := d.Settings(ctx); err != nil {
		parts["desk"], status = "away", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(parts); err != nil {
		return // whoever asked is gone
	}
}
