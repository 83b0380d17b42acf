package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/telemetry"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

// Config returns where Temporal and the desk are, from flags and environment.
func (c *Env) Config() (config.Config, error) {
	settings, err := config.Load(c.Getenv, c.Data)
	if err != nil {
		return settings, err
	}
	if c.Temporal != "" {
		settings.Temporal = c.Temporal
	}
	settings.Namespace = c.Namespace
	return settings, nil
}

// Connected calls do with a connection to the Temporal server, within the command's timeout.
func (c *Env) Connected(ctx context.Context, do func(ctx context.Context, temporal client.Client) error) error {
	settings, err := c.Config()
	if err != nil {
		return err
	}
	keys, err := config.LoadKeys(c.Getenv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	temporal, err := temporalenv.Dial(ctx, temporalenv.Options{Address: settings.Temporal, Namespace: settings.Namespace, Keys: keys})
	if err != nil {
		return err
	}
	defer temporal.Close()
	return explain(do(ctx, temporal))
}

// WithClient calls do with the client for conversations.
func (c *Env) WithClient(ctx context.Context, do func(ctx context.Context, b *baton.Client) error) error {
	return c.Connected(ctx, func(ctx context.Context, temporal client.Client) error { return do(ctx, baton.NewClient(temporal)) })
}

// WithSender calls do with a sender of commands. It opens the desk only to record a refusal.
func (c *Env) WithSender(ctx context.Context, do func(ctx context.Context, s *commands.Sender) error) error {
	return c.WithClient(ctx, func(ctx context.Context, b *baton.Client) error {
		return do(ctx, commands.NewRecording(b, c.recordRefused, nil))
	})
}

// recordRefused records a refusal at the desk, if this machine reaches it. The worker records it in any case.
func (c *Env) recordRefused(ctx context.Context, sid string, command conversation.Command, refused error) error {
	return c.withReachableDesk(ctx, func(ctx context.Context, d *desk.Desk) error {
		return records.NoteRefused(ctx, d, sid, command, refused)
	})
}

// WithDesk calls do with the desk. The desk must exist unless create is set.
func (c *Env) WithDesk(ctx context.Context, create bool, do func(ctx context.Context, d *desk.Desk) error) (err error) {
	settings, err := c.Config()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	keys, err := config.LoadKeys(c.Getenv)
	if err != nil {
		return err
	}
	d, err := c.openDesk(ctx, settings.Database, create, keys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return explain(do(desk.WithActor(c.WithOrigin(ctx), operator()), d))
}

// Security returns the security log of a command: lines of JSON on stderr.
func (c *Env) Security() *seclog.Log {
	return seclog.New(telemetry.NewLogger(c.Stderr, slog.LevelInfo))
}

// WithOrigin returns the command's context with the origin for the security log.
func (c *Env) WithOrigin(ctx context.Context) context.Context {
	return seclog.WithOrigin(ctx, seclog.Origin{Who: operator(), Address: "local", Route: c.Path})
}

// operator returns the user of this machine, who is recorded as the author of changes.
func operator() string {
	if who, err := user.Current(); err == nil && who.Username != "" {
		return "baton (" + who.Username + ")"
	}
	return "baton"
}

// openDesk opens the desk. It creates a missing file only if create is set: otherwise a wrong folder would look
// like an empty desk.
func (c *Env) openDesk(ctx context.Context, database string, create bool, keys *codec.KeyRing) (*desk.Desk, error) {
	prepare := RequireFile
	if create {
		prepare = MakeFolder
	}
	if err := prepare(database); err != nil {
		return nil, err
	}
	return desk.Open(ctx, database, desk.Options{Cipher: keys, Security: c.Security()})
}

// deskWithin bounds the time that a command that does not need the desk waits for it.
const deskWithin = 3 * time.Second

// withReachableDesk calls do with the desk, for a command that does not need it: a machine that reaches the
// conversations may not reach the desk. Without a desk at the configured place, it does nothing.
func (c *Env) withReachableDesk(ctx context.Context, do func(ctx context.Context, d *desk.Desk) error) error {
	settings, err := c.Config()
	if err != nil || RequireFile(settings.Database) != nil {
		return nil // the command does not need the desk
	}
	ctx, cancel := context.WithTimeout(ctx, deskWithin)
	defer cancel()
	return c.WithDesk(ctx, false, do)
}

// MakeFolder creates the folder of a desk that is stored in a file.
func MakeFolder(database string) error {
	path, embedded := strings.CutPrefix(database, "sqlite:")
	if !embedded {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the desk's database: %w", err)
	}
	return nil
}

// RequireFile returns an error if the desk is stored in a file that does not exist.
func RequireFile(database string) error {
	path, embedded := strings.CutPrefix(database, "sqlite:")
	if !embedded {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no desk at %s: run `baton dev` or `baton setup` first, or name another with --data or BATON_DATABASE", path)
	}
	return nil
}

// WithBoth calls do with the client and the desk.
func (c *Env) WithBoth(ctx context.Context, do func(ctx context.Context, b *baton.Client, d *desk.Desk) error) error {
	return c.WithDesk(ctx, false, func(ctx context.Context, d *desk.Desk) error {
		return c.WithClient(ctx, func(ctx context.Context, b *baton.Client) error { return do(ctx, b, d) })
	})
}

// explain adds what to do about a deadline: usually no worker is running.
func explain(err error) error {
	_, updateWaits := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err)
	_, late := errors.AsType[*serviceerror.DeadlineExceeded](err)
	_, nobodyPolls := errors.AsType[*serviceerror.FailedPrecondition](err)
	if updateWaits || late || nobodyPolls || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: is a worker running (`baton dev`, or the program worker)? Nothing is lost; try again: %w", err)
	}
	return err
}
