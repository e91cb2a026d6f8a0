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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// The first and the longest pause of calls to a Redis that fails.
const (
	pauseMin = 250 * time.Millisecond
	pauseMax = 5 * time.Second
)

// silence has the library not write to the standard error, past the log: a cache says itself when
// Redis has failed and recovered.
var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// RedisConfig is where Redis is.
type RedisConfig struct {
	// Addr is host:port, the path of a Unix socket, or a URL, with a user and a password
	// if Redis asks for them: redis://, or rediss:// for TLS. Several servers are
	// redis+sentinel://host:26379,host:26379/NAME, the Sentinels that watch the servers of
	// that name (with sentinel_user and sentinel_password, if they ask), or
	// redis+cluster://host:6379,host:6379, some of a cluster. Without it this layer is off.
	Addr string `env:"ADDR"`
	// CA is a file with the authorities that Redis's certificate may be of (PEM); those of
	// the system when empty. It is read anew for each connection.
	CA string `env:"CA"`
	// Timeout bounds a call; a read makes one or two, and two more after a change that Redis has
	// not been told.
	Timeout time.Duration `env:"TIMEOUT, default=30ms"`
}

// OpenRedis returns a client of a server, of the one that Sentinels name, or of a cluster. It
// connects when it is used and does not fail when Redis is unavailable. It fails on an address
// that cannot be parsed.
func OpenRedis(cfg RedisConfig, tel *telemetry.Telemetry) (redis.UniversalClient, error) {
	silence()
	opts, err := options(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("redis address: %w", err)
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
	var rdb redis.UniversalClient
	if opts.IsClusterMode {
		cluster := opts.Cluster()
		cluster.ClusterStateReloadInterval = clusterLook
		cluster.DisableRoutingPolicies = true // which ask for COMMAND before each call
		rdb = redis.NewClusterClient(cluster)
	} else {
		rdb = redis.NewUniversalClient(opts)
	}
	if tel.Recording {
		// Without statements: keys have what shoppers searched for, and values what they were shown.
		err := redisotel.InstrumentTracing(rdb, redisotel.WithTracerProvider(tel.Tracers), redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
		if err != nil {
			return nil, fmt.Errorf("trace redis: %w", err)
		}
	}
	return rdb, nil
}

// clusterLook is how often a client asks a cluster which server has which keys, while it is used:
// one that stands still, and whose place another has taken, does not say so.
const clusterLook = time.Second

// tlsDialTimeout is what connecting with a handshake may take, on a machine that is busy.
const tlsDialTimeout = time.Second

// trust has each connection accept the authorities of a file, as it is by then.
func trust(opts *redis.UniversalOptions, ca string) error {
	if ca == "" {
		return nil
	}
	if opts.TLSConfig == nil {
		return errors.New("redis CA: the address has not the scheme rediss, so nothing is checked with it")
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
//
// A server that takes another's place may have missed the end of a generation: replication
// acknowledges before it is done. What this process has seen end is over for it, whatever the
// servers say, and it ends it anew.
type remote struct {
	rdb     redis.UniversalClient
	breaker *retry.Breaker
	timeout time.Duration
	prefix  string        // of the keys
	changed func(up bool) // Redis has recovered or failed

	// A write that could not end the generation leaves Redis with values that
	// look good and are old: until an end has worked, nothing there is used.
	unended, ended atomic.Uint64

	ending sync.Mutex // held by an end, so that this process sees generations in the order of its ends
	over   superseded
}

// superseded are the generations of which a process has seen the end, as many as may have values
// in Redis: they end with changes by operators, and values live for seconds.
type superseded struct {
	mu    sync.Mutex
	last  string // the generation that was seen last
	names [256]string
	seen  uint64 // how many were seen
}

// at is a moment: how many generations were seen by then.
func (s *superseded) at() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// saw notes the generation that Redis is in, and reports whether it was over before. "" is none.
func (s *superseded) saw(generation string) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation == s.last || generation == "" {
		return false
	}
	if slices.Contains(s.names[:], generation) {
		return true
	}
	s.names[s.seen%uint64(len(s.names))] = s.last
	s.seen++
	s.last = generation
	return false
}

var errRefused = errors.New("redis has failed: no calls for now")

// do makes a call within the bounds.
func (r *remote) do(ctx context.Context, call func(context.Context) error) error {
	if !r.breaker.Allow() {
		return errRefused
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := call(ctx)
	up := err == nil || errors.Is(err, redis.Nil)
	if r.breaker.Done(up) && r.changed != nil {
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
	r.ending.Lock()
	defer r.ending.Unlock()
	if r.ended.Load() >= upTo {
		return true // by another caller's, which began after this one had to
	}
	upTo = max(upTo, r.unended.Load())
	name, before := rand.Text(), ""
	err := r.do(ctx, func(ctx context.Context) (err error) {
		before, err = r.rdb.SetArgs(ctx, r.generationKey(), name, redis.SetArgs{Get: true}).Result()
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) { // Nil: there was none
		return false
	}
	_ = r.over.saw(before)
	_ = r.over.saw(name)
	r.ended.Store(upTo)
	return true
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
	since := r.over.at()
	// Two commands at once and not one for both: in a cluster they are of two servers. A value
	// is good if it has the name of a generation that was current after the caller had asked,
	// whichever of the two is read first.
	var current, stored *redis.StringCmd
	err := r.do(ctx, func(ctx context.Context) error {
		_, err := r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			current, stored = p.Get(ctx, r.generationKey()), p.Get(ctx, r.prefix+key)
			return nil
		})
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", nil
	}
	generation = current.Val()
	switch {
	case generation == "":
		return r.begin(ctx), nil
	case r.over.saw(generation):
		if r.over.at() == since { // it did not end while this call was under way: it came back
			r.endGeneration(ctx)
		}
		return "", nil
	}
	if stamped, n := stored.Val(), len(generation); len(stamped) > n && stamped[:n] == generation {
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
