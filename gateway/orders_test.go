package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/auth"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"google.golang.org/grpc/codes"
)

const address = `{"name":"Ada Lovelace","line1":"12 St James's Square","city":"London","postal_code":"SW1Y 4JH","country":"GB"}`

func checkoutOf(cart string) string {
	return fmt.Sprintf(`{"cart_id":%q,"payment_method":"pm_card_visa","email":"ada@example.com","shipping_address":%s}`, cart, address)
}

type orderDoc struct {
	ID, Number, State string
	Version           int64
	Total             struct{ Amount int64 }
}

func TestPlaceOrder(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	body := checkoutOf(cart.ID)
	first := s.want(202, "POST", "/v1/orders", body, me, "Idempotency-Key: one")
	var o orderDoc
	first.decode(t, &o)
	if o.State != "PENDING" || o.Total.Amount != 200 || first.Header.Get("Location") != "/v1/orders/"+o.ID ||
		first.Header.Get("Idempotent-Replayed") != "" || first.Header.Get("Preference-Applied") != "" {
		t.Errorf("first: %v %s", first.Header, first.body)
	}
	// The same bytes, however it is spelled and whatever the wait.
	spelled := "\n" + strings.ReplaceAll(body, `",`, `" ,`) + "\n"
	for _, again := range []string{body, spelled} {
		a := s.want(202, "POST", "/v1/orders", again, me, "Idempotency-Key: one", "Prefer: wait=1")
		if !bytes.Equal(a.body, first.body) || a.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("replay: %v\n%s\n%s", a.Header, a.body, first.body)
		}
	}
	for _, other := range []string{
		strings.Replace(body, "pm_card_visa", "pm_card_mastercard", 1),
		strings.Replace(body, "ada@", "eva@", 1),
		strings.Replace(body, "London", "Leeds", 1),
		strings.Replace(body, `{"cart_id"`, `{"cart_version":1,"cart_id"`, 1),
	} {
		s.refuses(422, "idempotency-key-reused", "POST", "/v1/orders", other, me, "Idempotency-Key: one")
	}
	settled := s.want(201, "POST", "/v1/orders", body, me, "Idempotency-Key: two", "Prefer: respond-async, wait=10")
	settled.decode(t, &o)
	if o.State != "PAID" || settled.Header.Get("Preference-Applied") != "wait=10" {
		t.Errorf("settled: %v %s", settled.Header, settled.body)
	}
	tooLong := s.want(201, "POST", "/v1/orders", body, me, "Idempotency-Key: three", "Prefer: wait=9999")
	if tooLong.Header.Get("Preference-Applied") != "wait=30" {
		t.Errorf("wait=9999: %v", tooLong.Header)
	}
	got := s.want(200, "GET", settled.Header.Get("Location"), "", me)
	s.want(304, "GET", settled.Header.Get("Location"), "", me, header("If-None-Match: "+got.Header.Get("ETag")))
	list := s.want(200, "GET", "/v1/orders?limit=2", "", me)
	if !strings.Contains(list.Header.Get("Link"), "/v1/orders?cursor=next&limit=2") {
		t.Errorf("Link: %q", list.Header.Get("Link"))
	}
	s.want(200, "GET", "/v1/orders?cursor=next", "", me)
	s.refuses(400, "invalid-cursor", "GET", "/v1/orders?cursor=bogus", "", me)

	s.want(202, "POST", first.Header.Get("Location")+"/cancel", "", me)
	s.refuses(409, "order-not-cancellable", "POST", settled.Header.Get("Location")+"/cancel", "", me)
	empty, owner := s.newCart("")
	s.refuses(409, "cart-empty", "POST", "/v1/orders", checkoutOf(empty.ID), owner, "Idempotency-Key: x")
}

func TestFiveIdenticalOrders(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	answers := make([]*answer, 5)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: one")
		})
	}
	wg.Wait()
	replayed := 0
	for _, a := range answers {
		if !bytes.Equal(a.body, answers[0].body) {
			t.Errorf("answers differ: %s", a.body)
		}
		if a.Header.Get("Idempotent-Replayed") == "true" {
			replayed++
		}
	}
	if replayed != 4 || len(s.order.orders) != 1 {
		t.Errorf("%d replayed, %d orders", replayed, len(s.order.orders))
	}
}

func TestOrderErrors(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	for _, tc := range []struct {
		code   codes.Code
		reason string
		status int
		slug   string
	}{
		{codes.Aborted, "IDEMPOTENCY_KEY_IN_FLIGHT", 409, "idempotency-key-in-flight"},
		{codes.Aborted, "CART_VERSION_CONFLICT", 409, "cart-version-conflict"},
		{codes.FailedPrecondition, "LINE_NO_LONGER_SOLD", 409, "line-no-longer-sold"},
		{codes.FailedPrecondition, "TOTAL_TOO_LARGE", 422, "total-too-large"},
		{codes.Aborted, "SOMETHING_NEW", 409, "conflict"},
		{codes.Aborted, "", 409, "conflict"},
	} {
		s.order.mu.Lock()
		s.order.refuse = refused(tc.code, tc.reason)
		s.order.mu.Unlock()
		s.refuses(tc.status, tc.slug, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k")
	}
	s.order.mu.Lock()
	s.order.refuse = refused(codes.Aborted, "IDEMPOTENCY_KEY_IN_FLIGHT")
	s.order.mu.Unlock()
	if a := s.do("POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k"); a.Header.Get("Retry-After") == "" {
		t.Error("409 in flight without Retry-After")
	}
	s.order.mu.Lock()
	s.order.refuse = refused(codes.ResourceExhausted, "OVERLOADED")
	s.order.mu.Unlock()
	a := s.do("POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k")
	if a.StatusCode != 503 || !strings.Contains(string(a.body), "/overloaded") || a.Header.Get("Retry-After") == "" {
		t.Errorf("an order that is too much: %s, %v, %s", a.Status, a.Header, a.body)
	}
	// A service that is away for a moment is asked again: nothing shows.
	s.order.mu.Lock()
	s.order.refuse = refused(codes.Unavailable, "UNAVAILABLE")
	s.order.mu.Unlock()
	s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k")
}

// What the buyer saw reaches the order service, is part of what a key stands for, and a
// refusal says old and new.
func TestConsent(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	var quote struct {
		Agreement, Digest string
		Total             struct{ Amount int64 }
		Lines             []struct{ SKU string }
	}
	s.want(200, "GET", "/v1/carts/"+cart.ID+"/quote", "", me).decode(t, &quote)
	if quote.Agreement != "v1.shown" || quote.Digest != "cafe" || quote.Total.Amount != 200 || len(quote.Lines) != 1 {
		t.Errorf("%+v", quote)
	}
	s.refuses(401, "unauthorized", "GET", "/v1/carts/"+cart.ID+"/quote", "")
	empty, owner := s.newCart("")
	s.refuses(409, "cart-empty", "GET", "/v1/carts/"+empty.ID+"/quote", "", owner)
	s.refuses(404, "cart-not-found", "GET", "/v1/carts/"+cart.ID+"/quote", "", owner)

	body := func(agreement string, total int64) string {
		return strings.Replace(checkoutOf(cart.ID), `{"cart_id"`, fmt.Sprintf(`{"agreement":%q,"expected_total":{"amount":%d,"currency":"GBP"},"cart_id"`, agreement, total), 1)
	}
	line := &orderv1.OrderLine{Name: "Lamp", Quantity: 2, UnitPrice: gbp(100)}
	dear := &orderv1.OrderLine{Name: "Lamp", Quantity: 2, UnitPrice: gbp(150)}
	s.order.mu.Lock()
	s.order.refuse = refused(codes.Aborted, "PRICE_CHANGED", &orderv1.PriceChange{
		Before: gbp(200), Now: gbp(300), Lines: []*orderv1.LineChange{{Sku: "SKU01", Before: line, Now: dear}},
	})
	s.order.mu.Unlock()
	refusal := s.want(409, "POST", "/v1/orders", body(quote.Agreement, 200), me, "Idempotency-Key: k")
	const want = `"price_change":{"before":{"amount":200,"currency":"GBP"},"now":{"amount":300,"currency":"GBP"},"lines":[{"sku":"SKU01",` +
		`"before":{"name":"Lamp","quantity":2,"unit_price":{"amount":100,"currency":"GBP"}},"now":{"name":"Lamp","quantity":2,"unit_price":{"amount":150,"currency":"GBP"}}}]}`
	if !strings.Contains(string(refusal.body), want) || !strings.Contains(string(refusal.body), `"/problems/price-changed"`) {
		t.Errorf("%s", refusal.body)
	}
	// The key is free after a refusal.
	s.want(202, "POST", "/v1/orders", body(quote.Agreement, 200), me, "Idempotency-Key: k")
	if got := s.order.placed; got.GetAgreement() != quote.Agreement || got.GetExpectedTotal().GetMinorUnits() != 200 {
		t.Errorf("the order service got %v", got)
	}
	s.refuses(422, "idempotency-key-reused", "POST", "/v1/orders", body(quote.Agreement, 201), me, "Idempotency-Key: k")
	s.refuses(422, "idempotency-key-reused", "POST", "/v1/orders", body("v1.other", 200), me, "Idempotency-Key: k")
	s.refuses(400, "invalid", "POST", "/v1/orders", body("shown", 200), me, "Idempotency-Key: l")
	s.refuses(400, "invalid", "POST", "/v1/orders", body(quote.Agreement, -1), me, "Idempotency-Key: l")
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	o := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k").Header.Get("Location")
	s.refuses(409, "order-not-paid", "POST", o+"/refunds", `{}`, asOperator, "Idempotency-Key: r")
	o = s.want(201, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k2", "Prefer: wait=5").Header.Get("Location")
	s.want(202, "POST", o+"/refunds", `{}`, asOperator, "Idempotency-Key: r")
	a := s.want(201, "POST", o+"/refunds", `{"lines":[{"sku":"SKU01","quantity":1}],"restock":true,"reason":"broken"}`, asOperator, "Idempotency-Key: r2", "Prefer: wait=5")
	if !strings.Contains(string(a.body), `"state":"SUCCEEDED"`) || a.Header.Get("Preference-Applied") != "wait=5" {
		t.Errorf("refund: %v %s", a.Header, a.body)
	}
	s.refuses(400, "idempotency-key-missing", "POST", o+"/refunds", `{}`, asOperator)
	// null is not "everything".
	s.refuses(400, "malformed-body", "POST", o+"/refunds", `null`, asOperator, "Idempotency-Key: r3")
	s.refuses(400, "malformed-body", "POST", o+"/refunds", "", asOperator, "Idempotency-Key: r3")
}

func TestAdjustments(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.refuses(409, "insufficient-stock", "POST", "/v1/stock-adjustments", `{"reason":"lost","changes":[{"sku":"SKU01","delta":-11}]}`, asOperator, "Idempotency-Key: a")
	if len(p.Shortages) != 1 || p.Shortages[0].SKU != "SKU01" || p.Shortages[0].Requested != 11 || p.Shortages[0].Available != 10 {
		t.Errorf("shortages: %+v", p.Shortages)
	}
	s.refuses(404, "sku-not-found", "POST", "/v1/stock-adjustments", `{"reason":"lost","changes":[{"sku":"NONE","delta":1}]}`, asOperator, "Idempotency-Key: b")
	s.refuses(404, "sku-not-found", "POST", "/v1/prices", `{"changes":[{"sku":"NONE","price":{"amount":1,"currency":"GBP"}}]}`, asOperator)
	s.refuses(400, "idempotency-key-missing", "POST", "/v1/stock-adjustments", `{"reason":"lost","changes":[{"sku":"SKU01","delta":1}]}`, asOperator)
}

func TestOrderEvents(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	o := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k").Header.Get("Location")

	open := func(ctx context.Context) *http.Response {
		req, err := http.NewRequestWithContext(ctx, "GET", s.url+o+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", "souk_shopper="+cart.Token)
		req.Header.Set("Last-Event-ID", "whatever")
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Content-Encoding") != "" {
			t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
		return res
	}
	res := open(t.Context())
	defer res.Body.Close()
	events := bufio.NewScanner(res.Body)
	next := func(state string, version int) {
		t.Helper()
		var lines []string
		for events.Scan() && events.Text() != "" {
			lines = append(lines, events.Text())
		}
		if len(lines) != 3 || lines[0] != "event: order" || lines[1] != fmt.Sprintf("id: %d", version) ||
			!strings.HasPrefix(lines[2], "data: {") || !strings.Contains(lines[2], `"state":"`+state+`"`) {
			t.Fatalf("event: %q", lines)
		}
	}
	if !events.Scan() || events.Text() != "retry: 1500" || !events.Scan() || events.Text() != "" {
		t.Errorf("begins with %q", events.Text())
	}
	next("PENDING", 1)
	s.order.changes <- &orderv1.Order{State: orderv1.OrderState_ORDER_STATE_CAPTURING, Version: 4}
	next("CAPTURING", 4)
	s.order.changes <- &orderv1.Order{State: orderv1.OrderState_ORDER_STATE_PAID, Version: 5}
	next("PAID", 5)
	if events.Scan() {
		t.Errorf("after the end: %q", events.Text())
	}

	// An EventSource that connects again, having seen the end, is asked to stop.
	s.order.mu.Lock()
	settled := s.order.orders[strings.TrimPrefix(o, "/v1/orders/")]
	settled.State, settled.Version = orderv1.OrderState_ORDER_STATE_PAID, 5
	s.order.mu.Unlock()
	if a := s.want(200, "GET", o+"/events", "", me, "Last-Event-ID: 4"); !strings.Contains(string(a.body), "id: 5\n") {
		t.Errorf("not seen: %s", a.body)
	}
	if a := s.want(204, "GET", o+"/events", "", me, "Last-Event-ID: 5"); len(a.body) != 0 {
		t.Errorf("seen: %s", a.body)
	}

	// A reader who leaves takes the watch along.
	ctx, leave := context.WithCancel(t.Context())
	gone := open(ctx)
	leave()
	gone.Body.Close()
	deadline := time.After(5 * time.Second)
	for s.order.watching.Load() != 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("%d watches still open", s.order.watching.Load())
		}
	}
	s.refuses(404, "order-not-found", "GET", "/v1/orders/0199d7a0-5b2c-7c3a-9a64-6e1f2b3c4d5e/events", "", me)
	if a := s.do("HEAD", o+"/events", "", me); a.StatusCode != 405 {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
}

// An attacker may have put a cookie into the browser, so an order placed with
// one begins another session. Who sends a token keeps it: no attacker chose it.
func TestOrderRenewsTheSessionOfACookie(t *testing.T) {
	t.Parallel()
	s := start(t)
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	a := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: by-token")
	if a.Header.Get(auth.TokenHeader) != "" || len(a.Header["Set-Cookie"]) != 0 || s.order.placed.GetRenewSession() {
		t.Errorf("by token: %v, renewed %t", a.Header, s.order.placed.GetRenewSession())
	}
	a = s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), header("Cookie: souk_shopper="+cart.Token), "Idempotency-Key: by-cookie")
	cookies := (&http.Response{Header: a.Header}).Cookies()
	if a.Header.Get(auth.TokenHeader) != "" || len(cookies) != 2 || cookies[1].Name != auth.CookieName || cookies[1].MaxAge >= 0 { // and that of before goes
		t.Fatalf("by cookie: %v", a.Header)
	}
	tokens, err := auth.NewTokens(auth.Secrets{Signing: testSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	before, err := tokens.Decode(cart.Token)
	if err != nil {
		t.Fatal(err)
	}
	after, err := tokens.Decode(cookies[0].Value)
	if err != nil || after.ID != before.ID || after.Cart != before.Cart || !after.Since.Equal(before.Since.Add(time.Second)) {
		t.Errorf("%+v, %v; before %+v", after, err, before)
	}
	if sent := s.order.placed.GetViewer().GetCustomer(); sent.GetId() != before.ID.String() || !sent.GetIssuedAt().AsTime().Equal(before.Since) {
		t.Errorf("sent %v", sent)
	}
}
