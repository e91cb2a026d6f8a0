package edgecache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const secret = config.Secret("a secret of thirty-two bytes, or more")

// fakeEdge is a cache that notes what it is told.
type fakeEdge struct {
	server *httptest.Server
	mu     sync.Mutex
	told   []string // keys, in their order
	status int
	// telling is called before an answer; may be nil.
	telling func(keys string)
}

func newEdge(t *testing.T, listen string) *fakeEdge {
	t.Helper()
	e := &fakeEdge{status: http.StatusOK}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys := r.Header.Get(KeysHeader)
		e.mu.Lock()
		status, telling := e.status, e.telling
		if r.Method != "PURGE" || r.Header.Get(SecretHeader) != secret.Reveal() {
			t.Errorf("%s with the secret %q", r.Method, r.Header.Get(SecretHeader))
		}
		if len(keys) > maxLine {
			t.Errorf("%d bytes of keys", len(keys))
		}
		if status == http.StatusOK {
			e.told = append(e.told, strings.Fields(keys)...)
		}
		e.mu.Unlock()
		if telling != nil {
			telling(keys)
		}
		w.WriteHeader(status)
	}))
	if listen != "" {
		lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", listen)
		if err != nil {
			t.Skipf("no second address of this machine: %v", err)
		}
		e.server.Listener.Close()
		e.server.Listener = lis
	}
	e.server.Start()
	t.Cleanup(e.server.Close)
	return e
}

func (e *fakeEdge) set(status int, telling func(string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.telling = status, telling
}

// times is how often the edge was told of a key.
func (e *fakeEdge) times(key string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.told {
		if k == key {
			n++
		}
	}
	return n
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !ok() {
		if retry.Sleep(ctx, time.Millisecond) != nil {
			t.Fatal("not in time: " + what)
		}
	}
}

func purger(t *testing.T, again time.Duration, edges ...*fakeEdge) *Purger {
	t.Helper()
	cfg := PurgerConfig{Secret: secret, Again: again, Telemetry: telemetry.Discard()}
	for _, e := range edges {
		cfg.URLs = append(cfg.URLs, e.server.URL)
	}
	return running(t, cfg)
}

func running(t *testing.T, cfg PurgerConfig) *Purger {
	t.Helper()
	p, err := NewPurger(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// A change is told at once and, because an answer from before it may be on its way, again.
func TestAChangeIsToldTwice(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	p := purger(t, 200*time.Millisecond, e)
	begun := time.Now()
	p.Changed(Product("1"), Stock("1"))
	await(t, "the first", func() bool { return e.times("product:1") == 1 })
	await(t, "the second", func() bool { return e.times("product:1") == 2 })
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("told twice after %v", took)
	}
	if e.times(manyProducts) < 1 {
		t.Error("what is about many products was not told")
	}
	for _, key := range []string{manyProducts, Stock("1"), manyStocks} {
		await(t, key+" twice", func() bool { return e.times(key) == 2 })
	}
}

// What comes with every order is told once for all that come within the time.
func TestChangesAreGathered(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	p := purger(t, time.Hour, e)
	for range 1000 {
		p.ChangedWithin(100*time.Millisecond, Stock("A B"))
	}
	await(t, "the stock", func() bool { return e.times("stock:A+B") == 1 })
	p.Changed(Product("2"))
	await(t, "the product", func() bool { return e.times("product:2") == 1 })
	if n := e.times("stock:A+B"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// What is told after a time is told once more, too: an answer from before it may come later than that.
func TestWhatIsGatheredIsToldTwice(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	p := purger(t, 200*time.Millisecond, e)
	p.ChangedWithin(20*time.Millisecond, Stock("1"), Listed)
	p.ChangedWithin(200*time.Millisecond, Stocked) // late enough by itself
	for _, key := range []string{Stock("1"), manyStocks, Listed} {
		await(t, key+" twice", func() bool { return e.times(key) == 2 })
	}
	if n := e.times(Stocked); n != 1 {
		t.Errorf("%s was told %d times", Stocked, n)
	}
}

// An edge that sends elsewhere was not told, and the other place learns no secret.
func TestAnEdgeThatRedirects(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(other.Close)
	front := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusPermanentRedirect))
	t.Cleanup(front.Close)
	p := running(t, PurgerConfig{URLs: []string{front.URL}, Secret: secret, Again: time.Hour, Telemetry: telemetry.Discard()})
	p.Changed(Product("1"))
	await(t, "the answer", func() bool { return p.failed.Load()+p.delivered.Load() > 0 })
	if p.Tells() || p.delivered.Load() > 0 || asked.Load() > 0 {
		t.Errorf("told %d times, and the other place %d times", p.delivered.Load(), asked.Load())
	}
}

// An edge that does not take a change is told again until it does, keeps no other waiting, and
// makes what is kept short-lived meanwhile.
func TestAnEdgeThatFails(t *testing.T) {
	t.Parallel()
	good, bad := newEdge(t, ""), newEdge(t, "")
	p := purger(t, time.Hour, good, bad)
	bad.set(http.StatusForbidden, nil)
	p.Changed(Product("1"))
	await(t, "the good one", func() bool { return good.times("product:1") == 1 })
	await(t, "the failure", func() bool { return !p.Tells() })
	if _, behind := p.state(time.Now().Add(time.Minute)); behind < time.Minute {
		t.Errorf("behind by %v", behind)
	}
	bad.set(http.StatusOK, nil)
	await(t, "the bad one", func() bool { return bad.times("product:1") == 1 })
	await(t, "the recovery", p.Tells)
	if n := good.times("product:1"); n != 1 {
		t.Errorf("the good one was told %d times", n)
	}
}

// A change that comes while the one before is being told is told, too.
func TestAChangeWhileOneIsTold(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	p := purger(t, time.Hour, e)
	told, release := make(chan struct{}, 10), make(chan struct{})
	e.set(http.StatusOK, func(string) { told <- struct{}{}; <-release })
	p.Changed(Product("1"))
	<-told
	p.Changed(Product("1"))
	await(t, "the change to be due", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, waiting := p.due["product:1"]
		return !waiting
	})
	close(release)
	await(t, "the second", func() bool { return e.times("product:1") == 2 })
}

// An edge that misses more than is remembered is told that everything has changed.
func TestWhatIsMissedIsBounded(t *testing.T) {
	t.Parallel()
	e := &edge{pending: map[string]change{}, wake: make(chan struct{}, 1)}
	var keys []string
	for n := range maxPending + 1 {
		keys = append(keys, fmt.Sprintf("product:%d", n))
	}
	e.add(keys)
	if told, line := e.next(); line != All || len(told) != 1 || e.since().IsZero() {
		t.Errorf("told of %q", line)
	}
}

// Every address of a name is told, those that come and no more those that go.
func TestEveryAddressIsTold(t *testing.T) {
	t.Parallel()
	one := newEdge(t, "127.0.0.1:0")
	at, _ := url.Parse(one.server.URL)
	two := newEdge(t, "127.0.0.2:"+at.Port())
	var mu sync.Mutex
	addresses := []string{"127.0.0.1", "127.0.0.2"}
	p := running(t, PurgerConfig{URLs: []string{"http://edge.example:" + at.Port()}, Secret: secret, Again: time.Hour, Telemetry: telemetry.Discard(),
		Resolve: func(_ context.Context, host string) (found []netip.Addr, err error) {
			if host != "edge.example" {
				t.Errorf("asks for %q", host)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, a := range addresses {
				found = append(found, netip.MustParseAddr(a))
			}
			if found == nil {
				err = errors.New("no such host")
			}
			return found, err
		}})
	p.Changed(Product("1"))
	await(t, "both", func() bool { return one.times("product:1") == 1 && two.times("product:1") == 1 })
	mu.Lock()
	addresses = []string{"127.0.0.2"}
	mu.Unlock()
	await(t, "one to be gone", func() bool { n, _ := p.state(time.Now()); return n == 1 })
	p.Changed(Product("2"))
	await(t, "the other", func() bool { return two.times("product:2") == 1 })
	if n := one.times("product:2"); n != 0 {
		t.Errorf("an address that is gone was told %d times", n)
	}
	mu.Lock()
	addresses = nil
	mu.Unlock()
	await(t, "the name not to be found", func() bool { return !p.Tells() })
	p.Changed(Product("3"))
	await(t, "the last address still to be told", func() bool { return two.times("product:3") == 1 })
}

// An edge whose name leads to no address is one that is not told: the age of its oldest change grows, and
// once it is found it is told of all since, while that of another name is told as ever.
func TestAnEdgeThatIsNotFound(t *testing.T) {
	t.Parallel()
	good, lost := newEdge(t, "127.0.0.1:0"), newEdge(t, "127.0.0.1:0")
	at := func(e *fakeEdge) string { u, _ := url.Parse(e.server.URL); return u.Port() }
	var known atomic.Bool
	var asked atomic.Int64
	p := running(t, PurgerConfig{URLs: []string{"http://good.example:" + at(good), "http://lost.example:" + at(lost)}, Secret: secret, Again: time.Hour, Telemetry: telemetry.Discard(),
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "lost.example" && !known.Load() {
				asked.Add(1)
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}})
	behind := func() time.Duration { _, d := p.state(time.Now()); return d }
	await(t, "the name not to be found", func() bool { return !p.Tells() })
	if d := behind(); d != 0 {
		t.Errorf("behind by %v before anything has changed", d)
	}
	p.Changed(Product("1"))
	await(t, "the edge that is known", func() bool { return good.times("product:1") == 1 })
	first := asked.Load()
	await(t, "another question", func() bool { return asked.Load() > first+1 }) // so that it is no recent change any more
	edges, d := p.state(time.Now().Add(time.Minute))
	if edges != 1 || d < time.Minute {
		t.Errorf("%d edges, behind by %v", edges, d)
	}
	p.Changed(Product("2"))
	known.Store(true)
	for _, key := range []string{"product:1", "product:2"} {
		await(t, key, func() bool { return lost.times(key) == 1 })
	}
	await(t, "all to be told", func() bool { return behind() == 0 && p.Tells() })
	if n := good.times("product:1"); n != 1 {
		t.Errorf("the edge that was known was told %d times", n)
	}
}

// Who looks for the addresses and waits keeps no edge that is known from being told; one that is found then
// is told of what has changed meanwhile.
func TestAResolverThatHangs(t *testing.T) {
	t.Parallel()
	one := newEdge(t, "127.0.0.1:0")
	at, _ := url.Parse(one.server.URL)
	two := newEdge(t, "127.0.0.2:"+at.Port())
	var asked atomic.Int64
	hanging, release := make(chan struct{}, 1), make(chan struct{})
	answer := sync.OnceFunc(func() { close(release) })
	p := running(t, PurgerConfig{URLs: []string{"http://edge.example:" + at.Port()}, Secret: secret, Again: time.Hour, Telemetry: telemetry.Discard(),
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			found := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
			switch asked.Add(1) {
			case 1:
				return found, nil
			case 2:
				hanging <- struct{}{}
				<-release
			}
			return append(found, netip.MustParseAddr("127.0.0.2")), nil
		}})
	t.Cleanup(answer) // before the end of the purger, which waits for it
	<-hanging
	p.Changed(Product("1"))
	await(t, "the edge that is known", func() bool { return one.times("product:1") == 1 })
	if n := two.times("product:1"); n != 0 {
		t.Errorf("an edge that no name has led to was told %d times", n)
	}
	answer()
	await(t, "the edge that is new", func() bool { return two.times("product:1") == 1 })
	if n := one.times("product:1"); n != 1 {
		t.Errorf("the edge that is known was told %d times", n)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	if got := NewKeys(Product("1"), Stock("A,B C"), Listed, Listed); !slices.Equal(got, Keys{"all listed product:1 stock:A%2CB+C"}) {
		t.Errorf("%q", got)
	}
	var many []string
	for n := range 1000 {
		many = append(many, Product(fmt.Sprint(n)), Stocked)
	}
	if got := NewKeys(many...); !slices.Equal(got, Keys{"all stocked products stocks"}) {
		t.Errorf("%q", got)
	}
}

func TestMark(t *testing.T) {
	t.Parallel()
	told := true
	m := NewMarker(&Policy{MaxAge: time.Minute, MaxAgeWithoutPurges: time.Second, Revalidate: 10 * time.Second, StaleIfError: time.Hour, Told: func() bool { return told }})
	for _, tc := range []struct {
		m             *Marker
		told          bool
		control, keys string
	}{
		{m, true, "public, max-age=0, s-maxage=60, stale-while-revalidate=10, stale-if-error=3600", "all listed"},
		{m, false, "public, max-age=0, s-maxage=1, stale-while-revalidate=0, stale-if-error=3600", "all listed"},
		{NewMarker(nil), true, "public, no-cache", ""},
		{nil, true, "public, no-cache", ""},
	} {
		told = tc.told
		h := http.Header{}
		tc.m.Mark(h, NewKeys(Listed))
		if h.Get("Cache-Control") != tc.control || h.Get(KeysHeader) != tc.keys {
			t.Errorf("%v", h)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		url, secret, want string
	}{
		{"http://edge:6081", "short", "SOUK_GATEWAY_EDGE_SECRET"},
		{"http://edge", secret.Reveal(), `SOUK_GATEWAY_EDGE_URLS: "http://edge"`},
		{"https://edge:1", secret.Reveal(), "SOUK_GATEWAY_EDGE_URLS"},
		{"http://edge:1/path", secret.Reveal(), "SOUK_GATEWAY_EDGE_URLS"},
		{"edge:1", secret.Reveal(), "SOUK_GATEWAY_EDGE_URLS"},
	} {
		_, err := NewPurger(PurgerConfig{URLs: []string{tc.url}, Secret: config.Secret(tc.secret), Telemetry: telemetry.Discard()})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret.Reveal()) {
			t.Errorf("%s: %v, want %s", tc.url, err, tc.want)
		}
	}
}
