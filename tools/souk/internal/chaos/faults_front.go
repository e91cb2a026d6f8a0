package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

const (
	// gatewaysOfPeers is how many gateways are each other's peers: the first is broken, shoppers are at
	// the others.
	gatewaysOfPeers = 3
	// frontFrozenFor is for how long a gateway or the edge is stopped.
	frontFrozenFor = 5 * time.Second
	// notToldFor is for how long the edge is not told of changes: longer than it may show what was before
	// them.
	notToldFor = 80 * time.Second

	// toldOfChanges is how old a price may be that gateways show, which are told of changes: what caches
	// behind them keep (CACHE_SETTLE and twice CACHE_TTL), and a request.
	toldOfChanges = 8 * time.Second
	// edgeTold is how old one may be that an edge shows which is told: one that had expired just before the
	// change is shown for 10 s more (stale-while-revalidate), and what caches behind had.
	edgeTold = 12 * time.Second
	// edgeNotTold is how old one may be that an edge shows which cannot be told: s-maxage and
	// stale-while-revalidate, and a request that had waited 3 s.
	edgeNotTold = 73 * time.Second

	// bought is which share of buyers has a price changed between what they saw and the order, while the
	// edge is broken.
	bought = 0.25
)

// frontFaults break what stands between shoppers and the services: one of several gateways, or the edge.
func frontFaults() []Fault {
	peers := func(opts *localshop.Options) (func() error, error) {
		opts.Gateways = gatewaysOfPeers
		return nil, nil //nolint:nilnil // there is nothing to undo
	}
	edge := func(opts *localshop.Options) (func() error, error) {
		opts.Edge = true
		return nil, nil //nolint:nilnil // there is nothing to undo
	}
	return []Fault{{
		Name: "peer-kill", Group: "front", Arrange: peers, Breaks: []string{topology.Edge}, Shown: toldOfChanges, Gentle: true,
		Doc: "three gateways that are peers: SIGKILL of one, which owns keys; shoppers of the others must not notice",
		Inject: func(ctx context.Context, e *Environment) error {
			filled, err := e.ownsKeys(ctx)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, recoverWithin)
			defer cancel()
			pid, err := e.replace(ctx, topology.Edge)
			if err != nil {
				return err
			}
			e.Injected(1, fmt.Sprintf("a gateway, process %d, was killed that had filled %.0f entries of the others", pid, filled))
			return e.Shop.Await(ctx, topology.Edge)
		},
	}, {
		Name: "peer-freeze", Group: "front", Arrange: peers, Breaks: []string{topology.Edge}, Shown: toldOfChanges, Gentle: true,
		Doc: fmt.Sprintf("three gateways that are peers: SIGSTOP of one, which owns keys, for %s; shoppers of the others must not notice", frontFrozenFor),
		Inject: func(ctx context.Context, e *Environment) error {
			if _, err := e.ownsKeys(ctx); err != nil {
				return err
			}
			return e.freeze(ctx, topology.Edge, frontFrozenFor)
		},
	}, {
		Name: "edge-kill", Group: "front", Arrange: edge, Breaks: []string{}, Shown: edgeTold,
		Doc: "Varnish in front of the gateway: SIGKILL, again and again, while prices change",
		Inject: func(ctx context.Context, e *Environment) error {
			e.Workload.SetBehavior(Behavior{Reprice: bought})
			return e.kill(ctx, localshop.Varnish)
		},
	}, {
		Name: "edge-freeze", Group: "front", Arrange: edge, Breaks: []string{}, Shown: edgeNotTold,
		Doc: fmt.Sprintf("Varnish in front of the gateway: SIGSTOP for %s, while prices change", frontFrozenFor),
		Inject: func(ctx context.Context, e *Environment) error {
			e.Workload.SetBehavior(Behavior{Reprice: bought})
			return e.freeze(ctx, localshop.Varnish, frontFrozenFor)
		},
	}, {
		Name: "edge-not-told", Group: "front", Arrange: edge, Breaks: []string{}, Shown: edgeNotTold, Times: 1, Alone: true,
		Doc: fmt.Sprintf("Varnish in front of the gateway is told of no change for %s", notToldFor),
		Inject: func(ctx context.Context, e *Environment) error {
			e.Workload.SetBehavior(Behavior{Reprice: bought})
			return e.disturb(ctx, topology.Edge, localshop.Varnish, Toxic{Lose: true}, notToldFor, "purges of the gateway did not reach Varnish")
		},
	}}
}

// fillMethod is the call by which a gateway asks a peer.
const fillMethod = "souk.peer.v1.PeerService/Fill"

// ownsKeys waits until the gateway that is going to be broken answers the others, and returns how often it
// has.
func (e *Environment) ownsKeys(ctx context.Context) (filled float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	asked := -1.0 // until now
	err = until(ctx, "the gateway answers its peers", func() (bool, error) {
		n, err := localshop.Metric(ctx, e.Shop.Admin(topology.Edge), "rpc_server_call_duration_seconds", "rpc_method", fillMethod, "rpc_response_status_code", "OK")
		if err != nil {
			return false, nil //nolint:nilerr // it may just start
		}
		if asked < 0 {
			asked = n
		}
		filled = n
		return n > asked, nil
	})
	return filled, err
}
