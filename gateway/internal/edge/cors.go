package edge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The headers of cross-origin answers.
const (
	corsMethods = "GET, HEAD, POST, PUT, DELETE"
	corsRequest = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, Souk-Consistency, Traceparent, Tracestate"
	corsExposed = "Allow, Deprecation, ETag, Idempotent-Replayed, Link, Location, Preference-Applied, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Request-Id, Retry-After, Souk-Consistency, Souk-Token, Sunset, WWW-Authenticate"
	// corsAge is how long a browser keeps the answer to a preflight, in seconds.
	corsAge = "7200"
)

// CORS lets pages of the configured origins use the REST API from a browser. They
// identify a shopper by the token in Authorization: credentials that a browser adds
// by itself are not allowed, and the shop's cookie, should one come, is ignored.
type CORS struct{ origins []string }

// NewCORS takes origins as browsers write them (Fetch Standard, "serializing a request
// origin"): a scheme, a host in lower-case ASCII and, unless it is the scheme's own, a
// port. Any other spelling would match no browser, so it is refused.
func NewCORS(origins []string) (*CORS, error) {
	c := &CORS{}
	for _, s := range origins {
		s = strings.TrimSpace(s)
		if !isOrigin(s) {
			return nil, fmt.Errorf("%q is not an origin as browsers send it, such as https://shop.example", s)
		}
		c.origins = append(c.origins, s)
	}
	return c, nil
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return false
	}
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	own := map[string]uint64{"http": 80, "https": 443}[u.Scheme]
	return err == nil && port != own && strconv.FormatUint(port, 10) == u.Port()
}

// Share answers preflights for the paths that are shared, and marks what else is
// answered there as readable by the configured origins.
func (c *CORS) Share(shared func(path string) bool, next http.Handler) http.Handler {
	if len(c.origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !shared(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if !slices.Contains(c.origins, origin) || strings.HasSuffix(origin, "://"+r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
			h.Set("Access-Control-Allow-Methods", corsMethods)
			h.Set("Access-Control-Allow-Headers", corsRequest)
			h.Set("Access-Control-Max-Age", corsAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", corsExposed)
		r.Header.Del("Cookie")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sharedKey{}, true)))
	})
}

type sharedKey struct{}

// isShared reports that a request is of another origin's page and that CORS allows
// it: no cookie counts.
func isShared(ctx context.Context) bool { return ctx.Value(sharedKey{}) != nil }
