package mail

import (
	"context"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// measureEvery is the time between two looks at the backlog.
const measureEvery = 10 * time.Second

// Gauge measures what is to be sent.
type Gauge struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	// Set is called with how many mails are open and how old the oldest one's event is.
	Set func(ctx context.Context, mails int64, oldest time.Duration)
}

// Run measures until ctx ends.
func (g Gauge) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		n, since, err := g.Store.Backlog(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			g.Log.WarnContext(ctx, "the backlog of mails is not known", "error", err)
		case err == nil && n == 0:
			g.Set(ctx, 0, 0)
		case err == nil:
			g.Set(ctx, n, g.Now().Sub(since))
		}
		_ = retry.Sleep(ctx, measureEvery) // an error is the end of ctx
	}
	return nil
}
