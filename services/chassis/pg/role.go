package pg

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PowerfulRoleError means that a service's role can do what only its migrations need:
// an attacker who makes the service run a statement could change its tables, or what is
// only ever to be added to.
type PowerfulRoleError struct {
	Role string
	Can  []string // "is a superuser", ...
}

// Error implements error.
func (e *PowerfulRoleError) Error() string {
	return fmt.Sprintf("the service's role %q %s: give it a role of its own, and the owner's to migrations (..._POSTGRES_OWNER_DSN)",
		e.Role, strings.Join(e.Can, ", "))
}

// powers has each thing that a runtime role is not to be able to do.
const powers = `
SELECT current_user::text, array_remove(ARRAY[
    CASE WHEN r.rolsuper THEN 'is a superuser' END,
    CASE WHEN r.rolcreaterole THEN 'may make roles' END,
    CASE WHEN r.rolcreatedb THEN 'may make databases' END,
    CASE WHEN r.rolbypassrls OR r.rolreplication THEN 'may replicate or go round row security' END,
    CASE WHEN pg_has_role(d.datdba, 'USAGE') THEN 'owns the database' END,
    CASE WHEN has_database_privilege(d.oid, 'CREATE') THEN 'may make schemas' END,
    CASE WHEN has_database_privilege(d.oid, 'TEMPORARY') THEN 'may make temporary tables' END,
    CASE WHEN EXISTS (SELECT FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'CREATE')) THEN 'may make tables' END,
    CASE WHEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_(catalog|toast|temp)' AND n.nspname <> 'information_schema' AND pg_has_role(c.relowner, 'USAGE')) THEN 'owns tables' END
], NULL)
FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()`

// CheckRole returns a *PowerfulRoleError if the role of a service's connections is more
// than a runtime role.
func CheckRole(ctx context.Context, db Queryer) error {
	var e PowerfulRoleError
	if err := db.QueryRow(ctx, powers).Scan(&e.Role, &e.Can); err != nil {
		return fmt.Errorf("look at the service's role: %w", err)
	}
	if len(e.Can) > 0 {
		return &e
	}
	return nil
}

// LimitRole has every session of the role that db's connections have, in this database,
// begin with RoleSettings. A role may set its own; where they are set already nothing is
// written.
func LimitRole(ctx context.Context, db *pgxpool.Pool, cfg Config) error {
	err := InTx(ctx, db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		var role, database string
		var has []string
		if err := tx.QueryRow(ctx, `SELECT current_user::text, current_database()::text, coalesce((
			SELECT s.setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
			WHERE r.rolname = current_user AND d.datname = current_database()), '{}')`).Scan(&role, &database, &has); err != nil {
			return err
		}
		set := map[string]string{}
		for _, setting := range has {
			name, value, _ := strings.Cut(setting, "=")
			set[name] = value
		}
		for name, value := range RoleSettings(cfg) {
			if now, ok := set[name]; ok && now == value {
				continue
			}
			alter := fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET %s = '%s'",
				pgx.Identifier{role}.Sanitize(), pgx.Identifier{database}.Sanitize(), name, value)
			if _, err := tx.Exec(ctx, alter); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("limit role: %w", err)
	}
	return nil
}
