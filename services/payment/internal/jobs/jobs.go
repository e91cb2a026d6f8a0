// Package jobs does payment's work that no call waits for.
package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/souk-shop/souk/services/chassis/jobs"
)

const (
	// keepEvents is for how long the ids of webhook events are kept, so that a
	// repeat is known; the provider repeats for three days.
	keepEvents = 30 * 24 * time.Hour
	pruneEvery = time.Hour
)

// Store is what the jobs need of the database.
type Store interface {
	Ready(ctx context.Context) error
	PruneEvents(ctx context.Context, age time.Duration) (int64, error)
}

// Config is how the jobs run.
type Config struct {
	// Workers is how many jobs run at once in this process.
	Workers int
	// Reviews is run every ReviewEvery.
	Reviews     Reviews
	ReviewEvery time.Duration
	// PollInterval is how often River looks for jobs; 0 for 5 s.
	PollInterval time.Duration
}

// Jobs runs River.
type Jobs struct {
	pool  *pgxpool.Pool
	store Store
	cfg   Config
	log   *slog.Logger
}

// New returns jobs on a pool of their own; see chassis/jobs.OpenPool.
func New(pool *pgxpool.Pool, store Store, cfg Config, log *slog.Logger) *Jobs {
	return &Jobs{pool: pool, store: store, cfg: cfg, log: log}
}

// Run waits for the migrated database and works until ctx ends; then it lets
// the jobs under way finish.
func (j *Jobs) Run(ctx context.Context) error {
	if !jobs.Await(ctx, j.store.Ready) {
		return nil
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &pruneWorker{jobs: j})
	river.AddWorker(workers, &reviewWorker{reviews: j.cfg.Reviews, log: j.log})
	client, err := jobs.Start(ctx, j.pool, workers, jobs.Config{
		Workers: j.cfg.Workers, PollInterval: j.cfg.PollInterval,
		Periodic: []*river.PeriodicJob{
			every(pruneEvery, pruneJob{}),
			every(j.cfg.ReviewEvery, reviewJob{}),
		},
	}, j.log)
	if err != nil || client == nil {
		return err
	}
	<-ctx.Done()
	jobs.Stop(ctx, client, j.log)
	return nil
}

// every is a job that is inserted at the start and then each period, unless one
// is still there.
func every(period time.Duration, args river.JobArgs) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(period), func() (river.JobArgs, *river.InsertOpts) {
		return args, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: period}}
	}, &river.PeriodicJobOpts{RunOnStart: true})
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
	n, err := w.jobs.store.PruneEvents(ctx, keepEvents)
	if n > 0 {
		w.jobs.log.InfoContext(ctx, "forgot old webhook events", "events", n)
	}
	return err
}
