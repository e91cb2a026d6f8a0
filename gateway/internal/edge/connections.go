package edge

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Connections ends clients' connections in good order: an answer says that it is
// the last, and the client sends its next request on a new connection. So a new
// replica gets its share, and one that stops is left before it closes its port,
// where a request could meet the closing of the connection it was sent on.
type Connections struct {
	maxAge   time.Duration
	draining atomic.Bool
}

// NewConnections returns Connections that live for maxAge, give or take a tenth,
// so that those made at once do not end at once; for ever when 0.
func NewConnections(maxAge time.Duration) *Connections { return &Connections{maxAge: maxAge} }

// Drain makes every further answer the last of its connection.
func (c *Connections) Drain() { c.draining.Store(true) }

type endKey struct{}

// Context is for http.Server.ConnContext: it notes when a connection's time is
// up.
func (c *Connections) Context(ctx context.Context, _ net.Conn) context.Context {
	if c.maxAge <= 0 {
		return ctx
	}
	age := c.maxAge - c.maxAge/10 + rand.N(c.maxAge/5+1)
	return context.WithValue(ctx, endKey{}, time.Now().Add(age))
}

// Limit wraps the handler of everything.
func (c *Connections) Limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end, limited := r.Context().Value(endKey{}).(time.Time)
		if c.draining.Load() || limited && time.Now().After(end) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
