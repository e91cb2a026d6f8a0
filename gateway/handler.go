package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/api"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/shop"
	"github.com/souk-shop/souk/gateway/internal/storefront"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// newHandler puts the edge around the REST API, the storefront and the webhook.
func newHandler(cfg Config, tel *telemetry.Telemetry, health *edge.Health, clients shop.Clients, draining <-chan struct{}) (http.Handler, error) {
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
	souk := shop.New(clients, shop.Options{
		CacheTTL: cfg.CacheTTL, RetryBudget: cfg.RetryBudget, Currency: cfg.Currency, Draining: draining, Log: tel.Log,
	})
	rest := api.New(api.Config{Shop: souk, Session: callers, Log: tel.Log})
	pages, err := storefront.New(storefront.Config{Shop: souk, Session: callers, Currency: cfg.Currency, Policy: policy, Log: tel.Log})
	if err != nil {
		return nil, err
	}
	// refuse answers for the edge: with a problem for the API, with a page for the
	// storefront.
	refuse := func(slug string, status int) http.Handler {
		return presenters(rest.Refuse(slug), pages.Refuse(status))
	}
	observer, err := edge.NewObserver(tel, refuse("internal", http.StatusInternalServerError))
	if err != nil {
		return nil, err
	}
	limiter := edge.NewLimiter(edge.LimitConfig{
		PerSecond: cfg.RateLimit, Burst: cfg.RateBurst, TrustedProxies: proxies, Now: cfg.Clock.Now,
		Exempt: func(r *http.Request) bool { return auth.FromContext(r.Context()).Operator },
	})

	guarded := edge.SameOrigin(refuse("cross-origin", http.StatusForbidden))(presenters(rest, pages))
	guarded = limiter.Limit(refuse("too-many-requests", http.StatusTooManyRequests))(guarded)
	guarded = callers.Identify(guarded)
	return observer.Observe(policy.Protect(unguarded(health, rest.Webhook(), guarded))), nil
}

// presenters sends a request to the REST API or to the storefront.
func presenters(rest, pages http.Handler) http.Handler {
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
