package smoke

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/souk-shop/souk/tools/internal/load"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// BuyersMix has more who buy than other shops see: what can go wrong goes wrong
// there.
const BuyersMix = "browse=40,search=10,cart=20,checkout=30"

// LoadReport is a line that Load writes every second: what happened since it
// began, and the worst since the line before.
type LoadReport struct {
	At time.Time `json:"at"`
	// Done and Failed count actions. A shopper who was refused (429 or 503) has
	// failed, too.
	Done   int64 `json:"done"`
	Failed int64 `json:"failed"`
	// Checkouts are the actions among Done that ended in a settled order.
	Checkouts int64 `json:"checkouts"`
	InFlight  int64 `json:"in_flight"`
	Shed      int64 `json:"shed"`
	// SlowestMS is the longest action since the line before, in milliseconds.
	SlowestMS int64 `json:"slowest_ms"`
	// Errors are a few of the failures since the line before, whole.
	Errors []string `json:"errors,omitempty"`
}

// Load visits the shop at a rate until cfg.Duration is over or ctx ends, and
// fails if a shopper did. Each shopper has a connection of its own, as browsers
// do, so that the visits spread over the gateway's replicas.
func Load(ctx context.Context, cfg Config, w io.Writer) error {
	mix, err := load.ParseMix(cmp.Or(cfg.Mix, BuyersMix))
	if err != nil {
		return fmt.Errorf("mix: %w", err)
	}
	shop := shopclient.New(cfg.URL)
	defer shop.Close()
	if err := ready(ctx, shop, cfg.Wait); err != nil {
		return err
	}
	l, err := load.Prepare(ctx, load.Options{
		Shop: shop, Rate: cfg.Rate, Duration: cfg.Duration, Mix: mix,
		Seed: uint64(time.Now().UnixNano()), Timeout: time.Minute, NewConnections: true,
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := report(w, l); err != nil {
				return err
			}
		case err := <-done:
			last, reportErr := report(w, l)
			switch {
			case err != nil:
				return err
			case reportErr != nil:
				return reportErr
			case last.Failed > 0:
				return fmt.Errorf("%d shoppers failed", last.Failed)
			}
			return nil
		}
	}
}

func report(w io.Writer, l *load.Load) (LoadReport, error) {
	s := l.Snapshot()
	r := LoadReport{At: time.Now(), InFlight: s.InFlight, Shed: s.Shed, SlowestMS: s.Slowest.Milliseconds(), Errors: l.TakeErrors()}
	for _, row := range s.Rows {
		r.Done += row.Done
		r.Failed += row.Errors
		if row.Action == load.Checkout {
			r.Checkouts = row.Done
		}
	}
	line, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	_, err = w.Write(append(line, '\n'))
	return r, err
}
