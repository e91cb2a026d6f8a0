package e2e

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/notification/smtptest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// spanLog keeps the spans that began and those that ended.
type spanLog struct {
	mu    sync.Mutex
	open  map[trace.SpanID]sdktrace.ReadOnlySpan
	ended []sdktrace.ReadOnlySpan
}

func (l *spanLog) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[s.SpanContext().SpanID()] = s
}

func (l *spanLog) OnEnd(s sdktrace.ReadOnlySpan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, s.SpanContext().SpanID())
	l.ended = append(l.ended, s)
}

func (*spanLog) Shutdown(context.Context) error   { return nil }
func (*spanLog) ForceFlush(context.Context) error { return nil }

// all are the spans that have ended, and the names of those of a trace that have not.
func (l *spanLog) all(id trace.TraceID) (ended []sdktrace.ReadOnlySpan, open []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.open {
		if s.SpanContext().TraceID() == id {
			open = append(open, s.Name())
		}
	}
	return l.ended[:len(l.ended):len(l.ended)], open
}

// visitor is a browser without JavaScript.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
}

func newVisitor(t *testing.T, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &visitor{t, base, &http.Client{Jar: jar, CheckRedirect: stay}}
}

// ask sends a form, or asks for a page without one.
func (v *visitor) ask(path string, form url.Values) (*http.Response, string) {
	v.t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res, string(page)
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// hidden are a page's hidden fields.
func hidden(page string) url.Values {
	form := url.Values{}
	for _, field := range hiddenInput.FindAllStringSubmatch(page, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	return form
}

var timed = regexp.MustCompile(`^traceparent;desc="00-([0-9a-f]{32})-([0-9a-f]{16})-01"$`)

// traceOf is the trace that an answer names.
func traceOf(t *testing.T, res *http.Response) trace.TraceID {
	t.Helper()
	found := timed.FindStringSubmatch(res.Header.Get("Server-Timing"))
	if found == nil {
		t.Fatalf("%s %s: Server-Timing %q", res.Request.Method, res.Request.URL, res.Header.Get("Server-Timing"))
	}
	id, err := trace.TraceIDFromHex(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// buy fills the checkout's form, sends it, and waits for the order's end, which the operator sees.
func (v *visitor) buy(operator *shopclient.Client, form url.Values) (*shopclient.Order, trace.TraceID) {
	v.t.Helper()
	res, page := v.ask("/checkout", nil)
	if res.StatusCode != http.StatusOK {
		v.t.Fatalf("/checkout: %s, %s", res.Status, res.Header.Get("Location"))
	}
	traceOf(v.t, res)
	fields := hidden(page)
	for name, values := range form {
		fields[name] = values
	}
	res, page = v.ask("/checkout", fields)
	_, id, found := strings.Cut(res.Header.Get("Location"), "/orders/")
	if res.StatusCode != http.StatusSeeOther || !found {
		v.t.Fatalf("the checkout: %s %q\n%s", res.Status, res.Header.Get("Location"), page)
	}
	id, _, _ = strings.Cut(id, "?")
	o, err := operator.Order(v.t.Context(), id)
	if err != nil {
		v.t.Fatal(err)
	}
	return settled(v.t, operator, o), traceOf(v.t, res)
}

// canaries are what no telemetry may have, by what they are.
type canaries map[string]string

// in are those that a text has, in any case of letters.
func (c canaries) in(text string) (found []string) {
	text = strings.ToLower(text)
	for what, canary := range c {
		if strings.Contains(text, strings.ToLower(canary)) {
			found = append(found, what)
		}
	}
	return found
}

// observed is a shop that was used, with all that it emitted.
type observed struct {
	spans          *spanLog
	dir            string
	shop           *localshop.Shop
	admin          map[string]string // listeners for operators
	paid, declined *shopclient.Order
	paidTrace      trace.TraceID
	declinedTrace  trace.TraceID
	canaries       canaries
	heard          func() []string // bodies of webhooks
}

var following = regexp.MustCompile(`(?m)^souk_cache_following\{.*\} 1$`)

// observe has a visitor buy through the pages, with a card that is declined and then with one
// whose authorization hangs once, while a mail server and a webhook endpoint that fails once
// listen, and sends what is refused.
func observe(t *testing.T) *observed {
	t.Helper()
	o := &observed{spans: &spanLog{open: map[trace.SpanID]sdktrace.ReadOnlySpan{}}, dir: pgtest.Folder(t)}
	var (
		mu     sync.Mutex
		bodies []string
		failed bool
	)
	o.heard = func() []string { mu.Lock(); defer mu.Unlock(); return bodies[:len(bodies):len(bodies)] }
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if !failed && strings.Contains(string(body), `"souk.order.v1.OrderPaid"`) {
			failed = true
			http.Error(w, "not now, "+o.canaries["e-mail address"], http.StatusInternalServerError)
			return
		}
		bodies = append(bodies, string(body))
	}))
	t.Cleanup(receiver.Close)
	inbox := smtptest.Start(t, smtptest.Config{Plain: true, React: func(n int, to string) smtptest.Reaction {
		if n == 1 {
			return smtptest.Reaction{Rcpt: smtptest.Reply(451, "4.2.1 <"+to+"> is busy")}
		}
		return smtptest.Reaction{}
	}})
	shop, err := localshop.Start(t.Context(), localshop.Options{
		Dir: o.dir, Disposable: true, Gateways: 2, Redis: localshop.OneRedis, Events: localshop.EmbeddedEvents, SpanProcessors: []sdktrace.SpanProcessor{o.spans},
		Env: func(service string, _ int) []string {
			env := []string{"SOUK_" + strings.ToUpper(service) + "_LOG_LEVEL=debug"}
			switch service {
			case "payment":
				env = append(env, "SOUK_PAYMENT_STRIPE_TIMEOUT=2s")
			case "notification":
				env = append(env,
					"SOUK_NOTIFICATION_SMTP_HOST="+inbox.Host, "SOUK_NOTIFICATION_SMTP_PORT="+strconv.Itoa(inbox.Port),
					"SOUK_NOTIFICATION_SMTP_TLS=off", "SOUK_NOTIFICATION_MAIL_FROM=Souk <orders@shop.test>",
					"SOUK_NOTIFICATION_WEBHOOK_HTTP=true", "SOUK_NOTIFICATION_WEBHOOK_PORTS=0", "SOUK_NOTIFICATION_WEBHOOK_NETWORKS=127.0.0.0/8")
			}
			return env
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, shop) })
	o.shop = shop
	st, err := state.Read(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	o.admin = st.Admin
	// On a busy machine the gateway's cache begins to follow the broker after the shop is ready; of
	// what happened before it is not told.
	if !within(t, func() bool { return following.MatchString(o.metrics(t)["gateway"]) }) {
		t.Fatal("the gateway's cache does not follow the broker")
	}
	operator := shopclient.New(shop.URL).WithToken(shop.OperatorToken)
	if _, err := operator.ImportProducts(t.Context(), strings.NewReader("code,sku,name,category,price,currency,stock\nT,T,Thing,tests,2.50,GBP,9\n")); err != nil {
		t.Fatal(err)
	}
	cart, err := shopclient.New(shop.URL).NewCart(t.Context(), []shopclient.Line{line("T", 1)})
	if err != nil {
		t.Fatal(err)
	}
	o.canaries = canaries{
		"e-mail address": "florence.canary@example.com", "name": "Florence Canary", "street": "77 Nightingale Wharf", "town": "Canaryville",
		"card number": "4000056655665556", "bearer token": cart.Token, "operator's token": shop.OperatorToken,
		"forged token": "canary-bearer-2f9e1c", "webhook URL's token": "canary-hook-81aa07",
	}
	if _, _, err := operator.RegisterWebhook(t.Context(), uuid.NewString(), shopclient.NewWebhookEndpoint{
		URL: receiver.URL + "/" + o.canaries["webhook URL's token"], EventTypes: []string{"souk.order.v1.*"},
	}); err != nil {
		t.Fatal(err)
	}

	v := newVisitor(t, shop.URL)
	if res, _ := v.ask("/products/T", nil); res.StatusCode != http.StatusOK {
		t.Fatalf("the product: %s", res.Status)
	}
	if res, page := v.ask("/cart/lines", url.Values{"sku": {"T"}, "quantity": {"2"}}); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("into the cart: %s\n%s", res.Status, page)
	}
	form := func(card string) url.Values {
		return url.Values{
			"email": {o.canaries["e-mail address"]}, "name": {o.canaries["name"]}, "line1": {o.canaries["street"]}, "city": {o.canaries["town"]},
			"postal_code": {"SW1Y 4LB"}, "country": {"GB"}, "payment_method": {card},
		}
	}
	o.declined, o.declinedTrace = v.buy(operator, form(declinedCard))
	simulate(t, shop, http.MethodPut, "/_sim/faults", `[{"operation":"payment_intents.create","kind":"hang_after_commit","count":1}]`, nil)
	o.paid, o.paidTrace = v.buy(operator, form(goodCard))
	if o.declined.State != shopclient.StateCancelled || o.paid.State != shopclient.StatePaid {
		t.Fatalf("the orders are %s and %s", o.declined.State, o.paid.State)
	}
	o.misuse(t, v, cart)
	inbox.Wait(t, 2)
	if !within(t, func() bool { return strings.Contains(strings.Join(o.heard(), "\n"), `"souk.order.v1.OrderPaid"`) }) {
		t.Fatal("no webhook of OrderPaid at the second attempt")
	}
	return o
}

// misuse sends what is refused, with canaries in it.
func (o *observed) misuse(t *testing.T, v *visitor, cart *shopclient.Cart) {
	t.Helper()
	c := o.canaries
	everything := strings.Join([]string{c["e-mail address"], c["name"], c["street"], c["card number"], c["forged token"], c["operator's token"]}, " ")
	send := func(method, path, token, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, o.shop.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", uuid.NewString())
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode >= 500 {
			t.Errorf("%s %s: %s, %v", method, path, res.Status, err)
		}
		traceOf(t, res)
	}
	checkout := func(email, line1, card string) string {
		return fmt.Sprintf(`{"cart_id":%q,"payment_method":%q,"email":%q,"shipping_address":{"name":%q,"line1":%q,"city":%q,"postal_code":"SW1Y 4LB","country":"GB"}}`,
			cart.ID, card, email, c["name"], line1, c["town"])
	}
	query := url.QueryEscape(everything)
	for _, token := range []string{"", cart.Token, c["forged token"], o.shop.OperatorToken, o.shop.OperatorToken + "x"} {
		send(http.MethodPost, "/v1/orders", token, checkout(c["e-mail address"], c["street"], c["card number"]))
		send(http.MethodPost, "/v1/orders", token, checkout(c["e-mail address"]+"@", c["street"], goodCard))
		send(http.MethodPost, "/v1/orders", token, checkout(c["e-mail address"], strings.Repeat(c["street"], 40), goodCard))
		send(http.MethodPost, "/v1/orders", token, `{"`+everything+`":1}`)
		send(http.MethodPost, "/v1/orders", token, everything)
		send(http.MethodPost, "/v1/products/import", token, everything)
		send(http.MethodPost, "/v1/webhook-endpoints", token, fmt.Sprintf(`{"url":"ftp://%s","event_types":["souk.order.v1.*"]}`, c["forged token"]))
		send(http.MethodGet, "/v1/products?q="+query, token, "")
		send(http.MethodGet, "/v1/orders?cursor="+query, token, "")
		send(http.MethodGet, "/v1/customers?email="+url.QueryEscape(c["e-mail address"]), token, "")
		send(http.MethodGet, "/v1/orders?email="+url.QueryEscape(c["e-mail address"]), token, "")
		send(http.MethodGet, "/v1/mails", token, "")
		send(http.MethodGet, "/v1/personal-data", token, "")
	}
	send(http.MethodPost, "/webhooks/stripe", c["forged token"], everything)
	for _, what := range []string{"e-mail address", "card number", "operator's token", "bearer token", "forged token"} {
		secret := url.PathEscape(c[what])
		for _, path := range []string{"/", "/v1/", "/v1/products/", "/v1/orders/", "/v1/carts/" + cart.ID + "/lines/", "/products/", "/categories/", "/orders/", "/static/", "/admin/traces/", "/problems/"} {
			send(http.MethodGet, path+secret, o.shop.OperatorToken, "")
			send(http.MethodDelete, path+secret+"?token="+secret, cart.Token, "")
		}
	}
	for _, form := range []url.Values{
		{"token": {o.shop.OperatorToken}, "next": {"/admin/traces"}},
		{"token": {c["forged token"]}, "next": {everything}},
	} {
		v.ask("/admin/sign-in", form)
	}
	v.ask("/checkout", url.Values{"email": {c["e-mail address"] + "@"}, "name": {c["name"]}, "payment_method": {c["card number"]}, "key": {everything}, "version": {everything}})
	v.ask("/cart/lines", url.Values{"sku": {everything}, "quantity": {c["card number"]}})
	v.ask("/products?q="+query, nil)
}

// TestWhatAShopEmits looks at one run from all sides, which is dear: see observe.
func TestWhatAShopEmits(t *testing.T) {
	t.Parallel()
	o := observe(t)
	t.Run("trace", o.testTrace)
	t.Run("series", o.testSeries)
	t.Run("signals", o.testSignals)
	t.Run("canaries", o.testCanaries)
}

// attribute is an attribute's value as text; "" without one.
func attribute(s sdktrace.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// service is who made a span.
func service(s sdktrace.ReadOnlySpan) string {
	value, _ := s.Resource().Set().Value("service.name")
	return value.AsString()
}

// linksTo reports whether a span links to a trace.
func linksTo(s sdktrace.ReadOnlySpan, id trace.TraceID) bool {
	for _, l := range s.Links() {
		if l.SpanContext.TraceID() == id {
			return true
		}
	}
	return false
}

// testTrace: what led to an order and what followed is one trace, whole; what was done again is
// in traces of its own, which link to it.
func (o *observed) testTrace(t *testing.T) {
	type wanted struct {
		what string
		is   func(sdktrace.ReadOnlySpan) bool
	}
	of := func(name, by string, kind trace.SpanKind) wanted {
		return wanted{fmt.Sprintf("%s of %s, %s", name, by, kind), func(s sdktrace.ReadOnlySpan) bool {
			return s.Name() == name && service(s) == by && s.SpanKind() == kind
		}}
	}
	both := []wanted{
		of("POST /checkout", "gateway", trace.SpanKindServer),
		of("souk.order.v1.OrderService/PlaceOrder", "gateway", trace.SpanKindClient),
		of("souk.order.v1.OrderService/PlaceOrder", "order", trace.SpanKindServer),
		of("souk.cart.v1.CartService/GetCart", "cart", trace.SpanKindServer),
		of("souk.catalog.v1.CatalogService/Reserve", "catalog", trace.SpanKindServer),
		of("souk.payment.v1.PaymentService/Authorize", "payment", trace.SpanKindServer),
		of("POST /v1/payment_intents", "stripesim", trace.SpanKindServer),
		of("souk.order.drive", "order", trace.SpanKindInternal),
		of("publish order", "order", trace.SpanKindProducer),
		of("process order", "insight", trace.SpanKindConsumer),
		of("process order", "notification", trace.SpanKindConsumer),
		of("POST webhook", "notification", trace.SpanKindClient),
		of("process send_mail", "notification", trace.SpanKindConsumer),
		of("send mail", "notification", trace.SpanKindClient),
	}
	for _, by := range []string{"order", "cart", "catalog", "payment", "notification", "insight"} {
		both = append(both, wanted{"a statement of " + by, func(s sdktrace.ReadOnlySpan) bool {
			return service(s) == by && s.SpanKind() == trace.SpanKindClient && attribute(s, "db.system.name") == "postgresql" &&
				attribute(s, "db.query.summary") == s.Name() && strings.Contains(s.Name(), " ")
		}})
	}
	again := func(what string, id trace.TraceID, is func(sdktrace.ReadOnlySpan) bool) wanted {
		return wanted{what + ", in a trace of its own with a link", func(s sdktrace.ReadOnlySpan) bool {
			return is(s) && s.SpanContext().TraceID() != id && !s.Parent().IsValid() && linksTo(s, id)
		}}
	}
	for _, tc := range []struct {
		order *shopclient.Order
		id    trace.TraceID
		want  []wanted
		other []wanted // beside the trace
	}{
		{o.declined, o.declinedTrace, []wanted{
			of("souk.catalog.v1.CatalogService/Release", "catalog", trace.SpanKindServer),
		}, []wanted{
			again("the mail's second attempt", o.declinedTrace, func(s sdktrace.ReadOnlySpan) bool { return s.Name() == "process send_mail" }),
		}},
		{o.paid, o.paidTrace, []wanted{
			{"the call of the provider that was given up", func(s sdktrace.ReadOnlySpan) bool {
				return service(s) == "payment" && s.SpanKind() == trace.SpanKindClient && s.Name() == "HTTP POST" && s.Status().Code == codes.Error
			}},
			of("souk.payment.v1.PaymentService/Capture", "payment", trace.SpanKindServer),
			of("POST /v1/payment_intents/{id}/capture", "stripesim", trace.SpanKindServer),
			of("souk.cart.v1.CartService/RemoveOrdered", "cart", trace.SpanKindServer),
		}, []wanted{
			again("the webhook's second attempt", o.paidTrace, func(s sdktrace.ReadOnlySpan) bool {
				return s.Name() == "POST webhook" && attribute(s, "souk.webhook.attempt") == "2"
			}),
			again("the relay's batch", o.paidTrace, func(s sdktrace.ReadOnlySpan) bool { return s.Name() == "relay events" }),
		}},
	} {
		var wrong []string
		check := func() bool {
			wrong = nil
			spans, open := o.spans.all(tc.id)
			for _, name := range open {
				wrong = append(wrong, name+" has no end")
			}
			mine := map[trace.SpanID]sdktrace.ReadOnlySpan{}
			roots := 0
			for _, s := range spans {
				if s.SpanContext().TraceID() == tc.id {
					mine[s.SpanContext().SpanID()] = s
				}
			}
			for _, s := range mine {
				if !s.Parent().IsValid() {
					roots++
				} else if mine[s.Parent().SpanID()] == nil {
					wrong = append(wrong, "the parent of "+s.Name()+" is not in the trace")
				}
				if s.EndTime().Before(s.StartTime()) {
					wrong = append(wrong, s.Name()+" ends before it begins")
				}
			}
			if roots != 1 {
				wrong = append(wrong, fmt.Sprintf("%d spans have no parent", roots))
			}
			for _, w := range append(tc.want, both...) {
				found := false
				for _, s := range mine {
					found = found || w.is(s)
				}
				if !found {
					wrong = append(wrong, "there is no "+w.what)
				}
			}
			for _, w := range tc.other {
				found := false
				for _, s := range spans {
					found = found || w.is(s)
				}
				if !found {
					wrong = append(wrong, "there is no "+w.what)
				}
			}
			if !toldGateway(spans) {
				wrong = append(wrong, "the gateway's cache was told of no event in a trace of its own with a link")
			}
			return len(wrong) == 0
		}
		if !within(t, check) {
			t.Errorf("the trace of the order %s:\n%s\n%s", tc.order.State, strings.Join(wrong, "\n"), o.tree(tc.id))
		}
	}
}

// toldGateway reports whether the gateway handled one of catalog's events in a trace of its own
// that links to the one in which it was published. Which event is left open: where the machine is
// busy the gateway may lose its place with the broker, and its cache expires until it has it again.
func toldGateway(spans []sdktrace.ReadOnlySpan) bool {
	published := map[trace.TraceID]bool{}
	for _, s := range spans {
		if s.Name() == "publish catalog" && service(s) == "catalog" {
			published[s.SpanContext().TraceID()] = true
		}
	}
	return slices.ContainsFunc(spans, func(s sdktrace.ReadOnlySpan) bool {
		id := s.SpanContext().TraceID()
		return s.Name() == "process catalog" && service(s) == "gateway" && !s.Parent().IsValid() && !published[id] &&
			slices.ContainsFunc(s.Links(), func(l sdktrace.Link) bool { return published[l.SpanContext.TraceID()] })
	})
}

// within reports whether check comes true, at the pace of retries on a busy machine.
func within(t *testing.T, check func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !check() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}

// tree draws a trace.
func (o *observed) tree(id trace.TraceID) string {
	spans, _ := o.spans.all(id)
	below := map[trace.SpanID][]sdktrace.ReadOnlySpan{}
	there := map[trace.SpanID]bool{}
	for _, s := range spans {
		there[s.SpanContext().SpanID()] = s.SpanContext().TraceID() == id
	}
	for _, s := range spans {
		if s.SpanContext().TraceID() == id {
			parent := s.Parent().SpanID()
			if !there[parent] {
				parent = trace.SpanID{}
			}
			below[parent] = append(below[parent], s)
		}
	}
	var out strings.Builder
	var draw func(trace.SpanID, string)
	draw = func(at trace.SpanID, indent string) {
		for _, s := range below[at] {
			fmt.Fprintf(&out, "%s%s: %s (%s) %s\n", indent, service(s), s.Name(), s.SpanKind(), s.Status().Code)
			draw(s.SpanContext().SpanID(), indent+"  ")
		}
	}
	draw(trace.SpanID{}, "")
	return out.String()
}

// testCanaries: what is personal or secret is in no span, no line of a log, no label of a metric,
// no event and no webhook.
func (o *observed) testCanaries(t *testing.T) {
	seen := map[string]int{}
	look := func(where, text string) {
		for _, what := range o.canaries.in(text) {
			if seen[where+what]++; seen[where+what] <= 3 {
				at := strings.Index(strings.ToLower(text), strings.ToLower(o.canaries[what]))
				t.Errorf("%s: the %s is in ...%s...", where, what, text[max(0, at-300):min(len(text), at+100)])
			}
		}
	}
	spans, _ := o.spans.all(trace.TraceID{})
	for _, s := range spans {
		look("the span "+s.Name(), fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Links(), s.Status(), s.Resource().Attributes()))
	}
	lines := 0
	eachLine(t, o.dir, func(file, line string) {
		lines++
		look(file, line)
	})
	if lines < 100 {
		t.Errorf("%d lines", lines)
	}
	for part, text := range o.metrics(t) {
		look("the metrics of "+part, text)
	}
	for service, dsn := range o.shop.DSNs() {
		for _, payload := range payloads(t, dsn) {
			look("an event of "+service, payload)
		}
	}
	for _, body := range o.heard() {
		look("a webhook", body)
	}
}

// eachLine hands on the lines of all logs in a folder, with the names of their files.
func eachLine(t *testing.T, dir string, hand func(file, line string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".log" {
			return nil //nolint:nilerr // what goes meanwhile is none of ours
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		for line := range strings.Lines(string(data)) {
			hand(filepath.Base(path), line)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// metrics are what Prometheus is served by each part.
func (o *observed) metrics(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for part, address := range o.admin {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("the metrics of %s: %s, %v", part, res.Status, err)
		}
		if err != nil {
			t.Fatal(err)
		}
		out[part] = string(text)
	}
	return out
}

// payloads are the events of a service's log, as JSON; none where it has no log.
func payloads(t *testing.T, dsn string) []string {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	var there bool
	if err := db.QueryRow(t.Context(), "SELECT to_regclass('souk_events') IS NOT NULL").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if !there {
		return nil
	}
	rows, err := db.Query(t.Context(), "SELECT subject || ' ' || type || ' ' || data::text FROM souk_events")
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}
