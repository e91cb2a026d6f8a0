package chaos

import (
	"context"
	"fmt"
	"time"
)

// clientFaults are what people do to a shop. They last: the visitors are told
// once.
func clientFaults() []Fault {
	fault := func(name, doc string, m Manners, count func(Misdeeds) int) Fault {
		return Fault{
			Name: "client-" + name, Group: "client", Doc: doc, Alone: true,
			Strike: func(ctx context.Context, s *Stage) error {
				before := count(s.Crowd.Misdeeds())
				err := s.spell(ctx, 3*time.Second, func(context.Context) error {
					s.Crowd.Behave(m)
					return nil
				}, func(context.Context) error {
					s.Crowd.Behave(Manners{})
					return nil
				})
				n := count(s.Crowd.Misdeeds()) - before
				s.Struck(n, fmt.Sprintf("%d orders", n))
				return err
			},
		}
	}
	return []Fault{
		fault("five-times", "each order is placed by five calls at once", Manners{Clicks: 5}, func(d Misdeeds) int { return d.Clicks }),
		fault("disconnect", "every other order is hung up on in the middle, and asked for again", Manners{HangUps: 0.5}, func(d Misdeeds) int { return d.HangUps }),
		fault("key-reuse", "every other key is sent again with another order", Manners{KeyReuse: 0.5}, func(d Misdeeds) int { return d.KeyReuses }),
	}
}
