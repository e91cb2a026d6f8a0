package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// disturb applies a toxic to what sender sends to receiver for d, while whatever was made for
// it makes them talk.
func (e *Environment) disturb(ctx context.Context, sender, receiver string, h Toxic, d time.Duration, what string, made ...reason) error {
	before := e.Proxies.Affected()
	err := e.during(ctx, d, func(ctx context.Context) error {
		if e.Proxies.Disturb(sender, receiver, h) == 0 {
			return fmt.Errorf("there is no proxy from %s to %s", sender, receiver)
		}
		for _, r := range made {
			if err := r.begin(ctx, e); err != nil {
				return fmt.Errorf("%s: %w", r.doc, err)
			}
		}
		return nil
	}, func(ctx context.Context) error {
		err := e.Proxies.Heal()
		for _, r := range made {
			err = errors.Join(err, r.end(ctx, e))
		}
		return err
	})
	affected := e.Proxies.Affected() - before
	e.Injected(affected, fmt.Sprintf("%d %s", affected, what))
	return err
}

// partitionLasts is how long a partition lasts.
const partitionLasts = 4 * time.Second

// reason makes parts talk that seldom do.
type reason struct {
	doc        string
	lasts      time.Duration
	times      int  // Fault.Times
	forgets    bool // Fault.Forgets
	begin, end func(ctx context.Context, e *Environment) error
}

// wants returns what makes the parts of a link talk, for those that buyers alone do not have
// talk.
func wants(l localshop.Link) (r reason, rare bool) {
	from, _ := topology.Find(l.From)
	to, _ := topology.Find(l.To)
	switch {
	case l.From == "catalog" && l.To == "payment":
		return reason{
			lasts: partitionLasts,
			doc:   "the catalog, which has forgotten what can be paid, is given prices",
			begin: func(ctx context.Context, e *Environment) error {
				e.Workload.SetBehavior(Behavior{Reprice: 1})
				return e.restartQuietly(ctx, l.From)
			},
			end: func(_ context.Context, e *Environment) error {
				e.Workload.SetBehavior(Behavior{})
				return nil
			},
		}, true
	case l.From == topology.Edge && l.To == "notification":
		return asked("an operator asks for mails", "/v1/mails"), true
	case l.From == topology.Edge && l.To == "insight":
		return asked("an operator asks how far the reports are", "/v1/reports"), true
	case l.From == "notification" && from.Events && to.Events && to.Kind == topology.Service:
		return reason{
			// The broker is found again within 2 s.
			lasts: 10 * time.Second,
			doc:   "the broker has lost what the consumer had not taken, so that this has to ask", times: 1, forgets: true,
			begin: func(ctx context.Context, e *Environment) error {
				if err := e.Shop.Signal(l.From, syscall.SIGSTOP); err != nil {
					return err
				}
				err := retry.Sleep(ctx, 2*time.Second)
				if err == nil {
					_, err = e.loseEvents(ctx)
				}
				return errors.Join(err, e.Shop.Signal(l.From, syscall.SIGCONT))
			},
			end: func(ctx context.Context, e *Environment) error { return e.publishAnew(ctx) },
		}, true
	}
	return reason{}, false
}

// asked has an operator ask for what only one service has.
func asked(doc, path string) reason {
	return reason{
		lasts: partitionLasts, doc: doc,
		begin: func(ctx context.Context, e *Environment) error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Shop.URL+path, http.NoBody)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+e.Shop.OperatorToken)
			if resp, err := http.DefaultClient.Do(req); err == nil { // else it did not arrive, as it should
				return resp.Body.Close()
			}
			return nil
		},
		end: func(context.Context, *Environment) error { return nil },
	}
}

// partitions cut each pair of neighbors in each direction.
func partitions() []Fault {
	var out []Fault
	for _, l := range localshop.Links() {
		for _, way := range [][2]string{{l.From, l.To}, {l.To, l.From}} {
			f := Fault{
				Name: "partition-" + way[0] + "-" + way[1], Group: "partition", Breaks: way[:],
				Doc: fmt.Sprintf("nothing that %s sends to %s arrives, for %s", way[0], way[1], partitionLasts),
				Inject: func(ctx context.Context, e *Environment) error {
					return e.disturb(ctx, way[0], way[1], Toxic{Lose: true}, partitionLasts, "messages did not arrive")
				},
			}
			if w, rare := wants(l); rare {
				f.Doc = fmt.Sprintf("nothing that %s sends to %s arrives, for %s, while %s", way[0], way[1], w.lasts, w.doc)
				f.Times, f.Alone, f.Forgets = w.times, true, w.forgets
				f.Inject = func(ctx context.Context, e *Environment) error {
					return e.disturb(ctx, way[0], way[1], Toxic{Lose: true}, w.lasts, "messages did not arrive", w)
				}
			}
			out = append(out, f)
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
