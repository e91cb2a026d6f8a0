package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type fixture struct {
	t testing.TB
	*postgres.Store
	pool *pgxpool.Pool // a superuser's
	ctx  context.Context
}

func newStore(t testing.TB) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	db := pgtest.Service(t, postgres.Migrate)
	db.Config.MaxConns = 8
	pool, err := pg.Open(ctx, db.Config, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &fixture{t, postgres.New(pool), db.Superuser(t), ctx}
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

// begin writes an attempt of GBP 10.00.
func (f *fixture) begin() domain.Attempt {
	f.t.Helper()
	a, begun, err := f.Begin(f.ctx, domain.Attempt{
		OrderID: id(), ID: id(), Amount: gbp(1000), Method: "pm_card_visa", OrderNumber: "S-1",
	})
	if err != nil || !begun || a.State != domain.Sent || a.CreatedAt.IsZero() {
		f.t.Fatalf("begin: %+v %v %v", a, begun, err)
	}
	return a
}

// moved fails the test unless the step was taken.
func (f *fixture) moved(a domain.Attempt, ok bool, err error) domain.Attempt {
	f.t.Helper()
	if err != nil || !ok {
		f.t.Fatalf("not moved: %v %v", ok, err)
	}
	return a
}

func (f *fixture) captured() domain.Attempt {
	f.t.Helper()
	a := f.begin()
	f.moved(f.Move(f.ctx, a.OrderID, domain.Sent, domain.Authorized, "pi_1", ""))
	f.moved(f.StartCapture(f.ctx, a.OrderID, gbp(1000)))
	return f.moved(f.FinishCapture(f.ctx, a.OrderID))
}

func (f *fixture) scan(into any, query string, args ...any) {
	f.t.Helper()
	if err := f.pool.QueryRow(f.ctx, query, args...).Scan(into); err != nil {
		f.t.Fatal(err)
	}
}

func TestBeginOnce(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	order := id()
	var begun atomic.Int64
	var ids sync.Map
	together(20, func() {
		a, first, err := f.Begin(f.ctx, domain.Attempt{OrderID: order, ID: id(), Amount: gbp(100), Method: "pm_x"})
		if err != nil {
			t.Error(err)
		}
		if first {
			begun.Add(1)
		}
		ids.Store(a.ID, true)
	})
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	if begun.Load() != 1 || n != 1 {
		t.Errorf("begun %d times, %d attempts", begun.Load(), n)
	}
	if _, err := f.Get(f.ctx, id()); !errors.Is(err, domain.ErrPaymentNotFound) {
		t.Errorf("an unknown order: %v", err)
	}
}

func TestEveryStepIsGuarded(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	// All that the store offers, by the states it may start from.
	steps := map[string]struct {
		from []domain.State
		take func(order string) (bool, error)
	}{
		"capture": {[]domain.State{domain.Authorized}, func(order string) (bool, error) {
			_, ok, err := f.StartCapture(f.ctx, order, gbp(1000))
			return ok, err
		}},
		"finish capture": {[]domain.State{domain.CaptureSent}, func(order string) (bool, error) {
			_, ok, err := f.FinishCapture(f.ctx, order)
			return ok, err
		}},
		"void": {[]domain.State{domain.Sent, domain.Authorized, domain.CaptureFailed}, func(order string) (bool, error) {
			_, ok, err := f.StartVoid(f.ctx, order)
			return ok, err
		}},
		"refund": {[]domain.State{domain.Captured}, func(order string) (bool, error) {
			_, ok, err := f.StartRefund(f.ctx, domain.Refund{ID: id(), OrderID: order, Amount: gbp(1)})
			return ok, err
		}},
		"bury": {nil, func(order string) (bool, error) { return f.LeaveTombstone(f.ctx, order, id()) }},
	}
	for name, step := range steps {
		for _, state := range domain.States() {
			a := f.begin()
			taken := 0
			if state == domain.Captured {
				taken = 1000
			}
			if _, err := f.pool.Exec(f.ctx, "UPDATE attempts SET state = $1, captured = $2 WHERE order_id = $3", state, taken, a.OrderID); err != nil {
				t.Fatal(err)
			}
			want := false
			for _, s := range step.from {
				want = want || s == state
			}
			if ok, err := step.take(a.OrderID); err != nil || ok != want {
				t.Errorf("%s from %s: %v %v, want %v", name, state, ok, err, want)
			}
		}
	}
	a := f.begin()
	if _, ok, err := f.Move(f.ctx, a.OrderID, domain.CaptureSent, domain.CaptureFailed, "", "x"); ok || err != nil {
		t.Errorf("moved from a state it is not in: %v %v", ok, err)
	}
	f.moved(f.Move(f.ctx, a.OrderID, domain.Sent, domain.Authorized, "pi_1", ""))
	for _, amount := range []money.Money{gbp(999), gbp(1001), {Units: 1000, Currency: "EUR"}} {
		if _, ok, err := f.StartCapture(f.ctx, a.OrderID, amount); ok || err != nil {
			t.Errorf("captured %v: %v %v", amount, ok, err)
		}
	}
}

func TestCaptureEntersTheLedgerOnce(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.begin()
	f.moved(f.Move(f.ctx, a.OrderID, domain.Sent, domain.Authorized, "pi_1", ""))
	f.moved(f.StartCapture(f.ctx, a.OrderID, gbp(1000)))
	var wins atomic.Int64
	together(20, func() {
		_, ok, err := f.FinishCapture(f.ctx, a.OrderID)
		if err != nil {
			t.Error(err)
		}
		if ok {
			wins.Add(1)
		}
	})
	var entries, sum, clearing int64
	f.scan(&entries, "SELECT count(*) FROM ledger_entries")
	f.scan(&sum, "SELECT sum(amount)::bigint FROM ledger_entries")
	f.scan(&clearing, "SELECT amount FROM ledger_entries WHERE account = 'provider_clearing' AND kind = 'capture'")
	if wins.Load() != 1 || entries != 2 || sum != 0 || clearing != 1000 {
		t.Errorf("%d captures, %d entries that sum to %d, %d to clearing", wins.Load(), entries, sum, clearing)
	}
	if got, err := f.Get(f.ctx, a.OrderID); err != nil || got.Captured != 1000 || got.State != domain.Captured || got.ProviderID != "pi_1" {
		t.Errorf("attempt %+v %v", got, err)
	}
}

func TestConcurrentRefundsNeverExceedTheCapture(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.captured()
	var taken atomic.Int64
	together(20, func() {
		r, ok, err := f.StartRefund(f.ctx, domain.Refund{ID: id(), OrderID: a.OrderID, Amount: gbp(300)})
		if err != nil {
			t.Error(err)
		}
		if ok {
			taken.Add(1)
			if r.PaymentID != "pi_1" || r.State != domain.RefundSent {
				t.Errorf("refund %+v", r)
			}
		}
	})
	if taken.Load() != 3 {
		t.Errorf("%d refunds of 300 fit into 1000", taken.Load())
	}
}

func TestRefundLife(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.captured()
	start := func(units int64) (string, bool) {
		t.Helper()
		refund := id()
		_, ok, err := f.StartRefund(f.ctx, domain.Refund{ID: refund, OrderID: a.OrderID, Amount: gbp(units)})
		if err != nil {
			t.Fatal(err)
		}
		return refund, ok
	}
	first, _ := start(600)
	if _, ok := start(500); ok {
		t.Error("a refund fits in beside one that is under way")
	}
	if ok, err := f.FailRefund(f.ctx, first, "declined"); !ok || err != nil {
		t.Errorf("fail: %v %v", ok, err)
	}
	second, ok := start(1000)
	if !ok {
		t.Fatal("what failed was not given back")
	}
	var wins atomic.Int64
	together(10, func() {
		ok, err := f.FinishRefund(f.ctx, second, "re_1")
		if err != nil {
			t.Error(err)
		}
		if ok {
			wins.Add(1)
		}
	})
	if ok, err := f.FailRefund(f.ctx, second, "late"); ok || err != nil {
		t.Errorf("failed after it succeeded: %v %v", ok, err)
	}
	if ok, err := f.FinishRefund(f.ctx, first, "re_2"); ok || err != nil {
		t.Errorf("succeeded after it failed: %v %v", ok, err)
	}
	var clearing int64
	f.scan(&clearing, "SELECT sum(amount)::bigint FROM ledger_entries WHERE account = 'provider_clearing'")
	got, err := f.Get(f.ctx, a.OrderID)
	if err != nil || wins.Load() != 1 || clearing != 0 || got.Refunded != 1000 {
		t.Errorf("%d wins, clearing %d, attempt %+v %v", wins.Load(), clearing, got, err)
	}
	shown, err := f.Payment(f.ctx, a.OrderID)
	if refunds := shown.Refunds; err != nil || len(refunds) != 2 || refunds[0].FailureCode != "declined" || refunds[1].ProviderID != "re_1" {
		t.Errorf("refunds %+v %v", shown.Refunds, err)
	}
	// One id, once: also when two start it at the same time.
	b := f.captured()
	same := id()
	wins.Store(0)
	together(10, func() {
		_, ok, err := f.StartRefund(f.ctx, domain.Refund{ID: same, OrderID: b.OrderID, Amount: gbp(100)})
		if err != nil {
			t.Error(err)
		}
		if ok {
			wins.Add(1)
		}
	})
	var refunding int64
	f.scan(&refunding, "SELECT refunding FROM attempts WHERE order_id = $1", b.OrderID)
	if wins.Load() != 1 || refunding != 100 {
		t.Errorf("one id started %d times, %d are being refunded", wins.Load(), refunding)
	}
}

func TestTombstoneComesOnce(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	order := id()
	var wins atomic.Int64
	together(10, func() {
		if ok, err := f.LeaveTombstone(f.ctx, order, id()); err != nil {
			t.Error(err)
		} else if ok {
			wins.Add(1)
		}
	})
	a, begun, err := f.Begin(f.ctx, domain.Attempt{OrderID: order, ID: id(), Amount: gbp(100), Method: "pm_x"})
	if wins.Load() != 1 || begun || err != nil || !a.Tombstone() {
		t.Errorf("%d tombstones, then %+v %v %v", wins.Load(), a, begun, err)
	}
}

func TestTheLedgerDefendsItself(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.captured()
	other := f.begin()
	insert := "INSERT INTO ledger_entries (transaction_id, account, amount, currency, order_id, kind) VALUES "
	for name, c := range map[string]struct {
		query      string
		constraint string
		unique     bool
	}{
		"one-sided": {insert + "('" + id() + "', 'sales', -5, 'GBP', '" + other.OrderID + "', 'capture')", "ledger_entries_balance", false},
		"unbalanced": {insert + "('" + other.ID + "', 'sales', -5, 'GBP', '" + other.OrderID + "', 'capture'), ('" +
			other.ID + "', 'provider_clearing', 4, 'GBP', '" + other.OrderID + "', 'capture')", "ledger_entries_balance", false},
		"across currencies": {insert + "('" + other.ID + "', 'sales', -5, 'GBP', '" + other.OrderID + "', 'capture'), ('" +
			other.ID + "', 'provider_clearing', 5, 'EUR', '" + other.OrderID + "', 'capture')", "ledger_entries_balance", false},
		"a second capture": {insert + "('" + id() + "', 'sales', -5, 'GBP', '" + a.OrderID + "', 'capture')", "ledger_entries_one_capture", true},
		"the same twice":   {insert + "('" + a.ID + "', 'sales', -5, 'GBP', '" + a.OrderID + "', 'refund')", "ledger_entries_once", true},
		"a change":         {"UPDATE ledger_entries SET amount = 1", "ledger_entries_append_only", false},
		"a deletion":       {"DELETE FROM ledger_entries", "ledger_entries_append_only", false},
		"truncation":       {"TRUNCATE ledger_entries", "ledger_entries_append_only", false},
		"more refunded than captured": {"UPDATE attempts SET refunding = 1001 WHERE order_id = '" + a.OrderID + "'",
			"attempts_refunding_within_capture", false},
	} {
		_, err := f.pool.Exec(f.ctx, c.query)
		violated, ok := errors.AsType[*pgconn.PgError](err)
		refused := ok && violated.Code == "23514" && violated.ConstraintName == c.constraint // check_violation
		if c.unique {
			refused = pgerr.IsUnique(err, c.constraint)
		}
		if !refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The check is at the commit: a transaction may be entered one by one.
	tx, err := f.pool.Begin(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range []string{"'sales', -5", "'provider_clearing', 5"} {
		if _, err := tx.Exec(f.ctx, insert+"('"+other.ID+"', "+entry+", 'GBP', '"+other.OrderID+"', 'capture')"); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(f.ctx); err != nil {
		t.Errorf("a balanced transaction: %v", err)
	}
}

// together runs fn n times at once and returns when all have ended.
func together(n int, fn func()) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range n {
		wg.Go(func() { <-start; fn() })
	}
	close(start)
	wg.Wait()
}
