//go:build unix

package patroni

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// skipWithout skips a test where Patroni and etcd are missing, but not where `souk test` installs them.
func skipWithout(t *testing.T, err error) {
	t.Helper()
	if _, apt := exec.LookPath("apt-get"); apt != nil && errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
}

// start starts a cluster for a test, and stops it after that.
func start(ctx context.Context, t *testing.T, opts Options) *Cluster {
	t.Helper()
	opts.Disposable, opts.loopWait = true, 1
	c, err := Start(ctx, opts)
	skipWithout(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if err := c.Stop(stopping); err != nil { // again, where the test has done it
			t.Error(err)
		}
	})
	return c
}

// TestAStartThatFailsIsUndone: a start that fails before all parts are made returns its error.
func TestAStartThatFailsIsUndone(t *testing.T) {
	t.Parallel()
	cause := errors.New("no way")
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), Disposable: true, Route: func(_, to, addr string) (string, error) {
		if to == Nodes[1] {
			return "", cause
		}
		return addr, nil
	}})
	skipWithout(t, err)
	if !errors.Is(err, cause) {
		t.Errorf("a start without a way: %v", err)
	}
}

// TestTheDeathOfAPrimary: what was acknowledged is there on the next primary, within the time
// that Patroni needs, and the dead one comes back as a standby. A stopped cluster goes on with
// its data.
func TestTheDeathOfAPrimary(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	began := time.Now()
	said := func(what string) {
		t.Logf("%5.1f s  %s", time.Since(began).Seconds(), what)
		began = time.Now()
	}
	c := start(ctx, t, Options{Dir: dir})
	said("up")
	write(ctx, t, c, "CREATE TABLE t (n int)")
	from, to, err := c.Switchover(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if now, err := c.AwaitPrimary(ctx, from); err != nil || now != to {
		t.Fatalf("%s is the primary after a switchover to %s, %v", now, to, err)
	}
	write(ctx, t, c, "INSERT INTO t VALUES (1)")
	said("switchover from " + from + " to " + to)
	if err := c.AwaitWhole(ctx); err != nil {
		t.Fatal(err)
	}
	said("whole")
	if err := c.Kill(to); err != nil {
		t.Fatal(err)
	}
	now, err := c.AwaitPrimary(ctx, to)
	if err != nil {
		t.Fatal(err)
	}
	said(now + " took the place of " + to)
	var n int
	if err := c.one(ctx, now, "SELECT count(*) FROM t", &n); err != nil || n != 1 {
		t.Errorf("the new primary has %d rows, %v", n, err)
	}
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	said("stopped")
	c = start(ctx, t, Options{Dir: dir})
	said("up again, with the node that was killed")
	write(ctx, t, c, "INSERT INTO t VALUES (2)")
	said("written")
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	said("stopped")
}

func write(ctx context.Context, t *testing.T, c *Cluster, sql string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, c.SuperuserDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), Options{Dir: t.TempDir()})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "patroni, etcd (Debian and Ubuntu: apt install ") {
		t.Errorf("without any program: %v", err)
	}
}
