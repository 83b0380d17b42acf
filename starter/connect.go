package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

func (c *cli) config() (config.Config, error) {
	settings, err := config.Load(c.getenv, c.data)
	if err != nil {
		return settings, err
	}
	if c.temporal != "" {
		settings.Temporal = c.temporal
	}
	settings.Namespace = c.namespace
	return settings, nil
}

// connected runs do with a connection to the Temporal server, within the command's timeout.
func (c *cli) connected(ctx context.Context, do func(ctx context.Context, temporal client.Client) error) error {
	settings, err := c.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	temporal, err := temporalenv.Dial(ctx, temporalenv.Options{Address: settings.Temporal, Namespace: settings.Namespace})
	if err != nil {
		return err
	}
	defer temporal.Close()
	return explain(do(ctx, temporal))
}

// withClient runs do with the client for conversations.
func (c *cli) withClient(ctx context.Context, do func(ctx context.Context, b *baton.Client) error) error {
	return c.connected(ctx, func(ctx context.Context, temporal client.Client) error { return do(ctx, baton.NewClient(temporal)) })
}

// withDesk runs do with the desk, which has to be there already unless create is set.
func (c *cli) withDesk(ctx context.Context, create bool, do func(ctx context.Context, d *desk.Desk) error) (err error) {
	settings, err := c.config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	d, err := openDesk(ctx, settings.Database, create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return explain(do(ctx, d))
}

// openDesk opens the desk. A file that isn't there is made only if that is wanted: else a wrong
// folder would look like an empty desk.
func openDesk(ctx context.Context, database string, create bool) (*desk.Desk, error) {
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		if create {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, fmt.Errorf("make the folder of the desk's database: %w", err)
			}
		} else if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no desk at %s: run `starter dev` or `starter setup` first, or name another with --data or BATON_DATABASE", path)
		}
	}
	return desk.Open(ctx, database, desk.Options{})
}

// withBoth runs do with the client and the desk.
func (c *cli) withBoth(ctx context.Context, do func(ctx context.Context, b *baton.Client, d *desk.Desk) error) error {
	return c.withDesk(ctx, false, func(ctx context.Context, d *desk.Desk) error {
		return c.withClient(ctx, func(ctx context.Context, b *baton.Client) error { return do(ctx, b, d) })
	})
}

// explain says what to do about a deadline: nearly always nobody works on the conversations.
func explain(err error) error {
	_, updateWaits := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err)
	_, late := errors.AsType[*serviceerror.DeadlineExceeded](err)
	_, nobodyPolls := errors.AsType[*serviceerror.FailedPrecondition](err)
	if updateWaits || late || nobodyPolls || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: is a worker running (`starter dev`, or the program worker)? Nothing is lost; try again: %w", err)
	}
	return err
}
