package gateway

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/nats"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// toldShop is a shop with a broker that two replicas of the gateway follow.
type toldShop struct {
	*shopUnderTest
	dir      string
	broker   *natsserver.Server
	tells    events.Broker // as the catalog service has it
	replicas []string
	version  int64
}

func startTold(t *testing.T, ttl time.Duration) *toldShop {
	t.Helper()
	s := &toldShop{shopUnderTest: start(t), dir: t.TempDir()}
	s.serve("127.0.0.1:0")
	t.Cleanup(func() { s.broker.Stop() })
	at := events.Config{URL: config.Secret("nats://" + s.broker.Address())}
	var err error
	if s.tells, err = nats.Open(at, telemetry.Discard()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.tells.Close(ctx)
	})
	s.tell("product.none", "ProductUpserted", &catalogv1.ProductUpserted{}) // makes the stream
	for range 2 {
		s.replicas = append(s.replicas, s.gateway(func(c *Config) {
			c.CacheTTL, c.CacheBackstop, c.CacheSettle, c.Events = ttl, 2*time.Hour, time.Nanosecond, at
		}))
	}
	return s
}

func (s *toldShop) serve(address string) {
	s.t.Helper()
	var err error
	if s.broker, err = natsserver.Start(s.t.Context(), natsserver.Config{Dir: s.dir, Address: address}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *toldShop) tell(subject, kind string, m proto.Message) {
	s.t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	s.version++
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	if err := s.tells.Publish(ctx, events.Event{
		Source: "catalog", Subject: subject, Version: s.version, Type: "souk.catalog.v1." + kind, Time: time.Now(), Data: data,
	}); err != nil {
		s.t.Fatal(err)
	}
}

// reprice changes what SKU01 costs where no gateway sees it.
func (s *toldShop) reprice(amount int64) {
	s.t.Helper()
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	for _, v := range s.catalog.find("SKU01").GetVariants() {
		v.Price = gbp(amount)
	}
}

// shown is what a replica shows for the price of SKU01: on its own and in a list.
func (s *toldShop) shown(replica string) (own, listed int64) {
	s.t.Helper()
	s.url = replica
	var p productDoc
	var page pageDoc
	s.want(200, "GET", "/v1/products/SKU01", "").decode(s.t, &p)
	s.want(200, "GET", "/v1/products", "").decode(s.t, &page)
	return p.Price.Amount, page.Products[1].Price.Amount
}

// await waits until every replica shows a price. tell is what is repeated meanwhile: a replica
// that does not follow yet owes nothing.
func (s *toldShop) await(want int64, tell func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for _, replica := range s.replicas {
		for {
			tell()
			own, listed := s.shown(replica)
			if own == want && listed == want {
				break
			}
			if retry.Sleep(ctx, 20*time.Millisecond) != nil {
				s.t.Fatalf("a replica shows %d and %d, not %d", own, listed, want)
			}
		}
	}
}

func nothing() {}

// productID is the id of the fakes' product of SKU01.
func (s *toldShop) productID() string {
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	return s.catalog.find("SKU01").GetId()
}

// A change that no gateway has made is shown by all of them once it is told.
func TestEveryReplicaIsToldOfChanges(t *testing.T) {
	t.Parallel()
	s := startTold(t, time.Hour)
	s.following()
	for price := range int64(3) {
		s.reprice(1000 + price)
		s.tell(events.Subject("product", s.productID()), "PriceChanged", &catalogv1.PriceChanged{Sku: "SKU01"})
		s.await(1000+price, nothing)
	}
	s.reprice(1100)
	s.tell("recipe.unheard-of", "RecipeUpserted", nil) // of a later version: everything is dropped
	s.await(1100, nothing)
}

// A gateway that has lost the broker shows what is a moment old at most.
func TestALostBrokerLeavesTheTTL(t *testing.T) {
	t.Parallel()
	s := startTold(t, 50*time.Millisecond)
	s.following()
	s.broker.Stop()
	s.reprice(2000)
	s.await(2000, nothing)
	s.reprice(2001)
	s.await(2001, nothing)
}

// What changed while the broker was away is shown when it is back.
func TestWhatWentByIsDropped(t *testing.T) {
	t.Parallel()
	s := startTold(t, time.Hour)
	s.following()
	for _, replica := range s.replicas {
		s.shown(replica)
	}
	address := s.broker.Address()
	s.broker.Stop()
	s.reprice(3000)
	s.serve(address)
	s.await(3000, nothing)
}

// following waits until every replica is told.
func (s *toldShop) following() {
	s.t.Helper()
	s.reprice(1500)
	s.await(1500, func() {
		s.tell(events.Subject("product", s.productID()), "PriceChanged", &catalogv1.PriceChanged{Sku: "SKU01"})
	})
	for i, replica := range s.replicas { // an answer outlives its TTL where the replica is told
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		defer cancel()
		for price := int64(1600 + 100*i); ; price++ {
			own, _ := s.shown(replica)
			s.reprice(price)
			_ = retry.Sleep(ctx, 150*time.Millisecond)
			if later, _ := s.shown(replica); later == own {
				break
			} else if ctx.Err() != nil {
				s.t.Fatal(fmt.Errorf("replica %d does not follow: %w", i, ctx.Err()))
			}
		}
	}
}
