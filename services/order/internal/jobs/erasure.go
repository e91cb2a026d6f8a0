package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

const (
	// secondLook is how long after an erasure was asked for its job ends at the earliest: a
	// call that was under way then has ended, and the order that it may have placed is found.
	secondLook = 2 * time.Minute
	// openPause is the pause while an order that was being placed is under way.
	openPause = 20 * time.Second
	// retentionEvery is the time between two looks for orders that are old enough.
	retentionEvery = time.Hour
)

// Erasers is what the jobs need of app.App.
type Erasers interface {
	// Erase erases what is left of a customer and returns whether that is all.
	Erase(ctx context.Context, customerID string) (done bool, err error)
	// EraseOld erases the buyers of orders that are older than they are kept for.
	EraseOld(ctx context.Context, keep domain.Retention) (erased int, err error)
}

// EraseArgs are the arguments of the job that guarantees an erasure. The statement of
// package postgres that inserts such jobs writes the same.
type EraseArgs struct {
	CustomerID string `json:"customer_id"`
}

// Kind names the job.
func (EraseArgs) Kind() string { return "erase_customer" }

type eraseWorker struct {
	river.WorkerDefaults[EraseArgs]
	jobs *Jobs
}

// Work erases what is left.
func (w *eraseWorker) Work(ctx context.Context, job *river.Job[EraseArgs]) error {
	ctx, end := jobs.Begin(ctx, w.jobs.cfg.Tracer, job.JobRow, "")
	done, err := w.jobs.cfg.Erasers.Erase(ctx, job.Args.CustomerID)
	end(err)
	pause := secondLook - time.Since(job.CreatedAt)
	switch {
	case err != nil:
		pause = pauseAfter(time.Since(job.CreatedAt))
		w.jobs.cfg.Log.WarnContext(ctx, "erasure is repeated later", "customer", job.Args.CustomerID, "pause", pause, "error", err)
	case !done:
		pause = max(pause, openPause)
	case pause <= 0:
		w.jobs.cfg.Log.InfoContext(ctx, "customer erased", "customer", job.Args.CustomerID)
		return nil
	}
	return jobs.Snooze(pause, w.jobs.cfg.Clock)
}

// retentionArgs are those of the job that erases the buyers of old orders.
type retentionArgs struct{}

// Kind names the job.
func (retentionArgs) Kind() string { return "erase_old_orders" }

type retentionWorker struct {
	river.WorkerDefaults[retentionArgs]
	jobs *Jobs
}

// Timeout bounds a run: a shop that has not erased for years needs more than one.
func (w *retentionWorker) Timeout(*river.Job[retentionArgs]) time.Duration { return jobs.Timeout }

// Work erases in batches until nothing is left, or the time is over: the next run goes on.
func (w *retentionWorker) Work(ctx context.Context, job *river.Job[retentionArgs]) error {
	ctx, end := jobs.Begin(ctx, w.jobs.cfg.Tracer, job.JobRow, "")
	erased, err := w.jobs.cfg.Erasers.EraseOld(ctx, w.jobs.cfg.Retention)
	end(err)
	if erased > 0 {
		w.jobs.cfg.Log.InfoContext(ctx, "buyers of old orders erased", "orders", erased)
	}
	if err != nil {
		pause := pauseAfter(time.Since(job.CreatedAt))
		w.jobs.cfg.Log.WarnContext(ctx, "buyers of old orders are erased later", "pause", pause, "error", err)
		return jobs.Snooze(pause, w.jobs.cfg.Clock)
	}
	return nil
}

// retention is the job that is inserted at the start and then each hour, by one of all
// processes.
func retention() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(retentionEvery), func() (river.JobArgs, *river.InsertOpts) {
		return retentionArgs{}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: retentionEvery}}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
