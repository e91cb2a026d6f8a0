package order

import (
	"context"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/retry"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// An operator says whose sessions end, and a customer can only mean their own. What else
// is asked for names the field and ends nothing.
func TestAnOperatorNamesTheCustomer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.start()
	customer := uuid.NewString()
	for name, c := range map[string]struct {
		viewer *accessv1.Viewer
		id     string
		want   codes.Code
	}{
		"an operator and no customer":   {access.Operator("ada"), "", codes.InvalidArgument},
		"an operator and a customer":    {access.Operator("ada"), customer, codes.OK},
		"a customer and another":        {access.Customer(uuid.NewString()), customer, codes.InvalidArgument},
		"a customer and none":           {access.Customer(uuid.NewString()), "", codes.OK},
		"a customer in another writing": {access.Customer(strings.ToUpper("0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e")), "0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e", codes.OK},
	} {
		var before, after int
		count := func(n *int) {
			if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM customer_sessions").Scan(n); err != nil {
				t.Fatal(err)
			}
		}
		count(&before)
		_, err := s.client.EndSessions(t.Context(), &orderv1.EndSessionsRequest{Viewer: c.viewer, CustomerId: c.id})
		count(&after)
		if status.Code(err) != c.want || c.want != codes.OK && (after != before || !strings.Contains(status.Convert(err).String()+detailText(err), "customer_id")) {
			t.Errorf("%s: %v; %d rows, then %d", name, err, before, after)
		}
	}
}

// detailText is what the details of an error say.
func detailText(err error) string {
	var text strings.Builder
	for _, d := range status.Convert(err).Proto().GetDetails() {
		text.Write(d.GetValue())
	}
	return text.String()
}

// everything is the whole database as text; bytes are in hexadecimal.
func (s *shop) everything() string {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public'")
	if err != nil {
		s.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) == 0 {
		s.t.Fatal(tables, err)
	}
	var all strings.Builder
	for _, table := range tables {
		var text string
		if err := s.pool.QueryRow(s.t.Context(), "SELECT coalesce(string_agg(r::text, E'\n'), '') FROM "+table+" r").Scan(&text); err != nil {
			s.t.Fatal(table, err)
		}
		all.WriteString(text)
	}
	return all.String()
}

// personal is what a test's buyer is known by.
var personal = []string{"erase.me@example.com", "Grace Hopper", "77 Navy Yard", "pm_personal", "grace-key", "for Grace"}

func (s *shop) personalCheckout() *orderv1.PlaceOrderRequest {
	req := s.checkout("pm_personal", 10*time.Second)
	req.Email, req.IdempotencyKey = personal[0], personal[4]
	req.ShippingAddress.Name, req.ShippingAddress.Line1 = personal[1], personal[2]
	req.ClientAddress = "192.0.2.77"
	return req
}

// A customer's data is exported, erased, and then gone: from orders, refunds, declines and
// kept answers, while numbers, lines and amounts stay. A refund's repeat still finds it.
func TestEraseCustomer(t *testing.T) {
	t.Parallel()
	s := newShop(t).start()
	req := s.personalCheckout()
	order := s.place(req).GetOrder()
	if order.GetState() != orderv1.OrderState_ORDER_STATE_PAID {
		t.Fatal(order)
	}
	other := s.place(s.checkout("pm_card_visa", 10*time.Second)).GetOrder()
	ada, me := access.Operator("ada"), req.GetViewer()
	refund := &orderv1.RefundOrderRequest{
		Viewer: ada, OrderId: order.GetId(), IdempotencyKey: "refund", RequestHash: make([]byte, 32), Wait: req.GetWait(),
		Lines: []*orderv1.RefundLine{{Sku: "A", Quantity: 1}}, Reason: personal[5],
	}
	if _, err := s.client.RefundOrder(t.Context(), refund); err != nil {
		t.Fatal(err)
	}
	_, err := s.pool.Exec(t.Context(), "INSERT INTO souk_answers (scope, key, request_hash, operation_id, attempt_id, lease_until, status, headers, body) "+
		"VALUES ('CancelOrder ' || $1, 'k', '', gen_random_uuid(), $2, now(), 200, '{}', 'erase.me@example.com'::bytea)", order.GetCustomerId(), uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	export := func() *orderv1.ExportCustomerResponse {
		t.Helper()
		resp, err := s.client.ExportCustomer(t.Context(), &orderv1.ExportCustomerRequest{Viewer: ada, CustomerId: order.GetCustomerId()})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	mine, err := s.client.ExportCustomer(t.Context(), &orderv1.ExportCustomerRequest{Viewer: me})
	if err != nil || len(mine.GetOrders()) != 1 {
		t.Fatal(mine, err)
	}
	before := export().String()
	for _, p := range personal {
		if !strings.Contains(before, p) {
			t.Errorf("the export lacks %s: %s", p, before)
		}
	}
	found, err := s.client.FindCustomers(t.Context(), &orderv1.FindCustomersRequest{Viewer: ada, Email: strings.ToUpper(personal[0])})
	if err != nil || len(found.GetCustomers()) != 1 || found.GetCustomers()[0].GetCustomerId() != order.GetCustomerId() {
		t.Error(found, err)
	}

	for range 2 { // it is idempotent
		erased, err := s.client.EraseCustomer(t.Context(), &orderv1.EraseCustomerRequest{Viewer: ada, CustomerId: order.GetCustomerId()})
		if err != nil || erased.GetErasure().GetFinishedAt() == nil {
			t.Fatal(erased, err)
		}
	}
	text := s.everything()
	for _, p := range append(personal[:6:6], "192.0.2.77") {
		if at := strings.Index(text, p); at >= 0 {
			t.Errorf("%s is still there: %s", p, text[max(0, at-300):min(len(text), at+100)])
		}
		if strings.Contains(text, hex.EncodeToString([]byte(p))) {
			t.Errorf("%s is still there as bytes", p)
		}
	}
	if !strings.Contains(text, other.GetNumber()) || !strings.Contains(text, other.GetEmail()) {
		t.Error("another customer's order is gone, too")
	}
	left := export().GetOrders()[0]
	o := left.GetOrder()
	if o.GetErasedAt() == nil || o.GetNumber() != order.GetNumber() || o.GetTotal().GetMinorUnits() != order.GetTotal().GetMinorUnits() ||
		len(o.GetLines()) != len(order.GetLines()) || len(o.GetRefunds()) != 1 || o.GetShippingAddress().GetCountry() != "GB" || o.GetEmail() != "" || left.GetAddressKey() != nil {
		t.Errorf("%v", left)
	}
	if again, err := s.client.RefundOrder(t.Context(), refund); err != nil || !again.GetReplayed() {
		t.Errorf("a refund's repeat: %v, %v", again, err)
	}
	if got := s.payments.Erased(); len(got) != 1 || got[0] != order.GetId() {
		t.Errorf("payments of %v were erased", got)
	}
	s.carts.Put(req.GetCartId(), apptest.Cart{Owner: order.GetCustomerId(), Version: 1, Lines: []domain.CartLine{{SKU: "A", Quantity: 1}}})
	req.CartVersion = nil
	// The session has ended: nothing is ordered, shown, exported or erased with it.
	if _, err := s.client.PlaceOrder(t.Context(), req); chassisrpc.Reason[orderv1.ErrorReason](err) != orderv1.ErrorReason_ERROR_REASON_SESSION_ENDED {
		t.Errorf("placed again: %v", err)
	}
	if _, err := s.client.ExportCustomer(t.Context(), &orderv1.ExportCustomerRequest{Viewer: me}); chassisrpc.Reason[orderv1.ErrorReason](err) != orderv1.ErrorReason_ERROR_REASON_SESSION_ENDED {
		t.Errorf("exported by the session that ended: %v", err)
	}
	v, err := audit.Verify(t.Context(), s.pool, audit.Expected{})
	if err != nil || v.Fault != nil {
		t.Error(v.Fault, err)
	}
	var own int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM souk_audit WHERE operator = $1", audit.Customer).Scan(&own); err != nil || own != 1 {
		t.Errorf("%d entries of customers, want the export: %v", own, err)
	}
}

// What is under way refuses an erasure and changes nothing; an unknown customer is said to
// be one; a neighbour that is away delays it, and the job finishes it.
func TestErasureWaitsAndResumes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	gate := make(chan struct{})
	var away atomic.Bool
	s.payments.Network = func(_ context.Context, op, _ string) apptest.Loss {
		if op == "payment.Authorize" {
			<-gate
		}
		if op == "payment.ErasePayments" && away.Load() {
			return apptest.Request
		}
		return apptest.Nothing
	}
	s.start()
	ada := access.Operator("ada")
	erase := func(customer string) (*orderv1.EraseCustomerResponse, error) {
		return s.client.EraseCustomer(t.Context(), &orderv1.EraseCustomerRequest{Viewer: ada, CustomerId: customer})
	}
	if _, err := erase(uuid.NewString()); chassisrpc.Reason[orderv1.ErrorReason](err) != orderv1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND {
		t.Errorf("of an unknown customer: %v", err)
	}
	req := s.personalCheckout()
	req.Wait = nil
	order := s.place(req).GetOrder()
	_, err := erase(order.GetCustomerId())
	if chassisrpc.Reason[orderv1.ErrorReason](err) != orderv1.ErrorReason_ERROR_REASON_CUSTOMER_HAS_OPEN_ORDERS || !strings.Contains(detailText(err), order.GetNumber()) {
		t.Errorf("while an order is under way: %v", err)
	}
	if text := s.everything(); !strings.Contains(text, personal[0]) || strings.Contains(text, "erase_customer") {
		t.Error("and yet something changed")
	}
	close(gate)
	for s.open(order.GetId()) {
		if err := retry.Sleep(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	away.Store(true)
	resp, err := erase(order.GetCustomerId())
	if err != nil || resp.GetErasure().GetFinishedAt() != nil {
		t.Fatalf("while payment is away: %v, %v", resp, err)
	}
	away.Store(false)
	if _, err := s.pool.Exec(t.Context(), "UPDATE river_job SET scheduled_at = now(), state = 'available' WHERE kind = 'erase_customer'"); err != nil {
		t.Fatal(err)
	}
	for strings.Contains(s.everything(), personal[0]) {
		if err := retry.Sleep(t.Context(), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// open reports that something of an order is still to be done.
func (s *shop) open(id string) (open bool) {
	s.t.Helper()
	if err := s.pool.QueryRow(s.t.Context(), "SELECT open FROM orders WHERE id = $1", id).Scan(&open); err != nil {
		s.t.Fatal(err)
	}
	return open
}

// Cancelled orders lose their buyer by age, paid ones only where that is asked for.
func TestRetention(t *testing.T) {
	t.Parallel()
	for _, paid := range []time.Duration{0, 24 * time.Hour} {
		s := newShop(t)
		s.cfg.ErasePaidAfter = paid
		s.start()
		kept := s.place(s.checkout("pm_card_visa", 10*time.Second)).GetOrder()
		declined := s.place(s.checkout("pm_card_visa_chargeDeclined", 10*time.Second)).GetOrder()
		young := s.place(s.checkout("pm_card_visa_chargeDeclined", 10*time.Second)).GetOrder()
		if kept.GetState() != orderv1.OrderState_ORDER_STATE_PAID || declined.GetState() != orderv1.OrderState_ORDER_STATE_CANCELLED {
			t.Fatal(kept, declined)
		}
		for s.open(kept.GetId()) {
			if err := retry.Sleep(t.Context(), 10*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		s.stop()
		for _, statement := range []string{
			"UPDATE orders SET placed_at = now() - interval '31 days', settled_at = now() - interval '31 days' WHERE id <> '" + young.GetId() + "'",
			"DELETE FROM river_job",
		} {
			if _, err := s.pool.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		s.start()
		want := map[string]bool{kept.GetId(): paid > 0, declined.GetId(): true, young.GetId(): false}
		for {
			got := map[string]bool{}
			for id := range want {
				var erased bool
				if err := s.pool.QueryRow(t.Context(), "SELECT email = '' AND erased_at IS NOT NULL FROM orders WHERE id = $1", id).Scan(&erased); err != nil {
					t.Fatal(err)
				}
				got[id] = erased
			}
			if got[declined.GetId()] && got[kept.GetId()] == want[kept.GetId()] {
				if got[young.GetId()] {
					t.Error("an order was erased before its time")
				}
				break
			}
			if err := retry.Sleep(t.Context(), 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		s.stop()
	}
}
