package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"google.golang.org/grpc"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkRead compares what the gateway adds to a request with a bare handler
// that writes the same bytes; the network, which dwarfs both, is left out.
func BenchmarkRead(b *testing.B) {
	s := &shopUnderTest{catalog: newFakeCatalog()}
	conn := benchConn(b, s.catalog)
	tel, err := telemetry.Start(b.Context(), "gateway", telemetry.Config{})
	if err != nil {
		b.Fatal(err)
	}
	handler := handlerOf(b, complete(b, Config{CacheTTL: time.Hour}), parts{
		telemetry: tel, health: edge.NewHealth(nil), services: client.Services{Catalog: catalogv1.NewCatalogServiceClient(conn)},
	})
	for _, path := range []string{"/v1/products/SKU01", "/v1/products", "/v1/products?category=lighting&sort=price", "/products/SKU01"} {
		b.Run("souk"+path, func(b *testing.B) { read(b, handler, path) })
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if rec.Code != 200 {
			b.Logf("%s: %d", path, rec.Code)
		}
		bare := chi.NewRouter()
		body := rec.Body.Bytes()
		u, _ := url.Parse(path)
		bare.Get(u.Path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		})
		b.Run("bare"+path, func(b *testing.B) { read(b, bare, path) })
	}
}

func read(b *testing.B, handler http.Handler, path string) {
	req := httptest.NewRequest("GET", path, nil)
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, req)
	}
}

// BenchmarkWrite is a request with a body: what the gateway adds to a cart, its
// calls to services on loopback included.
func BenchmarkWrite(b *testing.B) {
	s := start(b)
	handler := handlerOver(b, complete(b, Config{CacheTTL: time.Hour}), s.conn, telemetry.Discard())
	cart, me := s.newCart("")
	var lines []string
	for i := range 20 {
		lines = append(lines, fmt.Sprintf(`{"sku":"SKU%02d","quantity":1}`, i+1))
	}
	path := "/v1/carts/" + cart.ID + "/lines"
	b.Run("add", func(b *testing.B) { write(b, handler, me, "POST", path, `{"sku":"SKU01","quantity":1}`, 200) })
	b.Run("add refused", func(b *testing.B) { write(b, handler, me, "POST", path, `{"sku":"SKU01","quantity":0}`, 400) })
	b.Run("replace 20 lines", func(b *testing.B) {
		write(b, handler, me, "PUT", path, `{"lines":[`+strings.Join(lines, ",")+`]}`, 200)
	})
	b.Run("order refused", func(b *testing.B) {
		write(b, handler, me, "POST", "/v1/orders", strings.Replace(checkoutOf(cart.ID), `"GB"`, `"gb"`, 1), 400)
	})
}

func write(b *testing.B, handler http.Handler, token header, method, path, body string, want int) {
	name, value, _ := strings.Cut(string(token), ": ")
	request := func() *http.Request {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set(name, value)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "k")
		return req
	}
	rec := httptest.NewRecorder()
	if handler.ServeHTTP(rec, request()); rec.Code != want {
		b.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, request())
	}
}

func benchConn(b *testing.B, catalog *fakeCatalog) *grpc.ClientConn {
	b.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer()
	catalogv1.RegisterCatalogServiceServer(server, catalog)
	go func() { _ = server.Serve(lis) }()
	b.Cleanup(server.Stop)
	conn, err := rpc.Dial("catalog", rpc.ClientConfig{Target: lis.Addr().String()}, identity.Insecure(), telemetry.Discard())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}
