package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// linked is the trace whose first span links to another: the shop's, to its client's.
func linked(spans *tracetest.InMemoryExporter, client trace.TraceID) (trace.TraceID, bool) {
	for _, s := range spans.GetSpans() {
		for _, l := range s.Links {
			if l.SpanContext.TraceID() == client {
				return s.SpanContext.TraceID(), true
			}
		}
	}
	return trace.TraceID{}, false
}

// TestOneCheckoutIsOneTrace from the client's request through gRPC, SQL, Redis
// and the River job to the provider's HTTP call. The job must drive, for
// the order service has no drivers of its own.
func TestOneCheckoutIsOneTrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	traced, err := localshop.Start(t.Context(), localshop.Options{
		Dir:            pgtest.Folder(t),
		SpanProcessors: []sdktrace.SpanProcessor{sdktrace.NewSimpleSpanProcessor(spans)},
		JobsOnly:       true,
		Redis:          localshop.OneRedis,
		Disposable:     true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, traced) })

	operator := shopclient.New(traced.URL).WithToken(traced.OperatorToken)
	_, err = operator.ImportProducts(t.Context(), strings.NewReader("code,sku,name,category,price,currency,stock\nT,T,Thing,tests,2.50,GBP,9\n"))
	if err != nil {
		t.Fatal(err)
	}
	cart, err := shopclient.New(traced.URL).NewCart(t.Context(), []shopclient.Line{line("T", 1)})
	if err != nil {
		t.Fatal(err)
	}
	traceID := trace.TraceID(uuid.New())
	spanID := trace.SpanID{1, 2, 3, 4, 5, 6, 7, 8}
	c := shopclient.New(traced.URL).WithToken(cart.Token).WithHeader(http.Header{
		"Traceparent": {"00-" + traceID.String() + "-" + spanID.String() + "-01"},
	})
	o, err := c.PlaceOrder(t.Context(), uuid.NewString(), wait, checkoutOf(cart.ID, goodCard))
	if err != nil || o.State != shopclient.StatePaid {
		t.Fatalf("order = %+v, %v", o, err)
	}

	want := map[string]func(tracetest.SpanStub) bool{
		"the HTTP request": func(s tracetest.SpanStub) bool { return has(s, "http.route", "/v1/orders") },
		"order's RPC":      func(s tracetest.SpanStub) bool { return strings.Contains(s.Name, "order.v1.OrderService/PlaceOrder") },
		"cart's RPC":       func(s tracetest.SpanStub) bool { return strings.Contains(s.Name, "cart.v1.CartService/GetCart") },
		"catalog's RPC":    func(s tracetest.SpanStub) bool { return strings.Contains(s.Name, "catalog.v1.CatalogService/Reserve") },
		"payment's RPC":    func(s tracetest.SpanStub) bool { return strings.Contains(s.Name, "payment.v1.PaymentService/Capture") },
		"SQL": func(s tracetest.SpanStub) bool {
			return has(s, "db.system.name", "postgresql") || has(s, "db.system", "postgresql")
		},
		"the job": func(s tracetest.SpanStub) bool { return strings.Contains(s.Name, "drive_order") },
		"the provider's call": func(s tracetest.SpanStub) bool {
			return s.SpanKind == trace.SpanKindClient && has(s, "server.address", "127.0.0.1") && has(s, "http.request.method", "POST")
		},
	}
	clients := traceID
	eventually(t, "the request's trace, which links to the client's", func() (ok bool) {
		traceID, ok = linked(spans, clients)
		return ok
	})
	deadline := time.Now().Add(20 * time.Second)
	for len(want) > 0 {
		for _, s := range spans.GetSpans() {
			if s.SpanContext.TraceID() != traceID {
				continue
			}
			for what, is := range want {
				if is(s) {
					delete(want, what)
				}
			}
		}
		if time.Now().After(deadline) {
			names := map[string]int{}
			for _, s := range spans.GetSpans() {
				if s.SpanContext.TraceID() == traceID {
					names[s.Name]++
				}
			}
			for what := range want {
				t.Errorf("the trace lacks %s", what)
			}
			t.Fatalf("it has %v", names)
		}
		<-time.After(10 * time.Millisecond)
	}

	// Redis is read by listings; they are traced alike.
	listTrace := trace.TraceID(uuid.New())
	c = shopclient.New(traced.URL).WithHeader(http.Header{"Traceparent": {"00-" + listTrace.String() + "-" + spanID.String() + "-01"}})
	if _, err := c.Products(t.Context(), shopclient.ProductQuery{Category: "tests"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a span of Redis in the listing's trace", func() bool {
		listTrace, ok := linked(spans, listTrace)
		if !ok {
			return false
		}
		for _, s := range spans.GetSpans() {
			if s.SpanContext.TraceID() == listTrace && (has(s, "db.system.name", "redis") || has(s, "db.system", "redis")) {
				return true
			}
		}
		return false
	})
}

func has(s tracetest.SpanStub, key, value string) bool {
	for _, a := range s.Attributes {
		if string(a.Key) == key && a.Value.String() == value {
			return true
		}
	}
	return false
}
