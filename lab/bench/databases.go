package main

import (
	"context"
	"path/filepath"

	"github.com/baton-transfers/baton/internal/postgres"
)

// The databases that a desk can be in.
const (
	databaseSQLite   = "sqlite"
	databasePostgres = "postgres"
)

// databases makes the desks' databases: files in a folder, or databases on a server started for them.
type databases struct {
	folder string
	server *postgres.Server // nil for files
}

// openDatabases starts the server if kind needs one. The server's commits are durable, as in production.
func openDatabases(ctx context.Context, kind, folder string) (*databases, error) {
	d := &databases{folder: folder}
	if kind != databasePostgres {
		return d, nil
	}
	var err error
	d.server, err = postgres.Start(ctx, postgres.Options{})
	return d, err
}

// make makes an empty database of that name and returns its address for desk.Open.
func (d *databases) make(ctx context.Context, name string) (string, error) {
	if d.server == nil {
		return "sqlite:" + filepath.Join(d.folder, name+".db"), nil
	}
	return d.server.URL(name), d.server.CreateDatabase(ctx, name, "")
}

func (d *databases) close(ctx context.Context) error {
	if d.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return d.server.Stop(ctx)
}
