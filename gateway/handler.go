package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/api"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge"
	"github.com/souk-shop/souk/gateway/internal/edge/admission"
	"github.com/souk-shop/souk/gateway/internal/edge/budget"
	"github.com/souk-shop/souk/gateway/internal/edge/clientaddr"
	"github.com/souk-shop/souk/gateway/internal/edgecache"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	"github.com/souk-shop/souk/gateway/internal/peers"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/render"
	"github.com/souk-shop/souk/gateway/internal/shop"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/storefront"
	"github.com/souk-shop/souk/gateway/internal/webhook"
	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/gateway/traces"
	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// parts are what the handler is made of besides its configuration.
type parts struct {
	telemetry *telemetry.Telemetry
	health    *edge.Health
	services  client.Services
	// away reports of a new guest's id that the guest's cell is away; nil for never.
	away func(uuid.UUID) bool
	// cache keeps what was read of the catalog; nil reads everything anew.
	cache *cache.Cache
	// peers are other gateways, which keep the same as the cache; nil for none.
	peers *peers.Peers
	// operators are who may make the operators' calls; nil for no operator.
	operators *auth.Operators
	// edges tell the caches in front of what has changed, and following that they are told;
	// nil without such caches.
	edges     *edgecache.Purger
	following func() bool
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
	c := cache.Config{Name: "gateway", Database: "catalog", MemoryTTL: cfg.CacheTTL, MemoryWeight: cacheWeight}
	if cfg.Events.URL != "" {
		c.Backstop, c.Settle = cfg.CacheBackstop, cfg.CacheSettle
	}
	return cache.New(c, tel)
}

// newPeers returns the other gateways, nil where it has none. The caller runs it.
func newPeers(cfg Config, id *identity.Identity, tel *telemetry.Telemetry) (*peers.Peers, error) {
	if !cfg.Peers.On() {
		return nil, nil
	}
	if cfg.CacheTTL < 0 {
		return nil, errors.New("SOUK_GATEWAY_PEERS_GOSSIP: without a cache (SOUK_GATEWAY_CACHE_TTL) there is nothing for peers to fill")
	}
	parts := peers.Parts{Identity: id, Telemetry: tel, Secret: cfg.Secret.Reveal()}
	for _, old := range cfg.OldSecrets {
		parts.OldSecrets = append(parts.OldSecrets, old.Reveal())
	}
	return peers.Open(cfg.Peers, parts)
}

// newMarker returns how long caches in front keep what is the same for everybody.
func newMarker(cfg Config, p parts) *edgecache.Marker {
	if p.edges == nil {
		return edgecache.NewMarker(nil)
	}
	return edgecache.NewMarker(&edgecache.Policy{
		MaxAge: cfg.EdgeMaxAge, MaxAgeWithoutPurges: max(cfg.CacheTTL, 0), Revalidate: edgeRevalidate, StaleIfError: cfg.EdgeStaleIfError,
		Told: func() bool { return p.following() && p.edges.Tells() },
	})
}

// edgeRevalidate is for how long an edge gives an answer that has expired while it asks for the
// next one.
const edgeRevalidate = 10 * time.Second

// newPurger returns what tells the caches in front of changes, nil where there are none.
func newPurger(cfg Config, tel *telemetry.Telemetry) (*edgecache.Purger, error) {
	if len(cfg.EdgeURLs) == 0 {
		return nil, nil
	}
	for variable, d := range map[string]time.Duration{"MAX_AGE": cfg.EdgeMaxAge, "STALE_IF_ERROR": cfg.EdgeStaleIfError} {
		if d < time.Second {
			return nil, fmt.Errorf("SOUK_GATEWAY_EDGE_%s: %v is less than a second", variable, d)
		}
	}
	return edgecache.NewPurger(edgecache.PurgerConfig{
		URLs: cfg.EdgeURLs, Secret: cfg.EdgeSecret, Telemetry: tel,
		// What a replica reads within CacheSettle may be from before, is kept for CacheTTL, and
		// shown for as long beside something else.
		Again: max(cfg.CacheSettle, 0) + 2*max(cfg.CacheTTL, 0),
	})
}

// front is what clients meet: the handler, and the limits of their connections.
type front struct {
	handler http.Handler
	limits  edge.ConnectionLimits
}

// newFront puts the edge around the REST API, the storefront and the webhook. cfg is
// complete.
func newFront(cfg Config, p parts) (*front, error) {
	proxies, err := clientaddr.Prefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("SOUK_GATEWAY_TRUSTED_PROXIES: %w", err)
	}
	addresses, err := clientaddr.New(clientaddr.Config{Trusted: proxies, Header: cfg.ProxyHeader, Log: p.telemetry.Log})
	if err != nil {
		return nil, fmt.Errorf("SOUK_GATEWAY_PROXY_HEADER: %w", err)
	}
	policy := edge.BrowserPolicy{HTTPSOnly: cfg.Secure, FromProxy: addresses.FromProxy}
	secrets := auth.Secrets{Signing: cfg.Secret.Reveal()}
	for _, old := range cfg.OldSecrets {
		secrets.Old = append(secrets.Old, old.Reveal())
	}
	callers, err := auth.New(auth.Config{
		Secrets: secrets, Now: cfg.Clock.Now, Security: p.telemetry.Security, Operators: p.operators, Client: addresses.Of, Policy: policy, Away: p.away,
	})
	if err != nil {
		return nil, err
	}
	record := func(ctx context.Context, limit budget.Limit, client slog.Attr) {
		p.telemetry.Security.Record(ctx, telemetry.LimitExceeded, string(limit), client)
	}
	caller := client.New(client.Config{RetryBudget: cfg.RetryBudget})
	var others catalog.Peers
	if p.peers != nil {
		others = p.peers
	}
	use := shop.New(shop.Config{
		Services: p.services, Security: p.telemetry.Security, Caller: caller, Admission: admission.New(admission.Config{Client: edge.Client, Unfair: cfg.Unfair, Alike: cfg.RateLimit < 0, Refused: func(ctx context.Context) {
			record(ctx, budget.Admission, slog.String("client", edge.Client(ctx).String()))
		}}), Cache: p.cache, Peers: others, Currency: cfg.Currency,
		Draining: p.draining, Now: cfg.Clock.Now,
	})
	if p.peers != nil {
		p.peers.Answer(use.Catalog)
	}
	sealer, err := idempotency.NewSealer(secrets.Signing, secrets.Old...)
	if err != nil {
		return nil, err
	}
	keepers := map[string]idempotency.Client{}
	for name, service := range p.services.Answers {
		keepers[name] = sealer.Keeper(service)
	}
	marker := newMarker(cfg, p)
	rest := api.New(api.Config{
		Edges: marker, Shop: use, Session: callers, Log: p.telemetry.Log, Security: p.telemetry.Security, Caller: caller, Keepers: keepers,
	})
	var recent storefront.Traces
	if cfg.TracesURL != "" {
		if recent, err = traces.NewClient(cfg.TracesURL, cfg.TracesToken.Reveal()); err != nil {
			return nil, fmt.Errorf("SOUK_GATEWAY_TRACES_URL: %w", err)
		}
	}
	var drawn storefront.Metrics
	if cfg.MetricsURL != "" {
		if drawn, err = metrics.NewClient(cfg.MetricsURL, cfg.MetricsToken.Reveal()); err != nil {
			return nil, fmt.Errorf("SOUK_GATEWAY_METRICS_URL: %w", err)
		}
	}
	pictures, err := render.NewRemote(render.RemoteConfig{URL: cfg.RendererURL, Key: cfg.RendererKey.Reveal(), Timeout: cfg.RendererTimeout}, p.telemetry)
	if err != nil {
		return nil, fmt.Errorf("SOUK_GATEWAY_%w", err)
	}
	pages, err := storefront.New(storefront.Config{
		Draw: pictures.Draw, Edges: marker, Operators: callers, Traces: recent, Metrics: drawn,
		Catalog: use.Catalog, Carts: use.Carts, Orders: use.Orders, Session: callers, Currency: cfg.Currency, PublicURL: cfg.PublicURL, Policy: policy, Log: p.telemetry.Log,
	})
	if err != nil {
		return nil, err
	}
	webhooks := webhook.New(webhook.Config{
		Payments: use.Payments, Client: edge.Client, Record: record, Problem: rest.WriteProblem, Log: p.telemetry.Log,
	})

	// fail answers for the edge: with a problem for the API, with a page for the
	// storefront.
	fail := func(w http.ResponseWriter, r *http.Request, e *problem.Error) {
		if ofAPI(r.URL.Path) {
			rest.WriteProblem(w, r, e)
		} else {
			pages.Refuse(w, r, e)
		}
	}
	refuse := func(t *problem.Type) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fail(w, r, problem.New(t)) })
	}
	budgets, err := budget.New(budget.Config{
		PerSecond: cfg.RateLimit, Burst: cfg.RateBurst, Sizes: cfg.sizes(), Address: func(r *http.Request) netip.Addr { return edge.Client(r.Context()) }, Caller: spender, Refuse: fail, Now: cfg.Clock.Now,
		Record: record,
	})
	if err != nil {
		return nil, err
	}
	observer, err := edge.NewObserver(p.telemetry, refuse(problem.Internal), addresses, cfg.TrustTrace)
	if err != nil {
		return nil, err
	}
	cross, err := edge.NewCORS(cfg.CORSOrigins)
	if err != nil {
		return nil, fmt.Errorf("CORS_ORIGINS: %w", err)
	}

	crossOrigin := func(w http.ResponseWriter, r *http.Request) {
		p.telemetry.Security.Record(r.Context(), telemetry.AuthzFail, "cross_origin", slog.String("client", addresses.Of(r).String()))
		fail(w, r, problem.New(problem.CrossOrigin))
	}
	consistent := edge.Consistent{Policy: policy, API: isREST, Refuse: func(w http.ResponseWriter, r *http.Request, err error) {
		fail(w, r, problem.Invalid(problem.Field{Field: consistency.Header, Detail: err.Error()}))
	}}
	guarded := edge.SameOrigin(http.HandlerFunc(crossOrigin))(consistent.Follow(presenters(rest, pages)))
	guarded = budgets.Guard(addresses.Remember(guarded))
	guarded = cross.Share(isREST, callers.Identify(guarded))
	limits := edge.ConnectionLimits{
		Most: cfg.MaxConnections, PerAddress: cfg.MaxConnectionsPerAddress, Unheard: cfg.MaxUnheardConnections,
		Trusts: addresses.Trusts, Bytes: budgets.Bytes(), Record: record,
	}
	if cfg.RateLimit < 0 {
		limits.PerAddress = -1
	}
	return &front{observer.Observe(policy.Protect(unguarded(p.health, webhooks, guarded))), limits}, nil
}

// spender is who pays for a request.
func spender(r *http.Request) budget.Caller {
	id := auth.FromContext(r.Context())
	caller := budget.Caller{Guest: id.Shopper.ID}
	if id.Operator != nil {
		caller.Operator = id.Operator.Name
	}
	return caller
}

// presenters sends a request to the REST API or to the storefront.
func presenters(rest, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ofAPI(r.URL.Path) {
			rest.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
		edge.SetRoute(r.Context(), routeOfPattern(r.Pattern))
	})
}

// routeOfPattern is the path of a pattern of net/http, as http.route has it: without a
// method, and without the sign for the end.
func routeOfPattern(pattern string) string {
	return strings.TrimSuffix(pattern[strings.IndexByte(pattern, ' ')+1:], "{$}")
}

// ofAPI reports that the REST API answers a path.
func ofAPI(path string) bool {
	return isREST(path) || path == "/docs" || strings.HasPrefix(path, "/docs/") || strings.HasPrefix(path, "/problems/")
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
