package fresh

import (
	"context"
	"strconv"
	"time"

	"golang.org/x/sync/singleflight"
)

// loadTimeout bounds a load that serves many callers and therefore can't end
// with any one of them.
const loadTimeout = 5 * time.Second

// Flight lets one load serve all who ask for the same at the same time, but
// none whose question came after a write that the load may not have seen.
type Flight struct {
	Clock *Clock
	group singleflight.Group
}

type flown[T any] struct {
	value T
	began uint64
	err   error
}

// Do returns load's value and the moment at which the load began. fresh tells
// whether a value read at a moment is still good; an error is as good as the
// clock's Fresh says.
func Do[T any](ctx context.Context, f *Flight, key string, fresh func(v T, began uint64) bool, load func(ctx context.Context, began uint64) (T, error)) (T, uint64, error) {
	for range 2 {
		// Nobody waits for a load that a ChangeAll has made worthless.
		done := f.group.DoChan(strconv.FormatUint(f.Clock.all.Load(), 36)+" "+key, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
			defer cancel()
			began := f.Clock.Now()
			v, err := load(ctx, began)
			return flown[T]{v, began, err}, nil
		})
		select {
		case <-ctx.Done():
			var none T
			return none, 0, ctx.Err()
		case result := <-done:
			if result.Err != nil { // a panic's or runtime.Goexit's
				var none T
				return none, 0, result.Err
			}
			r := result.Val.(flown[T])
			if r.err == nil && fresh(r.value, r.began) || r.err != nil && f.Clock.Fresh(r.began) {
				return r.value, r.began, r.err
			}
		}
	}
	// Under constant change: a read of one's own is as new as anyone can ask.
	began := f.Clock.Now()
	v, err := load(ctx, began)
	return v, began, err
}
