package top

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/state"
)

const gatewayBefore = `# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/v1/products",le="0.01"} 10
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/v1/products",le="0.1"} 10
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/v1/products",le="+Inf"} 10
http_server_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",http_route="/v1/products"} 1
http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/v1/products"} 10
`

const gatewayNow = `# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/v1/products",le="0.01"} 30
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/v1/products",le="0.1"} 50
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/v1/products",le="+Inf"} 50
http_server_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="200",http_route="/v1/products"} 3
http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/v1/products"} 50
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="503",http_route="/cart",le="0.01"} 0
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="503",http_route="/cart",le="0.1"} 0
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="503",http_route="/cart",le="+Inf"} 4
http_server_request_duration_seconds_sum{http_request_method="GET",http_response_status_code="503",http_route="/cart"} 9
http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="503",http_route="/cart"} 4
`

// The order service was started anew between the readings.
const (
	orderBefore = `# TYPE rpc_server_call_duration_seconds histogram
rpc_server_call_duration_seconds_bucket{rpc_method="souk.order.v1.OrderService/PlaceOrder",le="+Inf"} 1000
rpc_server_call_duration_seconds_sum{rpc_method="souk.order.v1.OrderService/PlaceOrder"} 3
rpc_server_call_duration_seconds_count{rpc_method="souk.order.v1.OrderService/PlaceOrder"} 1000
`
	orderNow = `# TYPE rpc_server_call_duration_seconds histogram
rpc_server_call_duration_seconds_bucket{rpc_method="souk.order.v1.OrderService/PlaceOrder",le="+Inf"} 6
rpc_server_call_duration_seconds_sum{rpc_method="souk.order.v1.OrderService/PlaceOrder"} 3
rpc_server_call_duration_seconds_count{rpc_method="souk.order.v1.OrderService/PlaceOrder"} 6
# TYPE souk_order_settle_duration_seconds histogram
souk_order_settle_duration_seconds_bucket{souk_order_state="paid",souk_order_cancel_reason="",le="+Inf"} 4
souk_order_settle_duration_seconds_sum{souk_order_state="paid",souk_order_cancel_reason=""} 3
souk_order_settle_duration_seconds_count{souk_order_state="paid",souk_order_cancel_reason=""} 4
# TYPE souk_order_open gauge
souk_order_open{souk_order_state="capturing"} 3
souk_order_open{souk_order_state="pending"} 0
# TYPE souk_events_lag gauge
souk_events_lag 17
# TYPE souk_webhook_backlog gauge
souk_webhook_backlog{souk_webhook_state="held"} 5
`
)

// answers serves the metrics of parts, and returns a data folder whose state names them.
func answers(t *testing.T, metrics map[string]*string) string {
	t.Helper()
	dir := t.TempDir()
	st := &state.State{URL: "http://shop", Admin: map[string]string{}, StartedAt: time.Now()}
	for name, text := range metrics {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/metrics" || text == nil {
				http.Error(w, "no", http.StatusInternalServerError)
				return
			}
			_, _ = w.Write([]byte(*text))
		}))
		t.Cleanup(srv.Close)
		st.Admin[name] = strings.TrimPrefix(srv.URL, "http://")
	}
	if err := state.Write(dir, st); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPage(t *testing.T) {
	t.Parallel()
	gateway, order := gatewayBefore, orderBefore
	dir := answers(t, map[string]*string{"gateway": &gateway, "order": &order, "cart": nil})
	before, err := read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	gateway, order = gatewayNow, orderNow
	now, err := read(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	now.at = before.at.Add(2 * time.Second)
	var out strings.Builder
	if err := compare(before, now).print(&out, 2); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"the last 2.0 s",
		"22.0 2.0 19.0 ms 100.0 ms gateway 3.0 0.0 0.0 ms 0.0 ms order",
		"20.0 0.0 10.0 ms 98.2 ms GET /v1/products 3.0 0.0 0.0 ms 0.0 ms souk.order.v1.OrderService/PlaceOrder orders",
		"orders settled a second paid 2.0", "orders open capturing 3 events", "events not published order 17", "to be told webhooks held 5",
		"No metrics of cart.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %q", out.String(), want)
		}
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	if q := (&traffic{}).quantile(.5); !math.IsNaN(q) {
		t.Errorf("%v without calls", q)
	}
	beyond := &traffic{}
	for bound, n := range map[float64]float64{.1: 1, 1: 2, math.Inf(1): 100} {
		beyond.bucket(bound, n)
	}
	if q := beyond.quantile(.99); q != 1 {
		t.Errorf("%v, want the last bound", q)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	gateway := gatewayNow
	dir := answers(t, map[string]*string{"gateway": &gateway})
	var out strings.Builder
	if err := Command(t.Context(), []string{"--data", dir, "--once", "--every", "100ms"}, &out, &out); err != nil || !strings.Contains(out.String(), "gateway") {
		t.Errorf("%v: %s", err, out.String())
	}
	for _, args := range [][]string{{"--every", "1ms"}, {"all"}, {"--data", t.TempDir()}} {
		if err := Command(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
