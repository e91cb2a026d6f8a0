package budget

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

var start = time.Unix(1_800_000_000, 0)

// guarded is a handler behind a budget, with a clock and an address of the test's.
type guarded struct {
	t       testing.TB
	now     time.Time
	handler http.Handler
	mu      sync.Mutex
	met     []Limit
}

func guard(t testing.TB, cfg Config, next http.HandlerFunc) *guarded {
	t.Helper()
	g := &guarded{t: t, now: start}
	cfg.Address = func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() }
	cfg.Caller = func(r *http.Request) Caller {
		c := Caller{Operator: r.Header.Get("Operator")}
		if guest := r.Header.Get("Guest"); guest != "" {
			c.Guest = uuid.NewSHA1(uuid.Nil, []byte(guest))
		}
		return c
	}
	cfg.Refuse = func(w http.ResponseWriter, _ *http.Request, e *problem.Error) {
		w.WriteHeader(e.Type.Status)
		_, _ = io.WriteString(w, e.Limit)
	}
	cfg.Record = func(_ context.Context, limit Limit, _ slog.Attr) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.met = append(g.met, limit)
	}
	cfg.Now = func() time.Time { return g.now }
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.handler = b.Guard(next)
	return g
}

func (g *guarded) ask(address, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, in)
	r.RemoteAddr = address
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	g.handler.ServeHTTP(rec, r)
	return rec
}

func hello(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(problem.As(err).Type.Status)
		return
	}
	_, _ = io.WriteString(w, "hello")
}

// An address spends what operations cost; others are not affected, and it is told when
// to come again.
func TestCosts(t *testing.T) {
	t.Parallel()
	g := guard(t, Config{PerSecond: 10, Burst: 100}, hello)
	const one, other = "192.0.2.1:1", "192.0.2.2:1"
	for i := range 2 {
		if a := g.ask(one, "POST", "/v1/orders", ""); a.Code != 200 || a.Header().Get("RateLimit-Remaining") != fmt.Sprint(60-40*i) || a.Header().Get("RateLimit-Limit") != "100" {
			t.Errorf("order %d: %d %v", i, a.Code, a.Header())
		}
	}
	a := g.ask(one, "POST", "/v1/orders", "")
	if a.Code != 429 || a.Body.String() != "address" || a.Header().Get("Retry-After") != "2" || a.Header().Get("RateLimit-Reset") != "8" {
		t.Errorf("a third order: %d %s %v", a.Code, a.Body, a.Header())
	}
	for range 20 {
		if a := g.ask(one, "GET", "/v1/products/LAMP", ""); a.Code != 200 {
			t.Fatalf("a read: %d", a.Code)
		}
	}
	if a := g.ask(one, "GET", "/v1/products/LAMP", ""); a.Code != 429 {
		t.Errorf("a read of nothing left: %d", a.Code)
	}
	if a := g.ask(other, "POST", "/v1/orders", ""); a.Code != 200 {
		t.Errorf("another address: %d", a.Code)
	}
	g.now = g.now.Add(4 * time.Second)
	if a := g.ask(one, "POST", "/v1/orders", ""); a.Code != 200 {
		t.Errorf("an order after 4 s: %d", a.Code)
	}
	if fmt.Sprint(g.met) != "[address address]" {
		t.Errorf("recorded: %v", g.met)
	}
}

// A cart costs by its size, a search more than a listing, and what costs more than the
// bucket holds takes all of it.
func TestCostsBySize(t *testing.T) {
	t.Parallel()
	left := func(method, path, body string) string {
		g := guard(t, Config{PerSecond: 1, Burst: 100}, hello)
		return g.ask("192.0.2.1:1", method, path, body).Header().Get("RateLimit-Remaining")
	}
	for _, c := range [][4]string{
		{"GET", "/products", "", "98"},
		{"GET", "/products?q=lamp", "", "90"},
		{"GET", "/products?sort=name&%71=lamp", "", "90"},
		{"GET", "/products?seq=1", "", "98"},
		{"POST", "/v1/carts", "{}", "89"},
		{"POST", "/v1/carts", strings.Repeat("x", 66<<10), "24"},
		{"POST", "/v1/carts", strings.Repeat("x", 400<<10), "0"},
		{"GET", "/nowhere", "", "99"},
	} {
		if got := left(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%s %s with %d bytes: %s left, want %s", c[0], c[1], len(c[2]), got, c[3])
		}
	}
}

// A guest, an operator, an IPv6 network of many /64s and kept bytes have budgets of
// their own.
func TestBudgetsOfTheirOwn(t *testing.T) {
	t.Parallel()
	g := guard(t, Config{PerSecond: 1, Burst: 100}, hello)
	for i := range 60 {
		a := g.ask(fmt.Sprintf("192.0.2.%d:1", i), "GET", "/", "", "Guest", "ada")
		if want := i < 50; (a.Code == 200) != want || !want && a.Body.String() != "guest" {
			t.Fatalf("request %d of a guest from everywhere: %d %s", i, a.Code, a.Body)
		}
	}
	for i := range 520 {
		a := g.ask("192.0.2.99:1", "GET", "/", "", "Operator", "grace")
		if want := i < 500; (a.Code == 200) != want || !want && a.Body.String() != "operator" {
			t.Fatalf("request %d of an operator: %d %s", i, a.Code, a.Body)
		}
	}
	if a := g.ask("192.0.2.99:1", "GET", "/", ""); a.Code != 200 {
		t.Errorf("the operator spends what the address has: %d", a.Code)
	}
	refused := 0
	for i := range 1000 {
		if a := g.ask(fmt.Sprintf("[2001:db8:1:%x::1]:1", i), "GET", "/", ""); a.Code != 200 {
			if refused++; a.Body.String() != "network" {
				t.Fatal(a.Body)
			}
		}
	}
	if refused != 200 {
		t.Errorf("of 1000 requests of a /48, %d are refused", refused)
	}
	if a := g.ask("[2001:db8:1:0::2]:1", "GET", "/", ""); a.Code != 429 {
		t.Error("an address of the same /64 begins anew")
	}
	if a := g.ask("[2001:db8:2::1]:1", "GET", "/", ""); a.Code != 200 {
		t.Error("another /48 is refused")
	}
	kept := guard(t, Config{PerSecond: 100_000}, hello)
	body := strings.Repeat("x", 500<<10)
	for i := range 10 {
		a := kept.ask("192.0.2.1:1", "PUT", "/v1/carts/1/lines", body)
		if want := i < 8; (a.Code == 200) != want || !want && a.Body.String() != "kept-bytes" {
			t.Fatalf("cart %d of 500 KiB: %d %s", i, a.Code, a.Body)
		}
	}
}

// A body is as large as its operation needs.
func TestBodySize(t *testing.T) {
	t.Parallel()
	g := guard(t, Config{}, hello)
	large := strings.Repeat("x", 2<<10+1)
	if a := g.ask("192.0.2.1:1", "POST", "/v1/carts/1/lines", large); a.Code != 413 || a.Body.String() != "body-size" || a.Header().Get("Connection") != "close" {
		t.Errorf("%d %s %v", a.Code, a.Body, a.Header())
	}
	if a := g.ask("192.0.2.1:1", "PUT", "/v1/carts/1/lines", large); a.Code != 200 {
		t.Errorf("a whole cart: %d", a.Code)
	}
	r := httptest.NewRequest("GET", "/", nil)
	for i := range maxHeaders + 1 {
		r.Header[fmt.Sprint("X", i)] = []string{""}
	}
	lines := httptest.NewRequest("GET", "/", nil)
	lines.Header["X"] = make([]string, maxHeaders+1)
	for _, r := range []*http.Request{r, lines} {
		rec := httptest.NewRecorder()
		if g.handler.ServeHTTP(rec, r); rec.Code != 431 || rec.Body.String() != "headers" {
			t.Errorf("%d fields of %d names: %d", maxHeaders+1, len(r.Header), rec.Code)
		}
	}
}

// What an answer says is left is so in the bucket that refuses next: a guest's, where that has
// less than the address's.
func TestAGuestIsToldOfItsOwnBucket(t *testing.T) {
	t.Parallel()
	g := guard(t, Config{PerSecond: 10, Burst: 100}, hello)
	ask := func() (status int, limit, left, reset, retry string) {
		a := g.ask("192.0.2.1:1", "POST", "/v1/orders", "", "Guest", "ada")
		h := a.Header()
		return a.Code, h.Get("RateLimit-Limit"), h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset"), h.Get("Retry-After")
	}
	if status, limit, left, reset, _ := ask(); status != 200 || limit != "50" || left != "10" || reset != "8" {
		t.Errorf("the first order: %d, limit %s, %s left, full in %s s", status, limit, left, reset)
	}
	if status, limit, left, reset, retry := ask(); status != 429 || limit != "50" || left != "10" || reset != "8" || retry != "6" {
		t.Errorf("the second: %d, limit %s, %s left, full in %s s, again in %s s", status, limit, left, reset, retry)
	}
}

// An import of the full size fits while the bytes in flight of everybody are used up, and a
// second one does not.
func TestAnImportFitsBesideTraffic(t *testing.T) {
	t.Parallel()
	const full = 16 << 20
	arrived, leave := make(chan struct{}), make(chan struct{})
	g := guard(t, Config{PerSecond: 100_000, Sizes: Sizes{Bytes: 64 << 20, OperatorBytes: 2 * full}}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Wait") != "" {
			arrived <- struct{}{}
			<-leave
		}
		hello(w, r)
	})
	body := strings.Repeat("x", full)
	var others sync.WaitGroup
	for i := range 10 { // of the same address, too
		others.Go(func() {
			g.ask(fmt.Sprintf("192.0.2.%d:1", i%2), "POST", "/v1/carts", body[:500<<10], "Wait", "1")
		})
		<-arrived
	}
	var first sync.WaitGroup
	first.Go(func() {
		if a := g.ask("192.0.2.1:1", "POST", "/v1/products/import", body, "Operator", "grace", "Wait", "1"); a.Code != 200 {
			t.Errorf("an import: %d %s", a.Code, a.Body)
		}
	})
	<-arrived
	if a := g.ask("192.0.2.3:1", "POST", "/v1/products/import", body, "Operator", "ada"); a.Code != 503 || a.Body.String() != "bytes-in-flight-of-operators" || a.Header().Get("Retry-After") == "" {
		t.Errorf("a second one: %d %s", a.Code, a.Body)
	}
	for range 11 {
		leave <- struct{}{}
	}
	first.Wait()
	others.Wait()
	if a := g.ask("192.0.2.3:1", "POST", "/v1/products/import", body, "Operator", "ada"); a.Code != 200 {
		t.Errorf("when the first is done: %d %s", a.Code, a.Body)
	}
}

// Bytes in flight are reserved before they are read, an address has half at most, and
// they are given back.
func TestBytesInFlight(t *testing.T) {
	t.Parallel()
	arrived, leave := make(chan struct{}), make(chan struct{})
	g := guard(t, Config{PerSecond: 100_000, Sizes: Sizes{Bytes: 4 << 20}}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Wait") != "" {
			arrived <- struct{}{}
			<-leave
		}
		hello(w, r)
	})
	body := strings.Repeat("x", 250<<10) // held four times
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() {
			if a := g.ask("192.0.2.1:1", "POST", "/v1/carts", body, "Wait", "1"); a.Code != 200 {
				t.Errorf("one with room: %d", a.Code)
			}
		})
		<-arrived
	}
	if a := g.ask("192.0.2.1:1", "POST", "/v1/carts", body); a.Code != 429 || a.Body.String() != "bytes-in-flight-of-address" || a.Header().Get("Retry-After") == "" {
		t.Errorf("more than half: %d %s", a.Code, a.Body)
	}
	if a := g.ask("192.0.2.2:1", "POST", "/v1/carts", body); a.Code != 200 {
		t.Errorf("another address: %d %s", a.Code, a.Body)
	}
	leave <- struct{}{}
	leave <- struct{}{}
	done.Wait()
	if a := g.ask("192.0.2.1:1", "POST", "/v1/carts", body); a.Code != 200 {
		t.Errorf("after the others are answered: %d %s", a.Code, a.Body)
	}
}

// A body without a length is reserved as it comes, and refused in its midst.
func TestBytesWithoutALength(t *testing.T) {
	t.Parallel()
	var err error
	g := guard(t, Config{PerSecond: 100_000, Sizes: Sizes{Bytes: 1 << 20}}, func(_ http.ResponseWriter, r *http.Request) { _, err = io.ReadAll(r.Body) })
	send := func(n int64) error {
		r := httptest.NewRequest("POST", "/v1/carts", io.LimitReader(zeros{}, n))
		r.RemoteAddr, r.ContentLength = "192.0.2.1:1", -1
		g.handler.ServeHTTP(httptest.NewRecorder(), r)
		return err
	}
	for range 3 {
		if err := send(100 << 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(400 << 10); problem.As(err).Limit != "bytes-in-flight-of-address" {
		t.Errorf("400 KiB of 128: %v", err)
	}
}

// A body without a length costs as one that has it, and as much is kept of it.
func TestCostsWithoutALength(t *testing.T) {
	t.Parallel()
	var err error
	send := func(g *guarded, path string, n int64) *httptest.ResponseRecorder {
		r := httptest.NewRequest("PUT", path, io.LimitReader(zeros{}, n))
		r.RemoteAddr, r.ContentLength = "192.0.2.1:1", -1
		rec := httptest.NewRecorder()
		g.handler.ServeHTTP(rec, r)
		return rec
	}
	read := func(_ http.ResponseWriter, r *http.Request) { _, err = io.ReadAll(r.Body) }
	g := guard(t, Config{PerSecond: 1, Burst: 100}, read)
	if a := send(g, "/v1/carts/1/lines", 64<<10); err != nil || a.Header().Get("RateLimit-Remaining") != "30" {
		t.Errorf("64 KiB: %v, %s left", err, a.Header().Get("RateLimit-Remaining"))
	}
	if a := send(g, "/v1/carts/1/lines", 64<<10); problem.As(err).Limit != "address" || a.Header().Get("Retry-After") == "" {
		t.Errorf("64 KiB of 30: %v %v", err, a.Header())
	}
	kept := guard(t, Config{PerSecond: 100_000}, read)
	for range 8 {
		if send(kept, "/v1/carts/1/lines", 500<<10); err != nil {
			t.Fatal(err)
		}
	}
	if send(kept, "/v1/carts/1/lines", 500<<10); problem.As(err).Limit != "kept-bytes" {
		t.Errorf("a ninth cart of 500 KiB: %v", err)
	}
}

// deadlines counts those that are set for reading.
type deadlines struct {
	http.ResponseWriter
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error { d.set++; return nil }

// Who reads on after the end of a body, as a bufio.Reader does, sets no deadline any more:
// the server waits for the client to go away then, and one would end the request.
func TestReadAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	g := guard(t, Config{PerSecond: 100}, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		before := w.set
		if n, err := r.Body.Read(make([]byte, 10)); n != 0 || err != io.EOF || before == 0 || w.set != before {
			t.Errorf("read %d, %v; %d deadlines, and %d after the end", n, err, before, w.set-before)
		}
	})
	r := httptest.NewRequest("POST", "/v1/carts", strings.NewReader("{}"))
	r.RemoteAddr = "192.0.2.1:1"
	g.handler.ServeHTTP(w, r)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A large answer counts while it is written; what was changed is said whatever there is.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	answer := strings.Repeat("x", 300<<10)
	g := guard(t, Config{PerSecond: 100_000, Sizes: Sizes{Bytes: 400 << 10}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		_, _ = io.WriteString(w, answer)
	})
	if a := g.ask("192.0.2.1:1", "GET", "/v1/carts/1", ""); a.Code != 429 || a.Body.String() != "bytes-in-flight-of-address" || a.Header().Get("Content-Length") != "" {
		t.Errorf("%d %.40s %v", a.Code, a.Body, a.Header())
	}
	if a := g.ask("192.0.2.1:1", "DELETE", "/v1/carts/1/lines/A", ""); a.Code != 200 || a.Body.Len() != len(answer) {
		t.Errorf("a change: %d", a.Code)
	}
}

// Event streams are counted in all, per address and per guest.
func TestStreams(t *testing.T) {
	t.Parallel()
	arrived, leave := make(chan struct{}), make(chan struct{})
	g := guard(t, Config{PerSecond: 1000, Sizes: Sizes{Streams: 8, StreamsPerAddress: 3, StreamsPerGuest: 2}}, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-leave
	})
	var open sync.WaitGroup
	stream := func(address, guest string) *httptest.ResponseRecorder {
		return g.ask(address, "GET", "/v1/orders/1/events", "", "Guest", guest)
	}
	for _, who := range [][2]string{{"192.0.2.1:1", "ada"}, {"192.0.2.1:1", "ada"}, {"192.0.2.1:1", "bob"}, {"192.0.2.2:1", "cy"}} {
		open.Go(func() { stream(who[0], who[1]) })
		<-arrived
	}
	if a := stream("192.0.2.3:1", "ada"); a.Code != 429 || a.Body.String() != "streams-of-guest" || a.Header().Get("Retry-After") == "" {
		t.Errorf("a guest's third: %d %s", a.Code, a.Body)
	}
	if a := stream("192.0.2.1:1", "dan"); a.Code != 429 || a.Body.String() != "streams-of-address" {
		t.Errorf("an address' fourth: %d %s", a.Code, a.Body)
	}
	for range 4 {
		leave <- struct{}{}
	}
	open.Wait()
	open.Go(func() { stream("192.0.2.1:1", "ada") })
	<-arrived
	leave <- struct{}{}
	open.Wait()
}

// One key has half of a pool at most, and there is always some left for another.
func TestPool(t *testing.T) {
	t.Parallel()
	p := NewPool[string](100, 0)
	take := func(key string) (n int) {
		for p.Acquire(key, 1) == Given {
			n++
		}
		return n
	}
	if a, b, c := take("a"), take("b"), take("c"); a != 50 || b != 25 || c != 12 {
		t.Errorf("%d, %d, %d", a, b, c)
	}
	p.Release("a", 50)
	if p.Used() != 37 {
		t.Errorf("%d in use", p.Used())
	}
	if n := take("c"); n < 10 {
		t.Errorf("c gets %d of what a gave back", n)
	}
}

// A million addresses cost bounded memory, and the greedy one is not forgotten.
func TestManyAddresses(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	r := NewRates[netip.Addr](1, 100, keys)
	greedy := netip.MustParseAddr("192.0.2.1")
	now := start
	r.Take(greedy, 100, now)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var raw [16]byte
	for i := range uint64(1_000_000) {
		binary.BigEndian.PutUint64(raw[:], 0x2001_0db8_0000_0000+i)
		now = now.Add(time.Microsecond)
		r.Take(netip.AddrFrom16(raw), 1, now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := r.keys(); n > keys {
		t.Errorf("%d buckets are kept", n)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d MiB for a million addresses", grown>>20)
	}
	if left, ok := r.Take(greedy, 50, now); ok {
		t.Errorf("the greedy address has %f again", left)
	}
}

// A clock that goes back takes nothing away and gives nothing.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	r := NewRates[string](1, 10, keys)
	r.Take("a", 5, start)
	if left, ok := r.Take("a", 1, start.Add(-time.Hour)); !ok || left != 4 {
		t.Errorf("%f, %v", left, ok)
	}
	if left, ok := r.Take("a", 1, start.Add(-time.Hour+time.Second)); !ok || left != 4 {
		t.Errorf("a second later: %f, %v", left, ok)
	}
}

// Requests at the same time take a bucket's lock in another order than they took the time:
// no time fills a bucket twice.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	r := NewRates[string](10, 100, keys)
	r.Take("a", 100, start)
	for range 100 {
		r.Take("a", 0, start.Add(100*time.Millisecond))
		r.Take("a", 0, start)
	}
	if left, _ := r.Take("a", 0, start.Add(100*time.Millisecond)); left != 1 {
		t.Errorf("%f left after a tenth of a second, want 1", left)
	}
}

func BenchmarkTake(b *testing.B) {
	r := NewRates[netip.Addr](200, 2000, keys)
	a := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		r.Take(a, 1, time.Now())
	}
}

func BenchmarkFind(b *testing.B) {
	table, err := newRoutes(Operations)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		table.find("GET", "/v1/products/SKU01")
	}
}

// An address makes so many carts and no more, as however many guests; what is no new cart does
// not count.
func TestCartsOfAnAddress(t *testing.T) {
	t.Parallel()
	g := guard(t, Config{PerSecond: 100_000, Burst: 10_000_000}, hello)
	for i := range cartsBurst {
		path := "/v1/carts"
		if i%2 == 0 {
			path = "/cart/lines"
		}
		if a := g.ask("192.0.2.1:1", "POST", path, ""); a.Code != 200 {
			t.Fatalf("cart %d: %d %s", i, a.Code, a.Body)
		}
	}
	for _, path := range []string{"/v1/carts", "/cart/lines", "/session/new"} {
		if a := g.ask("192.0.2.1:1", "POST", path, ""); a.Code != 429 || a.Body.String() != "carts-of-address" || a.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s %v", path, a.Code, a.Body, a.Header())
		}
	}
	if a := g.ask("192.0.2.1:1", "POST", "/cart/lines", "", "Guest", "ada"); a.Code != 200 {
		t.Errorf("a line of a guest who has a cart: %d", a.Code)
	}
	if a := g.ask("192.0.2.2:1", "POST", "/v1/carts", ""); a.Code != 200 {
		t.Errorf("another address: %d", a.Code)
	}
	g.now = g.now.Add(time.Second)
	if a := g.ask("192.0.2.1:1", "POST", "/v1/carts", ""); a.Code != 200 {
		t.Errorf("a second later: %d", a.Code)
	}
}
