package clientaddr

import (
	"context"
	"net/http"
	"net/netip"
)

type contextKey struct{}

// Remember keeps the client's address in the context of requests that change something,
// for what a service counts by address.
func (r *Resolver) Remember(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			req = req.WithContext(context.WithValue(req.Context(), contextKey{}, r.Of(req)))
		}
		next.ServeHTTP(w, req)
	})
}

// FromContext is the address that Remember kept; the zero Addr without one.
func FromContext(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(contextKey{}).(netip.Addr)
	return addr
}
