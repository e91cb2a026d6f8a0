package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/peers"
	"github.com/souk-shop/souk/gateway/internal/peers/peerstest"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// replica is one of a fleet of gateways in front of the same services.
type replica struct {
	*peers.Peers // nil without peers
	url          string
	tel          *telemetry.Telemetry
	listener     *peerstest.Listener
}

// fleet starts gateways that are each other's peers, or are not.
func (s *shopUnderTest) fleet(n int, peered bool, change ...func(int, *Config)) []*replica {
	t := s.t
	t.Helper()
	ca := identitytest.Authority(t)
	var fleet []*replica
	for i := range n {
		r := &replica{}
		cfg := complete(t, Config{CacheTTL: time.Hour, RetryBudget: 100 * time.Millisecond})
		if peered {
			r.listener = peerstest.Listen(t)
			cfg.Peers = peers.Config{Gossip: "127.0.0.1:0", Listener: r.listener, Timeout: 20 * time.Second}
			if i > 0 {
				cfg.Peers.Join = []string{fleet[0].GossipAddr()}
			}
		}
		for _, c := range change {
			c(i, &cfg)
		}
		var err error
		if r.tel, err = telemetry.Start(t.Context(), "gateway", telemetry.Config{LogOutput: io.Discard, LogLevel: slog.LevelError}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.tel.Shutdown(context.Background()) })
		if r.Peers, err = newPeers(cfg, identitytest.Open(t, ca, "gateway"), r.tel); err != nil {
			t.Fatal(err)
		}
		handler := handlerOf(t, cfg, parts{
			telemetry: r.tel, health: edge.NewHealth(map[string][]*grpc.ClientConn{"catalog": {s.conn}}), peers: r.Peers,
			services: client.Over(func(string) grpc.ClientConnInterface { return s.conn }),
		})
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		r.url = server.URL
		if r.Peers != nil {
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			t.Cleanup(func() {
				stop()
				if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		}
		fleet = append(fleet, r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, r := range fleet {
		for r.Peers != nil && r.Members() < n {
			if retry.Sleep(ctx, 5*time.Millisecond) != nil {
				t.Fatalf("gateway %d sees %d", i, r.Members())
			}
		}
	}
	return fleet
}

// body is what a gateway answers.
func (s *shopUnderTest) body(r *replica, path string) string {
	s.t.Helper()
	res, err := s.client.Get(r.url + path)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Errorf("%s: %d, %v: %s", path, res.StatusCode, err, text)
	}
	return string(text)
}

// bodies asks all gateways at once, several times each, and returns what they answer.
func (s *shopUnderTest) bodies(fleet []*replica, path string) map[string]int {
	s.t.Helper()
	var mu sync.Mutex
	got := map[string]int{}
	var all sync.WaitGroup
	for _, r := range fleet {
		for range 3 {
			all.Go(func() {
				text := s.body(r, path)
				mu.Lock()
				defer mu.Unlock()
				got[text]++
			})
		}
	}
	all.Wait()
	return got
}

// Eight gateways ask the catalog once for what none of them has; without peers each asks.
func TestAFleetLoadsAListingOnce(t *testing.T) {
	t.Parallel()
	for _, peered := range []bool{true, false} {
		s := start(t)
		fleet := s.fleet(8, peered)
		want := int64(1)
		if !peered {
			want = int64(len(fleet))
		}
		for _, path := range []string{
			"/v1/products?limit=7&facets=true", "/v1/products?q=heart&min_price=100&sort=price", "/v1/products?limit=5&cursor=c5", "/v1/categories",
		} {
			before := s.calls.Load()
			if got := s.bodies(fleet, path); len(got) != 1 {
				t.Errorf("peers %v: %s has %d answers: %v", peered, path, len(got), got)
			}
			if got := s.calls.Load() - before; got != want {
				t.Errorf("peers %v: %s took %d calls, not %d", peered, path, got, want)
			}
		}
		before := s.calls.Load()
		s.bodies(fleet, "/v1/products/SKU03/related")
		if got := s.calls.Load() - before; got != want+int64(len(fleet)) { // each asks for the product itself
			t.Errorf("peers %v: related products took %d calls", peered, got)
		}
	}
}

// The owner of a key dies while all others wait for it: its successor asks the catalog once
// more, and no gateway answers an error.
func TestTheOwnerDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	s := start(t)
	fleet := s.fleet(8, true)
	const key = "\x00categories"
	var owner *replica
	var others []*replica
	for _, r := range fleet {
		if r.Owns(key) {
			owner = r
		} else {
			others = append(others, r)
		}
	}
	if owner == nil || len(others) != 7 {
		t.Fatalf("no single owner: %d others", len(others))
	}
	var loads atomic.Int64
	begun, release := make(chan struct{}), make(chan struct{})
	hold := func(string) {
		if loads.Add(1) == 1 {
			close(begun)
			<-release
		}
	}
	s.before.Store(&hold)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		<-begun
		owner.listener.Kill()
		close(release) // a load that is held for its timeout fails, and the owner loads again below
	}()
	if got := s.bodies(others, "/v1/categories"); len(got) != 1 {
		t.Errorf("%d answers: %v", len(got), got)
	}
	<-killed
	if got := loads.Load(); got != 2 {
		t.Errorf("%d loads: the owner's, and one instead of it", got)
	}
	if got := s.bodies(fleet, "/v1/categories"); len(got) != 1 || loads.Load() != 2 {
		t.Errorf("afterwards %d answers and %d loads", len(got), loads.Load())
	}
}

// A gateway that is told of a change shows none of its peers' answers from before it, though
// they have not been told.
func TestPeersAreNeverOlderThanWhatWasTold(t *testing.T) {
	t.Parallel()
	s := startTold(t, time.Hour)
	at := events.Config{URL: config.Secret("nats://" + s.broker.Address())}
	// The last one alone is told; CacheTTL keeps what the others have for an hour.
	fleet := s.fleet(4, true, func(i int, c *Config) {
		if i == 3 {
			c.Events, c.CacheBackstop, c.CacheSettle = at, 2*time.Hour, time.Nanosecond
		}
	})
	told, others := fleet[3], fleet[:3]
	price := func(r *replica, limit int) int64 {
		var page pageDoc
		s.url = r.url
		s.want(200, "GET", fmt.Sprintf("/v1/products?limit=%d", limit), "").decode(t, &page)
		return page.Products[1].Price.Amount
	}
	tell := func() {
		s.tell(events.Subject("product", s.productID()), "PriceChanged", &catalogv1.PriceChanged{Sku: "SKU01"})
	}
	const lists = 20
	for amount := int64(1000); amount < 1003; amount++ {
		s.reprice(amount)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		for limit := 2; limit < 2+lists; limit++ {
			for tell(); price(told, limit) != amount; tell() {
				if retry.Sleep(ctx, 5*time.Millisecond) != nil {
					t.Fatalf("the gateway that is told shows %d, not %d", price(told, limit), amount)
				}
			}
		}
		cancel()
		// Once it has shown the price of now it shows no other, whichever peer is asked.
		tell()
		for limit := 2; limit < 2+lists; limit++ {
			for range 3 {
				if got := price(told, limit); got != amount {
					t.Errorf("the gateway that is told shows %d after %d", got, amount)
				}
			}
		}
		for _, r := range others { // so that they have what is old before the next change
			for limit := 2; limit < 2+lists; limit++ {
				price(r, limit)
			}
		}
	}
	if n, _ := telemetrytest.Metric(t, told.tel.Registry, "souk_peers_fills_total", "served"); n < lists/4 {
		t.Errorf("peers have answered %v times: this has tested nothing", n)
	}
	// The control: those who are not told show what is old.
	s.reprice(2000)
	old := 0
	for _, r := range others {
		for limit := 2; limit < 2+lists; limit++ {
			if price(r, limit) != 2000 {
				old++
			}
		}
	}
	if old == 0 {
		t.Error("no gateway shows what is old: this has tested nothing")
	}
}

func TestPeersNeedACacheAndCertificates(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"SOUK_GATEWAY_CACHE_TTL": func(c *Config) { c.CacheTTL = -1 },
		"SOUK_GATEWAY_TLS_OFF":   func(*Config) {},
	} {
		cfg := Config{Secret: testSecret, Listen: "127.0.0.1:0", Peers: peers.Config{Gossip: "127.0.0.1:0", Listen: "127.0.0.1:0"}}
		cfg.Identity.TLSOff = true
		cfg.Telemetry.LogOutput = io.Discard
		for _, target := range []*string{&cfg.Catalog.Target, &cfg.Cart.Target, &cfg.Order.Target, &cfg.Payment.Target, &cfg.Notification.Target, &cfg.Insight.Target} {
			*target = "127.0.0.1:1"
		}
		change(&cfg)
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
