package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// Schema is the tables of a program.
type Schema struct {
	// Migrations are the versions of the tables, as files that goose reads. A file is never changed after its release.
	Migrations fs.FS
	// Go returns the migrations that SQL cannot do. It may be nil.
	Go func() []*goose.Migration
	// VersionTable records which migrations a database has had.
	VersionTable string
	// Counters are the tables that have a row in an empty database, with position 0.
	Counters []string
}

// Migrate brings the tables of the database up to date, as [Open] does. It returns their version before, 0 for an
// empty database, and after.
func (s Schema) Migrate(ctx context.Context, database string) (before, after int64, err error) {
	db, err := open(ctx, database, s)
	if err != nil {
		return 0, 0, err
	}
	return db.before, db.after, db.Close()
}

// migrate brings the tables up to date, and returns their version before and after. Where processes that start
// together may all try, each version is made by one of them, and the others find it on a later try. tries is the
// maximum number of tries in a row that find no newer version.
func (s Schema) migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, name string, tries int) (before, after int64, err error) {
	reached := int64(-1)
	for failed := 0; failed < tries; failed++ {
		if before, after, err = s.migrateOnce(ctx, dialect, db, name); err == nil || ctx.Err() != nil {
			break
		}
		if before > reached {
			reached, failed = before, 0
		}
	}
	return before, after, err
}

func (s Schema) migrateOnce(ctx context.Context, dialect goose.Dialect, db *sql.DB, name string) (before, after int64, err error) {
	options := []goose.ProviderOption{goose.WithTableName(s.VersionTable), goose.WithDisableGlobalRegistry(true)}
	if s.Go != nil {
		options = append(options, goose.WithGoMigrations(s.Go()...))
	}
	provider, err := goose.NewProvider(dialect, db, s.Migrations, options...)
	if err != nil {
		return 0, 0, fmt.Errorf("read the migrations: %w", err)
	}
	has, knows, err := provider.GetVersions(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read the version of the tables: %w", err)
	}
	if has > knows {
		return 0, 0, fmt.Errorf("%s was written by a newer build (its tables are version %d, this build knows %d) and was left as it is: "+
			"start the newer build, or name another database", name, has, knows)
	}
	if _, err := provider.Up(ctx); err != nil {
		return has, has, fmt.Errorf("migrate the tables: %w", err)
	}
	return has, knows, nil
}
