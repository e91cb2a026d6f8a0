package topology_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// The container beside a bundled PostgreSQL makes its roles: on a new volume, on one that
// an earlier release made, whose superuser is called as the service and owns the tables,
// and from the middle of that. It sees other passwords, and does what it did again.
func TestKeeperMakesTheRoles(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("the keeper is a script of psql, which is not installed")
	}
	for name, before := range map[string]func(t *testing.T, s *pgserver.Server){
		"new volume": func(t *testing.T, s *pgserver.Server) { run(t, s.SuperuserDSN("postgres"), `CREATE DATABASE "order"`) },
		"volume of an earlier release": func(t *testing.T, s *pgserver.Server) {
			earlier(t, s)
		},
		"volume of an earlier release, half done": func(t *testing.T, s *pgserver.Server) {
			earlier(t, s)
			run(t, s.DSN("postgres", "order", ""), "CREATE ROLE keeper SUPERUSER LOGIN")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := pgserver.Start(t.Context(), pgserver.Options{Dir: pgtest.Folder(t), Disposable: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
			before(t, s)
			keep := keeper(t, s)
			keep("first")
			order := func(role string) string { return s.DSN("order", role, "") }
			if got := ask(t, s.SuperuserDSN("order"), `SELECT string_agg(format('%s %s %s', rolname, rolsuper, rolcanlogin), ', ' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'`); got !=
				"order f t, order_reader f t, order_runtime f t, postgres t t" {
				t.Errorf("the roles are %s", got)
			}
			if got := ask(t, s.SuperuserDSN("order"), `SELECT count(*)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner = 'postgres'::regrole`); got != "0" {
				t.Errorf("the superuser owns %s relations", got)
			}
			run(t, order("order"), `CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY, state text)`,
				`ALTER TABLE orders ADD COLUMN added int`, `INSERT INTO orders (state) VALUES ('NEW')`, `GRANT SELECT ON orders TO order_runtime`)
			if got := ask(t, order("order_reader"), "SELECT state FROM orders ORDER BY id DESC LIMIT 1"); got != "NEW" {
				t.Errorf("the reader reads %q", got)
			}
			for _, refused := range []struct{ role, statement string }{
				{"order_runtime", "CREATE TABLE other ()"},
				{"order_runtime", "ALTER TABLE orders DROP COLUMN state"},
				{"order_reader", "INSERT INTO orders (state) VALUES ('x')"},
				{"order_reader", "SET default_transaction_read_only = off; DELETE FROM orders"},
				{"order", "CREATE ROLE other"},
			} {
				if err := try(t, order(refused.role), refused.statement); err == nil {
					t.Errorf("%s may %s", refused.role, refused.statement)
				}
			}
			const passwords = "SELECT string_agg(rolname || rolpassword, ' ' ORDER BY rolname) FROM pg_authid WHERE rolpassword IS NOT NULL"
			was := ask(t, s.SuperuserDSN("order"), passwords)
			if strings.Contains(was, "postgres") || strings.Count(was, "SCRAM-SHA-256") != 3 {
				t.Errorf("the passwords are %s", was)
			}
			keep("second")
			if ask(t, s.SuperuserDSN("order"), passwords) == was {
				t.Error("other passwords are not taken over")
			}
		})
	}
}

// earlier makes what the chart made before it had roles.
func earlier(t *testing.T, s *pgserver.Server) {
	t.Helper()
	run(t, s.SuperuserDSN("postgres"), "CREATE ROLE other SUPERUSER LOGIN")
	run(t, s.DSN("postgres", "other", ""), `ALTER ROLE postgres RENAME TO "order"`)
	run(t, s.DSN("postgres", "order", ""), "DROP ROLE other", `CREATE DATABASE "order"`)
	run(t, s.DSN("order", "order", ""), "CREATE EXTENSION pg_trgm", "CREATE TYPE mood AS ENUM ('glad')", "CREATE DOMAIN code AS text",
		"CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, number serial, state text, mood mood, code code)", "INSERT INTO orders (state) VALUES ('OLD')",
		`CREATE VIEW latest AS SELECT * FROM orders`, "CREATE SEQUENCE numbers",
		"CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1'")
}

// keeper starts the script as the chart does, until the test ends. What it returns gives
// the roles other passwords and waits until they have them.
func keeper(t *testing.T, s *pgserver.Server) func(password string) {
	t.Helper()
	const chart = "../../../helm/souk/files/"
	conf, roles, kept := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "kept")
	sql, err := os.ReadFile(chart + "roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(conf, "roles.sql", string(sql))
	return func(password string) {
		for _, role := range []string{"owner", "runtime", "reader"} {
			write(roles, role+"-password", password+role)
		}
		var out strings.Builder
		cmd := exec.CommandContext(t.Context(), "sh", chart+"keep-postgres.sh")
		cmd.Env = append(os.Environ(), "SERVICE=order", "CONF="+conf, "ROLES="+roles, "CERTIFICATE="+conf, "KEPT="+kept,
			"PGHOST=127.0.0.1", "ADDRESS=127.0.0.1", fmt.Sprintf("PGPORT=%d", s.Port()))
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			if _, err := os.Stat(kept); err == nil {
				break
			}
			if err := retry.Sleep(ctx, 50*time.Millisecond); err != nil {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				t.Fatalf("no roles: %s", out.String())
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("told to end it says %v: %s", err, out.String())
		}
		if err := os.Remove(kept); err != nil {
			t.Fatal(err)
		}
	}
}

func try(t *testing.T, dsn string, statements ...string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func run(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	if err := try(t, dsn, statements...); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, dsn, query string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}
