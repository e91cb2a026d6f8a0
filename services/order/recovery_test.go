package order

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
)

// crashOnce is a hook that crashes the first time an order gets to the crashpoint.
func crashOnce(at crash.Point) crash.Hook {
	var crashed atomic.Bool
	return func(p crash.Point) error {
		if p == at && crashed.CompareAndSwap(false, true) {
			return crash.ErrCrashed
		}
		return nil
	}
}

// TestJobResumes abandons an order at each point of the protocol. Only its
// job, which River runs, is left to settle it.
func TestJobResumes(t *testing.T) {
	t.Parallel()
	for _, at := range []crash.Point{
		crashpoint.Placed, crashpoint.ReserveAnswered, crashpoint.AuthorizingWritten, crashpoint.AuthorizeAnswered, crashpoint.ConfirmingWritten,
		crashpoint.ConfirmAnswered, crashpoint.CapturingWritten, crashpoint.CaptureAnswered, crashpoint.PaidWritten, crashpoint.CartCleared,
	} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.cfg.hook, s.cfg.DriveDelay, s.cfg.jobsStall = crashOnce(at), 10*time.Millisecond, time.Hour
			s.start()
			req := s.checkout("pm_card_visa", 0)
			resp, err := s.client.PlaceOrder(context.Background(), req)
			if at == crashpoint.Placed { // the call dies with the process; its repeat finds the order
				if status.Code(err) != codes.Internal {
					t.Fatalf("%v", err)
				}
				resp = s.place(req)
			} else if err != nil {
				t.Fatal(err)
			}
			s.paidOnce(s.settled(resp.GetOrder().GetId()))
		})
	}
}

// TestJobsOnly: a process without drivers leaves what it accepts to the jobs,
// which are due at once, and its sweeper, as eager as it may be, asks for nothing
// that a job is driving.
func TestJobsOnly(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.Drivers, s.cfg.DriveDelay = -1, time.Hour
	s.cfg.SweepInterval, s.cfg.jobsStall = time.Millisecond, time.Microsecond // the sweeper has no drivers either
	spans := tracetest.NewSpanRecorder()
	s.cfg.Telemetry.SpanProcessors = []sdktrace.SpanProcessor{spans}
	s.start()
	o := s.settled(s.place(s.checkout("pm_card_visa", 0)).GetOrder().GetId())
	s.paidOnce(o)
	resp, err := s.client.RefundOrder(t.Context(), &orderv1.RefundOrderRequest{
		Viewer:  operator,
		OrderId: o.GetId(), IdempotencyKey: "r", RequestHash: make([]byte, 32), Wait: durationpb.New(patience),
	})
	if err != nil || resp.GetRefund().GetState() != orderv1.OrderRefundState_ORDER_REFUND_STATE_SUCCEEDED {
		t.Errorf("%v, %v", resp, err)
	}
	s.stop()
	runs, drives := map[trace.SpanID]bool{}, 0
	for _, span := range spans.Ended() {
		if strings.HasPrefix(span.Name(), "process ") {
			runs[span.SpanContext().SpanID()] = true
		}
	}
	for _, span := range spans.Ended() {
		if !strings.HasPrefix(span.Name(), "souk.order.drive") {
			continue
		}
		if drives++; !runs[span.Parent().SpanID()] {
			t.Errorf("%s is not a job's", span.Name())
		}
	}
	if drives != 2 {
		t.Errorf("%d drives, want one of the order and one of the refund", drives)
	}
}

// TestSweeperResumes takes the jobs away: the sweeper is left.
func TestSweeperResumes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.hook, s.cfg.SweepInterval, s.cfg.jobsStall = crashOnce(crashpoint.CaptureAnswered), 50*time.Millisecond, time.Hour
	s.start()
	o := s.place(s.checkout("pm_card_visa", 0)).GetOrder()
	if _, err := s.pool.Exec(t.Context(), "DELETE FROM river_job"); err != nil {
		t.Fatal(err)
	}
	s.paidOnce(s.settled(o.GetId()))
}

// TestRestartResumes stops the service with an order half done; the next
// process takes it up at once, without waiting for its job.
func TestRestartResumes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.jobsStall, s.cfg.DriveDelay = time.Millisecond, time.Hour
	reached := make(chan struct{}, 1)
	s.cfg.hook = func(p crash.Point) error {
		if p == crashpoint.CapturingWritten {
			reached <- struct{}{}
			return crash.ErrCrashed
		}
		return nil
	}
	s.start()
	o := s.place(s.checkout("pm_card_visa", 0)).GetOrder()
	<-reached
	s.stop()
	s.cfg.hook = nil
	s.start()
	s.paidOnce(s.settled(o.GetId()))
}

// TestStopAnswersWaiting: a stop does not fail the calls that wait for an order;
// the next process settles it.
func TestStopAnswersWaiting(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gate, waiting := make(chan struct{}), make(chan struct{}, 100)
	s.payments.Network = func(context.Context, string, string) apptest.Loss {
		waiting <- struct{}{}
		<-gate
		return apptest.Nothing
	}
	s.cfg.DrainTimeout, s.cfg.jobsStall = 10*time.Millisecond, time.Millisecond
	s.start()
	req := s.checkout("pm_card_visa", 60*time.Second)
	answered := make(chan *orderv1.PlaceOrderResponse, 1)
	go func() {
		resp, err := s.client.PlaceOrder(context.Background(), req)
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	<-waiting
	s.stop()
	resp := <-answered
	if resp.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_PENDING {
		t.Errorf("%v", resp)
	}
	close(gate)
	s.start()
	s.paidOnce(s.settled(resp.GetOrder().GetId()))
	if again := s.place(req); !proto.Equal(again.GetOrder(), resp.GetOrder()) {
		t.Errorf("%v, not %v", again, resp)
	}
}

// TestRefundResumes abandons a refund; its job settles it.
func TestRefundResumes(t *testing.T) {
	t.Parallel()
	for _, at := range []crash.Point{crashpoint.RefundPlaced, crashpoint.RefundAnswered, crashpoint.RestockAnswered} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.cfg.hook, s.cfg.DriveDelay, s.cfg.jobsStall = crashOnce(at), 10*time.Millisecond, time.Hour
			s.start()
			o := s.place(s.checkout("pm_card_visa", 30*time.Second)).GetOrder()
			req := &orderv1.RefundOrderRequest{
				Viewer:  operator,
				OrderId: o.GetId(), IdempotencyKey: "r", RequestHash: make([]byte, 32), Restock: true, Wait: durationpb.New(30 * time.Second),
			}
			resp, err := s.client.RefundOrder(context.Background(), req)
			if at == crashpoint.RefundPlaced && err != nil {
				resp, err = s.client.RefundOrder(context.Background(), req)
			}
			if err != nil || resp.GetRefund().GetState() != orderv1.OrderRefundState_ORDER_REFUND_STATE_SUCCEEDED {
				t.Fatalf("%v, %v", resp, err)
			}
			if a, _ := s.payments.Attempt(o.GetId()); len(a.Refunds) != 1 || s.catalog.Available("A") != 1000 {
				t.Errorf("%+v, %d", a, s.catalog.Available("A"))
			}
		})
	}
}

// authorizing watches an order until it is AUTHORIZING, which is shown when payment takes long.
func authorizing(t *testing.T, watch grpc.ServerStreamingClient[orderv1.WatchOrderResponse]) {
	t.Helper()
	for state := orderv1.OrderState_ORDER_STATE_PENDING; state != orderv1.OrderState_ORDER_STATE_AUTHORIZING; {
		now, err := watch.Recv()
		state = now.GetOrder().GetState()
		if err != nil || state > orderv1.OrderState_ORDER_STATE_AUTHORIZING || now.GetOrder().GetLines() != nil {
			t.Fatalf("%v, %v", now, err)
		}
	}
}

// TestCancelAndWatch cancels an order that waits for payment, under the eyes of
// a watcher.
func TestCancelAndWatch(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gate, waiting := make(chan struct{}), make(chan struct{}, 100)
	s.payments.Network = func(_ context.Context, op, _ string) apptest.Loss {
		if op == "payment.Authorize" {
			waiting <- struct{}{}
			<-gate
		}
		return apptest.Nothing
	}
	s.start()
	req := s.checkout("pm_card_visa", 0)
	o := s.place(req).GetOrder()
	<-waiting
	watch, err := s.client.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{OrderId: o.GetId(), Viewer: req.GetViewer()})
	if err != nil {
		t.Fatal(err)
	}
	authorizing(t, watch)
	_, err = s.client.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{OrderId: o.GetId(), Viewer: access.Customer(uuid.NewString())})
	refused(t, err, codes.NotFound, "ORDER_NOT_FOUND")
	c, err := s.client.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{OrderId: o.GetId(), Viewer: req.GetViewer()})
	if err != nil || c.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_CANCELLING {
		t.Fatalf("%v, %v", c, err)
	}
	close(gate)
	var seen []orderv1.OrderState
	for {
		resp, err := watch.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, resp.GetOrder().GetState())
	}
	if !slices.Equal(seen, []orderv1.OrderState{orderv1.OrderState_ORDER_STATE_CANCELLING, orderv1.OrderState_ORDER_STATE_CANCELLED}) {
		t.Errorf("watched %v", seen)
	}
	if a, _ := s.payments.Attempt(o.GetId()); a.State != apptest.Voided || s.catalog.Available("A") != 1000 {
		t.Errorf("%+v, %d", a, s.catalog.Available("A"))
	}
	for range 2 { // idempotent
		c, err = s.client.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{Viewer: operator, OrderId: o.GetId()})
		if err != nil || c.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_CANCELLED {
			t.Errorf("%v, %v", c, err)
		}
	}
	paid := s.place(s.checkout("pm_card_visa", 30*time.Second)).GetOrder()
	_, err = s.client.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{Viewer: operator, OrderId: paid.GetId()})
	refused(t, err, codes.FailedPrecondition, "ORDER_NOT_CANCELLABLE")
	unknown, err := s.client.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{Viewer: operator, OrderId: uuid.NewString()})
	if err == nil {
		_, err = unknown.Recv()
	}
	refused(t, err, codes.NotFound, "ORDER_NOT_FOUND")
}

func TestListPages(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	customer := uuid.NewString()
	var want []string
	for range 5 {
		req := s.checkout("pm_card_visa", 0)
		cart := s.carts.Cart(req.GetCartId())
		req.Viewer, cart.Owner = access.Customer(customer), customer
		s.carts.Put(req.GetCartId(), cart)
		want = append([]string{s.place(req).GetOrder().GetId()}, want...)
	}
	var got []string
	cursor := ""
	for {
		page, err := s.client.ListOrders(t.Context(), &orderv1.ListOrdersRequest{Viewer: access.Customer(customer), PageSize: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.GetOrders() {
			got = append(got, o.GetId())
		}
		if cursor = page.GetNextCursor(); cursor == "" {
			break
		}
		_, err = s.client.ListOrders(t.Context(), &orderv1.ListOrdersRequest{Viewer: operator, Cursor: cursor}) // another list's
		refused(t, err, codes.InvalidArgument, "INVALID_CURSOR")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"x", "AAAA", "%%%", uuid.NewString()} {
		_, err := s.client.ListOrders(t.Context(), &orderv1.ListOrdersRequest{Viewer: access.Customer(customer), Cursor: bad})
		refused(t, err, codes.InvalidArgument, "INVALID_CURSOR")
	}
	// By their ids, of which one is of no order and the others are two pages.
	ids := &orderv1.OrderFilter{Ids: append([]string{uuid.NewString()}, want...)}
	byID := &orderv1.ListOrdersRequest{Viewer: operator, PageSize: 3, Filter: ids}
	first, err := s.client.ListOrders(t.Context(), byID)
	if err != nil {
		t.Fatal(err)
	}
	byID.Cursor = first.GetNextCursor()
	rest, err := s.client.ListOrders(t.Context(), byID)
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, o := range append(first.GetOrders(), rest.GetOrders()...) {
		got = append(got, o.GetId())
	}
	if !slices.Equal(got, want) || rest.GetNextCursor() != "" {
		t.Errorf("by id: got %v, want %v", got, want)
	}
	ids.Ids = ids.GetIds()[1:]
	_, err = s.client.ListOrders(t.Context(), byID) // another list's cursor
	refused(t, err, codes.InvalidArgument, "INVALID_CURSOR")
	byID.Cursor, byID.Viewer = "", access.Customer(uuid.NewString())
	if others, err := s.client.ListOrders(t.Context(), byID); err != nil || len(others.GetOrders()) != 0 {
		t.Errorf("another customer sees %v, %v", others, err)
	}
	ids.Sku = "A"
	_, err = s.client.ListOrders(t.Context(), byID)
	refused(t, err, codes.InvalidArgument, "INVALID")

	// The operator's list after an order of the year -34565, with a checksum that
	// is right: a client can compute it.
	_, err = s.client.ListOrders(t.Context(), &orderv1.ListOrdersRequest{Viewer: operator, Cursor: "AfAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGjakzY"})
	refused(t, err, codes.InvalidArgument, "INVALID_CURSOR")
}

// TestRefundsAtOnce asks for more refunds than an order has units.
func TestRefundsAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	o := s.place(s.checkout("pm_card_visa", 30*time.Second)).GetOrder()
	var wg sync.WaitGroup
	var made atomic.Int64
	for range 6 {
		wg.Go(func() {
			resp, err := s.client.RefundOrder(context.Background(), &orderv1.RefundOrderRequest{
				Viewer:  operator,
				OrderId: o.GetId(), IdempotencyKey: uuid.NewString(), RequestHash: make([]byte, 32),
				Lines: []*orderv1.RefundLine{{Sku: "A", Quantity: 1}}, Wait: durationpb.New(30 * time.Second),
			})
			if err != nil {
				refused(t, err, codes.FailedPrecondition, "REFUND_EXCEEDS_ORDER")
				return
			}
			made.Add(resp.GetRefund().GetAmount().GetMinorUnits())
		})
	}
	wg.Wait()
	a, _ := s.payments.Attempt(o.GetId())
	if made.Load() != 50 || len(a.Refunds) != 2 {
		t.Errorf("refunded %d, %+v", made.Load(), a.Refunds)
	}
}

// TestLateDependencies starts the service before its database is there: it
// answers UNAVAILABLE until it is, then works.
func TestLateDependencies(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	lis.Close() // nobody listens yet
	host, err := pgx.ParseConfig(s.cfg.Postgres.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Postgres.DSN = config.Secret(fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", host.User, host.Password, addr, host.Database))
	s.start()
	_, err = s.client.GetOrder(t.Context(), &orderv1.GetOrderRequest{Viewer: operator, OrderId: uuid.NewString()})
	refused(t, err, codes.Unavailable, "UNAVAILABLE")
	proxy(t, addr, fmt.Sprintf("%s:%d", host.Host, host.Port))
	s.settled(s.placeOnceUp(s.checkout("pm_card_visa", 0)))
}

// proxy forwards connections from one address to another until the test ends.
func proxy(t *testing.T, from, to string) {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			in, err := lis.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
}

func (s *shop) placeOnceUp(req *orderv1.PlaceOrderRequest) string {
	s.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until) && retry.Sleep(s.t.Context(), 20*time.Millisecond) == nil; {
		if resp, err := s.client.PlaceOrder(context.Background(), req); err == nil {
			return resp.GetOrder().GetId()
		}
	}
	s.t.Fatal("the service does not come up")
	return ""
}

// TestMigrates: Run brings an empty database up to date when configured to.
func TestMigrates(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.Postgres, s.cfg.Migrate = pgtest.Service(t, nil).Config, true
	s.start()
	s.placeOnceUp(s.checkout("pm_card_visa", 0))
}

func TestConfig(t *testing.T) {
	if err := Run(t.Context(), Config{Hold: time.Minute, AuthorizeWithin: time.Hour}); err == nil {
		t.Error("a hold shorter than the deadline is accepted")
	}
	for _, cfg := range []Config{
		{Backlog: -1}, {Workers: -1}, {DriveDelay: -1}, {SweepInterval: -1}, {Deadline: -1}, {AuthorizeWithin: -1}, {DrainTimeout: -1},
	} {
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "negative") {
			t.Errorf("%+v ends with %v", cfg, err)
		}
	}
	if err := Run(t.Context(), Config{Config: service.Config{CrashAt: "nowhere"}}); err == nil {
		t.Error("a crash point that does not exist is accepted")
	}
	var cfg Config
	t.Setenv("SOUK_ORDER_POSTGRES_DSN", "postgres://x")
	for _, name := range []string{"CATALOG", "CART", "PAYMENT"} {
		t.Setenv("SOUK_ORDER_"+name+"_TARGET", name)
	}
	t.Setenv("SOUK_ORDER_DRIVE_DELAY", "3s")
	if err := config.Load(t.Context(), "SOUK_ORDER_", &cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.Payment.Target != "PAYMENT" || cfg.DriveDelay != 3*time.Second || cfg.Deadline != 10*time.Minute || cfg.Server.Listen != ":9090" {
		t.Errorf("%+v", cfg)
	}
}
