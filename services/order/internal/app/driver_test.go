package app_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is an order service's insides with fake neighbors and a real database.
type world struct {
	pool     *pgxpool.Pool // a superuser's
	store    *postgres.Store
	catalog  *apptest.Catalog
	payments *apptest.Payments
	carts    *apptest.Carts
	changes  *app.Broadcaster
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db := pgtest.Service(t, postgres.Migrate)
	pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &world{
		pool: db.Superuser(t), store: postgres.New(pool, postgres.Times{Deadline: 10 * time.Minute, Hold: apptest.Hold, AuthorizeWithin: 75 * time.Second, DriveDelay: time.Minute}),
		catalog: apptest.NewCatalog(), payments: apptest.NewPayments(), carts: apptest.NewCarts(), changes: app.NewBroadcaster(),
	}
}

// driver returns a driver of this world that takes no step for a slow one; hook nil never
// crashes.
func (w *world) driver(hook crash.Hook) *app.Driver { return w.driverThatWrites(hook, time.Hour) }

// driverThatWrites writes what led to a step that takes longer than after.
func (w *world) driverThatWrites(hook crash.Hook, after time.Duration) *app.Driver {
	if hook == nil {
		hook = crash.Never
	}
	d, err := app.NewDriver(app.DriverConfig{
		Ports: crashpoint.Wrap(app.Ports{
			Orders: w.store, Refunds: w.store, Catalog: w.catalog, Carts: w.carts, Payments: w.payments,
		}, hook),
		Changes: w.changes, StockWait: 30 * time.Second, WriteAfter: after, Log: slog.New(slog.DiscardHandler), Tracer: noop.Tracer{}, Meter: noopmetric.Meter{},
	})
	if err != nil {
		panic(err)
	}
	return d
}

func (w *world) network(n apptest.Network) {
	w.catalog.Network, w.payments.Network, w.carts.Network = n, n, n
}

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

// order places an order of 2 A at 25 and 1 B at 295, of which there are stock units each.
func (w *world) order(t tester, method string, stock int64) domain.Order {
	t.Helper()
	// SKUs of its own, so that orders of one test do not meet.
	a, b := "A-"+uuid.NewString()[:8], "B-"+uuid.NewString()[:8]
	w.catalog.Add(a, stock, 25)
	w.catalog.Add(b, stock, 295)
	o := domain.Order{
		ID: uuid.Must(uuid.NewV7()).String(), CustomerID: uuid.NewString(), IdempotencyKey: uuid.NewString(),
		RequestHash: []byte("hash"), CartID: uuid.NewString(), CartVersion: 3, PaymentMethod: method,
		Email: "a@example.com", Total: gbp(345),
		Lines: []domain.Line{
			{SKU: a, Name: "Apple", Quantity: 2, UnitPrice: gbp(25), Total: gbp(50)},
			{SKU: b, Name: "Bag", Quantity: 1, UnitPrice: gbp(295), Total: gbp(295)},
		},
	}
	w.carts.Put(o.CartID, apptest.Cart{Owner: o.CustomerID, Version: 3, Lines: []domain.CartLine{{SKU: a, Quantity: 2}, {SKU: b, Quantity: 1}}})
	o, err := w.store.Place(context.Background(), o, 0, domain.Numbers("00"))
	if err != nil {
		t.Fatal(err)
	}
	// While it is paid the customer adds one more A.
	w.carts.Put(o.CartID, apptest.Cart{Owner: o.CustomerID, Version: 4, Lines: []domain.CartLine{{SKU: a, Quantity: 3}, {SKU: b, Quantity: 1}}})
	return o
}

// settled checks that an order is settled with everything that this means to
// everybody, and returns it.
func (w *world) settled(t tester, id string) domain.Order {
	t.Helper()
	ctx := context.Background()
	o, err := w.store.Get(ctx, id, domain.Viewer{All: true})
	if err != nil {
		t.Fatal(err)
	}
	r, reserved := w.catalog.Reservation(id)
	a, attempted := w.payments.Attempt(id)
	switch o.State {
	case domain.Paid:
		if !reserved || r.State != apptest.Committed || r.Expired {
			t.Errorf("paid with reservation %+v", r)
		}
		if a.State != apptest.Captured || a.Captures != 1 || a.Amount != o.Total {
			t.Errorf("paid with payment %+v", a)
		}
		if cart := w.carts.Cart(o.CartID); !slices.Equal(cart.Lines, []domain.CartLine{{SKU: o.Lines[0].SKU, Quantity: 1}}) {
			t.Errorf("paid with cart %+v, want what was added meanwhile", cart)
		}
	case domain.Cancelled:
		if !reserved || r.State != apptest.Released {
			t.Errorf("cancelled with reservation %v %+v", reserved, r)
		}
		if !attempted || (a.State != apptest.Voided && a.State != apptest.Declined) || a.Captures != 0 {
			t.Errorf("cancelled with payment %v %+v", attempted, a)
		}
		if (o.CancelReason == domain.PaymentDeclined) != (a.State == apptest.Declined && o.DeclineCode != "") && o.CancelReason != domain.ByCustomer && o.CancelReason != domain.TimedOut {
			t.Errorf("cancelled for %s with payment %+v", o.CancelReason, a)
		}
		if o.CancelReason == domain.NoReason {
			t.Error("cancelled without a reason")
		}
		if cart := w.carts.Cart(o.CartID); len(cart.Removed) != 0 || len(cart.Lines) != 2 {
			t.Errorf("cancelled with cart %+v", cart)
		}
	default:
		t.Fatalf("state %s", o.State)
	}
	if o.Open || o.SettledAt.IsZero() {
		t.Errorf("settled but open %v, settled at %v", o.Open, o.SettledAt)
	}
	for i := 1; i < len(o.History); i++ {
		from, to := o.History[i-1].State, o.History[i].State
		if !slices.ContainsFunc(domain.Events(), func(e domain.Event) bool {
			tr, err := domain.Next(from, e)
			return err == nil && tr.To == to
		}) {
			t.Errorf("history goes from %s to %s", from, to)
		}
	}
	var live int
	err = w.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE args->>'order_id' = $1", id).Scan(&live)
	if err != nil || live != 0 {
		t.Errorf("%d jobs are left, %v", live, err)
	}
	return o
}

func TestDrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		method string
		stock  int64
		state  domain.State
		reason domain.Reason
	}{
		"paid":           {"pm_card_visa", 2, domain.Paid, domain.NoReason},
		"short":          {"pm_card_visa", 1, domain.Cancelled, domain.InsufficientStock},
		"declined":       {apptest.MethodDeclined, 2, domain.Cancelled, domain.PaymentDeclined},
		"capture fails":  {apptest.MethodCaptureFails, 2, domain.Cancelled, domain.CaptureFailed},
		"another amount": {apptest.MethodAnotherAmount, 2, domain.Cancelled, domain.AmountMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			o := w.order(t, c.method, c.stock)
			if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
				t.Fatal(err)
			}
			got := w.settled(t, o.ID)
			placed := w.order(t, c.method, c.stock)
			if err := w.driver(nil).DrivePlaced(t.Context(), placed); err != nil {
				t.Fatal(err)
			}
			if again := w.settled(t, placed.ID); again.State != got.State || again.CancelReason != got.CancelReason || len(again.History) != len(got.History) {
				t.Errorf("placed by the driver's process: %+v; from the table: %+v", again, got)
			}
			if got.State != c.state || got.CancelReason != c.reason {
				t.Errorf("%s, %s", got.State, got.CancelReason)
			}
			if c.reason == domain.InsufficientStock && !slices.Equal(got.ShortSKUs, []string{o.Lines[0].SKU}) {
				t.Errorf("short %v", got.ShortSKUs)
			}
			if c.reason == domain.PaymentDeclined && got.DeclineCode != "generic_decline" {
				t.Errorf("decline code %q", got.DeclineCode)
			}
			if c.state == domain.Cancelled && w.catalog.Available(o.Lines[0].SKU) != c.stock {
				t.Error("the stock is not back")
			}
		})
	}
}

// TestUnknownIsNeverFailed loses each call of the way to PAID, and of the way to
// CANCELLED, before and after its effect: the order stays where it is, and the
// next drive settles it as if nothing had happened.
func TestUnknownIsNeverFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	states := map[string]domain.State{
		"catalog.Reserve": domain.Pending, "payment.Authorize": domain.Authorizing, "catalog.Confirm": domain.Confirming,
		"payment.Capture": domain.Capturing, "cart.RemoveOrdered": domain.Paid,
		"catalog.Release": domain.Cancelling, "payment.Cancel": domain.Cancelling,
	}
	for _, loss := range []apptest.Loss{apptest.Request, apptest.Answer} {
		for op, method := range map[string]string{
			"catalog.Reserve": "pm_card_visa", "payment.Authorize": "pm_card_visa", "catalog.Confirm": "pm_card_visa",
			"payment.Capture": "pm_card_visa", "cart.RemoveOrdered": "pm_card_visa",
			"catalog.Release": apptest.MethodDeclined, "payment.Cancel": apptest.MethodCaptureFails,
		} {
			lost := false
			w.network(func(_ context.Context, called, _ string) apptest.Loss {
				if called == op && !lost {
					lost = true
					return loss
				}
				return apptest.Nothing
			})
			o := w.order(t, method, 2)
			if err := w.driver(nil).DrivePlaced(t.Context(), o); !errors.Is(err, domain.ErrOutcomeUnknown) || !errors.Is(err, apptest.ErrLost) {
				t.Fatalf("%s lost: %v", op, err)
			}
			if got, err := w.store.Load(t.Context(), o.ID, false); err != nil || got.State != states[op] {
				t.Errorf("%s lost: the order is %s, %v", op, got.State, err)
			}
			if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
				t.Fatalf("%s again: %v", op, err)
			}
			want := domain.Paid
			if method != "pm_card_visa" {
				want = domain.Cancelled
			}
			if got := w.settled(t, o.ID); got.State != want {
				t.Errorf("%s lost: %s, want %s", op, got.State, want)
			}
		}
	}
}

// TestCrashes kills the driver at each point of the protocol; another one takes
// over from the table.
func TestCrashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[crash.Point]bool{crashpoint.Placed: true, crashpoint.RefundPlaced: true} // those of the use cases
	for _, method := range []string{"pm_card_visa", apptest.MethodCaptureFails, apptest.MethodDeclined} {
		for _, at := range crashpoint.All() {
			d := w.driver(func(p crash.Point) error {
				if p == at {
					seen[p] = true
					return crash.ErrCrashed
				}
				return nil
			})
			o, placed := w.order(t, method, 2), w.order(t, method, 2)
			for _, err := range []error{d.Drive(t.Context(), o.ID), d.DrivePlaced(t.Context(), placed)} {
				if err != nil && !errors.Is(err, crash.ErrCrashed) {
					t.Fatal(err)
				}
			}
			for _, id := range []string{o.ID, placed.ID} {
				if err := w.driver(nil).Drive(t.Context(), id); err != nil {
					t.Fatalf("after %s: %v", at, err)
				}
				if got := w.settled(t, id); (got.State == domain.Paid) != (method == "pm_card_visa") {
					t.Errorf("after %s with %s: %s", at, method, got.State)
				}
			}
		}
	}
	for _, at := range []crash.Point{crashpoint.RefundAnswered, crashpoint.RestockAnswered, crashpoint.RefundWritten} {
		o := w.order(t, "pm_card_visa", 2)
		if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
		r := w.refund(t, o.ID, true)
		err := w.driver(func(p crash.Point) error {
			if p == at {
				seen[p] = true
				return crash.ErrCrashed
			}
			return nil
		}).DriveRefund(t.Context(), r.ID)
		if !errors.Is(err, crash.ErrCrashed) {
			t.Fatalf("%s: %v", at, err)
		}
		if err := w.driver(nil).DriveRefund(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		w.refunded(t, o.ID, r.ID)
	}
	for _, p := range crashpoint.All() {
		if !seen[p] {
			t.Errorf("point %s was never reached", p)
		}
	}
}

func (w *world) refund(t testing.TB, orderID string, restock bool) domain.Refund {
	t.Helper()
	r, _, err := w.store.PlaceRefund(context.Background(), domain.Refund{
		ID: uuid.Must(uuid.NewV7()).String(), OrderID: orderID, IdempotencyKey: uuid.NewString(),
		RequestHash: []byte("hash"), Restock: restock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// refunded checks that a refund of a whole order is done, once.
func (w *world) refunded(t testing.TB, orderID, refundID string) {
	t.Helper()
	r, err := w.store.LoadRefund(context.Background(), refundID)
	if err != nil || r.State != domain.RefundSucceeded {
		t.Errorf("refund %+v, %v", r, err)
	}
	a, _ := w.payments.Attempt(orderID)
	if len(a.Refunds) != 1 || a.Refunds[refundID] != a.Amount {
		t.Errorf("payment %+v", a)
	}
	o, err := w.store.Get(context.Background(), orderID, domain.Viewer{All: true})
	if err != nil || o.Refunded != o.Total || w.catalog.Available(o.Lines[0].SKU) != 2 {
		t.Errorf("order %+v, available %d, %v", o, w.catalog.Available(o.Lines[0].SKU), err)
	}
}

func TestRefundLosses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range []string{"payment.Refund", "catalog.Restock"} {
		for _, loss := range []apptest.Loss{apptest.Request, apptest.Answer} {
			o := w.order(t, "pm_card_visa", 2)
			if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
				t.Fatal(err)
			}
			r := w.refund(t, o.ID, true)
			lost := false
			w.network(func(_ context.Context, called, _ string) apptest.Loss {
				if called == op && !lost {
					lost = true
					return loss
				}
				return apptest.Nothing
			})
			if err := w.driver(nil).DriveRefund(t.Context(), r.ID); !errors.Is(err, domain.ErrOutcomeUnknown) {
				t.Fatalf("%s: %v", op, err)
			}
			if err := w.driver(nil).DriveRefund(t.Context(), r.ID); err != nil {
				t.Fatal(err)
			}
			w.refunded(t, o.ID, r.ID)
		}
	}
}

func TestRefundRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.order(t, apptest.MethodRefundFails, 2)
	if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	r := w.refund(t, o.ID, true)
	if err := w.driver(nil).DriveRefund(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	got, err := w.store.Get(t.Context(), o.ID, domain.Viewer{All: true})
	if err != nil || got.Refunds[0].State != domain.RefundFailed || got.Refunded != gbp(0) || got.Lines[0].Refunded != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if w.catalog.Available(o.Lines[0].SKU) != 0 {
		t.Error("a refused refund put units back")
	}
}

// TestNeverCancelledWhileCaptured: a capture was made outside of the protocol.
func TestNeverCancelledWhileCaptured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.order(t, "pm_card_visa", 2)
	// Die with the authorization, then cancel.
	_ = w.driver(func(p crash.Point) error {
		if p == crashpoint.ConfirmingWritten {
			return crash.ErrCrashed
		}
		return nil
	}).Drive(t.Context(), o.ID)
	if ok, err := w.store.Cancel(t.Context(), o.ID); !ok || err != nil {
		t.Fatal(ok, err)
	}
	w.payments.Force(o.ID, apptest.Captured)
	for range 3 {
		if err := w.driver(nil).Drive(t.Context(), o.ID); !errors.Is(err, domain.ErrOutcomeUnknown) || !errors.Is(err, domain.ErrPaymentCaptured) {
			t.Fatalf("%v", err)
		}
	}
	if got, err := w.store.Load(t.Context(), o.ID, false); err != nil || got.State != domain.Cancelling {
		t.Fatalf("%s, %v", got.State, err)
	}
	w.payments.Force(o.ID, apptest.Voided) // reconciliation
	if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	w.settled(t, o.ID)
}

// TestDeadline: an order that took too long is given up, unless it is capturing.
func TestDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for at, want := range map[crash.Point]domain.State{
		crashpoint.ReserveAnswered:    domain.Cancelled, // PENDING
		crashpoint.AuthorizingWritten: domain.Cancelled,
		crashpoint.AuthorizeAnswered:  domain.Cancelled,
		crashpoint.ConfirmingWritten:  domain.Cancelled,
		crashpoint.ConfirmAnswered:    domain.Cancelled,
		crashpoint.CapturingWritten:   domain.Paid,
	} {
		o := w.order(t, "pm_card_visa", 2)
		_ = w.driver(func(p crash.Point) error {
			if p == at {
				return crash.ErrCrashed
			}
			return nil
		}).Drive(t.Context(), o.ID)
		if _, err := w.pool.Exec(t.Context(), "UPDATE orders SET deadline = now() - interval '1s' WHERE id = $1", o.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
		got := w.settled(t, o.ID)
		if got.State != want || (want == domain.Cancelled && got.CancelReason != domain.TimedOut) {
			t.Errorf("%s: %s, %s", at, got.State, got.CancelReason)
		}
	}
}

// TestLostReservation: the hold ran out before it was confirmed.
func TestLostReservation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.order(t, "pm_card_visa", 2)
	_ = w.driver(func(p crash.Point) error {
		if p == crashpoint.ConfirmingWritten {
			return crash.ErrCrashed
		}
		return nil
	}).Drive(t.Context(), o.ID)
	w.catalog.Expire(o.ID)
	if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.settled(t, o.ID); got.CancelReason != domain.ReservationLost {
		t.Errorf("%s", got.CancelReason)
	}
}

// tester is what the checks need of a test, rapid's included.
type tester interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
