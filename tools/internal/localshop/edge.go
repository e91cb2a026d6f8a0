package localshop

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"

	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/internal/varnish"
)

// edge is the HTTP cache in front of the gateway, with Options.Edge.
type edge struct {
	addr    string // where clients reach it
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

// startEdge starts Varnish in front of the gateway's listener.
func (s *Shop) startEdge(ctx context.Context) (err error) {
	s.edge.running, err = varnish.Start(ctx, varnish.Config{
		Dir: s.folder.join("edge"), Listen: s.edge.addr, Gateway: s.Addr(topology.Edge), Secret: s.edge.secret, Log: s.log, OnStart: s.refreshState,
	})
	return err
}

// wiring are the gateway's variables.
func (e *edge) wiring() map[string]string {
	return map[string]string{
		"SOUK_GATEWAY_EDGE_URLS":       e.running.PurgeURL,
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
