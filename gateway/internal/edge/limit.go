package edge

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// LimitConfig says how often one client may ask.
type LimitConfig struct {
	// PerSecond requests are allowed on average; there is no limit below 1.
	PerSecond int
	// Burst is how many may come at once. 0 means ten seconds' worth.
	Burst int
	// TrustedProxies are the networks whose X-Forwarded-For is believed. Empty
	// means that the peer's address is the client's.
	TrustedProxies []netip.Prefix
	// Exempt requests are not counted; nil means none.
	Exempt func(*http.Request) bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Limiter is a token bucket per client address (an IPv6 client is its /64). Each
// gateway counts for itself. Safe for concurrent use.
type Limiter struct {
	rate, burst float64
	trusted     []netip.Prefix
	exempt      func(*http.Request) bool
	now         func() time.Time
	limitHeader []string
	shards      [16]limiterShard
}

type limiterShard struct {
	mu      sync.Mutex
	buckets map[netip.Addr]bucket
	swept   time.Time
}

// bucket has the tokens there were at a time; later ones are computed.
type bucket struct {
	tokens float64
	at     time.Time
}

// NewLimiter makes a Limiter.
func NewLimiter(cfg LimitConfig) *Limiter {
	if cfg.Burst == 0 {
		cfg.Burst = 10 * cfg.PerSecond
	}
	if cfg.Exempt == nil {
		cfg.Exempt = func(*http.Request) bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Limiter{
		rate: float64(cfg.PerSecond), burst: float64(max(cfg.Burst, 1)), trusted: cfg.TrustedProxies, exempt: cfg.Exempt, now: cfg.Now,
		limitHeader: []string{strconv.Itoa(max(cfg.Burst, 1))},
	}
	for i := range l.shards {
		l.shards[i].buckets = map[netip.Addr]bucket{}
	}
	return l
}

// Limit refuses what comes too often, after it has set the RateLimit headers and
// Retry-After.
func (l *Limiter) Limit(refuse http.Handler) func(http.Handler) http.Handler {
	if l.rate <= 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l.exempt(r) {
				next.ServeHTTP(w, r)
				return
			}
			left, ok := l.take(l.client(r))
			h := w.Header()
			h["Ratelimit-Limit"] = l.limitHeader
			h.Set("RateLimit-Remaining", strconv.Itoa(int(max(left, 0))))
			h.Set("RateLimit-Reset", seconds((l.burst-left)/l.rate))
			if !ok {
				h.Set("Retry-After", seconds((1-left)/l.rate))
				refuse.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func seconds(s float64) string { return strconv.Itoa(int(math.Ceil(max(s, 0)))) }

// take takes a token and reports how many are left, and false when there was none.
func (l *Limiter) take(client netip.Addr) (left float64, ok bool) {
	now := l.now()
	raw := client.As16()
	s := &l.shards[(raw[15]^raw[7])%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) > time.Minute {
		l.sweep(s, now)
	}
	b, known := s.buckets[client]
	if !known {
		b = bucket{l.burst, now}
	}
	b.tokens = min(l.burst, b.tokens+now.Sub(b.at).Seconds()*l.rate)
	b.at = now
	if ok = b.tokens >= 1; ok {
		b.tokens--
	}
	s.buckets[client] = b
	return b.tokens, ok
}

// sweep forgets the buckets that are full again, under the lock.
func (l *Limiter) sweep(s *limiterShard, now time.Time) {
	for client, b := range s.buckets {
		if b.tokens+now.Sub(b.at).Seconds()*l.rate >= l.burst {
			delete(s.buckets, client)
		}
	}
	s.swept = now
}

// client is the address that is counted: the peer's or, behind trusted proxies,
// the last one in X-Forwarded-For that is not a trusted proxy itself.
func (l *Limiter) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(l.trusted) > 0 && l.trusts(addr) {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			if addr = hop.Unmap(); !l.trusts(addr) {
				break
			}
		}
	}
	if addr.Is6() {
		if net, err := addr.WithZone("").Prefix(64); err == nil {
			addr = net.Addr()
		}
	}
	return addr
}

// FromProxy reports whether the peer is a trusted proxy.
func (l *Limiter) FromProxy(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && l.trusts(peer.Addr().Unmap())
}

func (l *Limiter) trusts(addr netip.Addr) bool {
	for _, p := range l.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
