//go:build unix

// Package pgtest gives every test a PostgreSQL database of its own.
//
// A package's TestMain calls Main; the first New starts a private server that
// all tests of the package share. Each kind of database is migrated once, as a
// template; a test gets a copy of it in some ten milliseconds.
//
// Service gives a database as a service has it, with an owner and a runtime role: what
// takes more than the service's grants fails there. New gives one to a superuser.
//
// With SOUK_TEST_POSTGRES_DSN set to the DSN of a superuser, that server is
// used instead of a private one.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
)

// timeout bounds the start of the server, a migration and a copy, on a machine
// that is busy with other tests.
const timeout = 2 * time.Minute

// tests is the state of one test binary.
var tests struct {
	start    sync.Once
	err      error
	remove   func() error // the server's folder
	server   *pgserver.Server
	admin    *pgxpool.Pool // superuser in database postgres
	next     atomic.Int64
	roles    sync.Once // makes the owner's and the runtime role
	rolesErr error

	mu        sync.Mutex
	templates map[uintptr]*template
}

type template struct {
	once sync.Once
	name string
	err  error
}

// Main runs the tests of a package and exits. It stops the server if one was
// started.
func Main(m *testing.M) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		if code == 0 {
			code = 1
		}
	}
	os.Exit(code)
}

// New returns the DSN of a fresh database that migrate has brought up to date,
// with a superuser for a role. migrate runs once for all tests of the binary
// that pass the same function; nil means an empty database. The database is
// dropped, and open connections closed, when the test has ended.
func New(t testing.TB, migrate func(ctx context.Context, dsn string) error) string {
	t.Helper()
	var key uintptr
	if migrate != nil {
		key = reflect.ValueOf(migrate).Pointer()
	}
	return dsn(database(t, key, "", func(ctx context.Context, name string) error { return migrate(ctx, dsn(name)) }))
}

// database makes a copy of the template of a key, or an empty database for key 0, that a
// role owns, the superuser if it is "", and drops it when the test has ended.
func database(t testing.TB, key uintptr, owner string, migrate func(ctx context.Context, name string) error) (name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := begin(ctx); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	from, err := templateFor(ctx, key, owner, migrate)
	if err != nil {
		t.Fatalf("pgtest: migrate the template: %v", err)
	}
	name = fmt.Sprintf("test_%d_%d", os.Getpid(), tests.next.Add(1))
	if err := create(ctx, name, from, owner); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := drop(ctx, name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return name
}

// begin starts the server that all tests of the binary share.
func begin(ctx context.Context) error {
	tests.start.Do(func() { tests.err = start(context.WithoutCancel(ctx)) })
	return tests.err
}

func start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	url := os.Getenv("SOUK_TEST_POSTGRES_DSN")
	if url == "" {
		dir, remove, err := NewFolder()
		if err != nil {
			return err
		}
		tests.remove = remove
		tests.server, err = pgserver.Start(ctx, pgserver.Options{
			Dir: dir, Disposable: true, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return err
		}
		url = tests.server.SuperuserDSN("postgres")
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	cfg.MaxConns = 4
	tests.admin, err = pgxpool.NewWithConfig(ctx, cfg)
	return err
}

func stop() error {
	if tests.admin != nil {
		if tests.server == nil {
			dropTemplates()
		}
		tests.admin.Close()
	}
	if tests.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := tests.server.Stop(ctx)
	return errors.Join(err, tests.remove())
}

// templateFor returns the name of the template database of a migration.
func templateFor(ctx context.Context, key uintptr, owner string, migrate func(ctx context.Context, name string) error) (string, error) {
	if key == 0 {
		return "template0", nil
	}
	tests.mu.Lock()
	if tests.templates == nil {
		tests.templates = map[uintptr]*template{}
	}
	tmpl := tests.templates[key]
	if tmpl == nil {
		tmpl = &template{name: fmt.Sprintf("template_%d_%d", os.Getpid(), len(tests.templates))}
		tests.templates[key] = tmpl
	}
	tests.mu.Unlock()
	tmpl.once.Do(func() {
		// Not bound to the test that happens to be first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		if tmpl.err = create(ctx, tmpl.name, "template0", owner); tmpl.err == nil {
			tmpl.err = migrate(ctx, tmpl.name)
		}
		if tmpl.err == nil {
			// A connection that is only just closing would bar the first copy.
			tmpl.err = disconnectAll(ctx, tmpl.name)
		}
	})
	return tmpl.name, tmpl.err
}

// create makes a copy of a database. One that a role owns is for it and the runtime role
// alone; a copy does not inherit that.
func create(ctx context.Context, name, from, owner string) error {
	quoted := pgx.Identifier{name}.Sanitize()
	statements := []string{"CREATE DATABASE " + quoted + " TEMPLATE " + pgx.Identifier{from}.Sanitize()}
	if tests.server != nil {
		// The copy takes two checkpoints in place of a log of all its pages, which a
		// server that does not sync has for nothing.
		statements[0] += " STRATEGY file_copy"
	}
	if owner != "" {
		statements[0] += " OWNER " + owner
		statements = append(statements, "REVOKE ALL ON DATABASE "+quoted+" FROM PUBLIC", "GRANT CONNECT ON DATABASE "+quoted+" TO "+runtimeRole())
	}
	for _, statement := range statements {
		if _, err := tests.admin.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func drop(ctx context.Context, name string) error {
	_, err := tests.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	return err
}

func disconnectAll(ctx context.Context, name string) error {
	for {
		var left int
		err := tests.admin.QueryRow(ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name).Scan(&left)
		if err != nil || left == 0 {
			return err
		}
	}
}

func dropTemplates() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, tmpl := range tests.templates {
		_ = drop(ctx, tmpl.name)
	}
	_ = dropRoles(ctx)
}

// dsn returns the admin's DSN with another database.
func dsn(database string) string {
	cc := tests.admin.Config().ConnConfig
	if tests.server != nil {
		return tests.server.SuperuserDSN(database)
	}
	return withDatabase(cc.ConnString(), database)
}

// withDatabase replaces the database of a connection string.
func withDatabase(conn, database string) string {
	if !strings.HasPrefix(conn, "postgres://") && !strings.HasPrefix(conn, "postgresql://") {
		return conn + " dbname=" + database // the last one wins
	}
	base, query, _ := strings.Cut(conn, "?")
	scheme, rest, _ := strings.Cut(base, "://")
	host, _, _ := strings.Cut(rest, "/")
	out := scheme + "://" + host + "/" + database
	if query != "" {
		out += "?" + query
	}
	return out
}
