package chaos

import (
	"context"
	"fmt"
	"time"
)

// clientFaults are what clients do to a shop.
func clientFaults() []Fault {
	fault := func(name, doc string, m Behavior, count func(Misuse) int) Fault {
		return Fault{
			Name: "client-" + name, Group: "client", Doc: doc, Alone: true, Breaks: []string{},
			Inject: func(ctx context.Context, e *Environment) error {
				before := count(e.Workload.Misuse())
				err := e.during(ctx, 3*time.Second, func(context.Context) error {
					e.Workload.SetBehavior(m)
					return nil
				}, func(context.Context) error {
					e.Workload.SetBehavior(Behavior{})
					return nil
				})
				n := count(e.Workload.Misuse()) - before
				e.Injected(n, fmt.Sprintf("%d orders", n))
				return err
			},
		}
	}
	return []Fault{
		fault("five-times", "each order is placed by five calls at once", Behavior{Clicks: 5}, func(d Misuse) int { return d.Clicks }),
		fault("disconnect", "every other order is hung up on in the middle, and asked for again", Behavior{HangUps: 0.5}, func(d Misuse) int { return d.HangUps }),
		fault("reprice", "the operator changes a price between what every other buyer sees and the order", Behavior{Reprice: 0.5}, func(d Misuse) int { return d.Reprices }),
		fault("key-reuse", "every other key is sent again with another order", Behavior{KeyReuse: 0.5}, func(d Misuse) int { return d.KeyReuses }),
	}
}
