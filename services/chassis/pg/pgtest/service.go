//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
)

// password is that of the owner's and the runtime role. They are of one server, which is
// private as a rule, and of one test binary.
const password = "pgtest"

func ownerRole() string   { return fmt.Sprintf("test_owner_%d", os.Getpid()) }
func runtimeRole() string { return fmt.Sprintf("test_runtime_%d", os.Getpid()) }

// Database is a database as a service has it.
type Database struct {
	// Config has the DSN of the role that serves, and that of the owner, which migrates.
	Config pg.Config
	// DSN is a superuser's, for what a test arranges and looks at.
	DSN string
}

// Service returns a fresh database with an owner's and a runtime role. migrate, which is
// the service's own, has brought it up to date as the owner, once for all tests of the
// binary that pass the same function; nil means an empty database.
func Service(t testing.TB, migrate func(context.Context, pg.Config, *slog.Logger) error) Database {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := begin(ctx); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	tests.roles.Do(func() { tests.rolesErr = makeRoles(context.WithoutCancel(ctx)) })
	if tests.rolesErr != nil {
		t.Fatalf("pgtest: roles: %v", tests.rolesErr)
	}
	var key uintptr
	if migrate != nil {
		key = reflect.ValueOf(migrate).Pointer()
	}
	name := database(t, key, ownerRole(), func(ctx context.Context, name string) error {
		return migrate(ctx, configOf(name), slog.New(slog.DiscardHandler))
	})
	return Database{Config: configOf(name), DSN: dsn(name)}
}

// Superuser returns a pool for the superuser.
func (d Database) Superuser(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// PlannedOnce fails unless PostgreSQL keeps the plan of a prepared statement: it plans the
// first five executions, and then goes on with a plan for any arguments, if that does not
// look dearer to it than the plans for these.
func (d Database) PlannedOnce(t *testing.T, sql string, args ...any) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, d.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Prepare(ctx, "planned", sql); err != nil {
		t.Fatal(err)
	}
	for range 7 {
		if _, err := conn.Exec(ctx, "planned", args...); err != nil {
			t.Fatal(err)
		}
	}
	var kept, made int
	if err := conn.QueryRow(ctx, "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'planned'").Scan(&kept, &made); err != nil {
		t.Fatal(err)
	}
	if kept != 2 || made != 5 {
		t.Errorf("of 7 executions %d were planned, want 5:\n%s", made, sql)
	}
}

func makeRoles(ctx context.Context) error {
	for _, role := range []string{ownerRole(), runtimeRole()} {
		if _, err := tests.admin.Exec(ctx, "CREATE ROLE "+role+" LOGIN PASSWORD '"+password+"'"); err != nil {
			return err
		}
	}
	_, err := tests.admin.Exec(ctx, "GRANT "+runtimeRole()+" TO "+ownerRole())
	return err
}

// dropRoles is for a server that goes on. It comes after its databases, which they own.
func dropRoles(ctx context.Context) error {
	var errs []error
	for _, role := range []string{ownerRole(), runtimeRole()} {
		_, err := tests.admin.Exec(ctx, "DROP ROLE IF EXISTS "+role)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func configOf(database string) pg.Config {
	return pg.Config{
		DSN:      config.Secret(withUser(dsn(database), runtimeRole())),
		OwnerDSN: config.Secret(withUser(dsn(database), ownerRole())),
	}
}

// withUser replaces the role of a connection string.
func withUser(conn, role string) string {
	if !strings.HasPrefix(conn, "postgres://") && !strings.HasPrefix(conn, "postgresql://") {
		return conn + " user=" + role + " password=" + password // the last one wins
	}
	u, err := url.Parse(conn)
	if err != nil {
		panic(err) // pgx has read it
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}
