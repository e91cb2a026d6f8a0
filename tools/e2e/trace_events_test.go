package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/notification/smtptest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// TestWhatFollowsAnOrderIsItsTrace: from the request through the relay, the broker and the consumers to
// the mail server and a webhook endpoint. Each span's parent is a span of the same trace that was
// exported, too; the batch of the relay is a trace of its own, with links to it.
func TestWhatFollowsAnOrderIsItsTrace(t *testing.T) {
	t.Parallel()
	var (
		mu    sync.Mutex
		heard []string // traceparents of OrderPaid
	)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"souk.order.v1.OrderPaid"`) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, r.Header.Get("Traceparent"))
	}))
	t.Cleanup(receiver.Close)
	inbox := smtptest.Start(t, smtptest.Config{Plain: true})
	spans := tracetest.NewInMemoryExporter()
	shop, err := localshop.Start(t.Context(), localshop.Options{
		Dir: t.TempDir(), Disposable: true, Events: localshop.EmbeddedEvents,
		SpanProcessors: []sdktrace.SpanProcessor{sdktrace.NewSimpleSpanProcessor(spans)},
		Env: func(service string, _ int) []string {
			if service != "notification" {
				return nil
			}
			return []string{
				"SOUK_NOTIFICATION_SMTP_HOST=" + inbox.Host, "SOUK_NOTIFICATION_SMTP_PORT=" + strconv.Itoa(inbox.Port),
				"SOUK_NOTIFICATION_SMTP_TLS=off", "SOUK_NOTIFICATION_MAIL_FROM=Souk <orders@shop.test>",
				"SOUK_NOTIFICATION_WEBHOOK_HTTP=true", "SOUK_NOTIFICATION_WEBHOOK_PORTS=0", "SOUK_NOTIFICATION_WEBHOOK_NETWORKS=127.0.0.0/8",
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, shop) })
	operator := shopclient.New(shop.URL).WithToken(shop.OperatorToken)
	if _, err := operator.ImportProducts(t.Context(), strings.NewReader("code,sku,name,category,price,currency,stock\nT,T,Thing,tests,2.50,GBP,9\n")); err != nil {
		t.Fatal(err)
	}
	register, err := http.NewRequestWithContext(t.Context(), http.MethodPost, shop.URL+"/v1/webhook-endpoints",
		strings.NewReader(fmt.Sprintf(`{"url":%q,"event_types":["souk.order.v1.*"]}`, receiver.URL)))
	if err != nil {
		t.Fatal(err)
	}
	register.Header.Set("Authorization", "Bearer "+shop.OperatorToken)
	register.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(register)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(res.Body)
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s %v", res.Status, answer, err)
	}
	cart, err := shopclient.New(shop.URL).NewCart(t.Context(), []shopclient.Line{line("T", 1)})
	if err != nil {
		t.Fatal(err)
	}
	client := trace.TraceID(uuid.New())
	c := shopclient.New(shop.URL).WithToken(cart.Token).WithHeader(http.Header{
		"Traceparent": {"00-" + client.String() + "-0102030405060708-01"},
	})
	o, err := c.PlaceOrder(t.Context(), uuid.NewString(), wait, checkoutOf(cart.ID, goodCard))
	if err != nil || o.State != shopclient.StatePaid {
		t.Fatalf("order = %+v, %v", o, err)
	}
	inbox.Wait(t, 1)
	eventually(t, "a webhook of OrderPaid", func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) > 0 })

	var id trace.TraceID
	eventually(t, "the request's trace, which links to the client's", func() (ok bool) { id, ok = linked(spans, client); return ok })
	paid := func(s tracetest.SpanStub) bool { return has(s, "souk.event.type", "souk.order.v1.OrderPaid") }
	chain := []struct { // each below the one of its number, at any distance
		name  string
		below int
		is    func(tracetest.SpanStub) bool
	}{
		{"the request", -1, func(s tracetest.SpanStub) bool {
			return s.SpanKind == trace.SpanKindServer && has(s, "http.route", "/v1/orders")
		}},
		{"the relay's publication", 0, func(s tracetest.SpanStub) bool { return s.Name == "publish souk.order.v1.OrderPaid" }},
		{"the broker's publication", 1, func(s tracetest.SpanStub) bool { return s.Name == "publish order" && paid(s) }},
		{"the mail's event", 1, func(s tracetest.SpanStub) bool {
			return s.Name == "process order" && paid(s) && strings.HasSuffix(attr(s, "messaging.consumer.group.name"), "mail")
		}},
		{"the webhooks' event", 1, func(s tracetest.SpanStub) bool {
			return s.Name == "process order" && paid(s) && strings.HasSuffix(attr(s, "messaging.consumer.group.name"), "webhooks")
		}},
		{"the mail's job", 3, func(s tracetest.SpanStub) bool { return s.Name == "process send_mail" }},
		{"the mail server's call", 5, func(s tracetest.SpanStub) bool { return s.Name == "send mail" }},
		{"the webhook's call", 1, func(s tracetest.SpanStub) bool {
			mu.Lock()
			defer mu.Unlock()
			return s.Name == "POST webhook" && strings.Contains(heard[0], s.SpanContext.SpanID().String())
		}},
	}
	var wrong []string
	check := func() bool {
		wrong = nil
		byID := map[trace.SpanID]tracetest.SpanStub{}
		relayed := false
		for _, s := range spans.GetSpans() {
			if s.SpanContext.TraceID() == id {
				byID[s.SpanContext.SpanID()] = s
			}
			for _, l := range s.Links {
				relayed = relayed || s.Name == "relay events" && l.SpanContext.TraceID() == id
			}
		}
		if !relayed {
			wrong = append(wrong, "no relayed batch links to the trace")
		}
		for _, s := range byID {
			if _, there := byID[s.Parent.SpanID()]; s.Parent.IsValid() && !there {
				wrong = append(wrong, fmt.Sprintf("the parent of %q is in no export", s.Name))
			}
		}
		found := make([]trace.SpanID, len(chain))
		for n, want := range chain {
			for _, s := range byID {
				if want.is(s) && (want.below < 0 || under(byID, s, found[want.below])) {
					found[n] = s.SpanContext.SpanID()
				}
			}
			if !found[n].IsValid() {
				wrong = append(wrong, "there is no span of "+want.name+" at its place")
			}
		}
		return len(wrong) == 0
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, w := range wrong {
				t.Error(w)
			}
			for _, s := range spans.GetSpans() {
				if s.SpanContext.TraceID() == id && (strings.HasPrefix(s.Name, "p") || strings.HasPrefix(s.Name, "send") || strings.HasPrefix(s.Name, "POST")) {
					t.Logf("%s %s below %s %v", s.SpanContext.SpanID(), s.Name, s.Parent.SpanID(), s.Attributes)
				}
			}
		}
	})
	eventually(t, "a whole trace", check)
}

// under reports whether a span is below another one, at any distance.
func under(byID map[trace.SpanID]tracetest.SpanStub, s tracetest.SpanStub, above trace.SpanID) bool {
	for n := 0; n < len(byID) && s.Parent.IsValid(); n++ {
		if s.Parent.SpanID() == above {
			return above.IsValid()
		}
		s = byID[s.Parent.SpanID()]
	}
	return false
}

func attr(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}
