package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/api"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/admission"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop"
	"github.com/souk-shop/souk/gateway/internal/storefront"
	"github.com/souk-shop/souk/gateway/internal/webhook"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// parts are what the handler is made of besides its configuration.
type parts struct {
	telemetry *telemetry.Telemetry
	health    *edge.Health
	services  client.Services
	// cache keeps what was read of the catalog; nil reads everything anew.
	cache *cache.Cache
	// draining is closed when the gateway begins to stop.
	draining <-chan struct{}
}

// cacheWeight bounds the cache, in products of about a kilobyte each.
const cacheWeight = 32_000

// newCache returns the cache, nil where it is turned off. The caller closes it.
func newCache(cfg Config, tel *telemetry.Telemetry) (*cache.Cache, error) {
	if cfg.CacheTTL < 0 {
		return nil, nil
	}
	return cache.New(cache.Config{Name: "gateway", MemoryTTL: cfg.CacheTTL, MemoryWeight: cacheWeight}, tel)
}

// newHandler puts the edge around the REST API, the storefront and the webhook. cfg is
// complete.
func newHandler(cfg Config, p parts) (http.Handler, error) {
	proxies, err := prefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	policy := edge.BrowserPolicy{HTTPSOnly: cfg.Secure}
	callers, err := auth.New(auth.Config{
		Secret: cfg.Secret.Reveal(), OperatorToken: cfg.OperatorToken.Reveal(), Policy: policy,
	})
	if err != nil {
		return nil, err
	}
	caller := client.New(client.Config{RetryBudget: cfg.RetryBudget})
	use := shop.New(shop.Config{
		Services: p.services, Caller: caller, Admission: admission.New(), Cache: p.cache, Currency: cfg.Currency,
		Draining: p.draining,
	})
	sealer, err := idempotency.NewSealer(cfg.Secret.Reveal())
	if err != nil {
		return nil, err
	}
	keepers := map[string]idempotency.Client{}
	for name, service := range p.services.Answers {
		keepers[name] = sealer.Keeper(service)
	}
	rest := api.New(api.Config{
		Shop: use, Session: callers, Log: p.telemetry.Log, Caller: caller, Keepers: keepers,
	})
	pages, err := storefront.New(storefront.Config{
		Catalog: use.Catalog, Carts: use.Carts, Orders: use.Orders, Session: callers, Currency: cfg.Currency, PublicURL: cfg.PublicURL, Policy: policy, Log: p.telemetry.Log,
	})
	if err != nil {
		return nil, err
	}
	webhooks := webhook.New(webhook.Config{Payments: use.Payments, Problem: rest.WriteProblem, Log: p.telemetry.Log})

	// refuse answers for the edge: with a problem for the API, with a page for the
	// storefront.
	refuse := func(t *problem.Type) http.Handler { return presenters(rest.Refuse(t), pages.Refuse(t)) }
	limiter := edge.NewLimiter(edge.LimitConfig{
		PerSecond: cfg.RateLimit, Burst: cfg.RateBurst, TrustedProxies: proxies, Now: cfg.Clock.Now,
		Exempt: func(r *http.Request) bool { return auth.FromContext(r.Context()).Operator },
	})
	observer, err := edge.NewObserver(p.telemetry, refuse(problem.Internal), limiter.FromProxy)
	if err != nil {
		return nil, err
	}
	cross, err := edge.NewCORS(cfg.CORSOrigins)
	if err != nil {
		return nil, fmt.Errorf("CORS_ORIGINS: %w", err)
	}

	guarded := edge.SameOrigin(refuse(problem.CrossOrigin))(presenters(rest, pages))
	guarded = limiter.Limit(refuse(problem.TooManyRequests))(guarded)
	guarded = cross.Share(isREST, callers.Identify(guarded))
	return observer.Observe(policy.Protect(unguarded(p.health, webhooks, guarded))), nil
}

// presenters sends a request to the REST API or to the storefront.
func presenters(rest, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case isREST(path), path == "/docs", strings.HasPrefix(path, "/docs/"), strings.HasPrefix(path, "/problems/"):
			rest.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
			edge.SetRoute(r.Context(), r.Pattern)
		}
	})
}

// isREST reports that a path is of the API, which other origins' pages may use.
func isREST(path string) bool {
	return strings.HasPrefix(path, "/v1/") || path == "/v1" || path == "/openapi.yaml"
}

// unguarded answers what has neither a caller nor a limit: health checks, which
// must not be refused, and the payment provider, which sends many requests from
// few addresses. The others go to next.
func unguarded(health *edge.Health, webhook, next http.Handler) http.Handler {
	routes := map[string]http.Handler{
		"/healthz": http.HandlerFunc(health.Live), "/readyz": http.HandlerFunc(health.Ready), "/webhooks/stripe": webhook,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := routes[r.URL.Path]; ok {
			edge.SetRoute(r.Context(), r.URL.Path)
			h.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
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
