package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

// archivePayment is what `souk archive` does to the payment of an order.
var archivePayment = []string{
	"INSERT INTO archived_payments VALUES ($1, '2025-01')",
	`INSERT INTO archived_entries SELECT l.transaction_id, l.order_id, l.kind, l.amount, l.currency, a.provider_id, coalesce(r.provider_id, ''), l.created_at
	FROM ledger_entries l JOIN attempts a USING (order_id) LEFT JOIN refunds r ON r.id = l.transaction_id
	WHERE l.order_id = $1 AND l.account = 'provider_clearing'`,
	"DELETE FROM reviews WHERE order_id = $1", "DELETE FROM ledger_entries WHERE order_id = $1",
	"DELETE FROM refunds WHERE order_id = $1", "DELETE FROM attempts WHERE order_id = $1",
}

// TestAnArchivedPayment: nothing is asked of the provider about it again, and reconciliations know it.
func TestAnArchivedPayment(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.captured()
	refund := domain.Refund{ID: id(), OrderID: a.OrderID, Amount: gbp(400)}
	if _, ok, err := f.StartRefund(f.ctx, refund); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if ok, err := f.FinishRefund(f.ctx, refund.ID, "re_1"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	refs := []string{"pi_1", "re_1"}
	before, err := f.Entries(f.ctx, refs)
	if err != nil || len(before) != 2 {
		t.Fatalf("%+v, %v", before, err)
	}
	first, err := f.FirstAttempt(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	window := domain.Reconciliation{ID: id(), From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	unmatched, _, err := f.Unmatched(f.ctx, window)
	if err != nil || len(unmatched) != 2 {
		t.Fatalf("%+v, %v", unmatched, err)
	}

	// Not before its copy is there.
	_, err = f.pool.Exec(f.ctx, "DELETE FROM ledger_entries WHERE order_id = $1", a.OrderID)
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.ConstraintName != "ledger_entries_append_only" {
		t.Errorf("entries of a payment that is not archived are deleted: %v", err)
	}
	for _, sql := range archivePayment {
		if _, err := f.pool.Exec(f.ctx, sql, a.OrderID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Get(f.ctx, a.OrderID); !errors.Is(err, domain.ErrPaymentArchived) || !errors.Is(err, domain.ErrPaymentNotFound) {
		t.Errorf("got %v", err)
	}
	again := domain.Attempt{OrderID: a.OrderID, ID: a.OrderID, Amount: gbp(1000), Method: "pm_card_visa", OrderNumber: "S-1"}
	if _, begun, err := f.Begin(f.ctx, again); begun || !errors.Is(err, domain.ErrPaymentArchived) {
		t.Errorf("a second attempt: %v, %v", begun, err)
	}
	if left, err := f.LeaveTombstone(f.ctx, a.OrderID, id()); err != nil || left {
		t.Errorf("a tombstone: %v, %v", left, err)
	}
	if _, err := f.Get(f.ctx, id()); errors.Is(err, domain.ErrPaymentArchived) || !errors.Is(err, domain.ErrPaymentNotFound) {
		t.Errorf("of another order: %v", err)
	}
	after, err := f.Entries(f.ctx, refs)
	if err != nil || len(after) != 2 || after[0] != before[0] || after[1] != before[1] {
		t.Errorf("entries: %+v, %v; they were %+v", after, err, before)
	}
	still, _, err := f.Unmatched(f.ctx, window)
	if err != nil || len(still) != 2 || still[0] != unmatched[0] || still[1] != unmatched[1] {
		t.Errorf("unmatched: %+v, %v; they were %+v", still, err, unmatched)
	}
	if at, err := f.FirstAttempt(f.ctx); err != nil || at.Before(first) || at.After(first.Add(time.Minute)) {
		t.Errorf("the first attempt was at %v, and was at %v: %v", at, first, err)
	}
}

// TestPaymentsBeginBeforeGrants: migrations are applied before what they made is granted, and one
// after the archive's builds an index, while processes of the version before begin payments.
func TestPaymentsBeginBeforeGrants(t *testing.T) {
	t.Parallel()
	db := pgtest.Service(t, postgres.Migrate)
	pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	runtime := pgx.Identifier{pool.Config().ConnConfig.User}.Sanitize()
	if _, err := db.Superuser(t).Exec(t.Context(), "REVOKE ALL ON archived_payments FROM "+runtime); err != nil {
		t.Fatal(err)
	}
	a := domain.Attempt{OrderID: id(), ID: id(), Amount: gbp(1000), Method: "pm_card_visa", OrderNumber: "S-1"}
	if _, begun, err := postgres.New(pool).Begin(t.Context(), a); !begun || err != nil {
		t.Errorf("%v, %v", begun, err)
	}
}
