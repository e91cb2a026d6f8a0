// Package retry repeats what failed: it computes delays that grow and are partly
// random, and waits for them as long as a context allows. A Breaker keeps calls from what fails.
package retry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Sleep returns after d, or with ctx's error as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Backoff is a sequence of delays. Half of each is random, so that callers which
// failed together do not repeat together.
type Backoff struct {
	// Initial is the first delay at its longest.
	Initial time.Duration
	// Max bounds the delays; none of them exceeds Initial when Max is smaller.
	Max time.Duration
	// Factor is the ratio of two consecutive delays; 2 when 0.
	Factor float64
}

// Delay returns the delay after the n-th failure, counted from 1: between half of
// and the whole of Initial * Factor^(n-1), or of Max when that is less.
func (b Backoff) Delay(n int) time.Duration {
	factor := b.Factor
	if factor == 0 {
		factor = 2
	}
	limit := float64(max(b.Initial, b.Max))
	d := float64(b.Initial)
	for i := 1; i < n && d < limit; i++ {
		next := d * factor
		if next <= d {
			break // a constant delay, whatever n is
		}
		d = next
	}
	d = min(d, limit)
	return time.Duration(d/2 + rand.Float64()*d/2) //nolint:gosec // spreads load, guards no secret
}

// Policy is when a call is repeated.
type Policy struct {
	Backoff
	// Attempts is the number of calls at most; no limit when 0.
	Attempts int
	// If reports whether a call that failed with this error is repeated. Every one
	// is when If is nil.
	If func(error) bool
}

// Do calls fn until it returns nil, an error that is not repeated, or p.Attempts
// errors, and returns the last one. When ctx ends first, the error wraps ctx's and
// the last error of fn that ctx did not cause.
func Do(ctx context.Context, p Policy, fn func(ctx context.Context) error) error {
	var last error
	for n := 1; ; n++ {
		err := fn(ctx)
		if err == nil || n == p.Attempts || (p.If != nil && !p.If(err)) {
			return err
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if err := Sleep(ctx, p.Delay(n)); err != nil {
			return fmt.Errorf("%w (last: %w)", err, last)
		}
	}
}
