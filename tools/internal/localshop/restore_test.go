package localshop_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/pgbackrest"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// needPgBackRest skips a test where pgBackRest is missing, but not where `souk test` installs it.
func needPgBackRest(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("pgbackrest")
	if _, apt := exec.LookPath("apt-get"); err != nil && apt != nil {
		t.Skip(pgbackrest.ErrMissing)
	}
}

// TestRestore: a table is dropped, and the databases of all services are brought back to the
// moment before; what was committed later is gone from all of them, and in the folder that was set
// aside.
func TestRestore(t *testing.T) {
	t.Parallel()
	needPgBackRest(t)
	folder := pgtest.Folder(t)
	dir, repository := filepath.Join(folder, "data"), filepath.Join(folder, "backups")
	opts := localshop.Options{Dir: dir, Seed: true, Events: localshop.EmbeddedEvents, Backups: repository}
	shop := start(t, opts)
	product := popular(t, shop)
	kept := buy(t, shop, product.Code)
	exec := func(service, sql string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), shop.DSN(service))
		if err == nil {
			_, err = conn.Exec(t.Context(), sql)
			err = errors.Join(err, conn.Close(t.Context()))
		}
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	now := func() (now time.Time) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), shop.DSN("order"))
		if err == nil {
			err = errors.Join(conn.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now), conn.Close(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	report, err := localshop.Backup(t.Context(), dir, false)
	if err != nil || len(report.Backups) != 2 || report.Backups[1].Kind != "incr" {
		t.Fatalf("a backup after the first: %+v, %v", report, err)
	}
	// pgBackRest knows the end of a backup to the second.
	eventually(t.Context(), t, "the backup is over", func() bool { return now().After(report.Backups[1].Stop.Add(time.Second)) })
	before := now()
	lost := buy(t, shop, product.Code)
	exec("payment", "DROP TABLE ledger_entries CASCADE")
	exec("order", "CREATE TABLE later ()")
	dropped := now()

	_, err = localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: before})
	if _, running := errors.AsType[*localshop.RunningError](err); !running {
		t.Fatalf("a restore of a shop that runs: %v", err)
	}
	stop(t, shop)
	for _, to := range []time.Time{report.From.Add(-time.Second), time.Now().Add(time.Minute)} {
		_, err = localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: to})
		if _, outside := errors.AsType[*localshop.RangeError](err); !outside {
			t.Errorf("a restore to %s: %v", to, err)
		}
	}

	// Both databases are of one moment, whichever it is.
	if _, err := localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: dropped}); err != nil {
		t.Fatal(err)
	}
	tables := func(service string, names ...string) string {
		t.Helper()
		shop, err := localshop.StartPostgres(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := shop.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}()
		conn, err := pgx.Connect(t.Context(), shop.DSNs()[service])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		said := ""
		for _, name := range names {
			var there bool
			if err := conn.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there); err != nil {
				t.Fatal(err)
			}
			said += fmt.Sprintf("%s %v ", name, there)
		}
		return said
	}
	if got := tables("payment", "ledger_entries") + tables("order", "later"); got != "ledger_entries false later true " {
		t.Errorf("after the drop: %s", got)
	}
	// One that fails at its end leaves all as it was: what it did cannot be noted.
	noted := filepath.Join(dir, "backups.json")
	was, err := os.ReadFile(noted)
	if err != nil {
		t.Fatal(err)
	}
	_, err = localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: before, Progress: func(text string) {
		if text != "replaying the log" {
			return
		}
		if err := errors.Join(os.Remove(noted), os.MkdirAll(filepath.Join(noted, "taken"), 0o700)); err != nil {
			t.Error(err)
		}
	}})
	if err == nil {
		t.Error("a restore that could not be noted was said to be done")
	}
	if err := errors.Join(os.RemoveAll(noted), os.WriteFile(noted, was, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := tables("payment", "ledger_entries") + tables("order", "later"); got != "ledger_entries false later true " {
		t.Errorf("after a restore that failed: %s", got)
	}
	restored, err := localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: before})
	if err != nil {
		t.Fatal(err)
	}
	if restored.Last.After(before) {
		t.Errorf("restored to %s: the last commit is of %s", before, restored.Last)
	}
	for _, aside := range restored.Aside {
		if _, err := os.Stat(aside); err != nil {
			t.Error(err)
		}
	}
	if got := tables("payment", "ledger_entries") + tables("order", "later"); got != "ledger_entries true later false " {
		t.Errorf("before the drop: %s", got)
	}
	_, err = localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: dropped})
	if undone, outside := errors.AsType[*localshop.RangeError](err); !outside || undone.Undone == nil {
		t.Errorf("a restore to what a restore has undone: %v", err)
	}
	// What was set aside is put back: what the restore had undone can be restored to again.
	putBack := func(r *localshop.Restored) {
		t.Helper()
		data := filepath.Join(dir, "postgres", "data")
		if err := errors.Join(os.RemoveAll(data), os.Rename(r.Aside[0], data)); err != nil {
			t.Fatal(err)
		}
	}
	putBack(restored)
	if restored, err = localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: dropped}); err != nil {
		t.Fatalf("after a restore that was undone: %v", err)
	}
	putBack(restored)
	if _, err = localshop.Restore(t.Context(), dir, localshop.RestoreOptions{To: before}); err != nil {
		t.Fatal(err)
	}

	// The shop goes on, and archives again without being told.
	opts.Backups = ""
	shop = start(t, opts)
	client := shopclient.New(shop.URL).WithToken(shop.OperatorToken)
	defer client.Close()
	if order, err := client.Order(t.Context(), kept.ID); err != nil || order.State != "PAID" {
		t.Errorf("an order from before: %+v, %v", order, err)
	}
	if _, err := client.Order(t.Context(), lost.ID); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an order from after: %v", err)
	}
	again := buy(t, shop, product.Code)
	if report, err = localshop.Backup(t.Context(), dir, true); err != nil || len(report.Backups) != 3 {
		t.Errorf("a backup after the restore: %+v, %v", report, err)
	}
	// A shop that is stopped has archived all: its disk may be lost.
	stop(t, shop)
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "postgres", "data")), os.Remove(filepath.Join(dir, "backups.json"))); err != nil {
		t.Fatal(err)
	}
	if _, err := localshop.Restore(t.Context(), dir, localshop.RestoreOptions{Backups: repository}); err != nil {
		t.Fatal(err)
	}
	shop = start(t, opts)
	client = shopclient.New(shop.URL).WithToken(shop.OperatorToken)
	defer client.Close()
	if order, err := client.Order(t.Context(), again.ID); err != nil || order.State != "PAID" {
		t.Errorf("the newest order, after a restore to the end of the log: %+v, %v", order, err)
	}
}

// TestBackupsAreRefused: where they would be lost, and where there are none.
func TestBackupsAreRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(pgtest.Folder(t), "data")
	_, err := localshop.Start(t.Context(), localshop.Options{Dir: dir, Disposable: true, Backups: filepath.Join(dir, "backups")})
	if err == nil || !strings.Contains(err.Error(), "in the data folder") {
		t.Errorf("backups in the data folder: %v", err)
	}
	if _, err := localshop.Restore(t.Context(), dir, localshop.RestoreOptions{}); !errors.Is(err, localshop.ErrNoBackups) {
		t.Errorf("a restore without backups: %v", err)
	}
	// A restore that is refused changes nothing, not even where the shop archives to.
	for _, repository := range []string{localshop.NoBackups, filepath.Join(filepath.Dir(dir), "backups")} {
		if _, err := localshop.Restore(t.Context(), dir, localshop.RestoreOptions{Backups: repository}); err == nil {
			t.Errorf("restored from %s, where nothing is", repository)
		}
	}
	if _, err := localshop.Restore(t.Context(), dir, localshop.RestoreOptions{}); !errors.Is(err, localshop.ErrNoBackups) {
		t.Errorf("a restore that was refused was remembered: %v", err)
	}
	if _, err := localshop.Backup(t.Context(), dir, false); !errors.Is(err, state.ErrNotRunning) {
		t.Errorf("a backup of a shop that does not run: %v", err)
	}
}
