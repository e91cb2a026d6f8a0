package dashboards_test

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/dashboards"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/monitor"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/slo"
	"github.com/souk-shop/souk/tools/internal/state"
)

// TestEveryQueryHasSeries: a real Prometheus that scrapes a real shop, in which orders are
// paid, declined and cancelled, has series for each query, and exemplars for requests.
func TestEveryQueryHasSeries(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := pgtest.Folder(t)
	shop, err := localshop.Start(ctx, localshop.Options{Dir: dir, Redis: localshop.OneRedis, Events: localshop.EmbeddedEvents, Traces: true, Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	st, err := state.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := startPrometheus(ctx, t, st.Admin)
	trade(ctx, t, shop)
	for _, d := range dashboards.All() {
		for _, row := range d.Rows {
			for _, panel := range row.Panels {
				for _, q := range panel.Queries {
					p.wants(ctx, t, d.UID+": "+panel.Title, q)
				}
			}
		}
	}
	for _, histogram := range []string{"http_server_request_duration_seconds_bucket", "rpc_server_call_duration_seconds_bucket"} {
		eventually(ctx, t, "exemplars of "+histogram, func() bool {
			var found []struct {
				Exemplars []struct{ Labels map[string]string }
			}
			err := p.Get(ctx, "query_exemplars", url.Values{"query": {histogram}, "start": {fmt.Sprint(time.Now().Add(-time.Hour).Unix())}, "end": {fmt.Sprint(time.Now().Unix())}}, &found)
			return err == nil && len(found) > 0 && len(found[0].Exemplars[0].Labels["trace_id"]) == 32
		})
	}
}

// trade has customers buy.
func trade(ctx context.Context, t *testing.T, shop *localshop.Shop) {
	t.Helper()
	operator := shopclient.New(shop.URL).WithToken(shop.OperatorToken)
	defer operator.Close()
	const csv = "code,sku,name,category,price,currency,stock\nLAMP,LAMP,Lamp,lights,2.50,GBP,100\nLAST,LAST,Last one,lights,7.00,GBP,1\n"
	if _, err := operator.ImportProducts(ctx, strings.NewReader(csv)); err != nil {
		t.Fatal(err)
	}
	anyone := shopclient.New(shop.URL)
	defer anyone.Close()
	buy := func(sku, method, state string) {
		t.Helper()
		cart, err := anyone.NewCart(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		buyer := anyone.WithToken(cart.Token)
		if _, err := buyer.AddLine(ctx, cart.ID, shopclient.Line{SKU: sku, Quantity: 1}); err != nil {
			t.Fatal(err)
		}
		order, err := buyer.PlaceOrder(ctx, uuid.NewString(), 20*time.Second, shopclient.Checkout{
			CartID: cart.ID, PaymentMethod: method, Email: "ada@example.com",
			ShippingAddress: shopclient.Address{Name: "Ada", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
		})
		if err != nil || order.State != state {
			t.Fatalf("order of %s with %s: %+v, %v; want %s", sku, method, order, err, state)
		}
	}
	if _, err := anyone.Products(ctx, shopclient.ProductQuery{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		buy("LAMP", "pm_card_visa", shopclient.StatePaid)
	}
	buy("LAMP", "pm_card_visa_chargeDeclined", shopclient.StateCancelled)
	buy("LAST", "pm_card_visa", shopclient.StatePaid)
	buy("LAST", "pm_card_visa", shopclient.StateCancelled) // sold out
}

// server is a Prometheus.
type server struct{ *monitor.Monitor }

// startPrometheus has a Prometheus scrape the parts of a shop each second, with the rules
// evaluated as often.
func startPrometheus(ctx context.Context, t *testing.T, parts map[string]string) *server {
	t.Helper()
	rules, err := slo.Rules()
	if err != nil {
		t.Fatal(err)
	}
	m, err := monitor.Start(ctx, monitor.Config{
		Dir: t.TempDir(), Targets: parts, ScrapeInterval: time.Second, Notice: func(s string) { t.Log(s) },
		Rules: regexp.MustCompile(`(?m)interval: \w+$`).ReplaceAll(rules, []byte("interval: 1s")),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &server{m}
}

// wants waits until a query has series, unless they are rare, for any service.
func (s *server) wants(ctx context.Context, t *testing.T, where string, q dashboards.Query) {
	t.Helper()
	const window = 10 * time.Second
	expr := q.Fill(dashboards.AnyService, window)
	if q.Rare != "" {
		s.series(ctx, t, where, expr) // it is a query
		return
	}
	eventually(ctx, t, where+": "+expr, func() bool { return s.series(ctx, t, where, expr) > 0 })
}

// series are how many series a query has now.
func (s *server) series(ctx context.Context, t *testing.T, where, expr string) int {
	t.Helper()
	var found struct {
		Result []struct{ Metric map[string]string }
	}
	if err := s.Get(ctx, "query", url.Values{"query": {expr}}, &found); err != nil {
		t.Fatalf("%s: %s: %v", where, expr, err)
	}
	return len(found.Result)
}

// eventually waits until something is so.
func eventually(ctx context.Context, t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	patience, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	for !so() {
		select {
		case <-patience.Done():
			t.Errorf("there is nothing of %s", what)
			return
		case <-tick.C:
		}
	}
}
