package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/events/log/logtest"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

// refunded has a refund of a line settled.
func refunded(t *testing.T, s *postgres.Store, o domain.Order, sku string, state domain.RefundState) domain.Refund {
	t.Helper()
	r, _, err := s.PlaceRefund(t.Context(), domain.Refund{
		ID: uuid.Must(uuid.NewV7()).String(), OrderID: o.ID, IdempotencyKey: uuid.NewString(), RequestHash: []byte("r"),
		Lines: []domain.RefundLine{{SKU: sku, Quantity: 1}}, Restock: true, Reason: "broken",
	})
	if err != nil {
		t.Fatal(err)
	}
	if state != domain.RefundPending {
		if err := s.SettleRefund(t.Context(), r, state, "declined"); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestEveryVersionOfAnOrderIsAnEvent(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := paid(t, s)
	refunded(t, s, o, "Z", domain.RefundSucceeded)
	refunded(t, s, o, "A", domain.RefundFailed)
	refunded(t, s, o, "A", domain.RefundPending)
	if _, err := pool.Exec(t.Context(), "UPDATE orders SET email = '', version = version + 1 WHERE id = $1", o.ID); err != nil {
		t.Fatal(err)
	}
	messages := logtest.Of(t, pool, "order."+o.ID)
	const want = "OrderPlaced OrderReserved OrderAuthorized OrderConfirmed OrderPaid OrderRefundRequested OrderRefunded" +
		" OrderRefundRequested OrderRefundFailed OrderRefundRequested OrderAmended"
	if got := logtest.Types(messages); got != want {
		t.Errorf("events:\n%s, want\n%s", got, want)
	}
	now, err := s.Load(t.Context(), o.ID, false)
	if err != nil || int(now.Version) != len(messages) {
		t.Errorf("%d events of version %d, %v", len(messages), now.Version, err)
	}
	pence := func(n int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: n, Currency: "GBP"} }
	placed := &orderv1.OrderPlaced{
		OrderId: o.ID, Number: o.Number, CustomerId: o.CustomerID, Total: pence(665), Country: "GB",
		Lines: []*orderv1.OrderLine{
			{Sku: "Z", Name: "Zebra", Quantity: 2, UnitPrice: pence(295), Total: pence(590)},
			{Sku: "A", Name: "Apple", Quantity: 3, UnitPrice: pence(25), Total: pence(75)},
		},
	}
	if !proto.Equal(messages[0], placed) {
		t.Errorf("placed: %v, want %v", messages[0], placed)
	}
	back := messages[6].(*orderv1.OrderRefunded) //nolint:forcetypeassert // as its type says
	if back.GetAmount().GetMinorUnits() != 295 || back.GetRefunded().GetMinorUnits() != 295 || back.GetLines()[0].GetSku() != "Z" || !back.GetRestock() {
		t.Errorf("refunded: %v", back)
	}
}

// An erasure writes an order's refunds; consumers must not take that for another refund.
func TestAnErasureIsNoRefund(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := paid(t, s)
	refunded(t, s, o, "Z", domain.RefundSucceeded)
	refunded(t, s, o, "A", domain.RefundFailed)
	if _, err := pool.Exec(t.Context(), "UPDATE orders SET open = false WHERE id = $1", o.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := s.EraseOrders(t.Context(), []string{o.ID}); n != 1 || err != nil {
		t.Fatalf("%d orders erased, %v", n, err)
	}
	const want = "OrderPlaced OrderReserved OrderAuthorized OrderConfirmed OrderPaid OrderRefundRequested OrderRefunded" +
		" OrderRefundRequested OrderRefundFailed OrderAmended"
	if got := logtest.Types(logtest.Of(t, pool, "order."+o.ID)); got != want {
		t.Errorf("events:\n%s, want\n%s", got, want)
	}
}

func TestEventsSayWhyAnOrderIsCancelled(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	short := place(t, s, newOrder())
	next, ok, err := s.Advance(t.Context(), short, domain.Transition{To: domain.Cancelling, Reason: domain.InsufficientStock}, domain.Note{ShortSKUs: []string{"Z"}})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	path(t, s, next, domain.GivenBack)
	messages := logtest.Of(t, pool, "order."+short.ID)
	cancelled := messages[2].(*orderv1.OrderCancelled) //nolint:forcetypeassert // as its type says
	if logtest.Types(messages) != "OrderPlaced OrderCancelling OrderCancelled" ||
		cancelled.GetReason() != orderv1.CancelReason_CANCEL_REASON_INSUFFICIENT_STOCK || !slices.Equal(cancelled.GetShortSkus(), []string{"Z"}) {
		t.Errorf("events: %v", messages)
	}
	asked := place(t, s, newOrder())
	if ok, err := s.Cancel(t.Context(), asked.ID); err != nil || !ok {
		t.Fatal(ok, err)
	}
	messages = logtest.Of(t, pool, "order."+asked.ID)
	if got := messages[1].(*orderv1.OrderCancelling).GetReason(); got != orderv1.CancelReason_CANCEL_REASON_CUSTOMER { //nolint:forcetypeassert // as its type says
		t.Errorf("reason %v", got)
	}
}

// Every reason has a value in the contract, by the name that the trigger makes.
func TestEveryReasonIsTold(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	for _, reason := range []domain.Reason{
		domain.InsufficientStock, domain.HeldByOthers, domain.PaymentDeclined, domain.ByCustomer, domain.TimedOut,
		domain.ReservationLost, domain.CaptureFailed, domain.AmountMismatch,
	} {
		o := place(t, s, newOrder())
		if _, _, err := s.Advance(t.Context(), o, domain.Transition{To: domain.Cancelling, Reason: reason}, domain.Note{}); err != nil {
			t.Fatal(err)
		}
		logtest.Of(t, pool, "order."+o.ID)
	}
}

func TestEventsHaveNoPersonalData(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := paid(t, s)
	refunded(t, s, o, "Z", domain.RefundSucceeded)
	for _, line := range logtest.Dump(t, pool, "data") {
		for _, secret := range []string{o.Email, o.Address.Name, o.Address.Line1, o.Address.City, o.Address.PostalCode, o.PaymentMethod, o.IdempotencyKey} {
			if strings.Contains(line, secret) {
				t.Errorf("%q is in %s", secret, line)
			}
		}
	}
}

func TestThePastIsToldAsItWouldHaveBeen(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := paid(t, s)
	refunded(t, s, o, "Z", domain.RefundSucceeded)
	refunded(t, s, o, "A", domain.RefundFailed)
	place(t, s, newOrder())
	cancelled := place(t, s, newOrder())
	if _, err := s.Cancel(t.Context(), cancelled.ID); err != nil {
		t.Fatal(err)
	}
	const columns = "subject, version, type, at, traceparent, data"
	written := logtest.Dump(t, pool, columns)
	if _, err := pool.Exec(context.WithoutCancel(t.Context()), "DELETE FROM souk_events WHERE subject <> $1 OR version < 3", "order."+o.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a migration that was broken off is run again
		logtest.Again(t, pool, "migrations/00013_past_events.sql")
		if got := logtest.Dump(t, pool, columns); !slices.Equal(got, written) {
			t.Fatalf("events:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(written, "\n"))
		}
	}
	var first int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM souk_events WHERE tx = '1'").Scan(&first); err != nil || first != 5 {
		t.Errorf("%d events come before the others, want 5: %v", first, err)
	}
}

// States that are written together are as many events, each with its version and time.
func TestPassedStatesAreTold(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := place(t, s, newOrder())
	next, ok, err := s.Advance(t.Context(), o, domain.Transition{To: domain.Capturing}, domain.Note{Passed: []domain.Passed{
		{State: domain.Authorizing, Ago: time.Hour}, {State: domain.Confirming},
	}})
	if err != nil || !ok || next.Version != 4 || len(next.History) != 4 {
		t.Fatalf("%+v, %v, %v", next, ok, err)
	}
	const want = "OrderPlaced OrderReserved OrderAuthorized OrderConfirmed"
	if got := logtest.Types(logtest.Of(t, pool, "order."+o.ID)); got != want {
		t.Errorf("events: %s, want %s", got, want)
	}
	rows, err := pool.Query(t.Context(), "SELECT version, at FROM souk_events WHERE subject = 'order.' || $1 ORDER BY version", o.ID)
	if err != nil {
		t.Fatal(err)
	}
	type event struct {
		Version int64
		At      time.Time
	}
	told, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	if err != nil || len(told) != 4 {
		t.Fatalf("%+v, %v", told, err)
	}
	got, err := s.Load(t.Context(), o.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range got.History {
		if told[i] != (event{c.Version, told[i].At}) || !told[i].At.Equal(c.At) || !next.History[i].At.Equal(c.At) || next.History[i].State != c.State {
			t.Errorf("event %+v, history %+v, returned %+v", told[i], c, next.History[i])
		}
	}
	if !got.History[1].At.Equal(got.PlacedAt) {
		t.Errorf("reserved at %v, before it was placed at %v", got.History[1].At, got.PlacedAt)
	}
}

// A state that is written late came to be when it was decided: the order, its history and its
// event have that time, which is no earlier than the one before.
func TestALateStateHasItsTime(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	for _, c := range []struct{ ago, want time.Duration }{{20 * time.Second, 20 * time.Second}, {2 * time.Minute, time.Minute}} {
		o := place(t, s, newOrder())
		const older = "UPDATE orders SET placed_at = placed_at - interval '1 minute', updated_at = updated_at - interval '1 minute' WHERE id = $1"
		if _, err := pool.Exec(t.Context(), older, o.ID); err != nil {
			t.Fatal(err)
		}
		_, ok, err := s.Advance(t.Context(), o, domain.Transition{To: domain.Authorizing}, domain.Note{Ago: c.ago})
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		var kept, updated, told time.Time
		var late time.Duration
		err = pool.QueryRow(t.Context(), `SELECT h.at, o.updated_at, e.at, now() - h.at FROM orders o
			JOIN order_history h ON h.order_id = o.id AND h.version = 2
			JOIN souk_events e ON e.subject = 'order.' || o.id AND e.version = 2 WHERE o.id = $1`, o.ID).Scan(&kept, &updated, &told, &late)
		if err != nil || !updated.Equal(kept) || !told.Equal(kept) || late < c.want || late > c.want+15*time.Second {
			t.Errorf("%v ago: %v late; history %v, order %v, event %v, %v", c.ago, late, kept, updated, told, err)
		}
	}
}
