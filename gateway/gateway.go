// Package gateway is the one process of the shop that the internet reaches: the
// REST API and the storefront over the services' gRPC.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/souk-shop/souk/gateway/internal/api"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/session"
	"github.com/souk-shop/souk/gateway/internal/shop"
	"github.com/souk-shop/souk/gateway/internal/storefront"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"google.golang.org/grpc"
)

// Config is what the gateway's operator chooses; its variables start with
// SOUK_GATEWAY_.
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

	// RateLimit is how many requests a second one client address may make on
	// average, with RateBurst of them at once (ten seconds' worth when 0). Each
	// replica counts for itself. 0 turns the limit off.
	RateLimit int `env:"RATE_LIMIT, default=200"`
	RateBurst int `env:"RATE_BURST"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed, as
	// CIDRs, comma separated.
	TrustedProxies []string `env:"TRUSTED_PROXIES"`

	// CacheTTL is how old a product, a listing or the categories may be when they
	// are shown; one second when 0, no cache when negative.
	CacheTTL time.Duration `env:"CACHE_TTL, default=1s"`
	// Patience is how long a request waits for a service that is being replaced,
	// 15 s when 0; negative not at all.
	Patience time.Duration `env:"PATIENCE, default=15s"`
	// Currency of an empty cart; GBP when "".
	Currency string `env:"CURRENCY, default=GBP"`

	// MaxConnectionAge is after how long a client is asked to connect anew, so
	// that it finds new replicas; 0 is never.
	MaxConnectionAge time.Duration `env:"MAX_CONNECTION_AGE, default=5m"`
	// DrainDelay is how long the gateway still takes requests after /readyz has
	// told that it is stopping: the time in which balancers notice.
	DrainDelay time.Duration `env:"DRAIN_DELAY, default=0s"`
	// DrainTimeout bounds the wait for requests under way; 15 s when 0.
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT, default=15s"`

	// The services. Payment is needed for the provider's webhooks and for
	// reconciliation alone.
	Catalog rpc.ClientConfig `env:", prefix=CATALOG_"`
	Cart    rpc.ClientConfig `env:", prefix=CART_"`
	Order   rpc.ClientConfig `env:", prefix=ORDER_"`
	Payment rpc.ClientConfig `env:", prefix=PAYMENT_"`

	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`

	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
}

// Run serves until ctx is done, then drains. Services that are late are waited
// for: /readyz tells.
func Run(ctx context.Context, cfg Config) (err error) {
	tel, err := telemetry.Start(ctx, "gateway", cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, tel.Shutdown(stopCtx))
	}()
	conns := map[string]*grpc.ClientConn{}
	defer func() {
		for _, conn := range conns {
			err = errors.Join(err, conn.Close())
		}
	}()
	for name, client := range map[string]rpc.ClientConfig{"catalog": cfg.Catalog, "cart": cfg.Cart, "order": cfg.Order} {
		if conns[name], err = rpc.Dial(client, tel); err != nil {
			delete(conns, name)
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	draining := make(chan struct{})
	health := edge.NewHealth(conns)
	// Who can't report a payment can still buy: health does not ask for it.
	if conns["payment"], err = rpc.Dial(cfg.Payment, tel); err != nil {
		delete(conns, "payment")
		return fmt.Errorf("payment: %w", err)
	}
	handler, err := newHandler(cfg, tel, health, shop.Clients{
		Catalog: catalogv1.NewCatalogServiceClient(conns["catalog"]),
		Cart:    cartv1.NewCartServiceClient(conns["cart"]),
		Order:   orderv1.NewOrderServiceClient(conns["order"]),
		Payment: paymentv1.NewPaymentServiceClient(conns["payment"]),
	}, draining)
	if err != nil {
		return err
	}
	g := run.NewGroup(tel.Log)
	g.Add("admin", func(ctx context.Context) error { return admin.Serve(ctx, cfg.Admin, tel) })
	g.Add("http", func(ctx context.Context) error {
		return serve(ctx, cfg, handler, tel.Log, func() {
			health.Stop()
			sleep(cfg.DrainDelay)
			close(draining)
		})
	})
	return g.Run(ctx)
}

// newHandler puts the rooms of the gateway behind the edge.
func newHandler(cfg Config, tel *telemetry.Telemetry, health *edge.Health, clients shop.Clients, draining <-chan struct{}) (http.Handler, error) {
	proxies, err := prefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(session.Config{
		Secret: cfg.Secret.Reveal(), OperatorToken: cfg.OperatorToken.Reveal(), SecureCookies: cfg.Secure,
	})
	if err != nil {
		return nil, err
	}
	souk := shop.New(clients, shop.Options{
		CacheTTL: cfg.CacheTTL, Patience: cfg.Patience, Currency: cfg.Currency, Draining: draining, Log: tel.Log,
	})
	rest := api.New(api.Config{Shop: souk, Session: sessions, Log: tel.Log})
	pages, err := storefront.New(storefront.Config{Shop: souk, Session: sessions, Currency: cfg.Currency, Log: tel.Log})
	if err != nil {
		return nil, err
	}
	// refuse answers for what stands around the rooms, in the manner of each.
	refuse := func(slug string, status int) http.Handler {
		return rooms(rest.Refuse(slug), pages.Refuse(status))
	}
	observer, err := edge.NewObserver(tel, refuse("internal", http.StatusInternalServerError))
	if err != nil {
		return nil, err
	}
	limiter := session.NewLimiter(session.LimitConfig{
		PerSecond: cfg.RateLimit, Burst: cfg.RateBurst, TrustedProxies: proxies, Now: cfg.Clock.Now,
	})

	guarded := session.SameOrigin(refuse("cross-origin", http.StatusForbidden))(rooms(rest, pages))
	guarded = limiter.Limit(refuse("too-many-requests", http.StatusTooManyRequests))(guarded)
	guarded = sessions.Identify(guarded)
	return observer.Observe(edge.Protect(cfg.Secure, front(health, rest.Webhook(), guarded))), nil
}

// rooms sends a request to the REST API or to the storefront.
func rooms(rest, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case strings.HasPrefix(path, "/v1/"), path == "/v1",
			path == "/openapi.yaml", path == "/docs", strings.HasPrefix(path, "/docs/"), strings.HasPrefix(path, "/problems/"):
			rest.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
			edge.SetRoute(r.Context(), r.Pattern)
		}
	})
}

// front answers the questions about health before anything can refuse them, and
// the payment provider, who has no cookie, is no page and comes often.
func front(health *edge.Health, webhook, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			edge.SetRoute(r.Context(), "/healthz")
			health.Live(w, r)
		case "/readyz":
			edge.SetRoute(r.Context(), "/readyz")
			health.Ready(w, r)
		case "/webhooks/stripe":
			edge.SetRoute(r.Context(), "/webhooks/stripe")
			webhook.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// The limits of the server. A request may wait for an order for 30 s and a bit;
// streams and imports set deadlines of their own.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 90 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// serve listens until ctx is done, then calls drain and lets the requests under
// way finish.
func serve(ctx context.Context, cfg Config, handler http.Handler, log *slog.Logger, drain func()) error {
	lis := cfg.Listener
	if lis == nil {
		var err error
		if lis, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
			return err
		}
	}
	connections := edge.NewConnections(cfg.MaxConnectionAge)
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	connections.Attach(srv)
	done := make(chan error, 1)
	go func() {
		if cfg.TLSCert != "" {
			done <- srv.ServeTLS(lis, cfg.TLSCert, cfg.TLSKey)
		} else {
			done <- srv.Serve(lis)
		}
	}()
	log.InfoContext(ctx, "serving", "address", lis.Addr().String())
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	connections.Drain()
	drain()
	timeout := cfg.DrainTimeout
	if timeout == 0 {
		timeout = 15 * time.Second
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err := lis.Close()
	if served := <-done; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	cut := connections.Shutdown(stopCtx, srv)
	if errors.Is(cut, context.DeadlineExceeded) {
		log.WarnContext(ctx, "requests cut off", "after", timeout)
		cut = srv.Close()
	}
	return errors.Join(err, cut)
}

func prefixes(cidrs []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
		}
		out = append(out, p)
	}
	return out, nil
}

func sleep(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}
