package catalog

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/gateway/internal/edgecache"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// What answers of the catalog are about, besides SKUs, by the names that the cache knows.
const (
	// listed is what shows many products: lists, related products, categories.
	listed = other + "listed"
	// stocked is what counts or chooses products by their stock.
	stocked = other + "stocked"
)

// productItem is a product, and stockItem how many units of a SKU there are.
func productItem(id string) string { return other + "product " + id }
func stockItem(sku string) string  { return other + "stock " + sku }

// Edges are the HTTP caches in front of the gateway.
type Edges interface {
	Changed(keys ...string)
	ChangedWithin(d time.Duration, keys ...string)
}

// Within which time edges are told of a change that comes with every order: those of one product
// see it as late as this process's own cache, which keeps stock for CACHE_TTL (1 s); lists keep
// theirs for longer, because most orders change a number on most lists.
const (
	stockWithin  = time.Second
	listWithin   = 2 * time.Second
	stocksWithin = 10 * time.Second
)

// Listener drops from a cache what the events of the catalog service are about, and then tells the
// edges: what they ask for anew is not from before.
type Listener struct {
	cache *cache.Cache
	edges Edges
	// applied counts events, and behind is how old the last one was.
	applied, behind atomic.Int64
}

// Listen returns a Listener for a cache and for edges, which may be nil, and has measured how far
// it is.
func Listen(c *cache.Cache, edges Edges, tel *telemetry.Telemetry) (*Listener, error) {
	l := &Listener{cache: c, edges: edges}
	m := tel.Meter()
	applied, err := m.Int64ObservableCounter("souk.cache.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events of which a cache was told."))
	if err != nil {
		return nil, err
	}
	behind, err := m.Float64ObservableGauge("souk.cache.events.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the last event of which a cache was told, when it was."))
	if err != nil {
		return nil, err
	}
	following, err := m.Int64ObservableGauge("souk.cache.following", metric.WithUnit("{replica}"),
		metric.WithDescription("1 where a cache is told of changes, 0 where its answers expire instead."))
	if err != nil {
		return nil, err
	}
	name := metric.WithAttributeSet(attribute.NewSet(semconv.CacheName.String("gateway")))
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		follows := int64(0)
		if c.IsFollowing() {
			follows = 1
		}
		o.ObserveInt64(applied, l.applied.Load(), name)
		o.ObserveFloat64(behind, time.Duration(l.behind.Load()).Seconds(), name)
		o.ObserveInt64(following, follows, name)
		return nil
	}, applied, behind, following)
	return l, err
}

// Subscription is what the cache is told: all of the catalog's events, in each process.
func (l *Listener) Subscription() events.Subscription {
	return events.Subscription{Sources: []string{"catalog"}, Following: l.following}
}

func (l *Listener) following(follows bool) {
	l.cache.Following(follows)
	if follows && l.edges != nil {
		l.edges.Changed(edgecache.All) // what changed before was told by others, or by nobody
	}
}

// Handle drops what an event is about. An event that it does not understand, as a later
// version of the catalog service may send, has everything dropped.
func (l *Listener) Handle(ctx context.Context, d events.Delivery) error {
	ids, err := changed(d.Event)
	if err != nil {
		l.cache.ChangedAll(ctx)
	}
	l.cache.Changed(ids...)
	if l.edges != nil {
		l.tell(d.Event, err != nil)
	}
	l.applied.Add(1)
	l.behind.Store(int64(max(0, time.Since(d.Time))))
	return err
}

// tell tells the edges of an event.
func (l *Listener) tell(e events.Event, unknown bool) {
	kind, id, _ := events.SplitSubject(e.Subject)
	switch {
	case unknown:
		l.edges.Changed(edgecache.All)
	case kind == "product":
		l.edges.Changed(edgecache.Product(id))
		l.edges.ChangedWithin(listWithin, edgecache.Listed)
	case kind == "category":
		l.edges.Changed(edgecache.Categories, edgecache.Listed)
	case kind == "stock":
		var level catalogv1.StockLevelChanged
		if proto.Unmarshal(e.Data, &level) == nil && level.GetAvailable() == 0 {
			l.edges.Changed(edgecache.Stock(id))
		} else {
			l.edges.ChangedWithin(stockWithin, edgecache.Stock(id))
		}
		l.edges.ChangedWithin(stocksWithin, edgecache.Stocked)
	}
}

// changed are the items that an event is about.
func changed(e events.Event) ([]string, error) {
	kind, id, err := events.SplitSubject(e.Subject)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "product":
		return []string{productItem(id), listed}, nil
	case "category":
		return []string{listed}, nil
	case "stock":
		var level catalogv1.StockLevelChanged
		if err := proto.Unmarshal(e.Data, &level); err != nil {
			return nil, fmt.Errorf("%s: %w", e.ID(), err)
		}
		if level.GetAvailable() == 0 {
			return []string{id, stockItem(id), stocked}, nil // sold out: at once
		}
		return []string{stockItem(id), stocked}, nil
	}
	return nil, fmt.Errorf("%s is about a %s, of which this version knows nothing", e.ID(), kind)
}
