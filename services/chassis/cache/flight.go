package cache

import (
	"context"
	"strconv"
	"time"

	"golang.org/x/sync/singleflight"
)

// loadTimeout bounds a load that serves many callers and therefore can't end
// with any one of them.
const loadTimeout = 5 * time.Second

// flight lets one load serve all callers that ask for the same key at the same
// time, but none that asked after a write which the load may not have seen.
type flight struct {
	clock *clock
	group singleflight.Group
}

type flown[T any] struct {
	value T
	began uint64
	read  time.Time
	err   error
}

// do returns load's value, and the time at which its read began. good reports whether a
// value read at a moment and time is good for this caller; an error is as good as the
// clock's fresh says.
func do[T any](ctx context.Context, f *flight, key string, good func(v T, began uint64, read time.Time) bool, load func(ctx context.Context, began uint64) (T, time.Time, error)) (T, time.Time, error) {
	for range 2 {
		// The key has the last changeAll in it: a load that began before is worthless
		// to a caller that asks after it.
		done := f.group.DoChan(strconv.FormatUint(f.clock.all.at.Load(), 36)+" "+key, func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
			defer cancel()
			began := f.clock.read()
			v, read, err := load(ctx, began)
			return flown[T]{v, began, read, err}, nil
		})
		select {
		case <-ctx.Done():
			var none T
			return none, time.Time{}, ctx.Err()
		case result := <-done:
			if result.Err != nil { // a panic's or runtime.Goexit's
				var none T
				return none, time.Time{}, result.Err
			}
			r := result.Val.(flown[T])
			if r.err == nil && good(r.value, r.began, r.read) || r.err != nil && f.clock.fresh(r.began) {
				return r.value, r.read, r.err
			}
		}
	}
	// Under constant change: a read of the caller's own is as new as it can ask for.
	return load(ctx, f.clock.read())
}
