package desk

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// migrations are the versions of the tables. Each is a file that is never changed after its release.
//
//go:embed migrations/*.sql
var migrations embed.FS

// schema returns the desk's tables.
func schema() sqldb.Schema {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(fmt.Sprintf("the migrations are not part of the program: %v", err)) // the name is a constant
	}
	return sqldb.Schema{
		Migrations: files, Go: func() []*goose.Migration { return []*goose.Migration{foldedNames()} },
		VersionTable: "schema_versions", Counters: []string{"feed", "audit_position", "webhook_cursor"},
	}
}

// Named returns the database's name for logs and tables, without parts that may be secret.
func Named(database string) string { return sqldb.Named(database) }

// Migrate brings the tables of the database up to date, as [Open] does. It returns their version before, 0 for an
// empty database, and after.
func Migrate(ctx context.Context, database string) (before, after int64, err error) {
	before, after, err = schema().Migrate(ctx, database)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate desk: %w", err)
	}
	return before, after, nil
}

// CopiedTable is a table that was copied.
type CopiedTable = sqldb.CopiedTable

// Copy copies an embedded desk (`sqlite:PATH`) to an empty PostgreSQL database, completely or not at all. It reads
// the copy back, compares it, and returns its tables. Both databases then have the tables of this build.
//
// Copy refuses a target with data in it, and a desk that another program has open: it would lose later writes of a
// worker or gateway. While it copies, no other program can open the desk. Afterwards the desk's data is unchanged.
func Copy(ctx context.Context, from, to string) ([]CopiedTable, error) {
	tables, err := schema().Copy(ctx, from, to)
	if err != nil {
		return tables, fmt.Errorf("copy desk: %w", err)
	}
	return tables, nil
}

// Granted is the result of [Grant].
type Granted = sqldb.Granted

// Grant lets the role run Baton's programs on the PostgreSQL database: the role can read and write rows, but not
// change tables. The database URL has to name the tables' owner. Grant first brings the tables up to date. The role
// has to exist.
func Grant(ctx context.Context, database, role string) (Granted, error) {
	granted, err := schema().Grant(ctx, database, role)
	if err != nil {
		return Granted{}, fmt.Errorf("grants: %w", err)
	}
	return granted, nil
}
