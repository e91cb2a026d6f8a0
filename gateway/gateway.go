// Package gateway is the one process of the shop that the internet reaches: the
// REST API and the storefront over the services' gRPC.
package gateway

import (
	"context"
	"net"
	"time"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/budget"
	"github.com/souk-shop/souk/gateway/internal/peers"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what the operator of the gateway configures; its variables start with
// SOUK_GATEWAY_. A zero gets the default.
type Config struct {
	// Listen is the address of the shop, host:port or :port.
	Listen string `env:"LISTEN, default=:8080"`
	// Listener is listened on instead, if set; the gateway closes it.
	Listener net.Listener
	// HTTPSCert and HTTPSKey are PEM files of what browsers are shown, followed while the
	// gateway runs; without them a proxy in front ends TLS.
	HTTPSCert string `env:"HTTPS_CERT"`
	HTTPSKey  string `env:"HTTPS_KEY"`

	// Secret signs shopper tokens and cookies, and encrypts kept answers, at least 32
	// bytes. All replicas share it.
	Secret config.Secret `env:"SECRET, required"`
	// OldSecrets verify what was signed with them and open what they encrypted, comma
	// separated: those before Secret and, while it is about to be changed, the next.
	OldSecrets []config.Secret `env:"OLD_SECRETS"`
	// Operators is the path of the file that `souk operator` writes: who operates the
	// shop, with hashes of their tokens. It is read again when it changes. Without it
	// there are no operators' calls.
	Operators string `env:"OPERATORS"`
	// Secure says that the shop is reached by HTTPS only, ended by a proxy. Without it
	// a trusted proxy's X-Forwarded-Proto says it of each request.
	Secure bool `env:"SECURE"`

	// PublicURL is the address of the shop, such as https://shop.example, for what
	// has to name it whole: canonical addresses, sitemaps, what other sites show.
	PublicURL string `env:"PUBLIC_URL"`

	// TracesURL is a store of recent traces (see gateway/traces), such as
	// http://127.0.0.1:4318, which TracesToken opens; the operators' pages show them. `souk up`
	// has one. Without it the pages say that the shop keeps no traces.
	TracesURL   string        `env:"TRACES_URL"`
	TracesToken config.Secret `env:"TRACES_TOKEN"`
	// MetricsURL is a store of recent metrics (see gateway/metrics), which MetricsToken opens; the
	// operators' pages draw its dashboards. Without it they say that the shop keeps no metrics.
	MetricsURL   string        `env:"METRICS_URL"`
	MetricsToken config.Secret `env:"METRICS_TOKEN"`

	// RendererURL is a picture renderer (see gateway/renderer), such as https://renderer.example,
	// which draws the pictures of which this process keeps no copy, within RendererTimeout;
	// RendererKey signs what it is asked for. Without it, and while it is away, the gateway
	// draws the same pictures itself.
	RendererURL     string        `env:"RENDERER_URL"`
	RendererKey     config.Secret `env:"RENDERER_KEY"`
	RendererTimeout time.Duration `env:"RENDERER_TIMEOUT, default=1s"`

	// RateLimit is how many units of cost a second one client address may spend on
	// average, with RateBurst of them at once (ten seconds' worth when 0); docs/limits.md
	// has what operations cost. Each replica counts for itself. Negative counts nothing
	// per client.
	RateLimit int `env:"RATE_LIMIT, default=200"`
	RateBurst int `env:"RATE_BURST"`
	// TrustedProxies are the networks whose word on addresses is taken, as CIDRs, comma
	// separated. ProxyHeader is the header in which they give it, X-Forwarded-For or
	// Forwarded.
	TrustedProxies []string `env:"TRUSTED_PROXIES"`
	ProxyHeader    string   `env:"PROXY_HEADER, default=X-Forwarded-For"`
	// TrustTrace says that these proxies begin a trace themselves, so that a traceparent
	// from them is the parent of a request's span. Many hand on what the client sent: then
	// clients could decide which traces are kept. Without it, it is a link.
	TrustTrace bool `env:"TRUST_TRACE"`
	// MaxBytes bounds the bytes of bodies and large answers in flight, with what is made of
	// them, MaxOperatorBytes those of operators, who have no part in the others; MaxStreams
	// the event streams, also of one address and of one guest. Negative is without limit.
	MaxBytes             int64 `env:"MAX_BYTES, default=67108864"`
	MaxOperatorBytes     int64 `env:"MAX_OPERATOR_BYTES, default=33554432"`
	MaxStreams           int64 `env:"MAX_STREAMS, default=1024"`
	MaxStreamsPerAddress int64 `env:"MAX_STREAMS_PER_ADDRESS, default=64"`
	MaxStreamsPerGuest   int64 `env:"MAX_STREAMS_PER_GUEST, default=8"`
	// MaxConnections bounds open connections, MaxConnectionsPerAddress those of one address
	// that is no trusted proxy, and MaxUnheardConnections those from which no request has come
	// whole yet. Negative is without limit.
	MaxConnections           int64 `env:"MAX_CONNECTIONS, default=4096"`
	MaxConnectionsPerAddress int64 `env:"MAX_CONNECTIONS_PER_ADDRESS, default=256"`
	MaxUnheardConnections    int64 `env:"MAX_UNHEARD_CONNECTIONS, default=1024"`

	// Unfair has admission control take no account of who asks: the control of
	// measurements.
	Unfair bool `env:"UNFAIR"`

	// CORSOrigins are the origins whose pages may use the REST API from a browser,
	// such as https://shop.example, comma separated. They send a shopper's token;
	// cookies are not taken from them.
	CORSOrigins []string `env:"CORS_ORIGINS"`

	// CacheTTL is how old a product, a listing or the categories may be when they
	// are shown, unless events tell what has changed; no cache when negative.
	CacheTTL time.Duration `env:"CACHE_TTL, default=1s"`
	// Events is the broker that tells each replica what has changed of the catalog. Without
	// one, and while it is away, CacheTTL holds.
	Events events.Config `env:", prefix=EVENTS_"`
	// CacheBackstop is how old an answer may be of which nothing was told; negative has no
	// events followed.
	CacheBackstop time.Duration `env:"CACHE_BACKSTOP, default=1m"`
	// CacheSettle is for how long after a change an answer may still be of before it, because
	// of the caches of the catalog's replicas or of a replica of its database; what is read
	// then is kept for CacheTTL alone.
	CacheSettle time.Duration `env:"CACHE_SETTLE, default=5s"`
	// Peers are the other gateways of the shop, which fill each other's caches.
	Peers peers.Config `env:", prefix=PEERS_"`
	// EdgeURLs are where HTTP caches in front of the gateway take a PURGE, such as
	// http://edge:6081, comma separated; every address of a name is told. With one, public
	// answers may be kept by them. EdgeSecret is what they and all replicas know, at least 32
	// bytes.
	EdgeURLs   []string      `env:"EDGE_URLS"`
	EdgeSecret config.Secret `env:"EDGE_SECRET"`
	// EdgeMaxAge is how long such a cache keeps an answer of whose change it was not told;
	// CacheTTL while nobody tells it. EdgeStaleIfError is how long it may show what has expired
	// while the shop cannot answer.
	EdgeMaxAge       time.Duration `env:"EDGE_MAX_AGE, default=1m"`
	EdgeStaleIfError time.Duration `env:"EDGE_STALE_IF_ERROR, default=24h"`
	// RetryBudget is how long a call of an unavailable service is repeated: 15 s, in
	// which a cluster replaces a pod, also a database's; negative not at all.
	RetryBudget time.Duration `env:"RETRY_BUDGET, default=15s"`
	// Currency of an empty cart.
	Currency string `env:"CURRENCY, default=GBP"`

	// MaxConnectionAge is after how long a client is asked to connect anew, so
	// that it finds new replicas; negative is never.
	MaxConnectionAge time.Duration `env:"MAX_CONNECTION_AGE, default=5m"`
	// DrainDelay is how long the gateway still accepts requests after /readyz has
	// begun to answer 503, so that load balancers notice.
	DrainDelay time.Duration `env:"DRAIN_DELAY, default=0s"`
	// DrainTimeout bounds the wait for requests under way.
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT, default=15s"`

	// Identity is who the gateway is to the services.
	Identity identity.Config
	// Targets of the services.
	client.Targets

	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`

	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
}

// sizes are the limits of what is in use at a time.
func (c *Config) sizes() budget.Sizes {
	return budget.Sizes{Bytes: c.MaxBytes, OperatorBytes: c.MaxOperatorBytes, Streams: c.MaxStreams, StreamsPerAddress: c.MaxStreamsPerAddress, StreamsPerGuest: c.MaxStreamsPerGuest}
}

// Run serves until ctx is done, then drains. It starts without its services:
// /readyz says which are missing.
func Run(ctx context.Context, cfg Config) error {
	if err := config.Complete(&cfg); err != nil {
		return err
	}
	if err := cfg.Events.Validate(); err != nil {
		return err
	}
	process := run.Config{Name: "gateway", Telemetry: cfg.Telemetry, Admin: cfg.Admin, Identity: &cfg.Identity}
	return run.Serve(ctx, process, func(p *run.Process) (run.Server, error) {
		conns, err := client.Dial(cfg.Targets, p.Identity, p.Telemetry)
		if err != nil {
			return run.Server{}, err
		}
		p.Close(conns.Close)
		answers, err := newCache(cfg, p.Telemetry)
		if err != nil {
			return run.Server{}, err
		}
		if answers != nil {
			p.Close(answers.Close)
		}
		edges, err := newPurger(cfg, p.Telemetry)
		if err != nil {
			return run.Server{}, err
		}
		following := func() bool { return false }
		if edges != nil {
			p.Add("edges", edges.Run)
			if answers != nil {
				following = answers.IsFollowing
			}
		}
		changes, err := newTold(cfg, answers, edges, p.Telemetry)
		if err != nil {
			return run.Server{}, err
		}
		if changes != nil {
			p.Close(changes.close)
			p.Add("events", changes.run)
		}
		others, err := newPeers(cfg, p.Identity, p.Telemetry)
		if err != nil {
			return run.Server{}, err
		}
		if others != nil {
			p.Add("peers", others.Run)
		}
		operators, err := auth.OpenOperators(auth.OperatorsConfig{Path: cfg.Operators, Now: cfg.Clock.Now, Telemetry: p.Telemetry})
		if err != nil {
			return run.Server{}, err
		}
		p.Add("operators", operators.Run)
		shown, err := edge.OpenCertificate(cfg.HTTPSCert, cfg.HTTPSKey, p.Telemetry)
		if err != nil {
			return run.Server{}, err
		}
		if shown != nil {
			p.Add("certificate", shown.Run)
		}
		health := edge.NewHealth(conns.Needed())
		draining := make(chan struct{})
		front, err := newFront(cfg, parts{
			telemetry: p.Telemetry, health: health, services: conns.Services(), away: conns.Away, cache: answers, peers: others, operators: operators, edges: edges, following: following, draining: draining,
		})
		if err != nil {
			return run.Server{}, err
		}
		server := edge.ServerConfig{
			Handler: front.handler, Limits: front.limits, Listen: cfg.Listen, Listener: cfg.Listener, Certificate: shown,
			MaxConnectionAge: cfg.MaxConnectionAge, DrainDelay: cfg.DrainDelay, DrainTimeout: cfg.DrainTimeout,
			Stopping: health.Stop, Draining: func() { close(draining) }, Log: p.Log,
		}
		return run.Server{
			Serve: func(ctx context.Context) error { return edge.Serve(ctx, server) },
			Ready: health.Check,
		}, nil
	})
}
