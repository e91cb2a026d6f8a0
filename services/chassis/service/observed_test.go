package service

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// A collection of metrics waits for a database that does not answer once, however many callbacks ask it; the
// next one asks again.
func TestObserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent, asked := true, 0
		p := &Parts{Ready: func(ctx context.Context) error {
			if silent {
				<-ctx.Done()
			}
			return ctx.Err()
		}}
		failure := errors.New("a column is missing")
		callbacks := []metric.Callback{
			p.Observed(func(context.Context, metric.Observer) error { asked++; return nil }),
			p.Observed(func(context.Context, metric.Observer) error { asked++; return nil }),
			p.Observed(func(context.Context, metric.Observer) error { asked++; return failure }),
		}
		collect := func() (took time.Duration, err error) {
			began := time.Now()
			for _, c := range callbacks {
				err = errors.Join(err, c(t.Context(), nil))
			}
			return time.Since(began), err
		}
		if took, err := collect(); took != observeTimeout || err != nil || asked != 0 {
			t.Errorf("while the database is silent: %v, %v, asked %d times", took, err, asked)
		}
		silent = false
		if err := retry.Sleep(t.Context(), 15*time.Second); err != nil { // a scrape later, by the bubble's clock
			t.Fatal(err)
		}
		if took, err := collect(); took != 0 || !errors.Is(err, failure) || asked != 3 {
			t.Errorf("once it answers: %v, %v, asked %d times", took, err, asked)
		}
		if _, _ = collect(); asked != 6 { // a failure is no silence
			t.Errorf("after a failure: asked %d times", asked)
		}
	})
}

// A question that takes too long is no silence of the database: the other callbacks ask theirs.
func TestObservedSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &Parts{Ready: func(ctx context.Context) error { return ctx.Err() }}
		slow := p.Observed(func(ctx context.Context, _ metric.Observer) error { <-ctx.Done(); return ctx.Err() })
		asked := 0
		quick := p.Observed(func(context.Context, metric.Observer) error { asked++; return nil })
		if err := slow(t.Context(), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the slow one: %v", err)
		}
		if err := quick(t.Context(), nil); err != nil || asked != 1 {
			t.Errorf("the quick one after it: %v, asked %d times", err, asked)
		}
	})
}
