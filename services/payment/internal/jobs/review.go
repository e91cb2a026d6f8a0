package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// reviewTimeout bounds a review or a reconciliation, which may page through a day of
// the provider's payments. A review that is broken off begins again; a reconciliation
// goes on where it was.
const reviewTimeout = 10 * time.Minute

// Reviews settles payments whose outcome is unknown past their key's window.
type Reviews interface {
	Review(ctx context.Context) (domain.Reviewed, error)
}

// Reconciler compares the ledger with the provider.
type Reconciler interface {
	Continue(ctx context.Context) (domain.Reconciliation, bool, error)
}

// reviewJob is one review of all such payments.
type reviewJob struct{}

// Kind implements river.JobArgs.
func (reviewJob) Kind() string { return "review_payments" }

func (j *Jobs) review(ctx context.Context) error {
	sum, err := j.cfg.Reviews.Review(ctx)
	if sum != (domain.Reviewed{}) {
		j.cfg.Log.WarnContext(ctx, "reviewed payments", "settled", sum.Settled, "open", sum.Open)
	}
	return err
}

// reconcileJob begins the daily reconciliation when it is due, and goes on with
// one that was broken off.
type reconcileJob struct{}

// Kind implements river.JobArgs.
func (reconcileJob) Kind() string { return "reconcile" }

func (j *Jobs) reconcile(ctx context.Context) error {
	r, worked, err := j.cfg.Reconciler.Continue(ctx)
	if worked && err == nil {
		j.cfg.Log.InfoContext(ctx, "reconciled", "reconciliation", r.ID, "from", r.From, "to", r.To, "phase", r.Phase,
			"differences", r.Differences, "in_flight", r.InFlight)
	}
	return err
}

// longWorker does work that takes longer than a process may take to stop: it is
// broken off then, and goes on or begins again elsewhere.
type longWorker[T river.JobArgs] struct {
	river.WorkerDefaults[T]
	stopping context.Context //nolint:containedctx // the process's, not a call's
	work     func(context.Context) error
}

// Timeout implements river.Worker.
func (*longWorker[T]) Timeout(*river.Job[T]) time.Duration { return reviewTimeout }

// Work implements river.Worker.
func (w *longWorker[T]) Work(ctx context.Context, _ *river.Job[T]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.stopping, cancel)()
	return w.work(ctx)
}
