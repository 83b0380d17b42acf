// Command worker runs Baton's Temporal worker, which runs the conversations and matches waiting tasks, until SIGINT
// or SIGTERM. Any number of workers can run. BATON_DATABASE names the desk's database, Temporal's environment
// configuration (TEMPORAL_*) the server, and BATON_DEPLOYMENT the deployment that the worker is a version of.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/baton-transfers/baton/internal/build"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (err error) {
	built, err := build.Read()
	if err != nil {
		return err
	}
	if slices.Equal(args, []string{"--version"}) {
		fmt.Fprintln(stdout, "worker", built)
		return nil
	}
	if len(args) > 0 {
		return errors.New("worker takes no argument but --version: BATON_DATABASE names the desk, TEMPORAL_ADDRESS the server")
	}
	deployed, err := config.LoadWorker(getenv)
	if err != nil {
		return err
	}
	deployment := temporalenv.Deployment{Name: deployed.Deployment, BuildID: cmp.Or(deployed.BuildID, built.ID), Pinned: deployed.Pinned}
	p, err := serve.Open(ctx, getenv, stderr, "worker", deployment.BuildID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	w, err := serve.StartWorker(ctx, p.Temporal, p.Desk, serve.WorkerOptions{
		Deployment: deployment, Cached: deployed.Cached, Keys: p.Keys, Logger: p.Logger, Telemetry: p.Telemetry,
	})
	if err != nil {
		return err
	}
	p.Logger.Info("worker started", "database", p.Database, "metrics", p.Telemetry.URL, "build", deployment.BuildID, "deployment", deployment.Name)
	<-ctx.Done()
	w.Stop()
	return nil
}
