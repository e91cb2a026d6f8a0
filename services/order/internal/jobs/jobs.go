// Package jobs guarantees that every order and refund is driven to its end: by
// a River job for each, inserted in the commit that made it, and by a sweeper
// that looks for whatever has no live job or no live driver.
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

	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

const (
	// resumeLimit bounds how many stalled orders one sweep takes up.
	resumeLimit = 500
	// startIdle is the idle time of the sweep with which a process starts.
	startIdle = 500 * time.Millisecond
)

// Drives is what the jobs need of the runner.
type Drives interface {
	// Order and Refund drive once and return when it is done, or why not.
	Order(ctx context.Context, orderID string) error
	Refund(ctx context.Context, refundID string) error
	// ResumeOrder and ResumeRefund drive in the background; false when full, or
	// when this process drives it already.
	ResumeOrder(sc trace.SpanContext, orderID string) bool
	ResumeRefund(sc trace.SpanContext, refundID string) bool
}

// Store is what the sweeper needs of the database.
type Store interface {
	Ready(ctx context.Context) error
	Sweep(ctx context.Context) (int, error)
	Stalled(ctx context.Context, idle time.Duration, limit int) ([]domain.Stalled, error)
}

// Config is how the jobs run.
type Config struct {
	// Workers is how many jobs run at once in this process.
	Workers int
	// SweepInterval is the time between two sweeps.
	SweepInterval time.Duration
	// Idle is how long nothing may have happened to an unfinished order before a
	// sweep takes its driver for dead.
	Idle time.Duration
	// PollInterval is how often River looks for jobs that no notification told
	// it of; 0 for 5 s, which keeps an idle shop idle.
	PollInterval time.Duration
	// Now is the wall clock of River's own decisions; time.Now when nil.
	Now func() time.Time
}

// Jobs runs River and the sweeper.
type Jobs struct {
	pool   *pgxpool.Pool
	store  Store
	drives Drives
	cfg    Config
	log    *slog.Logger
	tracer trace.Tracer
}

// New returns jobs on a pool of their own, which River's polls share with
// nobody: its listener holds one connection for good.
func New(pool *pgxpool.Pool, store Store, drives Drives, cfg Config, log *slog.Logger, tracer trace.Tracer) *Jobs {
	return &Jobs{pool: pool, store: store, drives: drives, cfg: cfg, log: log, tracer: tracer}
}

// Run waits for the migrated database, takes up what an earlier process left,
// and works until ctx ends; then it lets the jobs under way finish.
func (j *Jobs) Run(ctx context.Context) error {
	if !jobs.Await(ctx, j.store.Ready) {
		return nil
	}
	// What was under way in a process that has just died is young.
	j.sweep(ctx, min(j.cfg.Idle, startIdle))
	workers := river.NewWorkers()
	river.AddWorker(workers, &orderWorker{jobs: j})
	river.AddWorker(workers, &refundWorker{jobs: j})
	client, err := jobs.Start(ctx, j.pool, workers, jobs.Config{Workers: j.cfg.Workers, PollInterval: j.cfg.PollInterval, Now: j.cfg.Now}, j.log)
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
			jobs.Stop(ctx, client, j.log)
			return nil
		}
	}
}

// sweep gives jobs to what has none and takes up, in this process, what nothing
// has happened to for idle and so seems to have no driver. It is safe at any
// time: a driver that was alive after all is only overtaken, never contradicted.
func (j *Jobs) sweep(ctx context.Context, idle time.Duration) {
	given, err := j.store.Sweep(ctx)
	if err != nil {
		j.log.WarnContext(ctx, "sweep failed", "error", err)
		return
	}
	stalled, err := j.store.Stalled(ctx, idle, resumeLimit)
	if err != nil {
		j.log.WarnContext(ctx, "sweep failed", "error", err)
		return
	}
	started := 0
	for _, s := range stalled {
		start := j.drives.ResumeOrder
		if s.Refund {
			start = j.drives.ResumeRefund
		}
		if start(trace.SpanContextFromContext(jobs.Resume(context.Background(), s.TraceParent)), s.ID) {
			started++
		}
	}
	if given > 0 || started > 0 {
		j.log.InfoContext(ctx, "sweep took up unfinished orders", "jobs", given, "stalled", started)
	}
}

type orderWorker struct {
	river.WorkerDefaults[domain.OrderJob]
	jobs *Jobs
}

// Work drives the order once.
func (w *orderWorker) Work(ctx context.Context, job *river.Job[domain.OrderJob]) error {
	return w.jobs.work(ctx, job.JobRow, job.Args.TraceParent, job.Args.OrderID, w.jobs.drives.Order)
}

type refundWorker struct {
	river.WorkerDefaults[domain.RefundJob]
	jobs *Jobs
}

// Work drives the refund once.
func (w *refundWorker) Work(ctx context.Context, job *river.Job[domain.RefundJob]) error {
	return w.jobs.work(ctx, job.JobRow, job.Args.TraceParent, job.Args.RefundID, w.jobs.drives.Refund)
}

// work is one run of a job, and in it one drive.
func (j *Jobs) work(ctx context.Context, job *rivertype.JobRow, traceparent, id string, drive func(ctx context.Context, id string) error) error {
	ctx, end := jobs.Begin(ctx, j.tracer, job, traceparent)
	err := drive(ctx, id)
	end(err)
	return j.outcome(ctx, job.CreatedAt, id, err)
}

// outcome turns what a drive returned into what River does next. An unknown
// outcome is no failure of the job: it comes back later, as often as it takes.
func (j *Jobs) outcome(ctx context.Context, created time.Time, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, domain.ErrOrderNotFound):
		return river.JobCancel(err)
	default:
		pause := pauseAfter(time.Since(created))
		j.log.WarnContext(ctx, "job comes back later", "id", id, "pause", pause, "error", err)
		return river.JobSnooze(pause)
	}
}

// pauseAfter grows with a job's age from 1 s to 15 s, so that an order ends soon
// after its neighbors are back, and to a minute when it has waited for an hour.
func pauseAfter(age time.Duration) time.Duration {
	limit := 15 * time.Second
	if age > time.Hour {
		limit = time.Minute
	}
	d := min(max(age/4, time.Second), limit)
	return d/2 + rand.N(d/2)
}
