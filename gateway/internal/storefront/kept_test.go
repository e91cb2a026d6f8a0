package storefront

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/souk-shop/souk/gateway/internal/auth"
)

type goquerySelection = goquery.Selection

func subStatic(t testing.TB) fs.FS {
	t.Helper()
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A product page is rendered once for as long as the product's value lives, and has nothing
// of anybody.
func TestProductPageIsRenderedOnce(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.get("/products/85123A")
	f.mu.Lock()
	before := f.calls["Related"]
	f.mu.Unlock()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			w := v.another()
			if n%2 == 0 {
				w.post("/cart/lines", "sku", "82580", "quantity", "4")
			}
			want := ""
			if n%2 == 0 {
				want = "4"
			}
			for range 5 {
				if b := w.sees("/products/85123A"); b != want {
					t.Errorf("badge %q, want %q", b, want)
				}
			}
		})
	}
	wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls["Related"] != before {
		t.Errorf("the page was made %d times more", f.calls["Related"]-before)
	}
}

// A kept page is new when the product is.
func TestKeptPageFollowsTheProduct(t *testing.T) {
	t.Parallel()
	f := newFakeShop()
	v := open(t, f)
	v.get("/products/85123A").has(".product-price", "In stock")
	f.setStock("85123A", 2)
	v.get("/products/85123A").has(".product-price", "Only 2 left")
}

// BenchmarkProductPage compares the product page with a bare handler that
// writes the same bytes, both over HTTP.
func BenchmarkProductPage(b *testing.B) {
	sessions, err := auth.New(auth.Config{Secrets: auth.Secrets{Signing: strings.Repeat("secret ", 8)}})
	if err != nil {
		b.Fatal(err)
	}
	f := newFakeShop()
	h, err := New(Config{Catalog: f, Carts: f, Orders: f, Session: sessions})
	if err != nil {
		b.Fatal(err)
	}
	page := httptest.NewRecorder()
	h.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/products/85123A", nil))
	body := page.Body.Bytes()
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(body)
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"bare", bare}, {"page", sessions.Identify(h)}} {
		b.Run(c.name+"/http", func(b *testing.B) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
			defer transport.CloseIdleConnections()
			b.SetBytes(int64(len(body)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					req, _ := http.NewRequest(http.MethodGet, server.URL+"/products/85123A", nil)
					res, err := transport.RoundTrip(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			})
		})
		b.Run(c.name+"/handler", func(b *testing.B) {
			req := httptest.NewRequest(http.MethodGet, "/products/85123A", nil)
			w := &nullWriter{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				c.handler.ServeHTTP(w, req)
			}
		})
	}
}

type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}
