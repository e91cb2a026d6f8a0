package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// harm harms what sender sends to receiver for d.
func (s *Stage) harm(ctx context.Context, sender, receiver string, h Harm, d time.Duration, what string) error {
	before := s.Wires.Hits()
	err := s.spell(ctx, d, func(context.Context) error {
		if s.Wires.Hurt(sender, receiver, h) == 0 {
			return fmt.Errorf("there is no wire from %s to %s", sender, receiver)
		}
		return nil
	}, func(context.Context) error { return s.Wires.Heal() })
	hits := s.Wires.Hits() - before
	s.Struck(hits, fmt.Sprintf("%d %s", hits, what))
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
				Strike: func(ctx context.Context, s *Stage) error {
					return s.harm(ctx, way[0], way[1], Harm{Lose: true}, 4*time.Second, "messages did not arrive")
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
			Strike: func(ctx context.Context, s *Stage) error {
				return s.harm(ctx, "", "", Harm{Delay: d / 2}, 3*time.Second+2*d, "messages were late")
			},
		})
	}
	return out
}

func cuts() []Fault {
	return []Fault{{
		Name: "resets", Group: "cut", Doc: "between all parts one message in 50 resets its connection",
		Strike: func(ctx context.Context, s *Stage) error {
			return s.harm(ctx, "", "", Harm{Reset: 0.02}, 3*time.Second, "connections were reset")
		},
	}, {
		Name: "truncated", Group: "cut", Doc: "between all parts one message in 50 ends half way, with its connection",
		Strike: func(ctx context.Context, s *Stage) error {
			return s.harm(ctx, "", "", Harm{Truncate: 0.02}, 3*time.Second, "messages were cut")
		},
	}}
}
