package auditlog_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/souk/internal/auditlog"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func migrate(ctx context.Context, dsn string) error {
	return audit.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
}

// TestCommand writes an anchor, has a line changed by hand and the last removed, and finds
// both.
func TestCommand(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, migrate)
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	act := func(operator, object string) {
		t.Helper()
		ctx := audit.As(t.Context(), audit.Actor{Operator: operator, Action: "/souk.catalog.v1.CatalogService/SetPrices"})
		if err := audit.Append(ctx, db, audit.Change{Object: object, Before: map[string]int{"price": 1}, After: map[string]int{"price": 2}}); err != nil {
			t.Fatal(err)
		}
	}
	souk := func(args ...string) (string, error) {
		var out strings.Builder
		err := auditlog.Command(t.Context(), append(args, "--dsn", "catalog="+dsn), &out, io.Discard)
		return out.String(), err
	}
	want := func(text string, fails bool, args ...string) {
		t.Helper()
		if out, err := souk(args...); (err != nil) != fails || !strings.Contains(out, text) {
			t.Errorf("%v: %q, %v; want %q", args, out, err, text)
		}
	}
	want("0 entries verified; none yet", false, "verify")
	act("ada", "variant LAMP")
	act("bob", "variant TOY")
	want("2 entries verified; the last, 2", false, "verify")
	anchors := filepath.Join(t.TempDir(), "anchors")
	lines, err := souk("anchor")
	if err != nil || os.WriteFile(anchors, []byte(lines), 0o600) != nil {
		t.Fatal(err)
	}
	want("1 entries verified", false, "verify", "--anchors", anchors, "--since-anchor")
	if out, err := souk("list", "--operator", "bob", "--since", "1h"); err != nil || strings.Count(out, "\n") != 1 ||
		!strings.Contains(out, `catalog 2  "bob"  SetPrices  "variant TOY"  {"price":1} -> {"price":2}`) {
		t.Errorf("%q, %v", out, err)
	}
	var out, said strings.Builder
	err = auditlog.Command(t.Context(), []string{"list", "--operator", "eve", "--dsn", "catalog=" + dsn}, &out, &said)
	if err != nil || out.String() != "" || said.String() != "no entry matches, of 2 in catalog\n" {
		t.Errorf("no match: %q, %q, %v", &out, &said, err)
	}
	want(`"object":"variant LAMP"`, false, "list", "--object", "LAMP", "--json")

	exec("ALTER TABLE souk_audit DISABLE TRIGGER ALL; ALTER TABLE souk_audit_head DISABLE TRIGGER ALL")
	exec("UPDATE souk_audit SET operator = 'eve' WHERE sequence = 1")
	want("BROKEN at entry 1: it was changed", true, "verify")
	if _, err := souk("verify"); err == nil || err.Error() != "1 chain is broken" {
		t.Errorf("%v", err)
	}
	exec("UPDATE souk_audit SET operator = 'ada' WHERE sequence = 1")
	exec("DELETE FROM souk_audit WHERE sequence = 2")
	want("BROKEN at entry 2: it is not there", true, "verify")
	exec("UPDATE souk_audit_head SET sequence = 1, hash = (SELECT hash FROM souk_audit)")
	want("1 entries verified", false, "verify") // what only an anchor finds
	want("BROKEN at entry 2: it is not there", true, "verify", "--anchors", anchors)
	exec("DROP TABLE souk_audit, souk_audit_head")
	want("the log is not there", true, "verify")

	for _, args := range [][]string{{}, {"what"}, {"verify", "more"}, {"verify", "--since-anchor"}, {"verify", "--anchors", "/nowhere"}, {"list", "--dsn", dsn}} {
		if _, err := souk(args...); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

// TestPrune removes what is old, verifies what is left, and finds what is removed besides.
func TestPrune(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, migrate)
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	var second time.Time
	for i := range 4 {
		ctx := audit.As(t.Context(), audit.Actor{Operator: "ada", Action: "/souk.catalog.v1.CatalogService/SetPrices"})
		if err := audit.Append(ctx, db, audit.Change{Object: fmt.Sprintf("variant %d", i)}); err != nil {
			t.Fatal(err)
		}
		if h, err := audit.ReadHead(t.Context(), db); err != nil {
			t.Fatal(err)
		} else if i == 1 {
			second = h.At
		}
	}
	souk := func(args ...string) (string, string, error) {
		var out, said strings.Builder
		err := auditlog.Command(t.Context(), append(args, "--dsn", "catalog="+dsn), &out, &said)
		return out.String(), said.String(), err
	}
	for _, args := range [][]string{
		{"prune"}, {"prune", "--operator", "ann"}, {"prune", "--before", "2000-01-01"}, {"prune", "--before", "yesterday", "--operator", "ann"},
		{"prune", "--before", "-5m", "--operator", "ann"}, {"prune", "--before", "2999-01-01", "--operator", "ann"},
	} {
		if out, _, err := souk(args...); err == nil || out != "" {
			t.Errorf("%v was taken: %q", args, out)
		}
	}
	for _, old := range []string{"2000-01-01", "2000-01-01T00:00:00Z", "8760h"} {
		if out, said, err := souk("prune", "--before", old, "--operator", "ann"); err != nil || out != "" || said != "catalog: nothing is older\n" {
			t.Errorf("%s: %q, %q, %v", old, out, said, err)
		}
	}
	anchor, said, err := souk("prune", "--before", second.Format(time.RFC3339Nano), "--operator", "ann")
	if err != nil || said != "catalog: 1 entries removed, up to 1\n" || !strings.Contains(anchor, `"sequence":5`) {
		t.Fatalf("%q, %q, %v", anchor, said, err)
	}
	anchors := filepath.Join(t.TempDir(), "anchors")
	if err := os.WriteFile(anchors, []byte(anchor), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, err := souk("verify", "--anchors", anchors); err != nil || !strings.Contains(out, "4 entries verified; the last, 5,") || !strings.Contains(out, "those up to 1 were removed by the checkpoint 5 of ") {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := souk("list"); err != nil || !strings.Contains(out, `catalog 5  "ann"  souk audit prune  "entries 1 to 1"`) {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := db.Exec(t.Context(), "ALTER TABLE souk_audit DISABLE TRIGGER ALL; DELETE FROM souk_audit WHERE sequence = 2"); err != nil {
		t.Fatal(err)
	}
	if out, _, err := souk("verify"); err == nil || !strings.Contains(out, "BROKEN at entry 2: it is not there") {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := souk("prune", "--before", time.Now().Add(-time.Microsecond).Format(time.RFC3339Nano), "--operator", "ann"); err == nil || out != "" {
		t.Errorf("what is broken is pruned: %q, %v", out, err)
	}
}
