//go:build unix

package pgserver

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Role is a role that can log in.
type Role struct{ Name, Password string }

// Database is a database of a service, with a role that owns it and one that does not.
type Database struct {
	Name string
	// Owner makes and changes its tables; Runtime uses them. The owner may see and end
	// the sessions of the other.
	Owner, Runtime Role
	// Settings are what sessions of both begin with there.
	Settings map[string]string
}

// EnsureDatabase makes a database and its roles, or brings what there is to the same: an
// owner that was there alone gets its companion. Only the two and the superuser may
// connect, and only the owner may make anything, a temporary table neither.
func (s *Server) EnsureDatabase(ctx context.Context, d Database) error {
	return EnsureDatabase(ctx, s.SuperuserDSN, d)
}

// EnsureDatabase does what the method of a Server does, on a server that the superuser reaches
// by what dsn returns for a database.
func EnsureDatabase(ctx context.Context, dsn func(database string) string, d Database) error {
	conn, err := pgx.Connect(ctx, dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, role := range []Role{d.Owner, d.Runtime} {
		verb, err := verbFor(ctx, conn, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role.Name)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, verb+" ROLE "+ident(role.Name)+" LOGIN PASSWORD "+quote(role.Password)); err != nil {
			return fmt.Errorf("role %s: %w", role.Name, err)
		}
	}
	verb, err := verbFor(ctx, conn, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", d.Name)
	if err != nil {
		return err
	}
	owner := " OWNER TO "
	if verb == "CREATE" {
		owner = " OWNER "
	}
	statements := []string{
		verb + " DATABASE " + ident(d.Name) + owner + ident(d.Owner.Name),
		"GRANT " + ident(d.Runtime.Name) + " TO " + ident(d.Owner.Name),
		"REVOKE ALL ON DATABASE " + ident(d.Name) + " FROM PUBLIC",
		"GRANT CONNECT ON DATABASE " + ident(d.Name) + " TO " + ident(d.Runtime.Name),
	}
	for _, role := range []Role{d.Owner, d.Runtime} {
		for name, value := range d.Settings {
			statements = append(statements, "ALTER ROLE "+ident(role.Name)+" IN DATABASE "+ident(d.Name)+" SET "+ident(name)+" = "+quote(value))
		}
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("database %s: %w", d.Name, err)
		}
	}
	return protectSchema(ctx, dsn(d.Name), d)
}

// protectSchema keeps other roles from making tables, as PostgreSQL 15 does by itself in
// a new database, but not in one that was upgraded.
func protectSchema(ctx context.Context, dsn string, d Database) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range []string{
		"GRANT CREATE ON SCHEMA public TO " + ident(d.Owner.Name),
		"REVOKE CREATE ON SCHEMA public FROM PUBLIC",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("schema of database %s: %w", d.Name, err)
		}
	}
	return nil
}

func verbFor(ctx context.Context, conn *pgx.Conn, exists, name string) (string, error) {
	var found bool
	if err := conn.QueryRow(ctx, exists, name).Scan(&found); err != nil {
		return "", err
	}
	if found {
		return "ALTER", nil
	}
	return "CREATE", nil
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// quote returns a string literal; statements like CREATE ROLE take no
// parameters.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
