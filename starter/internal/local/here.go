// Package local has the commands that run everything on this machine: `baton dev` and `baton demo`.
//
// It imports the packages conversations and admin, whose tables the demo prints, and no others with commands.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// here holds everything that runs on this machine: the Temporal dev server, the desk, a worker, and the gateway if
// one was started.
type here struct {
	server   *devserver.Server
	temporal client.Client
	desk     *desk.Desk
	worker   *serve.Worker
	gateway  *serve.Gateway
}

// place configures where everything listens and stores its data.
type place struct {
	data, database, temporal, ui string
	// progress receives reports of long operations, above all of the first build of the dev server.
	progress io.Writer
	// keys encrypt stored data; nil means no encryption. endpoint is the codec server for the Web UI.
	keys     *codec.KeyRing
	endpoint string
	logger   *slog.Logger
}

// stopGrace is how long the dev server may take to stop.
const stopGrace = 10 * time.Second

// runHere starts everything. If a part fails, it stops the parts that it has started.
func runHere(ctx context.Context, p place) (_ *here, err error) {
	if err := os.MkdirAll(p.data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	binary, err := devserver.Binary(ctx, p.progress)
	if err != nil {
		return nil, err
	}
	h := &here{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.stop(ctx))
		}
	}()
	if h.desk, err = desk.Open(ctx, p.database, desk.Options{Logger: p.logger, Cipher: p.keys}); err != nil {
		return nil, err
	}
	if _, err = people.SeedDemo(ctx, h.desk); err != nil {
		return nil, err
	}
	h.server, err = devserver.Start(ctx, devserver.Options{
		Binary: binary, DatabaseFile: config.TemporalFile(p.data), Address: p.temporal, UIAddress: p.ui,
		SearchAttributes: workflows.SearchAttributes(), UICodecEndpoint: p.endpoint,
	})
	if err != nil {
		return nil, err
	}
	if h.temporal, err = temporalenv.Dial(ctx, temporalenv.Options{Address: h.server.Address, Own: true, Keys: p.keys, Logger: p.logger}); err != nil {
		return nil, err
	}
	if h.worker, err = serve.StartWorker(ctx, h.temporal, h.desk, serve.WorkerOptions{Keys: p.keys, Logger: p.logger}); err != nil {
		return nil, err
	}
	return h, nil
}

// stop stops everything, the gateway first and the server last. Work in progress continues after the next start.
func (h *here) stop(ctx context.Context) error {
	var errs []error
	if h.gateway != nil {
		errs = append(errs, h.gateway.Stop(ctx))
	}
	if h.worker != nil {
		h.worker.Stop()
	}
	if h.temporal != nil {
		h.temporal.Close()
	}
	if h.desk != nil {
		errs = append(errs, h.desk.Close())
	}
	if h.server != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		errs = append(errs, h.server.Stop(ctx))
	}
	return errors.Join(errs...)
}

// page returns the address of a conversation in the Temporal Web UI.
func page(ui, sid string) string {
	return ui + "/namespaces/default/workflows/" + url.PathEscape(workflows.ID(sid))
}
