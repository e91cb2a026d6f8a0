package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

var accounts = fstest.MapFS{
	"migrations/00001_accounts.sql": {Data: []byte(`-- +goose Up
CREATE TABLE accounts (
	id int CONSTRAINT accounts_pkey PRIMARY KEY,
	balance int NOT NULL CONSTRAINT accounts_balance CHECK (balance >= 0),
	parent int CONSTRAINT accounts_parent REFERENCES accounts
);
INSERT INTO accounts VALUES (1, 100), (2, 100);
-- +goose Down
DROP TABLE accounts;
`)},
}

func migrate(ctx context.Context, dsn string) error {
	return pg.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, accounts, quiet)
}

func open(t *testing.T, cfg pg.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), cfg, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// openReads is open for reads.
func openReads(t *testing.T, cfg pg.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.OpenReads(t.Context(), cfg, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// until waits until something is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !is() {
		if err := retry.Sleep(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("wait until %s: %v", what, err)
		}
	}
}

// fresh returns a pool on a database of the test's own that finds deadlocks at
// once.
func fresh(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return open(t, pg.Config{DSN: config.Secret(pgtest.New(t, migrate) + "&options=-c%20deadlock_timeout%3D10ms")})
}

func balance(t *testing.T, db *pgxpool.Pool, id int) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), "SELECT balance FROM accounts WHERE id = $1", id).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func add(ctx context.Context, tx pgx.Tx, id, n int) error {
	_, err := tx.Exec(ctx, "UPDATE accounts SET balance = balance + $2 WHERE id = $1", id, n)
	return err
}

func TestInTxCommitsOrRollsBack(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	if err := pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		return add(ctx, tx, 1, 5)
	}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(add(ctx, tx, 1, 5), broken)
	}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_ = add(ctx, tx, 1, 5)
			panic("oops")
		})
	}()
	canceled, cancel := context.WithCancel(t.Context())
	if err := pg.InTx(canceled, db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		defer cancel()
		return add(ctx, tx, 1, 5)
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if got := balance(t, db, 1); got != 105 {
		t.Errorf("balance %d, want 105", got)
	}
	if n := db.Stat().AcquiredConns(); n != 0 {
		t.Errorf("%d connections not given back", n)
	}
}

func TestInTxRunsADeadlockedTransactionAgain(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	// Both hold one row before either wants the other's: once, that is a deadlock
	// for certain.
	var both sync.WaitGroup
	both.Add(2)
	var runs atomic.Int32
	transfer := func(from, to int) error {
		first := true
		return pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			runs.Add(1)
			if err := add(ctx, tx, from, -10); err != nil {
				return err
			}
			if first {
				first = false
				both.Done()
				both.Wait()
			}
			return add(ctx, tx, to, 10)
		})
	}
	errs := make(chan error, 2)
	go func() { errs <- transfer(1, 2) }()
	go func() { errs <- transfer(2, 1) }()
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := runs.Load(); n < 3 {
		t.Errorf("%d runs: there was no deadlock", n)
	}
	if one, two := balance(t, db, 1), balance(t, db, 2); one != 100 || two != 100 {
		t.Errorf("balances %d and %d", one, two)
	}
}

func TestInTxRunsASerializationFailureAgain(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	// Each adds the sum of all accounts: only one after the other is it right.
	const writers = 4
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			err := pg.InTx(t.Context(), db, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(ctx context.Context, tx pgx.Tx) error {
				var sum int
				if err := tx.QueryRow(ctx, "SELECT sum(balance) FROM accounts").Scan(&sum); err != nil {
					return err
				}
				return add(ctx, tx, 1, sum)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := balance(t, db, 1) + balance(t, db, 2); got != 200<<writers {
		t.Errorf("sum %d, want %d", got, 200<<writers)
	}
}

func TestInTxGivesUp(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	runs := 0
	err := pg.InTx(t.Context(), db, pgx.TxOptions{}, func(context.Context, pgx.Tx) error {
		runs++
		return fmt.Errorf("write: %w", &pgconn.PgError{Code: "40001"})
	})
	if !pgerr.IsRetryable(err) || runs != 6 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

func TestConstraintErrors(t *testing.T) {
	t.Parallel()
	db := fresh(t)
	for sql, unique := range map[string]bool{
		"INSERT INTO accounts VALUES (1, 0)/*pkey*/":       true,
		"INSERT INTO accounts VALUES (3, -1)/*balance*/":   false,
		"INSERT INTO accounts VALUES (3, 0, 9)/*parent*/ ": false,
	} {
		_, name, _ := strings.Cut(sql, "/*")
		name, _, _ = strings.Cut(name, "*/")
		_, err := db.Exec(t.Context(), sql)
		if violated, ok := errors.AsType[*pgconn.PgError](err); !ok || violated.ConstraintName != "accounts_"+name {
			t.Errorf("%s: %v", sql, err)
		}
		if pgerr.IsUnique(err, "accounts_"+name) != unique || pgerr.IsUnique(err, "") != unique || pgerr.IsUnique(err, "another") || pgerr.IsUnavailable(err) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestSessionSettings(t *testing.T) {
	t.Parallel()
	db := open(t, pg.Config{
		DSN: config.Secret(pgtest.New(t, nil)), MaxConns: 3,
		StatementTimeout: 50 * time.Millisecond, IdleInTransactionTimeout: 7 * time.Second,
	})
	for name, want := range map[string]string{
		"statement_timeout": "50ms", "idle_in_transaction_session_timeout": "7s", "application_name": "souk-discard",
	} {
		var got string
		if err := db.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := db.Exec(t.Context(), "SELECT pg_sleep(10)"); !pgerr.IsUnavailable(err) {
		t.Errorf("a statement over its time: %v", err)
	}
	if n := db.Config().MaxConns; n != 3 {
		t.Errorf("%d connections at most", n)
	}
}

func TestQueriesAreTracedWhenSpansAreRecorded(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tel, err := telemetry.Start(t.Context(), "order", telemetry.Config{
		LogOutput: t.Output(), SpanProcessors: []sdktrace.SpanProcessor{spans},
	})
	if err != nil {
		t.Fatal(err)
	}
	db, err := pg.Open(t.Context(), pg.Config{DSN: config.Secret(pgtest.New(t, migrate))}, tel)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, span := tel.Tracer().Start(t.Context(), "request")
	balance := 0
	if err := db.QueryRow(ctx, "SELECT balance FROM accounts WHERE id = $1", 1).Scan(&balance); err != nil {
		t.Fatal(err)
	}
	span.End()
	var names []string
	for _, s := range spans.Ended() {
		if s.SpanContext().TraceID() == span.SpanContext().TraceID() {
			names = append(names, s.Name())
		}
	}
	if !strings.Contains(strings.Join(names, " "), "SELECT") {
		t.Errorf("spans %q", names)
	}
	// A pool that writes has a tracer of its own, of released connections.
	if openReads(t, pg.Config{DSN: "postgres://x"}).Config().ConnConfig.Tracer != nil {
		t.Error("traced although nothing is recorded")
	}
}

func TestOpenRefusesABadDSNWithoutTellingIt(t *testing.T) {
	t.Parallel()
	_, err := pg.Open(t.Context(), pg.Config{DSN: "postgres://keeper:hunter2@db:port/shop"}, telemetry.Discard())
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestMigrationsOfReplicasAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, nil)
	migrations := fstest.MapFS{}
	for i := range 5 {
		migrations[fmt.Sprintf("migrations/%05d_step.sql", i+1)] = &fstest.MapFile{Data: fmt.Appendf(nil, "-- +goose Up\nCREATE TABLE t%d (x int); SELECT pg_sleep(0.01);\n", i)}
	}
	migrations["migrations/00006_index.sql"] = &fstest.MapFile{Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON t0 (x);\n")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := pg.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, migrations, quiet); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var versions int
	if err := open(t, pg.Config{DSN: config.Secret(dsn)}).QueryRow(t.Context(), "SELECT count(*) FROM goose_db_version WHERE version_id > 0").Scan(&versions); err != nil || versions != 6 {
		t.Errorf("%d migrations recorded, %v; want 6", versions, err)
	}
}

// A migration that waits for a table does not hold up other statements for long, and
// succeeds as soon as it gets the table.
func TestAMigrationYieldsToWriters(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	step := func(sql string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(sql)} }
	migrations := fstest.MapFS{"migrations/00001_t.sql": step("-- +goose Up\nCREATE TABLE t (x int);\n")}
	if err := pg.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, migrations, quiet); err != nil {
		t.Fatal(err)
	}
	db := open(t, pg.Config{DSN: config.Secret(dsn)})
	writer, err := db.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Exec(ctx, "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	migrations["migrations/00002_y.sql"] = step("-- +goose Up\nCREATE TABLE u (x int);\nALTER TABLE t ADD COLUMN y int;\n")
	waiting, done := make(chan struct{}), make(chan error, 1)
	go func() {
		log := slog.New(signalHandler{slog.DiscardHandler, sync.OnceFunc(func() { close(waiting) })})
		done <- pg.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, migrations, log)
	}()
	select {
	case <-waiting:
	case <-ctx.Done():
		t.Fatal("the migration waits for the table for ever")
	}
	for range 20 { // each waits for the migration's lock_timeout at most
		if _, err := db.Exec(ctx, "INSERT INTO t VALUES (2)"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("migrated although the table was not free: %v", err)
	default:
	}
	if err := writer.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(ctx, "INSERT INTO t (y) VALUES (2)"); err != nil {
		t.Error(err)
	}
}

func TestAFailedMigrationChangesNothing(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, nil)
	broken := fstest.MapFS{"migrations/00001_x.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t (x int);\nSELECT nonsense;\n")}}
	err := pg.Migrate(t.Context(), pg.Config{DSN: config.Secret(dsn)}, broken, quiet)
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
	var exists bool
	if err := open(t, pg.Config{DSN: config.Secret(dsn)}).QueryRow(t.Context(), "SELECT to_regclass('t') IS NOT NULL").Scan(&exists); err != nil || exists {
		t.Errorf("table exists: %v, %v", exists, err)
	}
	if err := pg.Migrate(t.Context(), pg.Config{DSN: config.Secret(dsn)}, fstest.MapFS{}, quiet); !errors.Is(err, fs.ErrNotExist) && err == nil {
		t.Error("no migrations at all is no error")
	}
}

// outage is a server of a test's own that can be taken away and brought back at
// the same address.
type outage struct {
	dir    string
	port   int
	server *pgserver.Server
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	dir := pgtest.Folder(t)
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	o := &outage{dir: dir, port: port}
	t.Cleanup(func() {
		if o.server != nil {
			_ = o.server.Stop(context.Background())
		}
	})
	return o
}

func (o *outage) start(t *testing.T) {
	t.Helper()
	s, err := pgserver.Start(t.Context(), pgserver.Options{Dir: o.dir, Port: o.port, Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	o.server = s
}

func (o *outage) stop(t *testing.T) {
	t.Helper()
	if err := o.server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.server = nil
}

func TestMigrateWaitsForALateDatabase(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	dsn := fmt.Sprintf("postgres://postgres:x@127.0.0.1:%d/postgres?sslmode=disable", o.port)
	waiting := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		log := slog.New(signalHandler{slog.DiscardHandler, sync.OnceFunc(func() { close(waiting) })})
		done <- pg.Migrate(t.Context(), pg.Config{DSN: config.Secret(dsn)}, accounts, log)
	}()
	<-waiting
	o.start(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := balance(t, open(t, pg.Config{DSN: config.Secret(dsn)}), 1); got != 100 {
		t.Errorf("balance %d", got)
	}
}

// signalHandler calls warned at each warning.
type signalHandler struct {
	slog.Handler
	warned func()
}

func (h signalHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h signalHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		h.warned()
	}
	return nil
}

func TestOutageIsUnavailable(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	o.start(t)
	db := open(t, pg.Config{DSN: config.Secret(o.server.SuperuserDSN("postgres"))})
	if err := pg.Wait(t.Context(), db.Ping, func(error) {}); err != nil {
		t.Fatal(err)
	}
	// In the middle of a transaction, at the start of one, and at a query.
	err := pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		o.stop(t)
		_, err := tx.Exec(ctx, "SELECT 1")
		return err
	})
	if !pgerr.IsUnavailable(err) {
		t.Errorf("in a transaction: %v", err)
	}
	err = pg.InTx(t.Context(), db, pgx.TxOptions{}, func(context.Context, pgx.Tx) error { return nil })
	if !pgerr.IsUnavailable(err) {
		t.Errorf("begin: %v", err)
	}
	_, err = db.Exec(t.Context(), "SELECT 1")
	if !pgerr.IsUnavailable(err) || errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("query: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Exec(canceled, "SELECT 1"); pgerr.IsUnavailable(err) {
		t.Errorf("the caller's own cancellation: %v", err)
	}
	o.start(t)
	if err := pg.Wait(t.Context(), db.Ping, func(error) {}); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	if _, err := db.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	refused := errors.New("refused")
	calls := 0
	err := pg.Wait(ctx, func(context.Context) error {
		if calls++; calls == 1 {
			return refused
		}
		cancel()
		return ctx.Err()
	}, func(error) {})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}

// TestMigrated: a program is ready once the newest of its migrations is applied,
// not while the first of them are.
func TestMigrated(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dsn := pgtest.New(t, nil)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	older := fstest.MapFS{"migrations/00001_first.sql": {Data: []byte("-- +goose Up\nCREATE TABLE first ();\n-- +goose Down\n")}}
	newer := fstest.MapFS{"migrations/00012_second.sql": {Data: []byte("-- +goose Up\nALTER TABLE first ADD x int;\n-- +goose Down\n")}}
	maps.Copy(newer, older)
	if err := pg.Migrated(ctx, conn, older); !errors.Is(err, pg.ErrNotMigrated) {
		t.Errorf("an empty database: %v", err)
	}
	for _, step := range []struct {
		migrations fstest.MapFS
		newer      error
	}{{older, pg.ErrNotMigrated}, {newer, nil}} {
		if err := pg.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, step.migrations, quiet); err != nil {
			t.Fatal(err)
		}
		if err := pg.Migrated(ctx, conn, older); err != nil {
			t.Errorf("the older program: %v", err)
		}
		if err := pg.Migrated(ctx, conn, newer); !errors.Is(err, step.newer) {
			t.Errorf("the newer program: %v, want %v", err, step.newer)
		}
	}
	conn.Close(ctx)
	if err := pg.Migrated(ctx, conn, older); err == nil || errors.Is(err, pg.ErrNotMigrated) {
		t.Errorf("a database that is away: %v", err)
	}
}

// TestMigrationConnectsAgain: a server that was there may be late for the next connection.
func TestMigrationConnectsAgain(t *testing.T) {
	t.Parallel()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	err = pg.Maintain(t.Context(), pg.Config{DSN: config.Secret(pgtest.New(t, nil))}, quiet, func(ctx context.Context, pool *pgxpool.Pool) error {
		if calls++; calls < 3 {
			_, err := pgx.Connect(ctx, fmt.Sprintf("postgres://127.0.0.1:%d/shop", port))
			return fmt.Errorf("migrate: %w", err)
		}
		return pool.Ping(ctx)
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
