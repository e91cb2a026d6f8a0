package pg_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func exec(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestAReadOnlyDatabaseIsAwayAndHeals(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	o.start(t)
	dsn := o.server.SuperuserDSN("postgres")
	if err := migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	db := pg.DB{Pool: open(t, pg.Config{DSN: config.Secret(dsn), MaxConns: 1})}
	write := func() (pid uint32, err error) {
		err = pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			pid = tx.Conn().PgConn().PID()
			return add(ctx, tx, 1, 1)
		})
		return pid, err
	}
	ready := func() error { return pg.Migrated(t.Context(), db, accounts) }
	until := func(done func() bool) {
		t.Helper()
		if err := pg.Wait(t.Context(), func(context.Context) error {
			if done() {
				return nil
			}
			return errors.New("not yet")
		}, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := write(); err != nil || ready() != nil {
		t.Fatal(err, ready())
	}
	exec(t, dsn, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	until(func() bool { return errors.Is(ready(), pg.ErrReadOnly) })
	before, err := write()
	if !pgerr.IsUnavailable(err) {
		t.Errorf("a write: %v", err)
	}
	if after, err := write(); after == before || !pgerr.IsUnavailable(err) {
		t.Errorf("the connection to the read-only server is kept: %d, %v", after, err)
	}
	exec(t, dsn, "SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
	until(func() bool { return ready() == nil })
	if _, err := write(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// Each connection of the pool has prepared the statements for the old type.
func TestAChangedColumnTypeIsNoError(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, migrate)
	const conns = 6
	db := pg.DB{Pool: open(t, pg.Config{DSN: config.Secret(dsn), MaxConns: conns})}
	const one, all = "SELECT balance FROM accounts WHERE id = $1", "SELECT id, balance FROM accounts ORDER BY id"
	const update = "UPDATE accounts SET balance = balance + 1 WHERE id = $1 RETURNING balance"
	use := func() {
		t.Helper()
		var n int64
		if err := db.QueryRow(t.Context(), one, 1).Scan(&n); err != nil {
			t.Errorf("a row: %v", err)
		}
		rows, err := db.Query(t.Context(), all)
		if err == nil {
			var got []int64
			got, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (n int64, err error) { return n, r.Scan(new(int64), &n) })
			if len(got) != 2 {
				t.Errorf("%d rows", len(got))
			}
		}
		if err != nil {
			t.Errorf("rows: %v", err)
		}
		if _, err := db.Exec(t.Context(), update, 1); err != nil {
			t.Errorf("a statement: %v", err)
		}
		if err := pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			return tx.QueryRow(ctx, update, 2).Scan(&n)
		}); err != nil {
			t.Errorf("a transaction: %v", err)
		}
	}
	warm := func() {
		t.Helper()
		var held []interface{ Release() }
		for range conns {
			c, err := db.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
			var n int64
			for _, sql := range []string{one, update} {
				if err := c.QueryRow(t.Context(), sql, 1).Scan(&n); err != nil {
					t.Fatal(err)
				}
			}
			rows, err := c.Query(t.Context(), all)
			if err != nil {
				t.Fatal(err)
			}
			rows.Close()
		}
		for _, c := range held {
			c.Release()
		}
	}
	for _, typ := range []string{"bigint", "numeric(12,0)", "int"} {
		warm()
		exec(t, dsn, "ALTER TABLE accounts ALTER balance TYPE "+typ)
		use()
	}
	warm()
	exec(t, dsn, "ALTER TABLE accounts ALTER balance TYPE bigint")
	use()
}

func TestIsolationDoesNotDependOnTheServer(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, migrate)
	exec(t, dsn, `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database());
		EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_isolation = serializable', current_user, current_database());
	END $$`)
	db := open(t, pg.Config{DSN: config.Secret(dsn)})
	const show = "SELECT current_setting('transaction_isolation')"
	var single, inTx string
	if err := db.QueryRow(t.Context(), show).Scan(&single); err != nil {
		t.Fatal(err)
	}
	if err := pg.InTx(t.Context(), db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, show).Scan(&inTx)
	}); err != nil {
		t.Fatal(err)
	}
	if single != "read committed" || inTx != "read committed" {
		t.Errorf("a statement is %s, a transaction %s", single, inTx)
	}
}

func TestTimeoutsAreTheRolesToo(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, func(ctx context.Context, dsn string) error {
		return pg.Migrate(ctx, pg.Config{
			DSN: config.Secret(dsn), StatementTimeout: 31 * time.Second, LockTimeout: 5 * time.Second, IdleInTransactionTimeout: -1,
		}, accounts, quiet)
	})
	if err := pg.Migrate(t.Context(), pg.Config{
		DSN: config.Secret(dsn), StatementTimeout: 31 * time.Second, LockTimeout: 5 * time.Second, IdleInTransactionTimeout: -1,
	}, accounts, quiet); err != nil {
		t.Fatal(err)
	}
	admin, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	// The role's settings go before the database's.
	if _, err := admin.Exec(t.Context(), "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for name, want := range map[string]string{
		"statement_timeout": "31s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "0", "default_transaction_isolation": "read committed",
	} {
		var got string
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestAWaitForALockIsBounded(t *testing.T) {
	t.Parallel()
	db := open(t, pg.Config{DSN: config.Secret(pgtest.New(t, migrate)), LockTimeout: 20 * time.Millisecond})
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if err := add(t.Context(), tx, 1, 1); err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(t.Context(), "UPDATE accounts SET balance = 0 WHERE id = 1")
	if !pgerr.IsLockTimeout(err) || !pgerr.IsUnavailable(err) {
		t.Errorf("a locked row: %v", err)
	}
}
