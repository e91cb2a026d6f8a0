package localshop

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"

	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/internal/varnish"
)

// Varnish is the name of the HTTP cache in front of the gateway, with Options.Edge.
const Varnish = "varnish"

// edge is the HTTP cache in front of the gateway, with Options.Edge.
type edge struct {
	addr    string // where clients reach it
	purge   string // where the gateway tells it of changes
	secret  string // anew at each start, as what it keeps
	running *varnish.Edge
}

// reserveEdge chooses where clients reach the edge, which fails where another program listens.
func (s *Shop) reserveEdge(ctx context.Context) error {
	if _, err := varnish.Find(); err != nil {
		return err
	}
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", s.opts.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.opts.Addr, err)
	}
	s.edge = &edge{addr: lis.Addr().String(), secret: rand.Text() + rand.Text()}
	s.URL = "http://" + reachable(lis.Addr().(*net.TCPAddr))
	return lis.Close() // Varnish listens itself
}

// startEdge starts Varnish in front of the gateway's listener. The gateway tells it of changes by
// Options.Route.
func (s *Shop) startEdge(ctx context.Context) (err error) {
	s.edge.running, err = varnish.Start(ctx, varnish.Config{
		Dir: s.folder.join("edge"), Listen: s.edge.addr, Gateway: s.Addr(topology.Edge), Secret: s.edge.secret, Log: s.log, OnStart: s.refreshState,
	})
	if err != nil {
		return err
	}
	s.edge.purge = s.edge.running.PurgeURL
	if s.opts.Route != nil {
		addr, err := s.opts.Route(topology.Edge, Varnish, strings.TrimPrefix(s.edge.purge, "http://"))
		if err != nil {
			return fmt.Errorf("route from %s to %s: %w", topology.Edge, Varnish, err)
		}
		s.edge.purge = "http://" + addr
	}
	return nil
}

// wiring are the gateway's variables.
func (e *edge) wiring() map[string]string {
	return map[string]string{
		"SOUK_GATEWAY_EDGE_URLS":       e.purge,
		"SOUK_GATEWAY_EDGE_SECRET":     e.secret,
		"SOUK_GATEWAY_TRUSTED_PROXIES": "127.0.0.1/32",
	}
}

func (e *edge) close() {
	if e.running != nil {
		e.running.Close()
	}
}

// GatewayURL is the gateway itself, also where an edge is in front.
func (s *Shop) GatewayURL() string { return "http://" + s.Addr(topology.Edge) }
