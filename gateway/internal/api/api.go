// Package api is the REST interface of the shop under /v1, as openapi.yaml
// describes it: the handlers, which translate to and from the use cases, what reads
// requests for them by the rules that are generated from the document, and the
// presenter of problems. It also serves what explains it: /openapi.yaml, /docs and a page for each type of problem.
package api

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/edgecache"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// API answers the REST requests. Its methods are the operations.
type API struct {
	shop     shop.Shop
	session  *auth.Manager
	caller   *client.Caller
	keepers  map[string]idempotency.Client
	log      *slog.Logger
	security *telemetry.SecurityLog
	edges    *edgecache.Marker
	routes   *chi.Mux
	fixed    map[string][]string // methods of the paths without parameters
}

// Config of an API.
type Config struct {
	Shop    shop.Shop
	Session *auth.Manager
	Log     *slog.Logger
	// Security gets who was refused, and what operators changed.
	Security *telemetry.SecurityLog
	// Caller makes the calls of Keepers, the services that keep the answers to keys,
	// by the service's name.
	Caller  *client.Caller
	Keepers map[string]idempotency.Client
	// Edges marks what caches in front keep; nil has them ask each time.
	Edges *edgecache.Marker
}

// New makes an API.
func New(cfg Config) *API {
	a := &API{
		shop: cfg.Shop, session: cfg.Session, log: cfg.Log, security: cfg.Security, caller: cfg.Caller, keepers: cfg.Keepers, edges: cfg.Edges,
	}
	a.routes = a.newRoutes()
	return a
}

// ServeHTTP answers /v1/..., /openapi.yaml, /docs and /problems/...
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if accepted := compress.Accept(r.Header); accepted != (compress.Accepted{}) {
			w = codingWriter{w, accepted}
		}
	}
	if r.Method == http.MethodOptions {
		a.options(w, r)
		return
	}
	if r.Method == http.MethodHead && !strings.HasSuffix(r.URL.Path, "/events") {
		// The same headers as GET; the server drops the body.
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	a.routes.ServeHTTP(w, r)
}

func (a *API) newRoutes() *chi.Mux {
	mux := chi.NewRouter()
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		a.WriteProblem(w, r, problem.Newf(problem.NotFound, "There is nothing at this path."))
	})
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allowed(mux, a.fixed, r))
		a.WriteProblem(w, r, problem.Newf(problem.MethodNotAllowed, "There is something here, but not for %s.", methodName(r.Method)))
	})
	a.fixed = map[string][]string{}
	for _, op := range a.operations() {
		mux.Method(op.method, op.path, a.serve(op))
		if !strings.Contains(op.path, "{") {
			a.fixed[op.path] = append(a.fixed[op.path], op.method)
		}
	}
	// Such a path is no value of another's parameter: /v1/products/import is no product.
	for path, have := range a.fixed {
		for _, m := range methods {
			if !slices.Contains(have, m) {
				mux.Method(m, path, mux.MethodNotAllowedHandler())
			}
		}
	}
	a.routePages(mux)
	return mux
}

// options answers OPTIONS: which methods a path has. What browsers ask on behalf of
// another origin's page is answered before, by edge.CORS.
func (a *API) options(w http.ResponseWriter, r *http.Request) {
	allow := allowed(a.routes, a.fixed, r)
	if allow == "" {
		a.WriteProblem(w, r, problem.Newf(problem.NotFound, "There is nothing at this path."))
		return
	}
	w.Header().Set("Allow", allow)
	w.WriteHeader(http.StatusNoContent)
}

// methods that a path is tried with for the Allow header.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func allowed(mux chi.Routes, fixed map[string][]string, r *http.Request) string {
	var have []string
	for _, m := range methods {
		try := m
		if m == http.MethodHead {
			if strings.HasSuffix(r.URL.Path, "/events") {
				continue
			}
			try = http.MethodGet
		}
		if fixed, ok := fixed[r.URL.Path]; ok && !slices.Contains(fixed, try) {
			continue
		}
		if mux.Match(chi.NewRouteContext(), try, r.URL.Path) {
			have = append(have, m)
		}
	}
	if len(have) > 0 {
		have = append(have, http.MethodOptions)
	}
	return strings.Join(have, ", ")
}

// methodName keeps a strange method out of the answer.
func methodName(m string) string {
	for _, known := range append(methods, http.MethodOptions) {
		if m == known {
			return m
		}
	}
	return "this method"
}
