package shopclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// serve answers one call and remembers it.
func serve(t *testing.T, status int, header map[string]string, body string) (*shopclient.Client, *http.Request, *string) {
	t.Helper()
	var got http.Request
	var sent string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, sent = *r, string(b)
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client notices
	}))
	t.Cleanup(srv.Close)
	return shopclient.New(srv.URL + "/"), &got, &sent
}

func TestPlaceOrder(t *testing.T) {
	t.Parallel()
	c, req, sent := serve(t, http.StatusCreated, map[string]string{"Idempotent-Replayed": "true", "Location": "/v1/orders/o1"},
		`{"id":"o1","state":"PAID","total":{"amount":1234,"currency":"GBP"}}`)
	order, meta, err := c.WithToken("secret").PlaceOrderMeta(context.Background(), "k 1", 20*time.Second, shopclient.Checkout{CartID: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	if !order.Settled() || order.Total != (shopclient.Money{Amount: 1234, Currency: "GBP"}) || !meta.Replayed || meta.Location != "/v1/orders/o1" {
		t.Errorf("order %+v, meta %+v", order, meta)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer secret", "Idempotency-Key": "k 1", "Prefer": "wait=20", "Content-Type": "application/json",
	} {
		if have := req.Header.Get(name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(*sent), &body); err != nil || body["cart_id"] != "c1" {
		t.Errorf("sent %s: %v", *sent, err)
	}
	if _, ok := body["cart_version"]; ok {
		t.Error("a cart_version of zero was sent")
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	c, req, _ := serve(t, http.StatusConflict, map[string]string{"Content-Type": "application/problem+json; charset=utf-8", "Retry-After": "3"},
		`{"type":"/problems/out-of-stock","title":"Out of stock","status":409,"shortages":[{"sku":"A","requested":5,"available":2}],"errors":[{"field":"lines","detail":"too many"}],"trace_id":"abc"}`)
	_, err := c.Product(context.Background(), "A/B")
	var p *shopclient.Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v", err)
	}
	if p.Status != 409 || p.RetryAfter != 3*time.Second || len(p.Shortages) != 1 || p.Type != "/problems/out-of-stock" {
		t.Errorf("problem %+v", p)
	}
	if have, want := p.Error(), "GET /v1/products/A%2FB: 409 Out of stock; lines: too many; A: 5 wanted, 2 available (trace abc)"; have != want {
		t.Errorf("error %q, want %q", have, want)
	}
	if req.URL.EscapedPath() != "/v1/products/A%2FB" {
		t.Errorf("path %s", req.URL.EscapedPath())
	}
}

func TestAnswersThatAreNoneOfTheShops(t *testing.T) {
	t.Parallel()
	c, _, _ := serve(t, http.StatusBadGateway, map[string]string{"Content-Type": "text/html"}, "<h1>"+strings.Repeat("x", 1000))
	_, err := c.Products(context.Background(), shopclient.ProductQuery{Query: "tea", InStock: true})
	var p *shopclient.Problem
	if !errors.As(err, &p) || p.Status != 502 || p.Title != "Bad Gateway" || len(p.Detail) > 200 {
		t.Errorf("error %v", err)
	}
	c, _, _ = serve(t, http.StatusOK, nil, `{"products":`)
	if _, err := c.Products(context.Background(), shopclient.ProductQuery{}); err == nil || errors.As(err, new(*shopclient.Problem)) {
		t.Errorf("error %v for half an answer", err)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	c, req, _ := serve(t, http.StatusOK, nil, `{}`)
	if _, err := c.Products(context.Background(), shopclient.ProductQuery{Query: "tea & cake", InStock: true, Limit: 5, MinPrice: 100}); err != nil {
		t.Fatal(err)
	}
	if have, want := req.URL.RawQuery, "in_stock=true&limit=5&min_price=100&q=tea+%26+cake"; have != want {
		t.Errorf("query %s, want %s", have, want)
	}
}
