// Package gateway is the one process of the shop that the internet reaches: the
// REST API and the storefront over the services' gRPC.
package gateway

import (
	"context"
	"net"
	"time"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/config"
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
	// TLSCert and TLSKey are PEM files; without them a proxy in front ends TLS.
	TLSCert string `env:"TLS_CERT"`
	TLSKey  string `env:"TLS_KEY"`

	// Secret signs shopper tokens and cookies, at least 32 bytes. All replicas
	// share it; another one ends every session.
	Secret config.Secret `env:"SECRET, required"`
	// OperatorToken is for the operator's calls; without it there are none.
	OperatorToken config.Secret `env:"OPERATOR_TOKEN"`
	// Secure says that the shop is reached by HTTPS only, ended by a proxy.
	Secure bool `env:"SECURE"`

	// PublicURL is the address of the shop, such as https://shop.example, for what
	// has to name it whole: canonical addresses, sitemaps, what other sites show.
	PublicURL string `env:"PUBLIC_URL"`

	// RateLimit is how many requests a second one client address may make on
	// average, with RateBurst of them at once (ten seconds' worth when 0). Each
	// replica counts for itself. Negative is without limit.
	RateLimit int `env:"RATE_LIMIT, default=200"`
	RateBurst int `env:"RATE_BURST"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed, as
	// CIDRs, comma separated.
	TrustedProxies []string `env:"TRUSTED_PROXIES"`

	// CORSOrigins are the origins whose pages may use the REST API from a browser,
	// such as https://shop.example, comma separated. They send a shopper's token;
	// cookies are not taken from them.
	CORSOrigins []string `env:"CORS_ORIGINS"`

	// CacheTTL is how old a product, a listing or the categories may be when they
	// are shown; no cache when negative.
	CacheTTL time.Duration `env:"CACHE_TTL, default=1s"`
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

	// Targets of the services.
	client.Targets

	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`

	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
}

// Run serves until ctx is done, then drains. It starts without its services:
// /readyz says which are missing.
func Run(ctx context.Context, cfg Config) error {
	if err := config.Complete(&cfg); err != nil {
		return err
	}
	process := run.Config{Name: "gateway", Telemetry: cfg.Telemetry, Admin: cfg.Admin}
	return run.Serve(ctx, process, func(p *run.Process) (func(context.Context) error, error) {
		conns, err := client.Dial(cfg.Targets, p.Telemetry)
		if err != nil {
			return nil, err
		}
		p.Close(conns.Close)
		answers, err := newCache(cfg, p.Telemetry)
		if err != nil {
			return nil, err
		}
		if answers != nil {
			p.Close(answers.Close)
		}
		health := edge.NewHealth(conns.Needed())
		draining := make(chan struct{})
		handler, err := newHandler(cfg, parts{telemetry: p.Telemetry, health: health, services: conns.Services(), cache: answers, draining: draining})
		if err != nil {
			return nil, err
		}
		server := edge.ServerConfig{
			Handler: handler, Listen: cfg.Listen, Listener: cfg.Listener, TLSCert: cfg.TLSCert, TLSKey: cfg.TLSKey,
			MaxConnectionAge: cfg.MaxConnectionAge, DrainDelay: cfg.DrainDelay, DrainTimeout: cfg.DrainTimeout,
			Stopping: health.Stop, Draining: func() { close(draining) }, Log: p.Log,
		}
		return func(ctx context.Context) error { return edge.Serve(ctx, server) }, nil
	})
}
