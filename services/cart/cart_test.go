package cart_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/services/cart"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/rpc"
	chassis "github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// service is a running cart service.
type service struct {
	cartv1.CartServiceClient
	conn *grpc.ClientConn
	dsn  string
	stop func() error // stops it and returns what Run returned
}

// start runs the service on a database of its own and waits until it is ready.
func start(t *testing.T) *service {
	t.Helper()
	s := startOn(t, pgtest.Service(t, nil), true)
	s.waitFor(t, healthpb.HealthCheckResponse_SERVING)
	return s
}

// startOn runs the service on a database.
func startOn(t *testing.T, db pgtest.Database, migrate bool) *service {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- cart.Run(ctx, cart.Config{
			Config: chassis.Config{
				Server:    rpc.ServerConfig{Listener: lis},
				Identity:  identity.Config{TLSOff: true},
				Postgres:  db.Config,
				Telemetry: telemetry.Config{LogFormat: "json", LogOutput: io.Discard},
				Migrate:   migrate,
			},
			GuestTTL:   time.Hour,
			SweepEvery: 20 * time.Millisecond,
		})
	}()
	s := &service{dsn: db.DSN, stop: sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return fmt.Errorf("Run does not end")
		}
	})}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	s.conn, err = rpc.Dial("cart", rpc.ClientConfig{Target: lis.Addr().String(), Timeout: 20 * time.Second}, identity.Insecure(), telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	s.CartServiceClient = cartv1.NewCartServiceClient(s.conn)
	return s
}

// waitFor waits until health says so.
func (s *service) waitFor(t *testing.T, want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	watch, err := healthpb.NewHealthClient(s.conn).Watch(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	for {
		answer, err := watch.Recv()
		if err != nil {
			t.Fatalf("health never says %s: %v", want, err)
		}
		if answer.GetStatus() == want {
			return
		}
	}
}

// create makes a cart with lines "SKU", quantity, ...
func (s *service) create(t *testing.T, lines ...*cartv1.LineChange) *cartv1.Cart {
	t.Helper()
	created, err := s.CreateCart(t.Context(), &cartv1.CreateCartRequest{CartId: newID(), Viewer: access.Customer(newID())})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		return created.GetCart()
	}
	set, err := s.SetLines(t.Context(), &cartv1.SetLinesRequest{
		CartId: created.GetCart().GetId(), Viewer: access.Customer(created.GetCart().GetOwnerId()), Lines: lines,
	})
	if err != nil {
		t.Fatal(err)
	}
	return set.GetCart()
}

// A caller that asks for it gets a cart with its lines in one call.
func TestSetLinesMakesACart(t *testing.T) {
	t.Parallel()
	s := start(t)
	req := &cartv1.SetLinesRequest{
		CartId: newID(), Viewer: access.Customer(newID()), Lines: []*cartv1.LineChange{line("85123A", 6)}, ChangeId: newID(),
	}
	if _, err := s.SetLines(t.Context(), req); status.Code(err) != codes.NotFound {
		t.Errorf("unasked: %v", err)
	}
	req.Create = true
	for range 2 { // the second is a repeat
		set, err := s.SetLines(t.Context(), req)
		if c := set.GetCart(); err != nil || c.GetId() != req.GetCartId() || c.GetVersion() != 2 || len(c.GetLines()) != 1 {
			t.Errorf("%v, %v", c, err)
		}
	}
	req.ExpectedVersion = proto.Int64(2)
	if _, err := s.SetLines(t.Context(), req); status.Code(err) != codes.InvalidArgument {
		t.Errorf("with a version: %v", err)
	}
}

func (s *service) get(t *testing.T, c *cartv1.Cart) *cartv1.Cart {
	t.Helper()
	got, err := s.GetCart(t.Context(), &cartv1.GetCartRequest{CartId: c.GetId(), Viewer: access.Customer(c.GetOwnerId())})
	if err != nil {
		t.Fatal(err)
	}
	return got.GetCart()
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func line(sku string, quantity int64) *cartv1.LineChange {
	return &cartv1.LineChange{Sku: sku, Quantity: quantity}
}

func wantLines(t *testing.T, c *cartv1.Cart, want ...*cartv1.LineChange) {
	t.Helper()
	same := slices.EqualFunc(c.GetLines(), want, func(l *cartv1.CartLine, w *cartv1.LineChange) bool {
		return l.GetSku() == w.GetSku() && l.GetQuantity() == w.GetQuantity()
	})
	if !same {
		t.Errorf("lines %v, want %v", c.GetLines(), want)
	}
}

func wantError(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || rpc.Info(err).GetReason() != reason {
		t.Errorf("got %v (reason %q), want %s %s", err, rpc.Info(err).GetReason(), code, reason)
	}
}

func TestTheWayOfACart(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()

	guest := s.create(t, line("85123A", 6), line("71053", 2))
	if guest.GetVersion() != 2 || guest.GetUpdatedAt().AsTime().IsZero() {
		t.Errorf("cart %v, want version 2 and a time", guest)
	}
	stale, err := s.SetLines(ctx, &cartv1.SetLinesRequest{
		CartId: guest.GetId(), Viewer: access.Customer(guest.GetOwnerId()),
		ExpectedVersion: proto.Int64(1), Lines: []*cartv1.LineChange{line("85123A", 7)},
	})
	wantError(t, err, codes.Aborted, "VERSION_CONFLICT")
	if v := rpc.Info(err).GetMetadata()["version"]; v != "2" || stale != nil {
		t.Errorf("the conflict names version %q, want 2", v)
	}

	// The guest signs in.
	customer := s.create(t, line("71053", 1))
	merged, err := s.MergeCart(ctx, &cartv1.MergeCartRequest{
		FromCartId: guest.GetId(), FromOwnerId: guest.GetOwnerId(),
		IntoCartId: customer.GetId(), Viewer: access.Customer(customer.GetOwnerId()),
	})
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, merged.GetCart(), line("71053", 3), line("85123A", 6))
	_, err = s.GetCart(ctx, &cartv1.GetCartRequest{CartId: guest.GetId(), Viewer: access.Customer(guest.GetOwnerId())})
	wantError(t, err, codes.NotFound, "CART_NOT_FOUND")

	// The order takes its lines; one came later.
	ordered := merged.GetCart().GetVersion()
	if _, err := s.SetLines(ctx, &cartv1.SetLinesRequest{
		CartId: customer.GetId(), Viewer: access.Customer(customer.GetOwnerId()), Lines: []*cartv1.LineChange{line("22423", 1)},
	}); err != nil {
		t.Fatal(err)
	}
	order := &cartv1.RemoveOrderedRequest{
		CartId: customer.GetId(), Viewer: access.Service("order"), OwnerId: customer.GetOwnerId(), OrderId: newID(), CartVersion: ordered,
		Lines: []*cartv1.OrderedLine{{Sku: "71053", Quantity: 3}, {Sku: "85123A", Quantity: 6}},
	}
	asked := &cartv1.GetCartRequest{CartId: customer.GetId(), Viewer: access.Customer(customer.GetOwnerId()), OrderId: order.GetOrderId()}
	if got, err := s.GetCart(ctx, asked); err != nil || got.GetOrderRemoved() {
		t.Errorf("before: %v, %v", got, err)
	}
	if _, err := s.RemoveOrdered(ctx, order); err != nil {
		t.Fatal(err)
	}
	wantLines(t, s.get(t, customer), line("22423", 1))
	if got, err := s.GetCart(ctx, asked); err != nil || !got.GetOrderRemoved() {
		t.Errorf("after: %v, %v", got, err)
	}

	order.Lines[1].Sku = "\x00"
	_, err = s.RemoveOrdered(ctx, order)
	wantError(t, err, codes.InvalidArgument, "INVALID")
}

func TestAddLine(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, c := t.Context(), s.create(t, line("A", 1)) // version 2
	req := func(sku string, delta int64) *cartv1.AddLineRequest {
		return &cartv1.AddLineRequest{
			CartId: c.GetId(), Viewer: access.Customer(c.GetOwnerId()), Sku: sku, Delta: delta, ChangeId: newID(),
		}
	}
	once := req("A", 2)
	for range 2 { // the second repeats the first
		added, err := s.AddLine(ctx, once)
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, added.GetCart(), line("A", 3))
		if v := added.GetCart().GetVersion(); v != 3 {
			t.Errorf("version %d, want 3", v)
		}
	}
	if _, err := s.AddLine(ctx, req("B", 100_000)); err != nil {
		t.Fatal(err)
	}

	stale := req("A", 1)
	stale.ExpectedVersion = proto.Int64(3)
	_, err := s.AddLine(ctx, stale)
	wantError(t, err, codes.Aborted, "VERSION_CONFLICT")
	if v := rpc.Info(err).GetMetadata()["version"]; v != "4" {
		t.Errorf("the conflict names version %q, want 4", v)
	}
	_, err = s.AddLine(ctx, req("B", 1))
	wantError(t, err, codes.FailedPrecondition, "QUANTITY_TOO_LARGE")
	if m := rpc.Info(err).GetMetadata(); m["sku"] != "B" || m["quantity"] != "100001" {
		t.Errorf("the error has metadata %v, want sku B and quantity 100001", m)
	}
	thief := req("A", 1)
	thief.Viewer = access.Customer(newID())
	_, err = s.AddLine(ctx, thief)
	wantError(t, err, codes.NotFound, "CART_NOT_FOUND")

	for field, bad := range map[string]*cartv1.AddLineRequest{
		"cart_id":   {Viewer: access.Customer(c.GetOwnerId()), Sku: "A", Delta: 1, ChangeId: newID()},
		"sku":       req("A\x00", 1),
		"delta":     req("A", 0),
		"change_id": {CartId: c.GetId(), Viewer: access.Customer(c.GetOwnerId()), Sku: "A", Delta: 1},
	} {
		_, err := s.AddLine(ctx, bad)
		wantError(t, err, codes.InvalidArgument, "INVALID")
		if d, _ := rpc.Detail[*errdetails.BadRequest](err); d.GetFieldViolations()[0].GetField() != field {
			t.Errorf("the answer names %v, want %s", d, field)
		}
	}
	wantLines(t, s.get(t, c), line("A", 3), line("B", 100_000))

	// A replacement by nothing empties the cart.
	emptied, err := s.SetLines(ctx, &cartv1.SetLinesRequest{
		CartId: c.GetId(), Viewer: access.Customer(c.GetOwnerId()), Replace: true, ExpectedVersion: proto.Int64(4),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(emptied.GetCart().GetLines()) != 0 || emptied.GetCart().GetVersion() != 5 {
		t.Errorf("emptied cart is %v", emptied.GetCart())
	}
}

func TestAnotherOwnersCartIsNotFound(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, c := t.Context(), s.create(t, line("A", 1))
	thief := newID()

	_, err := s.GetCart(ctx, &cartv1.GetCartRequest{CartId: c.GetId(), Viewer: access.Customer(thief)})
	wantError(t, err, codes.NotFound, "CART_NOT_FOUND")
	_, err = s.SetLines(ctx, &cartv1.SetLinesRequest{
		CartId: c.GetId(), Viewer: access.Customer(thief), Replace: true, Lines: []*cartv1.LineChange{line("A", 0)},
	})
	wantError(t, err, codes.NotFound, "CART_NOT_FOUND")
	_, err = s.CreateCart(ctx, &cartv1.CreateCartRequest{CartId: c.GetId(), Viewer: access.Customer(thief)})
	wantError(t, err, codes.AlreadyExists, "CART_TAKEN")
	_, err = s.MergeCart(ctx, &cartv1.MergeCartRequest{
		FromCartId: newID(), FromOwnerId: thief, IntoCartId: c.GetId(), Viewer: access.Customer(thief),
	})
	wantError(t, err, codes.NotFound, "CART_NOT_FOUND")
	if _, err := s.RemoveOrdered(ctx, &cartv1.RemoveOrderedRequest{
		CartId: c.GetId(), Viewer: access.Service("order"), OwnerId: thief, OrderId: newID(), CartVersion: 99, Lines: []*cartv1.OrderedLine{{Sku: "A", Quantity: 1}},
	}); err != nil {
		t.Errorf("remove: %v, want no error and no effect", err)
	}
	wantLines(t, s.get(t, c), line("A", 1))
}

func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.create(t, line("A", 1))
	many := make([]*cartv1.LineChange, 2001)
	for i := range many {
		many[i] = line(fmt.Sprintf("SKU-%d", i), 1)
	}
	tests := []struct {
		name  string
		lines []*cartv1.LineChange
		field string // named by the answer, if not empty
	}{
		{"no lines", nil, "lines"},
		{"negative quantity", []*cartv1.LineChange{line("B", -1)}, "lines[0].quantity"},
		{"too many units", []*cartv1.LineChange{line("B", 100_001)}, "lines[0].quantity"},
		{"quantity beyond reason", []*cartv1.LineChange{line("B", 1<<63-1)}, "lines[0].quantity"},
		{"empty SKU", []*cartv1.LineChange{line("", 1)}, "lines[0].sku"},
		{"overlong SKU", []*cartv1.LineChange{line(strings.Repeat("x", 65), 1)}, "lines[0].sku"},
		{"NUL in SKU", []*cartv1.LineChange{line("B", 1), line("B\x00", 1)}, "lines[1].sku"},
		{"SKU named twice", []*cartv1.LineChange{line("B", 1), line("B", 2)}, "lines[1].sku"},
		{"too many lines", many, "lines"},
	}
	for _, tt := range tests {
		_, err := s.SetLines(t.Context(), &cartv1.SetLinesRequest{
			CartId: c.GetId(), Viewer: access.Customer(c.GetOwnerId()), Lines: tt.lines,
		})
		wantError(t, err, codes.InvalidArgument, "INVALID")
		bad, ok := rpc.Detail[*errdetails.BadRequest](err)
		if !ok || len(bad.GetFieldViolations()) == 0 || bad.GetFieldViolations()[0].GetField() != tt.field {
			t.Errorf("%s: the answer names %v, want %s", tt.name, bad, tt.field)
		}
	}
	_, err := s.GetCart(t.Context(), &cartv1.GetCartRequest{CartId: "1 OR 1=1", Viewer: access.Customer(c.GetOwnerId())})
	wantError(t, err, codes.InvalidArgument, "INVALID")

	full := s.create(t, many[:2000]...)
	_, err = s.SetLines(t.Context(), &cartv1.SetLinesRequest{
		CartId: full.GetId(), Viewer: access.Customer(full.GetOwnerId()), Lines: many[2000:],
	})
	wantError(t, err, codes.FailedPrecondition, "CART_FULL")

	wantLines(t, s.get(t, c), line("A", 1))
}

// raw is a codec for bytes that are no valid message.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (raw) Unmarshal([]byte, any) error   { return nil }
func (raw) Name() string                  { return "proto" }

func TestInvalidUTF8IsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.create(t, line("A", 1))
	change := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "A\xff")
	change = protowire.AppendVarint(protowire.AppendTag(change, 2, protowire.VarintType), 1)
	req, err := proto.Marshal(&cartv1.SetLinesRequest{CartId: c.GetId(), Viewer: access.Customer(c.GetOwnerId())})
	if err != nil {
		t.Fatal(err)
	}
	req = protowire.AppendBytes(protowire.AppendTag(req, 4, protowire.BytesType), change)
	err = s.conn.Invoke(t.Context(), cartv1.CartService_SetLines_FullMethodName, req, nil, grpc.ForceCodec(raw{}))
	if err == nil {
		t.Error("accepted")
	}
	if got := s.get(t, c); got.GetVersion() != c.GetVersion() {
		t.Errorf("the cart changed to %v", got)
	}
}

func TestStaleCartsAreSwept(t *testing.T) {
	t.Parallel()
	s := start(t)
	stale, fresh := s.create(t, line("A", 1)), s.create(t, line("B", 1))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "UPDATE carts SET seen_at = seen_at - interval '3 hours' WHERE id = $1", stale.GetId()); err != nil {
		t.Fatal(err)
	}
	for rows := 1; rows != 0; {
		err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM carts WHERE id = $1)
			+ (SELECT count(*) FROM cart_lines WHERE cart_id = $1)`, stale.GetId()).Scan(&rows)
		if err != nil {
			t.Fatalf("%d rows of the stale cart are left: %v", rows, err)
		}
	}
	wantLines(t, s.get(t, fresh), line("B", 1))
}

func TestRunStopsInGoodOrder(t *testing.T) {
	t.Parallel()
	s := start(t)
	if err := s.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	_, err := s.GetCart(t.Context(), &cartv1.GetCartRequest{CartId: newID(), Viewer: access.Customer(newID())})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a call after the stop: %v, want UNAVAILABLE", err)
	}
}

func TestRunRefusesABadConfiguration(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]cart.Config{
		"GUEST_TTL":   {GuestTTL: time.Minute, SweepEvery: time.Hour},
		"SWEEP_EVERY": {SweepEvery: -1},
	} {
		if err := cart.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error about %s", err, name)
		}
	}
}
