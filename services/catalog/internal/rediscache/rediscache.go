// Package rediscache keeps answers of the catalog in Redis, for all replicas.
// Redis may be slow, empty or gone at any moment: the shop gets slower, and a
// read that begins after a write of this process has returned still never gets
// an older answer.
package rediscache

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/fresh"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// ttl bounds how old the stock in a product or a listing can be, and how
	// long another replica's failure to invalidate matters.
	ttl = 2 * time.Second
	// slowTTL is for what changes only by an operator's writes or in the background.
	slowTTL = 30 * time.Second
	// distrust is how long after a change of a product's stock this process
	// asks the database itself: what Redis has was read at most a load's time
	// before it was stored for ttl.
	distrust = ttl + 6*time.Second
)

// Config is where Redis is.
type Config struct {
	// Addr is host:port, the path of a Unix socket or a redis:// URL; without
	// it there is no cache.
	Addr string `env:"ADDR"`
	// Timeout bounds a call; a read makes at most two.
	Timeout time.Duration `env:"TIMEOUT, default=30ms"`
}

// Open returns a client for the cache. It connects when it is used and does not
// fail when Redis is away. It fails on an address that can't be read.
func Open(cfg Config, tel *telemetry.Telemetry) (*redis.Client, error) {
	opts := &redis.Options{Addr: cfg.Addr}
	switch {
	case strings.Contains(cfg.Addr, "://"):
		var err error
		if opts, err = redis.ParseURL(cfg.Addr); err != nil {
			return nil, fmt.Errorf("redis address: %w", err)
		}
	case strings.HasPrefix(cfg.Addr, "/"):
		opts.Network = "unix"
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout, cfg.Timeout
	opts.DialerRetries = 1
	opts.MaxRetries = -1
	opts.ContextTimeoutEnabled = true
	opts.DisableIdentity = true
	opts.PoolSize = 16
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	rdb := redis.NewClient(opts)
	if tel.Recording {
		if err := redisotel.InstrumentTracing(rdb, redisotel.WithTracerProvider(tel.Tracers)); err != nil {
			return nil, fmt.Errorf("trace redis: %w", err)
		}
	}
	return rdb, nil
}

// Store decorates a store with a cache. Variants and reservations go through.
type Store struct {
	domain.Store
	clock   *fresh.Clock
	flight  fresh.Flight
	remote  *remote
	log     *slog.Logger
	lookups metric.Int64Counter
	hit     metric.MeasurementOption
	miss    metric.MeasurementOption
}

// New returns a cache in front of next. The caller closes rdb.
func New(next domain.Store, rdb *redis.Client, timeout time.Duration, tel *telemetry.Telemetry) (*Store, error) {
	lookups, err := tel.Meter().Int64Counter("souk.catalog.cache.lookups", metric.WithDescription("Questions put to a cache of the catalog."))
	if err != nil {
		return nil, err
	}
	result := func(r string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("tier", "redis"), attribute.String("result", r)))
	}
	clock := fresh.NewClock()
	s := &Store{
		Store: next, clock: clock, flight: fresh.Flight{Clock: clock}, log: tel.Log,
		remote:  &remote{rdb: rdb, breaker: newBreaker(time.Now), timeout: timeout},
		lookups: lookups, hit: result("hit"), miss: result("miss"),
	}
	s.remote.changed = func(up bool) {
		if up {
			s.log.Info("redis is back")
		} else {
			s.log.Warn("redis does not answer; the catalog goes on without it")
		}
	}
	return s, nil
}

// question is what is asked and how its answers are kept.
type question[T any] struct {
	key string
	ttl time.Duration
	// fresh reports whether an answer of the database, read at a moment of the
	// clock, is still good.
	fresh func(v T, began uint64) bool
	// trusted reports whether an answer found in Redis may be given.
	trusted func(v T) bool
	load    func(context.Context) (T, error)
}

func ask[T any](ctx context.Context, s *Store, q question[T]) (T, error) {
	v, _, err := fresh.Do(ctx, &s.flight, q.key, q.fresh, func(ctx context.Context, began uint64) (T, error) {
		generation, stored := s.remote.get(ctx, q.key)
		if stored != nil {
			var v T
			if err := json.Unmarshal(stored, &v); err == nil && q.trusted(v) {
				s.lookups.Add(ctx, 1, s.hit)
				return v, nil
			}
		}
		s.lookups.Add(ctx, 1, s.miss)
		v, err := q.load(ctx)
		if err == nil && generation != "" && q.fresh(v, began) {
			if value, err := json.Marshal(v); err == nil {
				s.remote.put(ctx, generation, q.key, value, q.ttl)
			}
		}
		return v, err
	})
	return v, err
}

func (s *Store) product(ctx context.Context, key string, load func(context.Context) (domain.Product, error)) (domain.Product, error) {
	return ask(ctx, s, question[domain.Product]{
		key: key, ttl: ttl, load: load,
		fresh:   func(p domain.Product, began uint64) bool { return s.clock.FreshProduct(began, p.ID) },
		trusted: func(p domain.Product) bool { return !s.clock.ChangedWithin(distrust, p.ID) },
	})
}

// ProductByID implements domain.Reader.
func (s *Store) ProductByID(ctx context.Context, id string) (domain.Product, error) {
	return s.product(ctx, "id:"+id, func(ctx context.Context) (domain.Product, error) { return s.Store.ProductByID(ctx, id) })
}

// ProductByCode implements domain.Reader.
func (s *Store) ProductByCode(ctx context.Context, code string) (domain.Product, error) {
	return s.product(ctx, "code:"+code, func(ctx context.Context) (domain.Product, error) { return s.Store.ProductByCode(ctx, code) })
}

// askAll asks for what shows many products, whose stock may be up to keep old.
func askAll[T any](ctx context.Context, s *Store, key string, keep time.Duration, load func(context.Context) (T, error)) (T, error) {
	return ask(ctx, s, question[T]{
		key: key, ttl: keep, load: load,
		fresh:   func(_ T, began uint64) bool { return s.clock.Fresh(began) },
		trusted: func(T) bool { return true },
	})
}

// List implements domain.Reader; only first pages are kept.
func (s *Store) List(ctx context.Context, l domain.Listing) (domain.Page, error) {
	if l.After != nil {
		return s.Store.List(ctx, l)
	}
	key, err := json.Marshal(l)
	if err != nil {
		return domain.Page{}, fmt.Errorf("key of a listing: %w", err)
	}
	return askAll(ctx, s, "list:"+string(key), ttl, func(ctx context.Context) (domain.Page, error) { return s.Store.List(ctx, l) })
}

// Categories implements domain.Reader.
func (s *Store) Categories(ctx context.Context) ([]domain.Category, error) {
	return askAll(ctx, s, "categories", slowTTL, s.Store.Categories)
}

// Related implements domain.Reader.
func (s *Store) Related(ctx context.Context, productID string, limit int) ([]domain.Product, error) {
	return askAll(ctx, s, fmt.Sprintf("related:%s:%d", productID, limit), ttl, func(ctx context.Context) ([]domain.Product, error) {
		return s.Store.Related(ctx, productID, limit)
	})
}
