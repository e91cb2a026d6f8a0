package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// reviewTimeout bounds a review, which may page through a day of the provider's
// payments. One that is broken off begins again.
const reviewTimeout = 10 * time.Minute

// Reviews settles payments whose outcome is unknown past their key's window.
type Reviews interface {
	Review(ctx context.Context) (domain.Reviewed, error)
}

// reviewJob is one review of all such payments.
type reviewJob struct{}

// Kind implements river.JobArgs.
func (reviewJob) Kind() string { return "review_payments" }

type reviewWorker struct {
	river.WorkerDefaults[reviewJob]
	reviews Reviews
	log     *slog.Logger
}

// Timeout implements river.Worker.
func (*reviewWorker) Timeout(*river.Job[reviewJob]) time.Duration { return reviewTimeout }

// Work implements river.Worker.
func (w *reviewWorker) Work(ctx context.Context, _ *river.Job[reviewJob]) error {
	sum, err := w.reviews.Review(ctx)
	if sum != (domain.Reviewed{}) {
		w.log.WarnContext(ctx, "reviewed payments", "settled", sum.Settled, "open", sum.Open)
	}
	return err
}
