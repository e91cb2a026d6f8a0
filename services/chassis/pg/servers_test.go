package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// TestACommitThatNoStandbyConfirmedIsUnknown: the wait of a commit for its standby is canceled, and
// the server says COMMIT. No way of making a commit may take that for done, and what was
// committed so is confirmed before anybody is told of it.
func TestACommitThatNoStandbyConfirmedIsUnknown(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{Dir: t.TempDir(), Disposable: true, Standbys: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	dsn := server.SuperuserDSN("postgres")
	exec(t, dsn, "CREATE TABLE t (n int)", "CREATE TABLE probe (n int)")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	// waitFor has commits wait for a standby that there is not. The server's processes hear of it one
	// after the other: it is so when one waits.
	waitFor := func() {
		t.Helper()
		exec(t, dsn, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
		for waits := false; !waits; {
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				t.Fatal(err)
			}
			committed := make(chan struct{})
			go func() {
				defer close(committed)
				_, _ = conn.Exec(ctx, "INSERT INTO probe VALUES (1)") // canceled, or not yet waiting
			}()
			for over := false; !over; {
				select {
				case <-committed:
					over = true
				default:
					var n int
					if err := admin.QueryRow(ctx, "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n); err != nil {
						t.Fatal(err)
					}
					waits = waits || n > 0
				}
			}
			_ = conn.Close(ctx)
		}
	}
	// cancelWaits cancels each wait for a standby until what it returns is called.
	cancelWaits := func() (end func()) {
		waiting, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for retry.Sleep(waiting, 5*time.Millisecond) == nil {
				if _, err := admin.Exec(ctx, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		return func() { stop(); <-done }
	}
	for name, write := range map[string]func(pg.DB) error{
		"a transaction": func(db pg.DB) error {
			return pg.InTx(ctx, db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO t VALUES ($1)", 1)
				return err
			})
		},
		"a statement": func(db pg.DB) error {
			_, err := db.Exec(ctx, "INSERT INTO t VALUES ($1)", 1)
			return err
		},
		"a statement that returns": func(db pg.DB) error {
			var n int
			return db.QueryRow(ctx, "INSERT INTO t VALUES ($1) RETURNING n", 1).Scan(&n)
		},
		"a batch": func(db pg.DB) error {
			batch := &pgx.Batch{}
			batch.Queue("INSERT INTO t VALUES ($1)", 1)
			return db.SendBatch(ctx, batch).Close()
		},
		"a simple statement": func(db pg.DB) error {
			_, err := db.Exec(ctx, "INSERT INTO t VALUES (1)", pgx.QueryExecModeSimpleProtocol)
			return err
		},
	} {
		db := pg.DB{Pool: open(t, pg.Config{DSN: config.Secret(dsn), MaxConns: 1})}
		waitFor()
		if _, err := db.Exec(ctx, "SELECT $1::int", 1); err != nil {
			t.Fatal(err)
		}
		end := cancelWaits()
		err := write(db)
		end()
		var pgErr *pgconn.PgError
		if !pgerr.IsUnavailable(err) || pgerr.IsRetryable(err) || !errors.As(err, &pgErr) || pgErr.Code != "40003" {
			t.Errorf("%s, which no standby has: %v", name, err)
		}
		// Who asks again waits for a standby, and is told when there is one.
		soon, cancelSoon := context.WithTimeout(ctx, 200*time.Millisecond)
		var n int
		if err := db.QueryRow(soon, "SELECT count(*) FROM t").Scan(&n); err == nil {
			t.Errorf("%s, which no standby has, is shown to who asks again", name)
		}
		cancelSoon()
		if _, err := admin.Exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = ''"); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&n); err != nil || n == 0 {
			t.Errorf("%s, confirmed: %d rows, %v", name, n, err)
		}
		exec(t, dsn, "TRUNCATE t")
		db.Close()
	}

	// A caller who loses patience has the wait canceled, too: what he repeats is not answered by
	// what he has left.
	// Each try has a pool of its own, which knows of no earlier doubt.
	waitFor()
	for range 10 {
		pool := open(t, pg.Config{DSN: config.Secret(dsn), MaxConns: 2})
		db := pg.DB{Pool: pool}
		for _, conn := range []*pgxpool.Conn{acquire(ctx, t, pool), acquire(ctx, t, pool)} {
			conn.Release()
		}
		soon, cancelSoon := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err := db.Exec(soon, "INSERT INTO t VALUES (2)")
		cancelSoon()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a commit that no standby has: %v", err)
		}
		var n int
		soon, cancelSoon = context.WithTimeout(ctx, 200*time.Millisecond)
		if err := db.QueryRow(soon, "SELECT count(*) FROM t WHERE n = 2").Scan(&n); err == nil {
			t.Errorf("%d commits that no standby has are shown to who repeats them", n)
		}
		cancelSoon()
		pool.Close()
	}
}

func acquire(ctx context.Context, t *testing.T, pool *pgxpool.Pool) *pgxpool.Conn {
	t.Helper()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestEqualServersAreKept: where any server will do, a connection that breaks is the end of no
// other one.
func TestEqualServersAreKept(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context(), pgserver.Options{Dir: t.TempDir(), Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	ways := []*silencer{newSilencer(t, server.Port()), newSilencer(t, server.Port())}
	pool := open(t, pg.Config{
		DSN:      config.Secret(fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres dbname=postgres sslmode=disable", ways[0].port, ways[1].port)),
		MaxConns: 2,
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kept, broken := acquire(ctx, t, pool), acquire(ctx, t, pool)
	pid := kept.Conn().PgConn().PID()
	kept.Release()
	if _, err := broken.Exec(ctx, "SELECT pg_terminate_backend(pg_backend_pid())"); err == nil {
		t.Fatal("the connection goes on")
	}
	broken.Release()
	for range 40 {
		if err := retry.Sleep(ctx, 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		conn := acquire(ctx, t, pool)
		is := conn.Conn().PgConn().PID()
		conn.Release()
		if is != pid {
			t.Fatalf("connection %d was closed for %d", pid, is)
		}
	}
}

// TestThePrimaryIsFollowed: a pool of several servers leaves one that is silent or has become a
// standby, at once and with all connections.
func TestThePrimaryIsFollowed(t *testing.T) {
	t.Parallel()
	var servers []*pgserver.Server
	for range 2 {
		server, err := pgserver.Start(t.Context(), pgserver.Options{Dir: t.TempDir(), Disposable: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Stop(context.Background()) })
		servers = append(servers, server)
	}
	readOnly := func(server *pgserver.Server, on string) {
		t.Helper()
		exec(t, server.SuperuserDSN("postgres"), "SET default_transaction_read_only = off", "ALTER DATABASE postgres SET default_transaction_read_only = "+on)
	}
	readOnly(servers[1], "on")
	first := newSilencer(t, servers[0].Port())
	dsn := fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres dbname=postgres sslmode=disable target_session_attrs=read-write", first.port, servers[1].Port())
	const conns = 4
	db := open(t, pg.Config{DSN: config.Secret(dsn), MaxConns: conns, ConnectTimeout: 5 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	data := func(ctx context.Context) (dir string, err error) {
		err = db.QueryRow(ctx, "SELECT current_setting('data_directory') WHERE pg_current_xact_id() IS NOT NULL").Scan(&dir)
		return dir, err
	}
	was, err := data(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var held []interface{ Release() }
	for range conns {
		conn, err := db.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	for _, conn := range held {
		conn.Release()
	}
	readOnly(servers[1], "off")
	first.silent.Store(true)
	asked, lost := time.Now(), 0
	for {
		soon, cancelSoon := context.WithTimeout(ctx, 500*time.Millisecond)
		is, err := data(soon)
		cancelSoon()
		if err == nil && is != was {
			break
		}
		lost++
		if lost > 3 {
			t.Fatalf("%d calls of %s were lost: the other connections to it were kept, %v", lost, was, err)
		}
	}
	t.Logf("%d calls were lost in %s", lost, time.Since(asked))
	// It stays with the server that answers, and does not try the silent one first.
	for range 2 * conns {
		db.Reset()
		soon, cancelSoon := context.WithTimeout(ctx, 4*time.Second)
		if is, err := data(soon); err != nil || is == was {
			t.Errorf("a new connection: %s, %v", is, err)
		}
		cancelSoon()
	}
}

// silencer carries connections to a port until it falls silent: it accepts more, and nothing comes.
type silencer struct {
	port   int
	silent atomic.Bool
}

func newSilencer(t *testing.T, to int) *silencer {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	s := &silencer{port: lis.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { near.Close() })
			far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
			if err != nil {
				return
			}
			t.Cleanup(func() { far.Close() })
			go s.carry(near, far)
			go s.carry(far, near)
		}
	}()
	return s
}

func (s *silencer) carry(from io.Reader, to io.Writer) {
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if s.silent.Load() {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
