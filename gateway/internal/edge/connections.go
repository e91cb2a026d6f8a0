package edge

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// silence is how long a stopping server waits for the first request of a
// connection: longer than clients need who connect to ask, not as long as the
// ones stay that connect just in case.
const silence = time.Second

// Connections ends clients' connections in good order: an answer says that it is
// the last, and the client sends its next request on a new connection. So a new
// replica gets its share, and one that stops is left before it closes its port,
// where a request could meet the closing of the connection it was sent on.
type Connections struct {
	maxAge   time.Duration
	draining atomic.Bool

	mu sync.Mutex
	// unheard are connections that no request has come from yet.
	unheard map[net.Conn]struct{}
	// heard is closed once there are none; nil while Shutdown does not wait.
	heard chan struct{}
}

// NewConnections returns Connections that live for maxAge, give or take a tenth,
// so that those made at once do not end at once; for ever when 0.
func NewConnections(maxAge time.Duration) *Connections {
	return &Connections{maxAge: maxAge, unheard: map[net.Conn]struct{}{}}
}

// Attach has a server, before it serves, make its connections known.
func (c *Connections) Attach(srv *http.Server) {
	srv.Handler = c.limit(srv.Handler)
	srv.ConnContext = c.context
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		if g := guarded(conn); g != nil {
			g.state(state, speaksHTTP2(conn))
		}
		if state == http.StateClosed || state == http.StateHijacked {
			c.hear(conn)
		}
	}
}

// Drain makes every further answer the last of its connection.
func (c *Connections) Drain() { c.draining.Store(true) }

// Shutdown shuts a server down whose listener is closed and whose Serve has
// returned. By itself the server drops the requests of connections that it has
// accepted but not yet read from; these are waited for. It returns when requests
// under way have ended, or with ctx's error.
func (c *Connections) Shutdown(ctx context.Context, srv *http.Server) error {
	timer := time.NewTimer(silence)
	defer timer.Stop()
	select {
	case <-c.allHeard():
	case <-timer.C:
		c.closeUnheard()
	case <-ctx.Done():
	}
	return srv.Shutdown(ctx)
}

func (c *Connections) hear(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.unheard, conn)
	if c.heard != nil && len(c.unheard) == 0 {
		close(c.heard)
		c.heard = nil
	}
}

func (c *Connections) allHeard() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard := make(chan struct{})
	if len(c.unheard) == 0 {
		close(heard)
	} else {
		c.heard = heard
	}
	return heard
}

func (c *Connections) closeUnheard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.unheard {
		_ = conn.Close()
	}
}

type connectionKey struct{}

type connection struct {
	conn  net.Conn
	heard atomic.Bool
	end   time.Time // its time is up; zero for never
}

func (c *Connections) context(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	c.unheard[conn] = struct{}{}
	c.mu.Unlock()
	made := &connection{conn: conn}
	if c.maxAge > 0 {
		made.end = time.Now().Add(c.maxAge - c.maxAge/10 + rand.N(c.maxAge/5+1)) //nolint:gosec // spreads load, guards no secret
	}
	return context.WithValue(ctx, connectionKey{}, made)
}

func (c *Connections) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := r.Context().Value(connectionKey{}).(*connection)
		if !conn.heard.Swap(true) {
			c.hear(conn.conn)
		}
		if r.ProtoMajor == 2 {
			if g := guarded(conn.conn); g != nil {
				defer g.asked(r)()
			}
		}
		if c.draining.Load() || !conn.end.IsZero() && time.Now().After(conn.end) {
			w.Header().Set("Connection", "close")
		}
		if len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 {
			// It may have had a Content-Length, too, by which a proxy in front found another
			// end: what follows is not to be taken for a request (RFC 9112, section 6.1).
			// net/http does not tell. Browsers send no such bodies.
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
