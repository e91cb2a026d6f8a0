package gateway

import (
	"context"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edgecache"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// closeBrokerWithin bounds the wait for a broker that is closed.
const closeBrokerWithin = 5 * time.Second

// told is how the cache is told of changes: by the catalog's events, from now on, in this
// process.
type told struct {
	from     events.Broker
	listener *catalog.Listener
}

// newTold returns how a cache and the edges are told, nil where there is no broker. The caller closes it.
func newTold(cfg Config, answers *cache.Cache, edges *edgecache.Purger, tel *telemetry.Telemetry) (*told, error) {
	if answers == nil || cfg.CacheBackstop < 0 || cfg.Events.URL == "" {
		return nil, nil
	}
	var fronts catalog.Edges
	if edges != nil {
		fronts = edges
	}
	listener, err := catalog.Listen(answers, fronts, tel)
	if err != nil {
		return nil, err
	}
	from, err := broker.Open(cfg.Events, tel)
	if err != nil {
		return nil, err
	}
	return &told{from: from, listener: listener}, nil
}

// run tells the cache until ctx is done. A broker that is away is waited for.
func (t *told) run(ctx context.Context) error {
	return t.from.Subscribe(ctx, t.listener.Subscription(), t.listener.Handle)
}

func (t *told) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeBrokerWithin)
	defer cancel()
	return t.from.Close(ctx)
}
