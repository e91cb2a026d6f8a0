package order

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
)

// TestACallerThatGoesAwayWhileItsOrderIsWritten: once a write has begun it is
// carried through and driven at once, though its caller is gone.
func TestACallerThatGoesAwayWhileItsOrderIsWritten(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.DriveDelay, s.cfg.SweepInterval = time.Hour, time.Hour // no job and no sweep helps
	s.start()
	req := s.checkout("pm_card_visa", 30*time.Second)
	s.goneDuring("LOCK TABLE orders IN SHARE MODE", nil, func(ctx context.Context) error {
		_, err := s.client.PlaceOrder(ctx, req)
		return err
	})
	s.paidOnce(s.settled(s.written("SELECT id FROM orders WHERE idempotency_key = $1", req.GetIdempotencyKey())))
	if again := s.place(req); !again.GetReplayed() || again.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_PAID {
		t.Errorf("the caller asks again and gets %v", again)
	}
}

func TestACallerThatGoesAwayWhileItsRefundIsWritten(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.DriveDelay, s.cfg.SweepInterval = time.Hour, time.Hour
	s.start()
	o := s.settled(s.place(s.checkout("pm_card_visa", 0)).GetOrder().GetId())
	req := &orderv1.RefundOrderRequest{
		Viewer:  operator,
		OrderId: o.GetId(), IdempotencyKey: "r", RequestHash: make([]byte, 32), Wait: durationpb.New(30 * time.Second),
	}
	s.goneDuring("SELECT FROM orders WHERE id = $1 FOR UPDATE", []any{o.GetId()}, func(ctx context.Context) error {
		_, err := s.client.RefundOrder(ctx, req)
		return err
	})
	s.written("SELECT id FROM refunds WHERE order_id = $1 AND state = 'succeeded'", o.GetId())
	if a, _ := s.payments.Attempt(o.GetId()); len(a.Refunds) != 1 {
		t.Errorf("%+v", a)
	}
}

func TestACallerThatGoesAwayWhileItsCancellationIsWritten(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.DriveDelay, s.cfg.SweepInterval = time.Hour, time.Hour
	gate, waiting := make(chan struct{}), make(chan struct{}, 100)
	s.payments.Network = func(_ context.Context, op, _ string) apptest.Loss {
		if op == "payment.Authorize" {
			waiting <- struct{}{}
			<-gate
		}
		return apptest.Nothing
	}
	s.start()
	o := s.place(s.checkout("pm_card_visa", 0)).GetOrder()
	<-waiting
	s.goneDuring("SELECT FROM orders WHERE id = $1 FOR UPDATE", []any{o.GetId()}, func(ctx context.Context) error {
		_, err := s.client.CancelOrder(ctx, &orderv1.CancelOrderRequest{Viewer: operator, OrderId: o.GetId()})
		return err
	})
	s.written("SELECT id FROM orders WHERE id = $1 AND state = 'cancelling'", o.GetId())
	close(gate)
	if o := s.settled(o.GetId()); o.GetState() != orderv1.OrderState_ORDER_STATE_CANCELLED {
		t.Errorf("%v", o)
	}
}

// goneDuring makes a call whose write waits for a lock in the database, ends the
// call meanwhile, and lets the lock go once the service knows.
func (s *shop) goneDuring(lock string, args []any, call func(context.Context) error) {
	s.t.Helper()
	tx, err := s.pool.Begin(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(s.t.Context(), lock, args...); err != nil {
		s.t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(s.t.Context())
	defer hangUp()
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }()
	s.written(`SELECT pid::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`)
	hangUp()
	if err := <-ended; status.Code(err) != codes.Canceled {
		s.t.Fatalf("the call ends with %v", err)
	}
	// The same connection's next call comes after the end of this one.
	if _, err := s.client.GetOrder(s.t.Context(), &orderv1.GetOrderRequest{Viewer: operator, OrderId: uuid.NewString()}); status.Code(err) != codes.NotFound {
		s.t.Fatal(err)
	}
	if err := tx.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// written waits for the row that the query finds and returns its text.
func (s *shop) written(query string, args ...any) string {
	s.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until) && retry.Sleep(s.t.Context(), 5*time.Millisecond) == nil; {
		var text string
		err := s.pool.QueryRow(s.t.Context(), query, args...).Scan(&text)
		if err == nil {
			return text
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			s.t.Fatal(err)
		}
	}
	s.t.Fatalf("nothing comes of %s", query)
	return ""
}
