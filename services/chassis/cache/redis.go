package cache

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// RedisConfig is where Redis is.
type RedisConfig struct {
	// Addr is host:port, the path of a Unix socket, or a URL, with a user and a password
	// if Redis asks for them: redis://, or rediss:// for TLS. Without it this layer is off.
	Addr string `env:"ADDR"`
	// CA is a file with the authorities that Redis's certificate may be of (PEM); those of
	// the system when empty. It is read anew for each connection.
	CA string `env:"CA"`
	// Timeout bounds a call; a read makes at most two.
	Timeout time.Duration `env:"TIMEOUT, default=30ms"`
}

// OpenRedis returns a client. It connects when it is used and does not fail when
// Redis is unavailable. It fails on an address that cannot be parsed.
func OpenRedis(cfg RedisConfig, tel *telemetry.Telemetry) (*redis.Client, error) {
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
	if err := trust(opts, cfg.CA); err != nil {
		return nil, err
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = cfg.Timeout, cfg.Timeout, cfg.Timeout, cfg.Timeout
	if opts.TLSConfig != nil {
		// A caller does not wait for it: a connection that comes later is for the next call.
		opts.DialTimeout = max(cfg.Timeout, tlsDialTimeout)
	}
	opts.DialerRetries = 1
	opts.MaxRetries = -1
	opts.ContextTimeoutEnabled = true
	opts.DisableIdentity = true
	opts.PoolSize = 16
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	rdb := redis.NewClient(opts)
	if tel.Recording {
		// Without statements: keys have what shoppers searched for, and values what they were shown.
		err := redisotel.InstrumentTracing(rdb, redisotel.WithTracerProvider(tel.Tracers), redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
		if err != nil {
			return nil, fmt.Errorf("trace redis: %w", err)
		}
	}
	return rdb, nil
}

// tlsDialTimeout is what connecting with a handshake may take, on a machine that is busy.
const tlsDialTimeout = time.Second

// trust has each connection accept the authorities of a file, as it is by then.
func trust(opts *redis.Options, ca string) error {
	if ca == "" {
		return nil
	}
	if opts.TLSConfig == nil {
		return errors.New("redis CA: the address is not a rediss:// URL, so nothing is checked with it")
	}
	if _, err := authorities(ca); err != nil {
		return err
	}
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		pool, err := authorities(ca)
		if err != nil {
			return nil, err
		}
		dialer := tls.Dialer{Config: opts.TLSConfig.Clone()}
		dialer.Config.RootCAs = pool
		return dialer.DialContext(ctx, network, addr) // the pool bounds ctx by DialTimeout
	}
	return nil
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("redis CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("redis CA: there is no certificate in %s", file)
	}
	return pool, nil
}

// remote is the layer in Redis, for all replicas. Every call is bounded in time
// and may be refused by the breaker; no failure here is an error for the caller.
//
// Values are stamped with the generation that was current before they were read
// from the source, and are good only while it still is. A generation is the time
// since the last changeAll; its name is random and not a number, so that a Redis
// that was emptied cannot count up to an old one again.
type remote struct {
	rdb     *redis.Client
	breaker *breaker
	timeout time.Duration
	prefix  string        // of the keys
	changed func(up bool) // Redis has recovered or failed

	// A write that could not end the generation leaves Redis with values that
	// look good and are old: until an end has worked, nothing there is used.
	unended, ended atomic.Uint64
}

var errRefused = errors.New("redis has failed: no calls for now")

// do makes a call within the bounds.
func (r *remote) do(ctx context.Context, call func(context.Context) error) error {
	if !r.breaker.allow() {
		return errRefused
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := call(ctx)
	up := err == nil || errors.Is(err, redis.Nil)
	if r.breaker.done(up) && r.changed != nil {
		r.changed(up)
	}
	return err
}

// ping asks Redis whether it answers, which the breaker learns.
func (r *remote) ping(ctx context.Context) {
	_ = r.do(ctx, func(ctx context.Context) error { return r.rdb.Ping(ctx).Err() })
}

func (r *remote) generationKey() string { return r.prefix + "generation" }

// endGeneration makes every value stored so far useless. Call it after the
// commit and before the write is acknowledged.
func (r *remote) endGeneration(ctx context.Context) {
	// The caller may have gone; its write has not.
	ctx = context.WithoutCancel(ctx)
	mine := r.unended.Add(1)
	r.tryEnd(ctx, mine)
}

func (r *remote) tryEnd(ctx context.Context, upTo uint64) bool {
	err := r.do(ctx, func(ctx context.Context) error {
		return r.rdb.Set(ctx, r.generationKey(), rand.Text(), 0).Err()
	})
	if err != nil {
		return false
	}
	for {
		ended := r.ended.Load()
		if ended >= upTo || r.ended.CompareAndSwap(ended, upTo) {
			return true
		}
	}
}

// usable reports whether the values in Redis may be used; if not it tries to end their generation.
func (r *remote) usable(ctx context.Context) bool {
	unended := r.unended.Load()
	return r.ended.Load() >= unended || r.tryEnd(ctx, unended)
}

// get returns the generation ("" if unknown: then store nothing) and the value
// of a key that is good in it, if there is one.
func (r *remote) get(ctx context.Context, key string) (generation string, value []byte) {
	if !r.usable(ctx) {
		return "", nil
	}
	var found []any
	err := r.do(ctx, func(ctx context.Context) (err error) {
		found, err = r.rdb.MGet(ctx, r.generationKey(), r.prefix+key).Result()
		return err
	})
	if err != nil || len(found) != 2 {
		return "", nil
	}
	generation, _ = found[0].(string)
	if generation == "" {
		return r.begin(ctx), nil
	}
	stamped, _ := found[1].(string)
	if n := len(generation); len(stamped) > n && stamped[:n] == generation {
		value = []byte(stamped[n:])
	}
	return generation, value
}

// begin starts a generation where there is none: Redis is new, or was emptied.
func (r *remote) begin(ctx context.Context) string {
	name, set := rand.Text(), false
	err := r.do(ctx, func(ctx context.Context) (err error) {
		set, err = r.rdb.SetNX(ctx, r.generationKey(), name, 0).Result()
		return err
	})
	if err != nil || !set {
		return ""
	}
	return name
}

func (r *remote) put(ctx context.Context, generation, key string, value []byte, ttl time.Duration) {
	_ = r.do(ctx, func(ctx context.Context) error {
		return r.rdb.Set(ctx, r.prefix+key, append([]byte(generation), value...), ttl).Err()
	})
}
