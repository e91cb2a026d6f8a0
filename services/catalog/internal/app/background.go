package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// busyPause is the pause between two batches while there is more to do: the
// background never takes more than a part of the database.
const busyPause = 50 * time.Millisecond

// Background does the work that no call waits for. Replicas may do it at once.
type Background struct {
	Store Maintenance
	// ExpireEvery is how often expired holds are released.
	ExpireEvery time.Duration
	// LearnEvery is the time between two batches of what is learned from sales, and
	// PopularityEvery the shortest time from one count of the units that all products have sold
	// to the next.
	LearnEvery, PopularityEvery time.Duration
	Log                         *slog.Logger
}

// ExpireHolds releases expired holds until ctx is done.
func (b *Background) ExpireHolds(ctx context.Context) error {
	return b.loop(ctx, b.ExpireEvery, func(ctx context.Context) (more bool, err error) {
		touched, err := b.Store.ExpireHolds(ctx)
		if len(touched) > 0 {
			b.Log.InfoContext(ctx, "expired holds released", "products", len(touched))
		}
		return len(touched) > 0, err
	})
}

// Learn counts what was sold until ctx is done: one batch of each an interval, so
// that a rush of orders is learned from later and costs no more.
func (b *Background) Learn(ctx context.Context) error {
	round, began := true, time.Time{}
	return b.loop(ctx, b.LearnEvery, func(ctx context.Context) (more bool, err error) {
		if _, err = b.Store.CountPairs(ctx); err != nil {
			return false, err
		}
		if round {
			if time.Since(began) < b.PopularityEvery {
				return false, nil
			}
			began = time.Now()
		}
		_, round, err = b.Store.RefreshPopularity(ctx)
		return false, err
	})
}

// FollowStock has searches know what is in stock until ctx is done.
func (b *Background) FollowStock(ctx context.Context) error {
	return b.loop(ctx, b.ExpireEvery, func(ctx context.Context) (more bool, err error) {
		n, err := b.Store.RefreshInStock(ctx)
		return n > 0, err
	})
}

// KeepIndex keeps what searches are ranked by until ctx is done: products written
// by an earlier version are derived again, all are shelved by their popularity.
func (b *Background) KeepIndex(ctx context.Context) error {
	return b.loop(ctx, b.LearnEvery, func(ctx context.Context) (more bool, err error) {
		stale, err := b.Store.Reindex(ctx)
		if err != nil {
			return false, err
		}
		moved, err := b.Store.Shelve(ctx)
		return stale+moved > 0, err
	})
}

// FinishImports finishes imports whose callers left them until ctx is done.
func (b *Background) FinishImports(ctx context.Context) error {
	return b.loop(ctx, b.ExpireEvery, b.Store.FinishImports)
}

// loop calls work again and again: after busyPause while there is more, else after
// every.
func (b *Background) loop(ctx context.Context, every time.Duration, work func(context.Context) (bool, error)) error {
	for failed := false; ; {
		more, err := work(ctx)
		if err != nil && ctx.Err() == nil && !failed { // once per outage
			b.Log.WarnContext(ctx, "background work failed; it is tried again", "error", err)
		}
		failed = err != nil
		pause := every
		if more {
			pause = min(busyPause, every)
		}
		if retry.Sleep(ctx, pause) != nil {
			return nil //nolint:nilerr // the process stops, which is no failure
		}
	}
}
