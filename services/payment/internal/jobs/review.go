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

// Reviews settles payments whose outcome is unknown past their key's window, and
// compares the ledger with the provider.
type Reviews interface {
	Review(ctx context.Context) (domain.Reviewed, error)
	Continue(ctx context.Context) (domain.Reconciliation, bool, error)
}

// reviewJob is one review of all such payments.
type reviewJob struct{}

// Kind implements river.JobArgs.
func (reviewJob) Kind() string { return "review_payments" }

type reviewWorker struct {
	river.WorkerDefaults[reviewJob]
	reviews  Reviews
	log      *slog.Logger
	stopping context.Context //nolint:containedctx // the process's, not a call's
}

// Timeout implements river.Worker.
func (*reviewWorker) Timeout(*river.Job[reviewJob]) time.Duration { return reviewTimeout }

// Work implements river.Worker.
func (w *reviewWorker) Work(ctx context.Context, _ *river.Job[reviewJob]) error {
	ctx, end := until(ctx, w.stopping)
	defer end()
	sum, err := w.reviews.Review(ctx)
	if sum != (domain.Reviewed{}) {
		w.log.WarnContext(ctx, "reviewed payments", "settled", sum.Settled, "open", sum.Open)
	}
	return err
}

// reconcileJob begins the daily reconciliation when it is due, and goes on with
// one that was broken off.
type reconcileJob struct{}

// Kind implements river.JobArgs.
func (reconcileJob) Kind() string { return "reconcile" }

type reconcileWorker struct {
	river.WorkerDefaults[reconcileJob]
	reviews  Reviews
	log      *slog.Logger
	stopping context.Context //nolint:containedctx // the process's, not a call's
}

// Timeout implements river.Worker. A job that is out of time goes on where it was.
func (*reconcileWorker) Timeout(*river.Job[reconcileJob]) time.Duration { return reviewTimeout }

// Work implements river.Worker.
func (w *reconcileWorker) Work(ctx context.Context, _ *river.Job[reconcileJob]) error {
	ctx, end := until(ctx, w.stopping)
	defer end()
	r, worked, err := w.reviews.Continue(ctx)
	if worked && err == nil {
		w.log.InfoContext(ctx, "reconciled", "reconciliation", r.ID, "from", r.From, "to", r.To, "phase", r.Phase,
			"differences", r.Differences, "in_flight", r.InFlight)
	}
	return err
}

// until returns ctx that ends with the process, too: what takes longer than a
// process may take to stop is broken off, and begins again elsewhere.
func until(ctx, stopping context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}
