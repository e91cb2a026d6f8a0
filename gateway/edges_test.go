package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edgecache"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// publicPaths are reads that caches in front may answer, with a key that each has.
var publicPaths = map[string]string{
	"/": edgecache.Listed, "/products": edgecache.Listed, "/products?q=mug": edgecache.Listed, "/products/SKU01": "stock:SKU01",
	"/v1/products": edgecache.Listed, "/v1/products?limit=100&facets=true": edgecache.Stocked, "/v1/products/SKU01": "stock:SKU01", "/v1/products/SKU01/related": edgecache.Stocked, "/v1/categories": edgecache.Categories,
}

// edgeOf are the settings of a gateway with an edge, at which nothing listens.
func edgeOf(c *Config) {
	c.EdgeURLs, c.EdgeSecret = []string{"http://127.0.0.1:1"}, config.Secret(testSecret)
}

// A public page or read is the same bytes, with the same headers, for a guest with a cart and for
// who never came before, sets no cookie, and says what it is about.
func TestPublicAnswersAreTheSameForEverybody(t *testing.T) {
	t.Parallel()
	s := start(t, edgeOf)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Jar: jar}).PostForm(s.url+"/cart/lines", url.Values{"sku": {"SKU01"}, "quantity": {"3"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	var sent []string
	for _, c := range jar.Cookies(res.Request.URL) {
		sent = append(sent, c.Name+"="+c.Value)
	}
	if len(sent) < 2 {
		t.Fatalf("something in the cart: %d, sets %q", res.StatusCode, sent)
	}
	guest := header("Cookie: " + strings.Join(sent, "; "))
	for path, key := range publicPaths {
		mine, anyones := s.want(200, "GET", path, "", guest), s.want(200, "GET", path, "")
		if !slices.Equal(mine.body, anyones.body) {
			t.Errorf("%s is another document for a guest with a cart", path)
		}
		for _, own := range []string{"Date", "Request-Id", "Server-Timing", "Ratelimit-Remaining", "Ratelimit-Reset"} {
			mine.Header.Del(own)
			anyones.Header.Del(own)
		}
		if !reflect.DeepEqual(mine.Header, anyones.Header) {
			t.Errorf("%s: %v, and for a guest with a cart %v", path, anyones.Header, mine.Header)
		}
		// No broker is there: nobody would tell the edge.
		if control := mine.Header.Get("Cache-Control"); control != "public, max-age=0, s-maxage=1, stale-while-revalidate=0, stale-if-error=86400" || mine.Header["Set-Cookie"] != nil {
			t.Errorf("%s: Cache-Control %q, sets %q", path, control, mine.Header["Set-Cookie"])
		}
		if keys := strings.Fields(mine.Header.Get(edgecache.KeysHeader)); !slices.Contains(keys, key) || !slices.Contains(keys, edgecache.All) {
			t.Errorf("%s is about %q, not %s", path, keys, key)
		}
		if vary := strings.Join(mine.Header["Vary"], ","); strings.Contains(vary, "Cookie") {
			t.Errorf("%s varies by %s", path, vary)
		}
	}
	for _, path := range []string{"/cart", "/checkout", "/orders", "/nothing", "/products/none", "/products?min=x", "/v1/nothing", "/healthz"} {
		if a := s.do("GET", path, "", guest); strings.Contains(a.Header.Get("Cache-Control"), "public") || a.Header.Get(edgecache.KeysHeader) != "" {
			t.Errorf("%s may be kept: %v", path, a.Header)
		}
	}
	if a := s.want(200, "GET", "/v1/products/SKU01", "", header("Authorization: Bearer "+testOperator)); a.Header.Get("Cache-Control") != "no-store" || a.Header.Get(edgecache.KeysHeader) != "" {
		t.Errorf("an operator's answer may be kept: %v", a.Header)
	}
}

func TestEdgeTimes(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"SOUK_GATEWAY_EDGE_MAX_AGE":        func(c *Config) { c.EdgeMaxAge = -time.Second },
		"SOUK_GATEWAY_EDGE_STALE_IF_ERROR": func(c *Config) { c.EdgeStaleIfError = time.Millisecond },
		"SOUK_GATEWAY_EDGE_SECRET":         func(c *Config) { c.EdgeSecret = "short" },
	} {
		if _, err := newPurger(complete(t, Config{}, edgeOf, change), telemetry.Discard()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// An edge is told of a change once the gateway shows it, so that what it asks for then is not what
// was before; and keeps answers for long while it is told.
func TestEdgesAreToldOfWhatIsShown(t *testing.T) {
	t.Parallel()
	s := startTold(t, time.Hour)
	var mu sync.Mutex
	var told []string
	price := ""
	front := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for _, key := range strings.Fields(r.Header.Get(edgecache.KeysHeader)) {
			if strings.HasPrefix(key, "product:") && price != "" {
				res, err := http.Get(s.replicas[0] + "/v1/products/SKU01")
				if err != nil {
					t.Error(err)
					continue
				}
				var p productDoc
				if err := errors.Join(json.NewDecoder(res.Body).Decode(&p), res.Body.Close()); err != nil {
					t.Error(err)
				}
				if p.Price.Amount != 4711 {
					key = "early " + key
				}
			}
			told = append(told, key)
		}
	}))
	t.Cleanup(front.Close)
	s.replicas = []string{s.gateway(func(c *Config) {
		c.CacheTTL, c.CacheBackstop, c.CacheSettle, c.Events = time.Hour, 2*time.Hour, time.Nanosecond, events.Config{URL: config.Secret("nats://" + s.broker.Address())}
		c.EdgeURLs, c.EdgeSecret = []string{front.URL}, config.Secret(testSecret)
	})}
	s.following()
	product := edgecache.Product(s.productID())
	knows := func(key string) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(told, key)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	await := func(key string) {
		t.Helper()
		for !knows(key) {
			if knows("early "+product) || retry.Sleep(ctx, time.Millisecond) != nil {
				t.Fatalf("told of %q, not of %s", told, key)
			}
		}
	}
	await(edgecache.All)
	if control := s.want(200, "GET", "/products/SKU01", "").Header.Get("Cache-Control"); !strings.Contains(control, "s-maxage=60, stale-while-revalidate=10") {
		t.Errorf("an edge that is told keeps an answer by %q", control)
	}
	s.reprice(4711)
	mu.Lock()
	told, price = nil, "changed"
	mu.Unlock()
	s.tell(events.Subject("product", s.productID()), "PriceChanged", &catalogv1.PriceChanged{Sku: "SKU01"})
	await(product)
	await(edgecache.Listed)
}
