package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	"github.com/jackc/pgx/v5/pgconn"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func migrate(ctx context.Context, dsn string) error {
	return audit.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
}

func open(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), pgtest.New(t, migrate))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := audit.Migrated(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

func ada(ctx context.Context) context.Context {
	return audit.As(ctx, audit.Actor{Operator: "ada", Caller: "gateway", Action: "/souk.test.v1.Test/Set", Request: "4bf92f3577b34da6a3ce929d0e0e4736"})
}

func add(t testing.TB, pool *pgxpool.Pool, c audit.Change) {
	t.Helper()
	err := pg.InTx(ada(t.Context()), pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error { return audit.Append(ctx, tx, c) })
	if err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, db pg.Beginner, want audit.Expected) audit.Verified {
	t.Helper()
	v, err := audit.Verify(t.Context(), db, want)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func read(t testing.TB, pool *pgxpool.Pool) (all []audit.Entry) {
	t.Helper()
	err := audit.Read(t.Context(), pool, audit.Entry{}.At, func(e *audit.Entry) error { all = append(all, *e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnEntryTellsWhoAndWhat(t *testing.T) {
	t.Parallel()
	pool := open(t)
	if v := verify(t, pool, audit.Expected{}); v.Fault != nil || v.Entries != 0 || v.Head.Sequence != 0 {
		t.Fatalf("an empty log: %+v", v)
	}
	add(t, pool, audit.Change{Object: "product LAMP", Before: map[string]int64{"price": 100}, After: map[string]any{"price": 120, "note": "<b>&"}})
	add(t, pool, audit.Change{Object: "product NEW", After: []string{"x"}})
	all := read(t, pool)
	if len(all) != 2 {
		t.Fatalf("%d entries", len(all))
	}
	e := all[0]
	want := audit.Actor{Operator: "ada", Caller: "gateway", Action: "/souk.test.v1.Test/Set", Request: "4bf92f3577b34da6a3ce929d0e0e4736"}
	if e.Actor != want || e.Object != "product LAMP" || e.Before != `{"price":100}` || e.After != `{"note":"<b>&","price":120}` {
		t.Errorf("%+v", e)
	}
	if all[1].Before != "" || all[1].At.Before(e.At) {
		t.Errorf("%+v after %v", all[1], e.At)
	}
	if v := verify(t, pool, audit.Expected{}); v.Fault != nil || v.Entries != 2 {
		t.Errorf("%+v", v)
	}
}

// TestNoEntryWithoutItsAction: what is rolled back leaves neither an entry nor a gap, and
// without an operator there is none.
func TestNoEntryWithoutItsAction(t *testing.T) {
	t.Parallel()
	pool := open(t)
	add(t, pool, audit.Change{Object: "a"})
	failed := errors.New("the action fails")
	err := pg.InTx(ada(t.Context()), pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(audit.Append(ctx, tx, audit.Change{Object: "b"}), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	// The process ends between the entry and the commit.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Append(ada(t.Context()), tx, audit.Change{Object: "c"}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Conn().Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = tx.Rollback(t.Context())
	if err := audit.Append(t.Context(), pool, audit.Change{Object: "d"}); err != nil {
		t.Error(err)
	}
	add(t, pool, audit.Change{Object: "e"})
	if err := audit.Append(ada(t.Context()), pool, audit.Change{}); err == nil {
		t.Error("a change of nothing was taken")
	}
	if v := verify(t, pool, audit.Expected{}); v.Fault != nil || v.Entries != 2 {
		t.Errorf("%+v", v)
	}
}

// TestOperatorsAtOnce: 100 actions that lock rows of their own in any order make one chain.
func TestOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	pool := open(t)
	if _, err := pool.Exec(t.Context(), "CREATE TABLE things (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO things SELECT generate_series(0, 9)"); err != nil {
		t.Fatal(err)
	}
	const actions = 100
	var all sync.WaitGroup
	for i := range actions {
		all.Go(func() {
			err := pg.InTx(ada(t.Context()), pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "UPDATE things SET n = n + 1 WHERE id = $1", i%10); err != nil {
					return err
				}
				return audit.Append(ctx, tx, audit.Change{Object: fmt.Sprint("thing ", i%10), After: i})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if v := verify(t, pool, audit.Expected{}); v.Fault != nil || v.Entries != actions {
		t.Errorf("%+v", v)
	}
	for before, e := range read(t, pool) {
		if e.Sequence != int64(before)+1 {
			t.Errorf("entry %d at %d", e.Sequence, before)
		}
	}
}

// TestAppendOnly: neither the tables' owner in passing nor a role that may only append
// can change what was written.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	pool := open(t)
	add(t, pool, audit.Change{Object: "a"})
	refused := []string{
		"UPDATE souk_audit SET operator = 'eve'", "DELETE FROM souk_audit", "DELETE FROM souk_audit WHERE false", "TRUNCATE souk_audit",
		"UPDATE souk_audit_head SET sequence = 0", "UPDATE souk_audit_head SET hash = ''", "DELETE FROM souk_audit_head", "TRUNCATE souk_audit_head",
		"UPDATE souk_audit_head SET sequence = sequence + 1, chain = gen_random_uuid()",
		"INSERT INTO souk_audit_head VALUES (true, gen_random_uuid(), 0, '', now())",
		"SET session_replication_role = replica; DELETE FROM souk_audit",
	}
	for _, statement := range refused {
		if _, err := pool.Exec(t.Context(), statement); !forbidden(err) {
			t.Errorf("%s: %v", statement, err)
		}
	}

	role := fmt.Sprintf("appender_%d", pool.Config().ConnConfig.Port) + strings.ReplaceAll(pool.Config().ConnConfig.Database, "-", "_")
	if _, err := pool.Exec(t.Context(), "CREATE ROLE "+role+"; GRANT USAGE ON SCHEMA public TO "+role); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		if err != nil {
			t.Error(err)
		}
	})
	as := func(statement string) error {
		return pg.InTx(ada(t.Context()), pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL ROLE "+role); err != nil {
				return err
			}
			if statement == "" {
				return audit.Append(ctx, tx, audit.Change{Object: "b"})
			}
			_, err := tx.Exec(ctx, statement)
			return err
		})
	}
	if err := as(""); !forbidden(err) {
		t.Errorf("append without the right to: %v", err)
	}
	if _, err := pool.Exec(t.Context(), "GRANT EXECUTE ON FUNCTION souk_audit_append TO "+role); err != nil {
		t.Fatal(err)
	}
	if err := as(""); err != nil {
		t.Errorf("append: %v", err)
	}
	for _, statement := range append(refused[:10:10],
		"INSERT INTO souk_audit SELECT * FROM souk_audit", "ALTER TABLE souk_audit DISABLE TRIGGER ALL", "DROP TRIGGER append_only ON souk_audit",
		"SELECT souk_audit_prune('eve', now())", "SELECT souk_audit_list(0, '', '', NULL, p_until => NULL, p_most => 10)",
		"DROP TABLE souk_audit", "CREATE OR REPLACE FUNCTION souk_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'") {
		if err := as(statement); !forbidden(err) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if v := verify(t, pool, audit.Expected{}); v.Fault != nil || v.Entries != 2 {
		t.Errorf("%+v", v)
	}
}

// TestInterceptor: an operator's call acts, a customer's does not, and the log has the
// hash of what was committed.
func TestInterceptor(t *testing.T) {
	t.Parallel()
	pool := open(t)
	var log strings.Builder
	handle := audit.Interceptor(slog.New(slog.NewTextHandler(&log, nil)))
	info := &grpc.UnaryServerInfo{FullMethod: "/souk.order.v1.OrderService/RefundOrder"}
	failed := errors.New("refused")
	for _, c := range []struct {
		viewer *accessv1.Viewer
		err    error
	}{
		{nil, nil},
		{&accessv1.Viewer{Kind: &accessv1.Viewer_Customer{Customer: &accessv1.Customer{Id: "c"}}}, nil},
		{&accessv1.Viewer{Kind: &accessv1.Viewer_Operator{Operator: &accessv1.Operator{Name: "ada"}}}, failed},
		{&accessv1.Viewer{Kind: &accessv1.Viewer_Operator{Operator: &accessv1.Operator{Name: "ada"}}}, nil},
	} {
		_, err := handle(t.Context(), &orderv1.RefundOrderRequest{Viewer: c.viewer}, info, func(ctx context.Context, _ any) (any, error) {
			return nil, pg.InTx(ctx, pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				return errors.Join(audit.Append(ctx, tx, audit.Change{Object: "order 1"}), c.err)
			})
		})
		if !errors.Is(err, c.err) {
			t.Error(err)
		}
	}
	v := verify(t, pool, audit.Expected{})
	if v.Fault != nil || v.Entries != 1 {
		t.Fatalf("%+v", v)
	}
	line := fmt.Sprintf(`msg="audit entry" operator=ada action=%s object="order 1" chain=%s sequence=1 hash=%x`, info.FullMethod, v.Head.Chain, v.Head.Hash)
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), line) {
		t.Errorf("log %q, want %q", log.String(), line)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	for _, c := range []struct{ before, after, was, is any }{
		{m{"a": 1, "b": 2}, m{"a": 1, "b": 3}, m{"b": 2}, m{"b": 3}},
		{m{"a": m{"x": 1, "y": int64(9007199254740993)}}, m{"a": m{"x": 1, "y": int64(9007199254740992)}}, m{"a": m{"y": int64(9007199254740993)}}, m{"a": m{"y": int64(9007199254740992)}}},
		{m{"a": 1}, m{"b": nil}, m{"a": 1}, m{"b": nil}},
		{m{"a": []int{1}}, m{"a": []int{1, 2}}, m{"a": []int{1}}, m{"a": []int{1, 2}}},
		{nil, m{"a": 1}, nil, m{"a": 1}},
		{m{"a": 1}, nil, m{"a": 1}, nil},
		{m{"a": 1}, m{"a": 1}, m{}, m{}},
	} {
		was, is, err := audit.Diff(c.before, c.after)
		if err != nil || fmt.Sprint(was) != fmt.Sprint(c.was) || fmt.Sprint(is) != fmt.Sprint(c.is) {
			t.Errorf("%v, %v: %v, %v, %v; want %v, %v", c.before, c.after, was, is, err, c.was, c.is)
		}
	}
}

// forbidden reports whether the database refused for want of a right.
func forbidden(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "42501" // insufficient_privilege
}
