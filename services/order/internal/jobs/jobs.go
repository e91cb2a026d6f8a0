// Package jobs guarantees that every order and refund is driven to its end: by
// a River job for each, inserted in the commit that made it, and by a sweeper
// that looks for what has no live job or no live driver.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// startIdle is the idle time of the sweep with which a process starts.
const startIdle = 500 * time.Millisecond

// OrderArgs are the arguments of the job that guarantees an order. The statements
// of package postgres that insert such jobs write the same.
type OrderArgs struct {
	OrderID string `json:"order_id"`
	// TraceParent continues the trace of the call that placed the order.
	TraceParent string `json:"traceparent"`
}

// Kind names the job.
func (OrderArgs) Kind() string { return "drive_order" }

// RefundArgs are the arguments of the job that guarantees a refund.
type RefundArgs struct {
	RefundID string `json:"refund_id"`
	// TraceParent continues the trace of the call that asked for the refund.
	TraceParent string `json:"traceparent"`
}

// Kind names the job.
func (RefundArgs) Kind() string { return "drive_refund" }

// Drives is what the jobs need of app.Runner.
type Drives interface {
	// Order and Refund drive once and return when it is done, or why not.
	Order(ctx context.Context, orderID string) error
	Refund(ctx context.Context, refundID string) error
}

// Sweeper is what the jobs need of app.App.
type Sweeper interface {
	Sweep(ctx context.Context, idle time.Duration) (jobs, drives int, err error)
}

// Config is what the jobs are made of and how they run.
type Config struct {
	// Pool is for River alone: its listener holds one connection for good.
	Pool *pgxpool.Pool
	// Ready fails while the database is not there or not migrated.
	Ready   func(context.Context) error
	Drives  Drives
	Sweeper Sweeper
	Erasers Erasers
	// Retention is for how long buyers of orders are known.
	Retention domain.Retention
	Log       *slog.Logger
	Tracer    trace.Tracer

	// Workers is how many jobs run at once in this process.
	Workers int
	// SweepInterval is the time between two sweeps.
	SweepInterval time.Duration
	// Idle is how long nothing may have happened to an unfinished order before a
	// sweep takes its driver for dead.
	Idle time.Duration
	// PollInterval is how often River looks for jobs that no notification reported;
	// 0 for 5 s, which keeps an idle shop idle.
	PollInterval time.Duration
	// Clock is the process's, by which a job that is repeated later is due.
	Clock clock.Config
}

// Jobs runs River and the sweeper.
type Jobs struct{ cfg Config }

// New returns jobs. Run runs them.
func New(cfg Config) *Jobs { return &Jobs{cfg: cfg} }

// Run waits for the migrated database, takes up what an earlier process left,
// and works until ctx ends; then it lets the jobs under way finish.
func (j *Jobs) Run(ctx context.Context) error {
	if !jobs.Await(ctx, j.cfg.Ready) {
		return nil
	}
	// What was under way in a process that has just died is young.
	j.sweep(ctx, min(j.cfg.Idle, startIdle))
	workers := river.NewWorkers()
	river.AddWorker(workers, &orderWorker{jobs: j})
	river.AddWorker(workers, &refundWorker{jobs: j})
	river.AddWorker(workers, &eraseWorker{jobs: j})
	river.AddWorker(workers, &retentionWorker{jobs: j})
	client, err := jobs.Start(ctx, j.cfg.Pool, workers, jobs.Config{
		Workers: j.cfg.Workers, PollInterval: j.cfg.PollInterval, Periodic: []*river.PeriodicJob{retention()},
	}, j.cfg.Log)
	if err != nil || client == nil {
		return err
	}
	ticker := time.NewTicker(j.cfg.SweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			j.sweep(ctx, j.cfg.Idle)
		case <-ctx.Done():
			jobs.Stop(ctx, client, j.cfg.Log)
			return nil
		}
	}
}

func (j *Jobs) sweep(ctx context.Context, idle time.Duration) {
	inserted, started, err := j.cfg.Sweeper.Sweep(ctx, idle)
	if err != nil {
		j.cfg.Log.WarnContext(ctx, "sweep failed", "error", err)
		return
	}
	if inserted > 0 || started > 0 {
		j.cfg.Log.InfoContext(ctx, "sweep took up unfinished orders", "jobs", inserted, "stalled", started)
	}
}

type orderWorker struct {
	river.WorkerDefaults[OrderArgs]
	jobs *Jobs
}

// Work drives the order once.
func (w *orderWorker) Work(ctx context.Context, job *river.Job[OrderArgs]) error {
	return w.jobs.work(ctx, job.JobRow, job.Args.TraceParent, job.Args.OrderID, w.jobs.cfg.Drives.Order)
}

type refundWorker struct {
	river.WorkerDefaults[RefundArgs]
	jobs *Jobs
}

// Work drives the refund once.
func (w *refundWorker) Work(ctx context.Context, job *river.Job[RefundArgs]) error {
	return w.jobs.work(ctx, job.JobRow, job.Args.TraceParent, job.Args.RefundID, w.jobs.cfg.Drives.Refund)
}

// work is one run of a job, and in it one drive.
func (j *Jobs) work(ctx context.Context, job *rivertype.JobRow, traceparent, id string, drive func(ctx context.Context, id string) error) error {
	ctx, end := jobs.Begin(ctx, j.cfg.Tracer, job, traceparent)
	err := drive(ctx, id)
	end(err)
	return j.outcome(ctx, job.CreatedAt, id, err)
}

// outcome turns what a drive returned into what River does next. An unknown
// outcome does not fail the job: the job is repeated later, without a limit.
func (j *Jobs) outcome(ctx context.Context, created time.Time, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, domain.ErrOrderNotFound):
		return river.JobCancel(err)
	default:
		pause := pauseAfter(time.Since(created))
		j.cfg.Log.WarnContext(ctx, "job is repeated later", "id", id, "pause", pause, "error", err)
		return jobs.Snooze(pause, j.cfg.Clock)
	}
}

// pauseAfter grows with a job's age from 1 s to 15 s, so that an order ends soon
// after its neighbors have recovered, and to a minute when it has waited for an hour.
func pauseAfter(age time.Duration) time.Duration {
	limit := 15 * time.Second
	if age > time.Hour {
		limit = time.Minute
	}
	d := min(max(age/4, time.Second), limit)
	return d/2 + rand.N(d/2) //nolint:gosec // spreads load, guards no secret
}
