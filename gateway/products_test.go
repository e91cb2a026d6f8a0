package gateway

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

type productDoc struct {
	Code, Name string
	Price      struct{ Amount int64 }
	Variants   []struct {
		SKU       string
		Available int64
		Stock     *struct{ Total int64 }
	}
}

type pageDoc struct {
	Products   []productDoc
	NextCursor string `json:"next_cursor"`
	Facets     *struct{ Total int64 }
}

func TestListProducts(t *testing.T) {
	t.Parallel()
	s := start(t)
	var page pageDoc
	a := s.want(200, "GET", "/v1/products?facets=true&q=heart&sort=-price&min_price=0&max_price=5000&in_stock=true", "")
	a.decode(t, &page)
	if len(page.Products) != 24 || page.Facets == nil || page.Facets.Total != 30 {
		t.Fatalf("page: %s", a.body)
	}
	link, _, _ := strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	if !strings.HasSuffix(a.Header.Get("Link"), `; rel="next"`) || !strings.Contains(link, "sort=-price") || !strings.Contains(link, "max_price=5000") {
		t.Fatalf("Link: %q", a.Header.Get("Link"))
	}
	next := s.want(200, "GET", link, "")
	var last pageDoc
	next.decode(t, &last)
	if len(last.Products) != 6 || last.NextCursor != "" || next.Header.Get("Link") != "" {
		t.Fatalf("last page: %s", next.body)
	}
	s.want(200, "GET", "/v1/products?limit=100", "").decode(t, &page)
	if len(page.Products) != 30 {
		t.Fatalf("limit=100: %d products", len(page.Products))
	}
	s.want(200, "GET", "/v1/categories", "")
	s.want(200, "GET", "/v1/products/SKU01/related?limit=3", "")
	s.refuses(404, "product-not-found", "GET", "/v1/products/NONE/related", "")
}

func TestProductETag(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.want(200, "GET", "/v1/products/SKU01", "")
	tag := first.Header.Get("ETag")
	if tag == "" || first.Header.Get("Cache-Control") != "public, no-cache" {
		t.Fatalf("headers: %v", first.Header)
	}
	for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		a := s.want(304, "GET", "/v1/products/SKU01", "", header("If-None-Match: "+match))
		if len(a.body) != 0 || a.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %q %v", match, a.body, a.Header)
		}
	}
	s.want(200, "GET", "/v1/products/SKU01", "", `If-None-Match: "other"`)
	head := s.want(200, "HEAD", "/v1/products/SKU01", "")
	if len(head.body) != 0 || head.Header.Get("ETag") != tag || head.ContentLength != int64(len(first.body)) {
		t.Errorf("HEAD: %v", head.Header)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	s := start(t)
	plain := s.want(200, "GET", "/v1/products", "")
	packed := s.want(200, "GET", "/v1/products", "", "Accept-Encoding: br;q=0.8, gzip;q=1")
	if packed.Header.Get("Content-Encoding") != "gzip" || packed.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Fatalf("headers: %v", packed.Header)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(body, plain.body) {
		t.Fatalf("unpacked body differs: %v", err)
	}
	// The tag of a 304 is that of the form, or a cache may not use it for the form it has.
	if a := s.want(304, "GET", "/v1/products", "", "Accept-Encoding: gzip", header("If-None-Match: "+packed.Header.Get("ETag"))); a.Header.Get("ETag") != packed.Header.Get("ETag") || a.Header.Get("Content-Encoding") != "" {
		t.Errorf("304 of %s: %v", packed.Header.Get("ETag"), a.Header)
	}
	if a := s.want(200, "GET", "/v1/products", "", "Accept-Encoding: GZIP"); a.Header.Get("Content-Encoding") != "gzip" {
		t.Error("GZIP is not gzip")
	}
	for _, refuse := range []header{"Accept-Encoding: gzip;q=0", "Accept-Encoding: zstd"} {
		if a := s.want(200, "GET", "/v1/products", "", refuse); a.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", refuse, a.Header)
		}
	}
	if a := s.want(200, "GET", "/v1/products/SKU01", "", "Accept-Encoding: gzip"); a.Header.Get("Content-Encoding") != "" {
		t.Error("a small body was compressed")
	}
}

// A write of the operator is seen by the next read, cache or no cache.
func TestOperatorWritesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.CacheTTL = time.Hour })
	var p productDoc
	var page pageDoc
	price := func() int64 {
		s.want(200, "GET", "/v1/products/SKU01", "").decode(t, &p)
		s.want(200, "GET", "/v1/products", "").decode(t, &page)
		if page.Products[1].Price.Amount != p.Price.Amount {
			t.Errorf("page has price %d, product %d", page.Products[1].Price.Amount, p.Price.Amount)
		}
		return p.Price.Amount
	}
	price()
	before := s.catalog.reads.Load()
	price()
	if s.catalog.reads.Load() != before {
		t.Error("a cached read was read again")
	}
	s.want(200, "POST", "/v1/prices", `{"changes":[{"sku":"SKU01","price":{"amount":777,"currency":"GBP"}}]}`, asOperator)
	if got := price(); got != 777 {
		t.Errorf("after POST /v1/prices: %d", got)
	}
	s.want(200, "PUT", "/v1/products/SKU01", `{"name":"New","category":"lighting","variants":[{"sku":"SKU01","price":{"amount":888,"currency":"GBP"},"stock":5}]}`, asOperator)
	if got := price(); got != 888 || p.Name != "New" {
		t.Errorf("after PUT: %d %s", got, p.Name)
	}
	s.want(200, "POST", "/v1/stock-adjustments", `{"reason":"received","changes":[{"sku":"SKU01","delta":7}]}`, asOperator, "Idempotency-Key: a")
	price()
	if p.Variants[0].Available != 17 || p.Variants[0].Stock != nil {
		t.Errorf("after adjustment: %+v", p.Variants[0])
	}
	a := s.want(200, "GET", "/v1/products/SKU01", "", asOperator)
	a.decode(t, &p)
	if p.Variants[0].Stock == nil || p.Variants[0].Stock.Total != 17 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the operator sees %s", a.body)
	}
}

// Readers of one product share one load, and a reader that leaves spoils it for no other.
func TestConcurrentReadsShareOneLoad(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.CacheTTL = time.Hour })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { s.want(200, "GET", "/v1/products/SKU02", "") })
	}
	wg.Wait()
	if n := s.catalog.reads.Load(); n != 1 {
		t.Errorf("%d reads of the catalog", n)
	}
}

func TestServiceErrors(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.CacheTTL = -1 })
	for _, tc := range []struct {
		err    error
		status int
		slug   string
	}{
		{refused(codes.Unavailable, "UNAVAILABLE"), 503, "unavailable"},
		{refused(codes.DeadlineExceeded, ""), 504, "timeout"},
		{refused(codes.Canceled, ""), 503, "unavailable"},
		{refused(codes.Internal, ""), 500, "internal"},
		{refused(codes.Unknown, "SOMETHING"), 500, "internal"},
	} {
		s.catalog.broken.Store(&tc.err)
		s.refuses(tc.status, tc.slug, "GET", "/v1/products/SKU01", "")
	}
	unavailable := refused(codes.Unavailable, "UNAVAILABLE")
	s.catalog.broken.Store(&unavailable)
	a := s.do("GET", "/v1/products/SKU01", "")
	if a.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

func TestDocumentationPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/openapi.yaml", "/docs", "/docs/style.css", "/problems/", "/problems/invalid", "/problems/idempotency-key-reused"} {
		a := s.want(200, "GET", path, "")
		if len(a.body) < 300 || a.Header.Get("Content-Security-Policy") == "" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d bytes, %v", path, len(a.body), a.Header)
		}
		s.want(304, "GET", path, "", header("If-None-Match: "+a.Header.Get("ETag")))
	}
	s.refuses(404, "not-found", "GET", "/problems/none", "")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.want(200, "GET", "/healthz", "")
	s.want(200, "GET", "/readyz", "")
	s.want(200, "GET", "/readyz?service=catalog", "")
	s.health.Shutdown()
	deadline := time.Now().Add(5 * time.Second)
	for s.do("GET", "/readyz", "").StatusCode != http.StatusServiceUnavailable {
		if time.Now().After(deadline) {
			t.Fatal("still ready without a catalog")
		}
	}
	s.want(200, "GET", "/healthz", "")
	s.want(503, "GET", "/readyz?service=catalog", "")
	s.want(404, "GET", "/readyz?service=none", "")
}
