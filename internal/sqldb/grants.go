package sqldb

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
)

// roleName matches the allowed names of roles: those that PostgreSQL takes unchanged without quotes.
var roleName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// grants returns the statements that let a role run Baton's programs: the role can read and write rows, but not
// change tables. The tables' owner runs the statements, see [Schema.Grant].
func (s Schema) grants(schema, role string) ([]string, error) {
	if !roleName.MatchString(role) {
		return nil, fmt.Errorf("%q is not the name of a role: use lower-case letters, digits and _, as in baton_run", role)
	}
	in, to := pgx.Identifier{schema}.Sanitize(), pgx.Identifier{role}.Sanitize()
	return []string{
		`GRANT USAGE ON SCHEMA ` + in + ` TO ` + to,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ` + in + ` TO ` + to,
		`GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ` + in + ` TO ` + to,
		`ALTER DEFAULT PRIVILEGES IN SCHEMA ` + in + ` GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ` + to,
		`ALTER DEFAULT PRIVILEGES IN SCHEMA ` + in + ` GRANT USAGE, SELECT ON SEQUENCES TO ` + to,
		// Only the owner records migrations.
		`REVOKE INSERT, UPDATE, DELETE ON ` + in + `.` + s.VersionTable + ` FROM ` + to,
	}, nil
}

// Granted is the result of [Schema.Grant].
type Granted struct {
	Role       string   `json:"role"`
	Statements []string `json:"statements"`
	// MayCreate is set if the role can still create tables, with a right that the tables' owner cannot revoke.
	MayCreate bool `json:"may_create"`
}

// Grant lets the role run Baton's programs on the PostgreSQL database: the role can read and write rows, but not
// change tables. The database URL has to name the tables' owner. Grant first brings the tables up to date. The role
// has to exist.
func (s Schema) Grant(ctx context.Context, database, role string) (granted Granted, err error) {
	if !IsPostgres(database) {
		return Granted{}, errors.New("only PostgreSQL has roles: name the database as postgres://OWNER@HOST/DATABASE")
	}
	if _, err := s.grants("public", role); err != nil {
		return Granted{}, err
	}
	if _, _, err := s.Migrate(ctx, database); err != nil {
		return Granted{}, err
	}
	config, _, err := postgresConfig(database)
	if err != nil {
		return Granted{}, err
	}
	owner, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Granted{}, postgresSentence(postgresName(database), err)
	}
	defer func() { err = errors.Join(err, owner.Close(context.WithoutCancel(ctx))) }()
	var schema string
	var there, itself bool
	if err := owner.QueryRow(ctx, `SELECT current_schema(), EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1), current_user = $1`, role).Scan(&schema, &there, &itself); err != nil {
		return Granted{}, fmt.Errorf("look for the role: %w", err)
	}
	if itself {
		return Granted{}, fmt.Errorf("BATON_DATABASE connects as %s itself: name another role, or set BATON_DATABASE to the tables' owner", role)
	}
	if !there {
		return Granted{}, fmt.Errorf("there is no role %s: create it first, as with CREATE ROLE %s LOGIN PASSWORD '…'", role, role)
	}
	granted.Role = role
	if granted.Statements, err = s.grants(schema, role); err != nil {
		return Granted{}, err
	}
	tx, err := owner.Begin(ctx)
	if err != nil {
		return Granted{}, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after a commit
	for _, statement := range granted.Statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return Granted{}, fmt.Errorf("nothing was changed: %s: %w", statement, err)
		}
	}
	if err := tx.QueryRow(ctx, `SELECT has_schema_privilege($1, $2, 'CREATE')`, role, schema).Scan(&granted.MayCreate); err != nil {
		return Granted{}, fmt.Errorf("ask what the role may do: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return Granted{}, fmt.Errorf("commit: %w", err)
	}
	return granted, nil
}
