//go:build unix

package varnish

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

const secret = "a secret of thirty-two bytes, or more"

// gateway is what an edge is in front of in these tests.
type gateway struct {
	server *httptest.Server
	mu     sync.Mutex
	// text is what a public page says, control its Cache-Control.
	text, control string
	status        int
	sick          bool
	cookie        bool // set one, wrongly, on public pages
	asked         map[string]int
	last          http.Header // of the last request
	hold          chan struct{}
	held          chan struct{}
}

const public = "public, max-age=0, s-maxage=60, stale-while-revalidate=10, stale-if-error=3600"

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{text: "one", control: public, status: 200, asked: map[string]int{}}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	text, control, status, cookie, hold := g.text, g.control, g.status, g.cookie, g.hold
	if r.URL.Path == "/readyz" {
		if g.sick {
			status = 503
		} else {
			status = 200
		}
		g.mu.Unlock()
		w.WriteHeader(status)
		return
	}
	g.asked[r.URL.RequestURI()]++
	g.last = r.Header.Clone()
	g.mu.Unlock()
	h := w.Header()
	h.Set("Request-Id", "of-this-request")
	h.Set("Server-Timing", "traceparent")
	if r.Method != "GET" || strings.HasPrefix(r.URL.Path, "/cart") || r.Header.Get("Authorization") != "" {
		h.Set("Cache-Control", "private, no-store")
		h.Set("Set-Cookie", "souk_shopper=secret")
		fmt.Fprintf(w, "%s of %s%s", r.Method, r.Header.Get("Cookie"), r.Header.Get("Authorization"))
		return
	}
	if hold != nil {
		g.held <- struct{}{}
		<-hold
	}
	if status != 200 {
		h.Set("Cache-Control", "private, no-store")
		w.WriteHeader(status)
		fmt.Fprint(w, "the gateway's own error")
		return
	}
	if cookie {
		h.Set("Set-Cookie", "souk_shopper=secret")
	}
	h.Set("Cache-Control", control)
	h.Set("Surrogate-Key", "all listed product:"+strings.TrimPrefix(r.URL.Path, "/products/"))
	h.Set("RateLimit-Remaining", "7")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", `W/"`+text+`"`)
	if r.Header.Get("If-None-Match") == `W/"`+text+`"` {
		w.WriteHeader(304)
		return
	}
	fmt.Fprint(w, text)
}

func (g *gateway) set(change func(*gateway)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

func (g *gateway) times(uri string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[uri]
}

type answer struct {
	status int
	body   string
	http.Header
}

func (a answer) is(t *testing.T, body, cache string) {
	t.Helper()
	if a.status != 200 || a.body != body || !strings.Contains(a.Get("Cache-Status"), cache) {
		t.Errorf("%d %q, Cache-Status %q; want %q by %s", a.status, a.body, a.Get("Cache-Status"), body, cache)
	}
}

var client = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func ask1(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, string(b), res.Header}
}

func start(t *testing.T, g *gateway, proxies ...string) *Edge {
	t.Helper()
	e, err := Start(t.Context(), Config{Dir: t.TempDir(), Gateway: strings.TrimPrefix(g.server.URL, "http://"), Secret: secret, Proxies: proxies, Log: slog.New(slog.DiscardHandler)})
	if _, apt := exec.LookPath("apt-get"); apt != nil && errors.Is(err, ErrMissing) {
		t.Skip(err) // `souk test` installs it elsewhere
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func (e *Edge) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return ask1(t, "GET", e.URL()+path, headers...)
}

func (e *Edge) purge(t *testing.T, keys string) {
	t.Helper()
	if a := ask1(t, "PURGE", e.PurgeURL+"/", "Souk-Edge-Secret: "+secret, "Surrogate-Key: "+keys); a.status != 200 {
		t.Fatalf("a PURGE is answered %d %s", a.status, a.body)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); {
		if time.Since(begun) > 20*time.Second || retry.Sleep(t.Context(), 5*time.Millisecond) != nil {
			t.Fatal("not in time: " + what)
		}
	}
}

// What is public is kept for everybody, without anything of who asked first.
func TestPublicPagesAreKept(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	first := e.get(t, "/products/A", "Cookie: souk_shopper=ada; souk_count=3")
	first.is(t, "one", "fwd=miss")
	g.mu.Lock()
	if c := g.last.Get("Cookie"); c != "" {
		t.Errorf("the gateway was told %q for everybody", c)
	}
	g.mu.Unlock()
	second := e.get(t, "/products/A?utm_source=mail", "Cookie: souk_shopper=grace")
	second.is(t, "one", "hit; ttl=")
	for _, name := range []string{"Surrogate-Key", "Xkey", "Set-Cookie", "Request-Id", "Server-Timing", "Ratelimit-Remaining", "X-Varnish", "Via", "Souk-Edge-Lifetime", "Souk-Edge-Revalidate"} {
		for _, a := range []answer{first, second} {
			if v := a.Values(name); v != nil {
				t.Errorf("a browser is shown %s: %q", name, v)
			}
		}
	}
	// Nobody would tell another cache.
	if c := second.Get("Cache-Control"); c != "public, no-cache" {
		t.Errorf("Cache-Control %q", c)
	}
	if a := e.get(t, "/products/A", "If-None-Match: "+second.Get("ETag")); a.status != 304 {
		t.Errorf("what a browser has is answered %d", a.status)
	}
	if n := g.times("/products/A"); n != 1 {
		t.Errorf("the gateway was asked %d times", n)
	}
	// Another order of the parameters is the same list.
	e.get(t, "/products?sort=name&q=mug&utm_medium=x").is(t, "one", "fwd=miss")
	e.get(t, "/products?q=mug&gclid=1&sort=name").is(t, "one", "hit")
	e.get(t, "/products?q=jug&sort=name").is(t, "one", "fwd=miss")
}

// What is somebody's own passes, with all of the request and all of the answer, and is not kept.
func TestPersonalAnswersPass(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	for _, tc := range []struct{ method, path, header, want string }{
		{"GET", "/cart", "Cookie: ada", "GET of ada"},
		{"GET", "/cart", "Cookie: grace", "GET of grace"},
		{"POST", "/products/A", "Cookie: ada", "POST of ada"},
		{"GET", "/v1/products/A", "Authorization: Bearer ada", "GET of Bearer ada"},
		{"GET", "/products/A", "Authorization: Bearer grace", "GET of Bearer grace"},
	} {
		for range 2 {
			a := ask1(t, tc.method, e.URL()+tc.path, tc.header)
			a.is(t, tc.want, "fwd=bypass")
			if a.Get("Set-Cookie") == "" || a.Get("Cache-Control") != "private, no-store" || a.Get("Request-Id") == "" {
				t.Errorf("%s %s lost a header: %v", tc.method, tc.path, a.Header)
			}
		}
	}
	e.get(t, "/v1/products/A").is(t, "one", "fwd=miss")
	e.get(t, "/v1/products/A").is(t, "one", "hit")
	e.get(t, "/v1/products/A", "Souk-Consistency: token").is(t, "one", "fwd=bypass")
	// What varies by the origin of a page is not kept by it: a client makes up any number of them.
	e.get(t, "/v1/products/A", "Origin: https://other.example").is(t, "one", "fwd=bypass")
	// A gateway that is wrong: what sets a cookie is kept from the others.
	g.set(func(g *gateway) { g.cookie = true })
	e.get(t, "/products/B").is(t, "one", "fwd=miss")
	e.get(t, "/products/B").is(t, "one", "fwd=miss")
	g.set(func(g *gateway) { g.cookie, g.control = false, "public, no-cache" })
	e.get(t, "/products/C").is(t, "one", "fwd=miss")
	e.get(t, "/products/C").is(t, "one", "fwd=miss")
}

// The client's word on what proxies say is not handed on, except by a proxy.
func TestClientsDoNotSpeakForProxies(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	lies := []string{"X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "Request-Id: mine", "Souk-Edge-Stale: 1", "Souk-Edge-Secret: x"}
	sent := func(e *Edge) http.Header {
		e.get(t, "/cart", lies...)
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.last
	}
	h := sent(start(t, g))
	if f := h.Get("X-Forwarded-For"); f != "192.0.2.7, 127.0.0.1" {
		t.Errorf("X-Forwarded-For %q: the client is the last", f)
	}
	for _, name := range []string{"X-Forwarded-Proto", "Forwarded", "Request-Id", "Souk-Edge-Stale", "Souk-Edge-Secret"} {
		if v := h.Get(name); v != "" {
			t.Errorf("a client's %s: %q", name, v)
		}
	}
	behind := start(t, g, "127.0.0.1")
	if h := sent(behind); h.Get("X-Forwarded-Proto") != "https" || h.Get("Request-Id") != "mine" {
		t.Errorf("a proxy's word is lost: %v", h)
	}
	behind.get(t, "/products/A", "X-Forwarded-Proto: https").is(t, "one", "fwd=miss")
	behind.get(t, "/products/A").is(t, "one", "fwd=miss") // it has other headers
}

// A purge drops what has a key and nothing else, at once: the next request waits for the new one.
func TestPurgeByKey(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	for _, path := range []string{"/products/A", "/products/B"} {
		e.get(t, path).is(t, "one", "fwd=miss")
	}
	g.set(func(g *gateway) { g.text = "two" })
	e.purge(t, "product:none product:A")
	e.get(t, "/products/A").is(t, "two", "fwd=stale")
	e.get(t, "/products/A").is(t, "two", "hit")
	e.get(t, "/products/B").is(t, "one", "hit")
	e.purge(t, "product:A") // unchanged since: the gateway says so
	e.get(t, "/products/A").is(t, "two", "fwd=stale")
	e.get(t, "/products/A").is(t, "two", "hit")
	e.purge(t, "all")
	e.get(t, "/products/B").is(t, "two", "fwd=stale")
}

// Only who knows the secret purges, and at the gateways' port alone.
func TestPurgeIsRefused(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	e.get(t, "/products/A").is(t, "one", "fwd=miss")
	for _, tc := range []struct {
		method, url string
		headers     []string
		status      int
	}{
		{"PURGE", e.PurgeURL + "/", []string{"Surrogate-Key: all"}, 403},
		{"PURGE", e.PurgeURL + "/", []string{"Surrogate-Key: all", "Souk-Edge-Secret: "}, 403},
		{"PURGE", e.PurgeURL + "/", []string{"Surrogate-Key: all", "Souk-Edge-Secret: " + strings.Repeat("x", 40)}, 403},
		{"PURGE", e.PurgeURL + "/", []string{"Souk-Edge-Secret: " + secret}, 400},
		{"PURGE", e.URL() + "/products/A", []string{"Surrogate-Key: all", "Souk-Edge-Secret: " + secret}, 405},
		{"GET", e.PurgeURL + "/products/A", nil, 405},
	} {
		if a := ask1(t, tc.method, tc.url, tc.headers...); a.status != tc.status {
			t.Errorf("%s %s with %q: %d, want %d", tc.method, tc.url, tc.headers, a.status, tc.status)
		}
	}
	e.get(t, "/products/A").is(t, "one", "hit")
}

// What has expired without a purge is shown while the next is fetched, once.
func TestStaleWhileRevalidate(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	g.set(func(g *gateway) {
		g.control = "public, max-age=0, s-maxage=1, stale-while-revalidate=30, stale-if-error=3600"
	})
	e.get(t, "/products/A").is(t, "one", "fwd=miss")
	g.set(func(g *gateway) { g.text = "two" })
	await(t, "the next", func() bool {
		a := e.get(t, "/products/A")
		if !strings.Contains(a.Get("Cache-Status"), "hit") || a.Get("Server-Timing") != "" {
			t.Fatalf("waited for the next, or marked: %v", a.Header)
		}
		return a.body == "two"
	})
}

// While the shop does not answer, what was there is shown, marked; what was not is an error. This
// holds also for what was purged, and for a gateway that is gone.
func TestStaleIfError(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	stale := func(what string) {
		t.Helper()
		a := e.get(t, "/products/A", `If-None-Match: W/"one"`) // a browser would keep the mark with what it has
		a.is(t, "one", "detail=stale-if-error")
		if a.Get("Server-Timing") != "stale" || a.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s: Server-Timing %q, Cache-Control %q", what, a.Get("Server-Timing"), a.Get("Cache-Control"))
		}
	}
	e.get(t, "/products/A").is(t, "one", "fwd=miss")
	g.set(func(g *gateway) { g.status = 503 })
	e.purge(t, "product:A")
	for range 3 {
		stale("it answers 503")
	}
	if a := e.get(t, "/products/B"); a.status != 503 || a.body != "the gateway's own error" {
		t.Errorf("what was never there: %d %q", a.status, a.body)
	}
	// Once the probe has seen it, nobody is asked.
	g.set(func(g *gateway) { g.sick = true })
	await(t, "the probe", func() bool {
		before := g.times("/products/A")
		stale("it is sick")
		return g.times("/products/A") == before
	})
	if a := e.get(t, "/products/B"); a.status != 503 || a.body != "the gateway's own error" {
		t.Errorf("what was never there, of a sick one: %d %q", a.status, a.body)
	}
	e.get(t, "/cart", "Cookie: ada").is(t, "GET of ada", "fwd=bypass")
	g.set(func(g *gateway) { g.sick, g.status, g.text = false, 200, "two" })
	await(t, "the recovery", func() bool { return e.get(t, "/products/A").body == "two" })
	e.get(t, "/products/A").is(t, "two", "hit")
	g.server.Close()
	e.purge(t, "all")
	if a := e.get(t, "/products/A"); a.status != 200 || a.body != "two" || a.Get("Server-Timing") != "stale" {
		t.Errorf("without a gateway: %d %q %v", a.status, a.body, a.Header)
	}
	if a := e.get(t, "/cart"); a.status != 503 || a.Get("Cache-Control") != "private, no-store" {
		t.Errorf("a cart without a gateway: %d %v", a.status, a.Header)
	}
}

// Of an answer from before a purge that arrives after it, the second purge is what drops it.
func TestAnAnswerOnItsWay(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	hold := make(chan struct{})
	g.set(func(g *gateway) { g.hold, g.held = hold, make(chan struct{}, 1) })
	late := make(chan answer, 1)
	go func() { late <- e.get(t, "/products/A") }()
	<-g.held
	e.purge(t, "product:A")
	g.set(func(g *gateway) { g.text, g.hold = "two", nil })
	close(hold)
	(<-late).is(t, "one", "fwd=miss")
	e.get(t, "/products/A").is(t, "one", "hit") // this is why the gateway purges again
	e.purge(t, "product:A")
	e.get(t, "/products/A").is(t, "two", "fwd=stale")
}

// Those who ask for the same at the same time wait for one answer.
func TestRequestsAreCoalesced(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	hold := make(chan struct{})
	g.set(func(g *gateway) { g.hold, g.held = hold, make(chan struct{}, 100) })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _ = e.get(t, "/products/A") })
	}
	<-g.held
	close(hold)
	all.Wait()
	if n := g.times("/products/A"); n != 1 {
		t.Errorf("the gateway was asked %d times", n)
	}
}

// k8s/edge has this configuration, which compiles with what it includes there.
func TestTheClusterHasTheSame(t *testing.T) {
	t.Parallel()
	const copied = "../../../k8s/edge/edge.vcl"
	b, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != VCL {
		t.Errorf("%s is not edge.vcl: go generate ./tools/internal/varnish", copied)
	}
	binary, err := Find()
	if _, apt := exec.LookPath("apt-get"); apt != nil && err != nil {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	backend, err := os.ReadFile("../../../k8s/edge/backend.vcl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"edge.vcl": VCL, "backend.vcl": strings.ReplaceAll(string(backend), "souk-gateway", "127.0.0.1")} { // a name of the cluster
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said, err := exec.CommandContext(t.Context(), binary, "-C", "-j", "none", "-n", filepath.Join(dir, "run"), "-f", filepath.Join(dir, "edge.vcl"), "-p", "vcl_path="+dir).CombinedOutput(); err != nil {
		t.Errorf("varnishd -C: %v\n%.2000s", err, said)
	}
}

// A client that asks too much is no reason to forget what there is.
func TestARefusedClientDropsNothing(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	e := start(t, g)
	e.get(t, "/products/A").is(t, "one", "fwd=miss")
	g.set(func(g *gateway) { g.status = 429 })
	e.purge(t, "product:A")
	e.get(t, "/products/A").is(t, "one", "detail=stale-if-error")
	g.set(func(g *gateway) { g.sick = true })
	await(t, "the probe", func() bool {
		before := g.times("/products/A")
		e.get(t, "/products/A").is(t, "one", "detail=stale-if-error")
		return g.times("/products/A") == before
	})
}
