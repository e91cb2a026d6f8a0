package localshop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// Gateway is a further gateway of a shop, inside of this process.
type Gateway struct {
	// URL is where it listens, without a slash at its end.
	URL  string
	stop context.CancelFunc
	done chan error
}

// AddGateway starts a further gateway on any free loopback port and returns when it is
// ready. It is stopped before the shop.
func (s *Shop) AddGateway(ctx context.Context) (*Gateway, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	part, _ := topology.Find(topology.Edge)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	g := &Gateway{URL: "http://" + lis.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() {
		g.done <- part.Run(running, topology.Process{Env: s.lookuper(part), Listener: lis, Log: s.logFile, Spans: s.opts.SpanProcessors})
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
