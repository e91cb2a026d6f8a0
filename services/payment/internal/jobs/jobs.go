// Package jobs does payment's work that no call waits for: it applies the
// events that the provider reports and forgets them, reviews what has no outcome,
// and reconciles the ledger with the provider.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/payment/internal/app"
)

const (
	// keepEvents is for how long the ids of webhook events are kept, so that a
	// repeat is known; the provider repeats for three days.
	keepEvents = 30 * 24 * time.Hour
	pruneEvery = time.Hour
	// poll is how late an event may be applied: nothing notifies River of it.
	poll = time.Second
	// fetchCooldown lets few workers apply as many events as a busy shop has: two
	// an order.
	fetchCooldown = 10 * time.Millisecond
)

// eventBackoff is the pause after each attempt at an event that failed.
var eventBackoff = retry.Backoff{Initial: time.Second, Max: time.Minute}

// Store is what the jobs need of the database.
type Store interface {
	Ready(ctx context.Context) error
	PruneEvents(ctx context.Context, age time.Duration) (int64, error)
}

// Webhooks applies events.
type Webhooks interface {
	Apply(ctx context.Context, eventID, orderID string) error
}

// EventArgs are the arguments of the job that applies an event. The statement of
// package postgres that inserts such jobs writes the same.
type EventArgs struct {
	EventID string `json:"event_id"`
	// OrderID is the order's of which the event says that it is the payment.
	OrderID string `json:"order_id"`
	// TraceParent continues the trace of the webhook.
	TraceParent string `json:"traceparent"`
}

// Kind names the job.
func (EventArgs) Kind() string { return "apply_webhook_event" }

// Config is what the jobs are made of.
type Config struct {
	// Pool is for River alone; see chassis/jobs.OpenPool.
	Pool     *pgxpool.Pool
	Store    Store
	Webhooks Webhooks
	Reviews  Reviews
	// Reconciler compares the ledger with the provider.
	Reconciler Reconciler
	Log        *slog.Logger
	Tracer     trace.Tracer
	// Workers is how many jobs run at once in this process.
	Workers int
	// ReviewEvery is the time between two reviews, and between two checks whether the
	// daily reconciliation is due.
	ReviewEvery time.Duration
	// Clock is the process's, by which a job that is repeated later is due.
	Clock clock.Config
}

// Jobs runs River.
type Jobs struct{ cfg Config }

// New returns the jobs.
func New(cfg Config) *Jobs { return &Jobs{cfg: cfg} }

// Run waits for the migrated database and works until ctx ends; then it lets
// the jobs under way finish.
func (j *Jobs) Run(ctx context.Context) error {
	if !jobs.Await(ctx, j.cfg.Store.Ready) {
		return nil
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &eventWorker{jobs: j})
	river.AddWorker(workers, &pruneWorker{jobs: j})
	river.AddWorker(workers, &longWorker[reviewJob]{stopping: ctx, work: j.review})
	river.AddWorker(workers, &longWorker[reconcileJob]{stopping: ctx, work: j.reconcile})
	client, err := jobs.Start(ctx, j.cfg.Pool, workers, jobs.Config{
		Workers: j.cfg.Workers, PollInterval: poll, FetchCooldown: fetchCooldown,
		Periodic: []*river.PeriodicJob{
			every(pruneEvery, pruneJob{}),
			every(j.cfg.ReviewEvery, reviewJob{}),
			every(j.cfg.ReviewEvery, reconcileJob{}),
		},
	}, j.cfg.Log)
	if err != nil || client == nil {
		return err
	}
	<-ctx.Done()
	jobs.Stop(ctx, client, j.cfg.Log)
	return nil
}

// every is a job that is inserted at the start and then each period, unless one
// is still there.
func every(period time.Duration, args river.JobArgs) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(period), func() (river.JobArgs, *river.InsertOpts) {
		return args, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: period}}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

type eventWorker struct {
	river.WorkerDefaults[EventArgs]
	jobs *Jobs
}

// Work applies an event once. One that could not be applied is no failure of
// the job: it is tried again later, until it is a dead letter.
func (w *eventWorker) Work(ctx context.Context, job *river.Job[EventArgs]) error {
	ctx, end := jobs.Begin(ctx, w.jobs.cfg.Tracer, job.JobRow, job.Args.TraceParent)
	err := w.jobs.cfg.Webhooks.Apply(ctx, job.Args.EventID, job.Args.OrderID)
	end(err)
	if err == nil {
		return nil
	}
	attempts := 1
	if failed, ok := errors.AsType[*app.NotAppliedError](err); ok {
		attempts = failed.Attempts
	}
	pause := eventBackoff.Delay(attempts)
	w.jobs.cfg.Log.WarnContext(ctx, "webhook event is retried later", "event", job.Args.EventID, "pause", pause, "error", err)
	return jobs.Snooze(pause, w.jobs.cfg.Clock)
}

// pruneJob forgets old webhook events.
type pruneJob struct{}

// Kind implements river.JobArgs.
func (pruneJob) Kind() string { return "prune_webhook_events" }

type pruneWorker struct {
	river.WorkerDefaults[pruneJob]
	jobs *Jobs
}

// Work implements river.Worker.
func (w *pruneWorker) Work(ctx context.Context, _ *river.Job[pruneJob]) error {
	n, err := w.jobs.cfg.Store.PruneEvents(ctx, keepEvents)
	if n > 0 {
		w.jobs.cfg.Log.InfoContext(ctx, "forgot old webhook events", "events", n)
	}
	return err
}
