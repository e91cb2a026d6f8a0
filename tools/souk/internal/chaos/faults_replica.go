package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// replayPaused is for how long a replica does not replay: longer than it may lag to answer.
const replayPaused = 5 * time.Second

func replicaFaults() []Fault {
	return []Fault{{
		Name: "replica-kill", Group: "replica", Doc: "SIGKILL of PostgreSQL's standby, which answers reads", Breaks: []string{topology.Replica},
		Inject: func(ctx context.Context, e *Environment) error { return e.kill(ctx, topology.Replica) },
	}, freezeFault("replica-freeze", "replica", topology.Replica, 15*time.Second), {
		Name: "replica-pause", Group: "replica", Breaks: []string{topology.Replica},
		Doc: fmt.Sprintf("the standby replays nothing for %s, and answers from the past; then it catches up", replayPaused),
		Inject: func(ctx context.Context, e *Environment) error {
			return e.during(ctx, replayPaused, func(ctx context.Context) error {
				if err := e.Shop.Replay(ctx, false); err != nil {
					return err
				}
				e.Injected(1, "the replay was paused")
				return nil
			}, func(ctx context.Context) error {
				// A standby that is just started again replays by itself.
				return retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 50 * time.Millisecond}}, func(ctx context.Context) error {
					return e.Shop.Replay(ctx, true)
				})
			})
		},
	}}
}
