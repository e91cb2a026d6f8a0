package localshop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// Gateway is a further gateway of a shop, inside of this process.
type Gateway struct {
	// URL is where it listens, without a slash at its end.
	URL string
	// Admin is where it shows its metrics, host:port.
	Admin string
	stop  context.CancelFunc
	done  chan error
}

// AddGateway starts a further gateway on any free loopback port and returns when it is
// ready. It is stopped before the shop. Variables ("NAME=value") win over the shop's own.
func (s *Shop) AddGateway(ctx context.Context, variables ...string) (_ *Gateway, err error) {
	var lc net.ListenConfig
	lis, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	admin, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, lis.Close())
	}
	own := map[string]string{}
	for _, kv := range variables {
		name, value, _ := strings.Cut(kv, "=")
		own[name] = value
	}
	part, _ := topology.Find(topology.Edge)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	g := &Gateway{URL: "http://" + lis.Addr().String(), Admin: admin.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() {
		g.done <- part.Run(running, topology.Process{
			Env: envconfig.MultiLookuper(envconfig.MapLookuper(own), s.lookuper(part)), Listener: lis, Admin: admin, Log: s.logFile, Spans: s.opts.SpanProcessors,
		})
	}()
	client := shopclient.New(g.URL)
	defer client.Close()
	ready, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := poll(ready, 10*time.Millisecond, client.Ready); err != nil {
		return nil, errors.Join(fmt.Errorf("a further gateway is not ready: %w", err), g.Stop())
	}
	return g, nil
}

// Stop ends the gateway in good order.
func (g *Gateway) Stop() error {
	g.stop()
	return <-g.done
}

// Peers are gateways that fill each other's caches (docs/peers.md).
type Peers struct{ first string }

// NewPeers returns a group without members.
func NewPeers() (Peers, error) {
	port, err := process.FreePort()
	return Peers{first: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}, err
}

// First are the variables of the gateway that the others join, and Next those of each other one.
func (p Peers) First() []string { return p.variables(p.first) }

// Next is of any gateway but the first.
func (p Peers) Next() []string { return p.variables("127.0.0.1:0") }

func (p Peers) variables(gossip string) []string {
	return []string{"SOUK_GATEWAY_PEERS_GOSSIP=" + gossip, "SOUK_GATEWAY_PEERS_JOIN=" + p.first, "SOUK_GATEWAY_PEERS_LISTEN=127.0.0.1:0"}
}

// there reports whether there are such gateways.
func (p Peers) there() bool { return p.first != "" }

// addGateways starts the further gateways of Options.Gateways.
func (s *Shop) addGateways(ctx context.Context) error {
	for range s.opts.Gateways - 1 {
		g, err := s.AddGateway(ctx, s.peers.Next()...)
		if err != nil {
			return err
		}
		s.gateways = append(s.gateways, g)
	}
	return nil
}

// Gateways are the further gateways of Options.Gateways.
func (s *Shop) Gateways() []*Gateway { return s.gateways }
