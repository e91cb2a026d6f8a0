package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/tools/internal/load"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

const (
	// honestAddresses ask for honestShare of what the shop can serve, together.
	honestAddresses = 30
	honestShare     = 0.5
	// greedyTimes is how much of that the greedy address asks for.
	greedyTimes = 10
	// pause is how long the shop has after the search for the peak to be itself again.
	pause = 10 * time.Second
	// honestPaid is what of the honest checkouts has to be paid.
	honestPaid = 0.95
	// greedyAddress is in a block for documentation (RFC 5737), as the honest ones are.
	greedyAddress = "198.51.100.66"
)

// behindProxy has the shop take the addresses of shoppers from this machine.
const behindProxy = "SOUK_GATEWAY_TRUSTED_PROXIES=127.0.0.0/8,::1/128"

// greedyShops are the shops that are measured. The first has the limits of an
// installation, the second only fair admission and turns, with a rate for each address that
// is never met, the last neither.
var greedyShops = []struct {
	name  string
	env   []string
	fails bool
}{
	{"limits as installed", []string{behindProxy, "SOUK_GATEWAY_RATE_LIMIT=200"}, false},
	{"fair admission alone", []string{behindProxy, "SOUK_GATEWAY_RATE_LIMIT=1000000"}, false},
	{"control: all alike", []string{behindProxy, "SOUK_GATEWAY_RATE_LIMIT=1000000", "SOUK_GATEWAY_UNFAIR=true", "SOUK_ORDER_UNFAIR=true"}, true},
}

// Fared is how honest checkouts and those of a greedy address fared.
type Fared struct {
	Name string `json:"name"`
	// Asked are checkouts a second, Paid the honest ones that were.
	HonestAsked float64 `json:"honest_asked_per_second"`
	GreedyAsked float64 `json:"greedy_asked_per_second"`
	HonestPaid  float64 `json:"honest_share_paid"`
	// P50 and P99 are of the honest checkouts, in milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// GreedyDone are the carts and orders of the greedy address that were answered, and
	// GreedyRefused those refused.
	GreedyDone    int64 `json:"greedy_done"`
	GreedyRefused int64 `json:"greedy_refused"`
}

// Greedy is what `souk overload --greedy` measured.
type Greedy struct {
	*Overload `json:"-"`
	Peak      float64  `json:"peak_per_second"`
	Shops     []*Fared `json:"shops"`
	Broken    []string `json:"broken"`
}

func (g *Greedy) run(ctx context.Context, on func(start func() error) error, dir string, asJSON bool, w io.Writer) error {
	for _, c := range greedyShops {
		err := withShop(ctx, on, dir, c.env, func(shop *child, st *state.State) error {
			g.watch(shop, st)
			if g.Peak == 0 {
				g.from = addresses("198.18.%d.%d", 1000) // so that none meets a limit of its own
				if err := g.findPeak(ctx, st.URL); err != nil {
					return err
				}
				g.Peak = g.Overload.Peak
				if err := wait(ctx, pause); err != nil {
					return err
				}
				alone, err := g.measure(ctx, "nobody greedy", st.URL, 0)
				if err != nil {
					return err
				}
				if g.Shops = append(g.Shops, alone); alone.HonestPaid < honestPaid {
					return fmt.Errorf("%.1f%% of the honest checkouts are paid when nobody is greedy: this machine is busy with something else", 100*alone.HonestPaid)
				}
			}
			fared, err := g.measure(ctx, c.name, st.URL, greedyTimes)
			if err != nil {
				return err
			}
			g.Shops = append(g.Shops, fared)
			switch share := fared.HonestPaid; {
			case c.fails && share >= honestPaid:
				g.Broken = append(g.Broken, c.name+": it passes: this measurement sees nothing")
			case !c.fails && share < honestPaid:
				g.Broken = append(g.Broken, fmt.Sprintf("%s: %.1f%% of the honest checkouts were paid, not %.0f%%", c.name, 100*share, 100*honestPaid))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return conclude(w, asJSON, g, g.print, g.Broken)
}

// addresses are n of a pattern with two numbers.
func addresses(pattern string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(pattern, i/250, i%250+1)
	}
	return out
}

// measure has honest shoppers browse, make carts and check out, and a greedy address make
// carts and orders whose cards are declined, at so many times the peak.
func (g *Greedy) measure(ctx context.Context, name, url string, times float64) (*Fared, error) {
	fared := &Fared{Name: name, HonestAsked: honestShare * g.Peak, GreedyAsked: times * g.Peak}
	honest, err := load.Prepare(ctx, load.Options{
		Shop: shopclient.New(url), Rate: 3 * fared.HonestAsked, Duration: g.time, Seed: 1, Timeout: outcomeTimeout,
		Mix: load.Mix{load.Browse: 1, load.Search: 1, load.Checkout: 1}, Addresses: addresses("203.0.%d.%d", honestAddresses),
	})
	if err != nil {
		return nil, err
	}
	greedy, err := load.Prepare(ctx, load.Options{
		Shop: shopclient.New(url), Rate: max(1.25*fared.GreedyAsked, .01), Duration: g.time + time.Second, Seed: 2, Timeout: outcomeTimeout,
		Mix: load.Mix{load.Cart: 1, load.Checkout: 4}, Addresses: []string{greedyAddress}, Declined: true,
	})
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- greedy.Run(ctx) }()
	if err := wait(ctx, time.Second); err != nil { // greed is there first
		return nil, errors.Join(err, <-done)
	}
	err = honest.Run(ctx)
	if err := errors.Join(err, <-done); err != nil {
		return nil, err
	}
	for _, row := range honest.Snapshot().Rows {
		if row.Action == load.Checkout {
			fared.HonestPaid = float64(row.Done) / float64(max(row.Done+row.Errors, 1))
			fared.P50, fared.P99 = millis(row.P50), millis(row.P99)
		}
	}
	for _, e := range honest.TakeErrors() {
		fmt.Fprintf(g.progress, "%s: an honest shopper: %s\n", name, e)
	}
	s := greedy.Snapshot()
	for _, row := range s.Rows {
		fared.GreedyDone += row.Done
	}
	fared.GreedyRefused = s.Refused
	fmt.Fprintf(g.progress, "%s: %.1f%% of the honest checkouts are paid\n", name, 100*fared.HonestPaid)
	return fared, nil
}

func (g *Greedy) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "shop\thonest checkouts/s\tgreedy/s\thonest paid\tp50\tp99\tgreedy done\trefused\t")
	for _, f := range g.Shops {
		fmt.Fprintf(tw, "%s\t%.0f\t%.0f\t%.1f%%\t%.0f ms\t%.0f ms\t%d\t%d\t\n",
			f.Name, f.HonestAsked, f.GreedyAsked, 100*f.HonestPaid, f.P50, f.P99, f.GreedyDone, f.GreedyRefused)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "Peak: %.0f checkouts a second. Processors: %d for the shoppers, %d for the shop and its PostgreSQL.\n",
		g.Peak, g.Processors["shoppers"], g.Processors["shop and postgres"])
	for _, b := range g.Broken {
		fmt.Fprintln(w, "NOT KEPT:", b)
	}
	if len(g.Broken) == 0 {
		fmt.Fprintln(w, "Every promise was kept, and the control fails as it must.")
	}
	return nil
}
