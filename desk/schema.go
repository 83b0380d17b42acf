package desk

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// migrations are the versions of the tables. Each is a file that is never changed after its release.
//
//go:embed migrations/*.sql
var migrations embed.FS

// versionTable records which migrations a database has had.
const versionTable = "schema_versions"

// migrate brings the tables up to date, and returns their version before and after. Where processes that start
// together may all try, one creates the tables, and the others find them on a later try. tries is the maximum
// number of tries.
func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, name string, tries int) (before, after int64, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, 0, fmt.Errorf("read the migrations: %w", err)
	}
	for range tries {
		if before, after, err = migrateOnce(ctx, dialect, db, files, name); err == nil || ctx.Err() != nil {
			break
		}
	}
	return before, after, err
}

func migrateOnce(ctx context.Context, dialect goose.Dialect, db *sql.DB, files fs.FS, name string) (before, after int64, err error) {
	provider, err := goose.NewProvider(dialect, db, files, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(foldedNames()))
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
		return 0, 0, fmt.Errorf("migrate the tables: %w", err)
	}
	return has, knows, nil
}
