//go:build unix

package pgserver

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// becomes waits until a query of a server is true.
func becomes(t *testing.T, dsn, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 2 * time.Millisecond, Max: 20 * time.Millisecond}}, func(ctx context.Context) error {
		return conn.QueryRow(ctx, "SELECT 1 WHERE ("+sql+")").Scan(nil)
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// A standby follows its primary, takes no writes, goes on with its data when it starts
// again, and is made anew for another primary.
func TestStandby(t *testing.T) {
	t.Parallel()
	primary := startServer(t, Options{Dir: folder(t), Standbys: true, Settings: map[string]string{"min_wal_size": "32MB", "wal_keep_size": "0"}})
	exec1(t, primary.SuperuserDSN("postgres"), "CREATE TABLE things (name text); INSERT INTO things VALUES ('one')")
	dir := folder(t)
	standby := startServer(t, Options{Dir: dir, Primary: primary})
	dsn := standby.SuperuserDSN("postgres")
	becomes(t, dsn, "pg_is_in_recovery() AND EXISTS (SELECT FROM things WHERE name = 'one')")
	exec1(t, primary.SuperuserDSN("postgres"), "INSERT INTO things VALUES ('two')")
	becomes(t, dsn, "EXISTS (SELECT FROM things WHERE name = 'two')")
	if err := refused(t, dsn, "INSERT INTO things VALUES ('three')"); err == nil {
		t.Error("a standby takes writes")
	}

	mark := filepath.Join(standby.data, "same")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := standby.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-standby.Done()
	_ = standby.Stop(t.Context()) // it has ended: this gives its lock back
	exec1(t, primary.SuperuserDSN("postgres"), "INSERT INTO things VALUES ('four')")
	standby = startServer(t, Options{Dir: dir, Primary: primary})
	becomes(t, standby.SuperuserDSN("postgres"), "EXISTS (SELECT FROM things WHERE name = 'four')")
	if _, err := os.Stat(mark); err != nil {
		t.Error("a standby that starts again was made anew")
	}
	if err := standby.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Meanwhile the primary throws away the log that the standby has to replay next.
	for range 3 {
		exec1(t, primary.SuperuserDSN("postgres"), "INSERT INTO things VALUES ('five'); SELECT pg_switch_wal()")
		exec1(t, primary.SuperuserDSN("postgres"), "CHECKPOINT")
	}
	standby = startServer(t, Options{Dir: dir, Primary: primary})
	becomes(t, standby.SuperuserDSN("postgres"), "EXISTS (SELECT FROM things WHERE name = 'five')")
	if _, err := os.Stat(mark); err == nil {
		t.Error("the standby was not made anew, although its log is gone")
	}
	if err := standby.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	other := startServer(t, Options{Dir: folder(t), Standbys: true})
	exec1(t, other.SuperuserDSN("postgres"), "CREATE TABLE others ()")
	standby = startServer(t, Options{Dir: dir, Primary: other})
	becomes(t, standby.SuperuserDSN("postgres"), "to_regclass('others') IS NOT NULL AND to_regclass('things') IS NULL")
}
