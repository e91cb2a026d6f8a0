// Package jobs guarantees that every order and refund is driven to its end: by
// a River job for each, inserted in the commit that made it, and by a sweeper
// that looks for whatever has no live job or no live driver.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

const (
	// jobTimeout bounds one run of a job; a job that River has not heard of for
	// rescueAfter is given to another process (River's default of an hour would
	// strand orders).
	jobTimeout  = 20 * time.Second
	rescueAfter = 30 * time.Second
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
	// StartOrder and StartRefund drive in the background; false when full.
	StartOrder(sc trace.SpanContext, orderID string) bool
	StartRefund(sc trace.SpanContext, refundID string) bool
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
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 5 * time.Second
	}
	return &Jobs{pool: pool, store: store, drives: drives, cfg: cfg, log: log, tracer: tracer}
}

// Run waits for the migrated database, takes up what an earlier process left,
// and works until ctx ends; then it lets the jobs under way finish.
func (j *Jobs) Run(ctx context.Context) error {
	if !j.wait(ctx) {
		return nil
	}
	// What was under way in a process that has just died is young.
	j.sweep(ctx, min(j.cfg.Idle, startIdle))
	client, err := j.start(ctx)
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
			stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobTimeout)
			defer cancel()
			if err := client.Stop(stopCtx); err != nil {
				j.log.WarnContext(ctx, "jobs did not stop in time", "error", err)
			}
			return nil
		}
	}
}

// wait returns true when the database is migrated, false when ctx ends first.
func (j *Jobs) wait(ctx context.Context) bool {
	pause := 50 * time.Millisecond
	for {
		if j.store.Ready(ctx) == nil {
			return true
		}
		if !sleep(ctx, pause) {
			return false
		}
		pause = min(2*pause, time.Second)
	}
}

// start returns a running River client, nil when ctx ended before there was one.
func (j *Jobs) start(ctx context.Context) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &orderWorker{jobs: j})
	river.AddWorker(workers, &refundWorker{jobs: j})
	client, err := river.NewClient(riverpgxv5.New(j.pool), &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: j.cfg.Workers, FetchPollInterval: j.cfg.PollInterval},
		},
		Workers:                     workers,
		Logger:                      j.log,
		JobTimeout:                  jobTimeout,
		RescueStuckJobsAfter:        rescueAfter,
		CompletedJobRetentionPeriod: time.Hour,
		SoftStopTimeout:             jobTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("river: %w", err)
	}
	for {
		// River stops with Stop, not with ctx, so that jobs under way finish.
		if err = client.Start(context.WithoutCancel(ctx)); err == nil {
			return client, nil
		}
		j.log.WarnContext(ctx, "jobs cannot start yet", "error", err)
		if !sleep(ctx, time.Second) {
			return nil, nil
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
		start := j.drives.StartOrder
		if s.Refund {
			start = j.drives.StartRefund
		}
		if start(trace.SpanContextFromContext(resume(context.Background(), s.TraceParent)), s.ID) {
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

// work is one run of a job: a span of its own in the trace of the call that
// made the job, and in it one drive.
func (j *Jobs) work(ctx context.Context, job *rivertype.JobRow, traceparent, id string, drive func(ctx context.Context, id string) error) error {
	ctx, span := j.tracer.Start(resume(ctx, traceparent), "river.work "+job.Kind,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String("messaging.system", "river"),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", job.Queue),
			attribute.String("messaging.message.id", strconv.FormatInt(job.ID, 10)),
			attribute.Int("river.job.attempt", job.Attempt),
		))
	defer span.End()
	err := drive(ctx, id)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
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

// resume returns ctx with the span context of a W3C traceparent.
func resume(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
