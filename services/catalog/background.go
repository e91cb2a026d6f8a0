package catalog

import (
	"context"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// busyPause is the pause between two batches while there is more to do: the
// background never takes more than a part of the database.
const busyPause = 50 * time.Millisecond

// keeper does the work that nobody waits for. Replicas may do it at once.
type keeper struct {
	store domain.Keeper
	log   *slog.Logger
	after <-chan struct{} // closed when the database may be used
}

// expireHolds releases expired holds until ctx is done.
func (k *keeper) expireHolds(ctx context.Context, every time.Duration) error {
	return k.loop(ctx, every, func(ctx context.Context) (more bool, err error) {
		touched, err := k.store.ExpireHolds(ctx)
		if len(touched) > 0 {
			k.log.InfoContext(ctx, "expired holds released", "products", len(touched))
		}
		return len(touched) > 0, err
	})
}

// learn counts what was sold until ctx is done: one batch of each an interval,
// so that a rush of orders is learned from later and costs no more.
func (k *keeper) learn(ctx context.Context, every time.Duration) error {
	return k.loop(ctx, every, func(ctx context.Context) (more bool, err error) {
		if _, err := k.store.CountPairs(ctx); err != nil {
			return false, err
		}
		_, err = k.store.RefreshPopularity(ctx)
		return false, err
	})
}

// loop calls work again and again: at once while there is more, else after a while.
func (k *keeper) loop(ctx context.Context, every time.Duration, work func(context.Context) (bool, error)) error {
	select {
	case <-ctx.Done():
		return nil
	case <-k.after:
	}
	failed := false
	for {
		more, err := work(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			k.log.WarnContext(ctx, "background work failed; it is tried again", "error", err)
		}
		failed = err != nil
		pause := every
		if more {
			pause = min(busyPause, every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
