package order

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres"
	"github.com/souk-shop/souk/services/order/internal/rpc/rpctest"
)

// operator is the viewer of calls that are for no customer.
var operator = access.Operator("ann")

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 60 * time.Second

// shop is the order service, run for real, between fake neighbors.
type shop struct {
	t        testing.TB
	cfg      Config
	dsn      string        // a superuser's
	pool     *pgxpool.Pool // of it
	catalog  *apptest.Catalog
	carts    *apptest.Carts
	payments *apptest.Payments
	client   orderv1.OrderServiceClient
	stop     func() // stops the service and waits for it
}

// newShop prepares a shop; start starts its service.
func newShop(t testing.TB, opts ...grpc.ServerOption) *shop {
	t.Helper()
	s := &shop{t: t, catalog: apptest.NewCatalog(), carts: apptest.NewCarts(), payments: apptest.NewPayments()}
	db := pgtest.Service(t, postgres.Migrate)
	s.dsn, s.pool = db.DSN, db.Superuser(t)
	neighbors := chassisrpc.ClientConfig{Target: rpctest.Serve(t, s.catalog, s.carts, s.payments, opts...)}
	s.cfg = Config{
		Config:  service.Config{Identity: identity.Config{TLSOff: true}, Postgres: db.Config},
		Catalog: neighbors, Cart: neighbors, Payment: neighbors,
		DriveDelay: time.Minute, SweepInterval: time.Minute, jobsPoll: 100 * time.Millisecond,
	}
	s.cfg.Telemetry.LogOutput = testLog{t}
	s.catalog.Add("A", 1000, 25)
	s.catalog.Add("B", 1000, 295)
	return s
}

// start runs the service and returns when it answers.
func (s *shop) start() *shop {
	s.t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.cfg.Server.Listener = lis
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := Run(ctx, s.cfg); err != nil {
			s.t.Error(err)
		}
	}()
	s.stop = sync.OnceFunc(func() { cancel(); <-ended })
	s.t.Cleanup(s.stop)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)), grpc.WithUnaryInterceptor(impatient))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	s.client = orderv1.NewOrderServiceClient(conn)
	return s
}

// impatient ends calls that a broken service would never answer.
func impatient(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// checkout returns a request to buy a new cart of 2 A and 1 B.
func (s *shop) checkout(method string, wait time.Duration) *orderv1.PlaceOrderRequest {
	customer, cart := uuid.NewString(), uuid.NewString()
	s.carts.Put(cart, apptest.Cart{Owner: customer, Version: 3, Lines: []domain.CartLine{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}}})
	hash := sha256.Sum256([]byte(cart))
	return &orderv1.PlaceOrderRequest{
		Viewer: access.Customer(customer), IdempotencyKey: uuid.NewString(), RequestHash: hash[:], CartId: cart,
		PaymentMethod: method, Email: "ann@example.com",
		ShippingAddress: &orderv1.Address{Name: "Ann", Line1: "1 High St", City: "York", PostalCode: "YO1 7HH", Country: "GB"},
		Wait:            durationpb.New(wait),
	}
}

func (s *shop) place(req *orderv1.PlaceOrderRequest) *orderv1.PlaceOrderResponse {
	s.t.Helper()
	resp, err := s.client.PlaceOrder(context.Background(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// settled waits until the order is settled with its follow-ups done.
func (s *shop) settled(id string) *orderv1.Order {
	s.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until) && retry.Sleep(s.t.Context(), 5*time.Millisecond) == nil; {
		var open bool
		if err := s.pool.QueryRow(context.Background(), "SELECT open FROM orders WHERE id = $1", id).Scan(&open); err != nil {
			s.t.Fatal(err)
		}
		if !open {
			return s.get(id)
		}
	}
	s.t.Fatalf("order %s does not settle", id)
	return nil
}

func (s *shop) get(id string) *orderv1.Order {
	s.t.Helper()
	resp, err := s.client.GetOrder(context.Background(), &orderv1.GetOrderRequest{Viewer: operator, OrderId: id})
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.GetOrder()
}

// refused checks the code and reason of an error.
func refused(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || chassisrpc.Info(err).GetReason() != reason {
		t.Errorf("%v with reason %q, want %s with %s", err, chassisrpc.Info(err).GetReason(), code, reason)
	}
}

func bucketOf(t *testing.T, id string) cell.Bucket {
	t.Helper()
	b, err := cell.OfText(id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// paidOnce checks what each service has of a paid order.
func (s *shop) paidOnce(o *orderv1.Order) {
	s.t.Helper()
	a, _ := s.payments.Attempt(o.GetId())
	r, _ := s.catalog.Reservation(o.GetId())
	if o.GetState() != orderv1.OrderState_ORDER_STATE_PAID || a.Captures != 1 || a.Amount.Units != o.GetTotal().GetMinorUnits() ||
		r.State != apptest.Committed || len(s.carts.Cart(o.GetCartId()).Lines) != 0 {
		s.t.Errorf("order %v\npayment %+v\nreservation %+v\ncart %+v", o, a, r, s.carts.Cart(o.GetCartId()))
	}
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	req := s.checkout("pm_card_visa", 30*time.Second)
	resp := s.place(req)
	o := resp.GetOrder()
	if resp.GetReplayed() || o.GetState() != orderv1.OrderState_ORDER_STATE_PAID || o.GetTotal().GetMinorUnits() != 345 ||
		len(o.GetLines()) != 2 || len(o.GetHistory()) != 5 || o.GetVersion() != 5 || o.GetSettledAt() == nil || o.GetNumber() == "" {
		t.Errorf("%v", resp)
	}
	s.paidOnce(s.settled(o.GetId()))
	again := s.place(req)
	if !again.GetReplayed() || !proto.Equal(again.GetOrder(), o) {
		t.Errorf("a repeat answers\n%v\nnot\n%v", again, resp)
	}
	// The answer stays the same after a refund; the order does not.
	refund, err := s.client.RefundOrder(t.Context(), &orderv1.RefundOrderRequest{
		Viewer:  operator,
		OrderId: o.GetId(), IdempotencyKey: "r", RequestHash: req.GetRequestHash(), Restock: true, Wait: durationpb.New(30 * time.Second),
	})
	if err != nil || refund.GetRefund().GetState() != orderv1.OrderRefundState_ORDER_REFUND_STATE_SUCCEEDED ||
		refund.GetRefund().GetAmount().GetMinorUnits() != 345 {
		t.Fatalf("%v, %v", refund, err)
	}
	if again := s.place(req); !proto.Equal(again.GetOrder(), o) {
		t.Errorf("after a refund a repeat answers\n%v\nnot\n%v", again, resp)
	}
	if now := s.get(o.GetId()); now.GetRefunded().GetMinorUnits() != 345 || len(now.GetRefunds()) != 1 || now.GetVersion() != 7 {
		t.Errorf("%v", now)
	}
	if s.catalog.Available("A") != 1000 {
		t.Error("the units are not back on sale")
	}
	bucket := bucketOf(t, o.GetCustomerId())
	if bucketOf(t, o.GetId()) != bucket || bucketOf(t, refund.GetRefund().GetId()) != bucket || !strings.HasSuffix(o.GetNumber(), bucket.String()) {
		t.Errorf("order %s, number %s and refund %s are not all in the bucket of customer %s", o.GetId(), o.GetNumber(), refund.GetRefund().GetId(), o.GetCustomerId())
	}
	other := proto.CloneOf(req)
	other.RequestHash = make([]byte, 32)
	_, err = s.client.PlaceOrder(t.Context(), other)
	refused(t, err, codes.InvalidArgument, "IDEMPOTENCY_KEY_REUSED")
	if _, err := s.client.RefundOrder(t.Context(), &orderv1.RefundOrderRequest{
		Viewer:  operator,
		OrderId: o.GetId(), IdempotencyKey: "r", RequestHash: make([]byte, 32),
	}); err == nil {
		t.Error("a refund's key is reused")
	}
}

func TestAnswerAsPlaced(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	req := s.checkout("pm_card_visa", 0)
	resp := s.place(req)
	if o := resp.GetOrder(); o.GetState() != orderv1.OrderState_ORDER_STATE_PENDING || o.GetVersion() != 1 || len(o.GetHistory()) != 1 {
		t.Errorf("%v", resp)
	}
	s.paidOnce(s.settled(resp.GetOrder().GetId()))
	req.Wait = durationpb.New(30 * time.Second) // how long to wait is not what was asked for
	if again := s.place(req); !again.GetReplayed() || !proto.Equal(again.GetOrder(), resp.GetOrder()) {
		t.Errorf("a repeat answers\n%v\nnot\n%v", again, resp)
	}
}

// TestWaitEnds: what does not settle in the wait is answered as placed, now and
// for every repeat, and a call that has little time left answers before it ends.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gate := make(chan struct{})
	s.payments.Network = func(context.Context, string, string) apptest.Loss { <-gate; return apptest.Nothing }
	s.start()
	req := s.checkout("pm_card_visa", 100*time.Millisecond)
	first := s.place(req)
	if first.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_PENDING {
		t.Errorf("%v", first)
	}
	hurried := s.checkout("pm_card_visa", 60*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	second, err := s.client.PlaceOrder(ctx, hurried)
	if err != nil || second.GetOrder().GetState() != orderv1.OrderState_ORDER_STATE_PENDING {
		t.Errorf("%v, %v", second, err)
	}
	close(gate)
	s.paidOnce(s.settled(first.GetOrder().GetId()))
	s.paidOnce(s.settled(second.GetOrder().GetId()))
	for req, want := range map[*orderv1.PlaceOrderRequest]*orderv1.PlaceOrderResponse{req: first, hurried: second} {
		if again := s.place(req); !again.GetReplayed() || !proto.Equal(again.GetOrder(), want.GetOrder()) {
			t.Errorf("a repeat answers\n%v\nnot\n%v", again, want)
		}
	}
}

// TestFiveClicks: five calls at once under one key make one order, one charge
// and five identical answers.
func TestFiveClicks(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	for _, wait := range []time.Duration{0, 30 * time.Second} {
		req := s.checkout("pm_card_visa", wait)
		answers := make([]*orderv1.PlaceOrderResponse, 5)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				var err error
				if answers[i], err = s.client.PlaceOrder(context.Background(), req); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		fresh := 0
		for _, a := range answers {
			if !proto.Equal(a.GetOrder(), answers[0].GetOrder()) {
				t.Errorf("answers differ:\n%v\n%v", a, answers[0])
			}
			if !a.GetReplayed() {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("%d calls claim to be the first", fresh)
		}
		s.paidOnce(s.settled(answers[0].GetOrder().GetId()))
		list, err := s.client.ListOrders(t.Context(), &orderv1.ListOrdersRequest{Viewer: req.GetViewer()})
		if err != nil || len(list.GetOrders()) != 1 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

// TestInFlight: a repeat that comes while the first call waits is refused after
// a while, and gets the first call's answer once there is one.
func TestInFlight(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gate, waiting := make(chan struct{}), make(chan struct{}, 100)
	s.payments.Network = func(context.Context, string, string) apptest.Loss {
		waiting <- struct{}{}
		<-gate
		return apptest.Nothing
	}
	s.start()
	req := s.checkout("pm_card_visa", 60*time.Second)
	first := make(chan *orderv1.PlaceOrderResponse, 1)
	go func() {
		resp, err := s.client.PlaceOrder(context.Background(), req)
		if err != nil {
			t.Error(err)
		}
		first <- resp
	}()
	<-waiting
	repeat := proto.Clone(req).(*orderv1.PlaceOrderRequest)
	repeat.Wait = durationpb.New(0) // its end, not a deadline: a slow machine may miss that
	_, err := s.client.PlaceOrder(t.Context(), repeat)
	refused(t, err, codes.Aborted, "IDEMPOTENCY_KEY_IN_FLIGHT")
	close(gate)
	want := (<-first).GetOrder()
	if want.GetState() != orderv1.OrderState_ORDER_STATE_PAID {
		t.Errorf("%v", want)
	}
	if again := s.place(req); !proto.Equal(again.GetOrder(), want) {
		t.Errorf("%v, not %v", again, want)
	}
}

func TestPlaceRefusals(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	place := func(change func(*orderv1.PlaceOrderRequest)) error {
		req := s.checkout("pm_card_visa", 0)
		change(req)
		_, err := s.client.PlaceOrder(context.Background(), req)
		return err
	}
	lines := func(lines ...domain.CartLine) func(*orderv1.PlaceOrderRequest) {
		return func(req *orderv1.PlaceOrderRequest) {
			s.carts.Put(req.GetCartId(), apptest.Cart{Owner: req.GetViewer().GetCustomer().GetId(), Version: 3, Lines: lines})
		}
	}
	refused(t, place(lines()), codes.FailedPrecondition, "CART_EMPTY")
	refused(t, place(lines(domain.CartLine{SKU: "X", Quantity: 1})), codes.FailedPrecondition, "LINE_NO_LONGER_SOLD")
	refused(t, place(lines(domain.CartLine{SKU: "B", Quantity: 1 << 62})), codes.FailedPrecondition, "TOTAL_TOO_LARGE")
	refused(t, place(func(req *orderv1.PlaceOrderRequest) { req.CartId = uuid.NewString() }), codes.NotFound, "CART_NOT_FOUND")
	refused(t, place(func(req *orderv1.PlaceOrderRequest) { req.Viewer = access.Customer(uuid.NewString()) }), codes.NotFound, "CART_NOT_FOUND")
	err := place(func(req *orderv1.PlaceOrderRequest) { req.CartVersion = proto.Int64(2) })
	refused(t, err, codes.Aborted, "CART_VERSION_CONFLICT")
	if chassisrpc.Info(err).GetMetadata()["version"] != "3" {
		t.Errorf("metadata %v", chassisrpc.Info(err).GetMetadata())
	}
	err = place(func(req *orderv1.PlaceOrderRequest) {
		req.Email, req.ShippingAddress.City, req.ShippingAddress.Country = "ada@localhost", "Yo\x00rk", "UK"
	})
	refused(t, err, codes.InvalidArgument, "INVALID")
	var fields []string
	if bad, ok := chassisrpc.Detail[*errdetails.BadRequest](err); ok {
		for _, v := range bad.GetFieldViolations() {
			fields = append(fields, v.GetField())
		}
	}
	if want := []string{"email", "shipping_address.city", "shipping_address.country"}; !slices.Equal(fields, want) {
		t.Errorf("fields %q, want %q", fields, want)
	}
	refused(t, place(func(req *orderv1.PlaceOrderRequest) { req.IdempotencyKey = "\x00" }), codes.InvalidArgument, "INVALID")
	refused(t, place(func(req *orderv1.PlaceOrderRequest) { req.PaymentMethod = "4242424242424242" }), codes.InvalidArgument, "INVALID")
	refused(t, place(func(req *orderv1.PlaceOrderRequest) { req.RequestHash = nil }), codes.InvalidArgument, "INVALID")
	refused(t, place(func(req *orderv1.PlaceOrderRequest) { req.ShippingAddress = nil }), codes.InvalidArgument, "INVALID")
	var n int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d orders, %v", n, err)
	}
}

// TestConsent: an order is placed with what the buyer was shown, or refused with the
// difference; and a refusal keeps the key free.
func TestConsent(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	ctx := t.Context()
	req := s.checkout("pm_card_visa", 30*time.Second)
	quote := func(shown string) *orderv1.QuoteOrderResponse {
		t.Helper()
		resp, err := s.client.QuoteOrder(ctx, &orderv1.QuoteOrderRequest{Viewer: req.GetViewer(), CartId: req.GetCartId(), Agreement: shown})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	shown := quote("").GetQuote()
	if shown.GetTotal().GetMinorUnits() != 345 || shown.GetCartVersion() != 3 || len(shown.GetLines()) != 2 || len(shown.GetDigest()) != 32 {
		t.Fatalf("%v", shown)
	}
	s.catalog.Add("A", 1000, 50)
	req.Agreement = shown.GetAgreement()
	_, err := s.client.PlaceOrder(ctx, req)
	refused(t, err, codes.Aborted, "PRICE_CHANGED")
	change, ok := chassisrpc.Detail[*orderv1.PriceChange](err)
	if !ok || change.GetBefore().GetMinorUnits() != 345 || change.GetNow().GetMinorUnits() != 395 || len(change.GetLines()) != 1 ||
		change.GetLines()[0].GetBefore().GetUnitPrice().GetMinorUnits() != 25 || change.GetLines()[0].GetNow().GetUnitPrice().GetMinorUnits() != 50 {
		t.Errorf("%v", change)
	}
	fresh := quote(shown.GetAgreement())
	if !proto.Equal(fresh.GetChange(), change) {
		t.Errorf("the quote says %v, the refusal %v", fresh.GetChange(), change)
	}
	if again := quote(fresh.GetQuote().GetAgreement()); again.GetChange() != nil || !proto.Equal(again.GetQuote(), fresh.GetQuote()) {
		t.Errorf("%v", again)
	}
	req.Agreement, req.ExpectedTotal = fresh.GetQuote().GetAgreement(), &moneyv1.Money{MinorUnits: 394, Currency: "GBP"}
	_, err = s.client.PlaceOrder(ctx, req)
	refused(t, err, codes.Aborted, "PRICE_CHANGED")
	req.ExpectedTotal.MinorUnits = 395
	o := s.place(req).GetOrder()
	if o.GetState() != orderv1.OrderState_ORDER_STATE_PAID || o.GetTotal().GetMinorUnits() != 395 || !bytes.Equal(o.GetAgreementDigest(), fresh.GetQuote().GetDigest()) {
		t.Errorf("%v", o)
	}
	if now := s.settled(o.GetId()); !bytes.Equal(now.GetAgreementDigest(), o.GetAgreementDigest()) {
		t.Errorf("%v", now)
	}
	for name, refusal := range map[string]struct {
		change func(*orderv1.QuoteOrderRequest)
		code   codes.Code
		reason string
	}{
		"another's cart": {func(r *orderv1.QuoteOrderRequest) { r.Viewer = access.Customer(uuid.NewString()) }, codes.NotFound, "CART_NOT_FOUND"},
		"empty":          {func(*orderv1.QuoteOrderRequest) {}, codes.FailedPrecondition, "CART_EMPTY"}, // it is bought
		"altered":        {func(r *orderv1.QuoteOrderRequest) { r.Agreement = shown.GetAgreement()[:20] }, codes.InvalidArgument, "INVALID_AGREEMENT"},
	} {
		r := &orderv1.QuoteOrderRequest{Viewer: req.GetViewer(), CartId: req.GetCartId()}
		refusal.change(r)
		if _, err := s.client.QuoteOrder(ctx, r); status.Code(err) != refusal.code || chassisrpc.Info(err).GetReason() != refusal.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotSettledAsPaid: what the neighbors refuse ends cancelled, with the
// reason, and holds nothing.
func TestNotSettledAsPaid(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	o := s.place(s.checkout(apptest.MethodDeclined, 30*time.Second)).GetOrder()
	if o.GetState() != orderv1.OrderState_ORDER_STATE_CANCELLED || o.GetDeclineCode() != "generic_decline" ||
		o.GetCancelReason() != orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED || s.catalog.Available("A") != 1000 {
		t.Errorf("%v", o)
	}
	s.catalog.Add("A", 1, 25)
	o = s.place(s.checkout("pm_card_visa", 30*time.Second)).GetOrder()
	if o.GetCancelReason() != orderv1.CancelReason_CANCEL_REASON_INSUFFICIENT_STOCK || len(o.GetShortSkus()) != 1 || o.GetShortSkus()[0] != "A" {
		t.Errorf("%v", o)
	}
}

// TestLastUnit: fifty buyers want the last unit; one gets it.
func TestLastUnit(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	s.catalog.Add("B", 1, 295)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ends := map[orderv1.OrderState]int{}
	for range 50 {
		wg.Go(func() {
			o := s.place(s.checkout("pm_card_visa", 60*time.Second)).GetOrder()
			mu.Lock()
			defer mu.Unlock()
			ends[o.GetState()]++
		})
	}
	wg.Wait()
	if ends[orderv1.OrderState_ORDER_STATE_PAID] != 1 || ends[orderv1.OrderState_ORDER_STATE_CANCELLED] != 49 || s.catalog.Available("B") != 0 {
		t.Errorf("%v, %d left", ends, s.catalog.Available("B"))
	}
}

// TestABusyCatalogIsWaitedFor: an order that the catalog refuses, because too many others wait for
// its SKUs, is paid when their number allows, and its buyer learns of nothing.
func TestABusyCatalogIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	const refused = 7 // more often than a drive is tried whose outcome is unknown
	s.catalog.Busy.Store(refused)
	if o := s.place(s.checkout("pm_card_visa", 60*time.Second)).GetOrder(); o.GetState() != orderv1.OrderState_ORDER_STATE_PAID {
		t.Errorf("%v", o)
	}
	if left := s.catalog.Busy.Load(); left >= 0 {
		t.Errorf("%d refusals are left", left)
	}
}

// testLog sends the service's log to the test's.
type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(line))
	return len(line), nil
}

// TestOverload: with as many orders before it as it has room for, the service
// refuses more at once and writes nothing; it takes the refused one later under
// its key.
func TestOverload(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.Drivers, s.cfg.Backlog = 1, 1
	gate := make(chan struct{})
	s.catalog.Network = func(ctx context.Context, op, _ string) apptest.Loss {
		if op == "catalog.Reserve" {
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
		return apptest.Nothing
	}
	s.start()
	first, second, third := s.checkout("pm_card_visa", 0), s.checkout("pm_card_visa", 0), s.checkout("pm_card_visa", 30*time.Second)
	a, b := s.place(first).GetOrder(), s.place(second).GetOrder()
	for range 3 {
		_, err := s.client.PlaceOrder(t.Context(), third)
		refused(t, err, codes.ResourceExhausted, "OVERLOADED")
	}
	var orders int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(&orders); err != nil || orders != 2 {
		t.Errorf("%d orders, %v", orders, err)
	}
	close(gate)
	s.paidOnce(s.settled(a.GetId()))
	s.paidOnce(s.settled(b.GetId()))
	c := s.place(third)
	if c.GetReplayed() {
		t.Error("a refused order is remembered")
	}
	s.paidOnce(s.settled(c.GetOrder().GetId()))
}
