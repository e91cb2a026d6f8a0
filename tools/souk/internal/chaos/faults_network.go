package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// disturb applies a toxic to what sender sends to receiver for d.
func (e *Environment) disturb(ctx context.Context, sender, receiver string, h Toxic, d time.Duration, what string) error {
	before := e.Proxies.Affected()
	err := e.during(ctx, d, func(context.Context) error {
		if e.Proxies.Disturb(sender, receiver, h) == 0 {
			return fmt.Errorf("there is no proxy from %s to %s", sender, receiver)
		}
		return nil
	}, func(context.Context) error { return e.Proxies.Heal() })
	affected := e.Proxies.Affected() - before
	e.Injected(affected, fmt.Sprintf("%d %s", affected, what))
	return err
}

// partitions cut each pair of neighbors in each direction.
func partitions() []Fault {
	var out []Fault
	for _, l := range localshop.Links() {
		for _, way := range [][2]string{{l.From, l.To}, {l.To, l.From}} {
			out = append(out, Fault{
				Name: "partition-" + way[0] + "-" + way[1], Group: "partition",
				Doc: fmt.Sprintf("nothing that %s sends to %s arrives, for 4s", way[0], way[1]),
				Inject: func(ctx context.Context, e *Environment) error {
					return e.disturb(ctx, way[0], way[1], Toxic{Lose: true}, 4*time.Second, "messages did not arrive")
				},
			})
		}
	}
	return out
}

func slownesses() []Fault {
	var out []Fault
	for _, d := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 5 * time.Second} {
		out = append(out, Fault{
			Name: fmt.Sprintf("latency-%dms", d.Milliseconds()), Group: "latency",
			Doc: fmt.Sprintf("between all parts each message takes %s, and its answer too", d/2),
			Inject: func(ctx context.Context, e *Environment) error {
				return e.disturb(ctx, "", "", Toxic{Delay: d / 2}, 3*time.Second+2*d, "messages were late")
			},
		})
	}
	return out
}

func cuts() []Fault {
	return []Fault{{
		Name: "resets", Group: "cut", Doc: "between all parts one message in 50 resets its connection",
		Inject: func(ctx context.Context, e *Environment) error {
			return e.disturb(ctx, "", "", Toxic{Reset: 0.02}, 3*time.Second, "connections were reset")
		},
	}, {
		Name: "truncated", Group: "cut", Doc: "between all parts one message in 50 ends half way, with its connection",
		Inject: func(ctx context.Context, e *Environment) error {
			return e.disturb(ctx, "", "", Toxic{Truncate: 0.02}, 3*time.Second, "messages were cut")
		},
	}}
}
