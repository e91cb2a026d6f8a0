//go:build unix

package pgserver

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// EnsureDatabase makes a role that can log in and a database of its own, or
// brings what there is to the same: the role's password is set, its sessions there begin
// with settings, and only it and the superuser may connect.
func (s *Server) EnsureDatabase(ctx context.Context, database, role, password string, settings map[string]string) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	roleName, databaseName := pgx.Identifier{role}.Sanitize(), pgx.Identifier{database}.Sanitize()
	verb, err := verbFor(ctx, conn, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, verb+" ROLE "+roleName+" LOGIN PASSWORD "+quote(password)); err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	verb, err = verbFor(ctx, conn, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database)
	if err != nil {
		return err
	}
	owner := " OWNER TO "
	if verb == "CREATE" {
		owner = " OWNER "
	}
	if _, err := conn.Exec(ctx, verb+" DATABASE "+databaseName+owner+roleName); err != nil {
		return fmt.Errorf("database %s: %w", database, err)
	}
	if _, err := conn.Exec(ctx, "REVOKE CONNECT ON DATABASE "+databaseName+" FROM PUBLIC"); err != nil {
		return fmt.Errorf("database %s: %w", database, err)
	}
	for name, value := range settings {
		set := "ALTER ROLE " + roleName + " IN DATABASE " + databaseName + " SET " + pgx.Identifier{name}.Sanitize() + " = " + quote(value)
		if _, err := conn.Exec(ctx, set); err != nil {
			return fmt.Errorf("settings of role %s: %w", role, err)
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

// quote returns a string literal; statements like CREATE ROLE take no
// parameters.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
