// Package jobs runs River, the queue of jobs in a service's own database, in
// the one way in which every service runs it: on a pool of its own, with the
// times below, started when the database is there and drained at the end.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// Timeout bounds one run of a job; a job that River has not heard of for
	// rescueAfter is given to another process (River's default of an hour would
	// strand what the job is for).
	Timeout     = 20 * time.Second
	rescueAfter = 30 * time.Second
	// stopTimeout lets jobs take Timeout, and write what came of them.
	stopTimeout = Timeout + 5*time.Second
	// defaultPoll keeps an idle shop idle.
	defaultPoll = 5 * time.Second
	// retention is how long a job that is done can be looked at.
	retention = time.Hour
	// poolSize is what River needs for itself: one connection listens for good.
	poolSize = 3
)

// OpenPool returns a pool for River alone: its listener holds one connection
// for good, and its polls do not belong in a trace. service is the name
// of the service that the server shows for these connections, with "-jobs".
func OpenPool(ctx context.Context, cfg pg.Config, service string) (*pgxpool.Pool, error) {
	cfg.MaxConns, cfg.Tracer = poolSize, nil
	tel := telemetry.Discard()
	tel.Service = service + "-jobs"
	return pg.Open(ctx, cfg, tel)
}

// Config is how the jobs run.
type Config struct {
	// Workers is how many jobs run at once in this process.
	Workers int
	// PollInterval is how often River looks for jobs that no notification told
	// it of; 0 for 5 s.
	PollInterval time.Duration
	// FetchCooldown is the least time between two looks; 0 for River's 100 ms. In
	// it no more jobs begin than there are workers.
	FetchCooldown time.Duration
	// Periodic are the jobs that one of all processes inserts again and again.
	Periodic []*river.PeriodicJob
	// Configure changes River's own configuration before it starts, for tests. It is
	// the only way to River's clock: River 0.51 takes one in its TestConfig alone,
	// and reads the machine's where it looks for stuck jobs.
	Configure func(*river.Config)
}

// Start returns a running River client, nil when ctx ended before there was
// one. It stops with Stop, not with ctx, so that jobs under way finish.
func Start(ctx context.Context, pool *pgxpool.Pool, workers *river.Workers, cfg Config, log *slog.Logger) (*river.Client[pgx.Tx], error) {
	if cfg.PollInterval == 0 {
		cfg.PollInterval = defaultPoll
	}
	rc := &river.Config{
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: cfg.Workers, FetchPollInterval: cfg.PollInterval, FetchCooldown: cfg.FetchCooldown},
		},
		Workers:                     workers,
		PeriodicJobs:                cfg.Periodic,
		Logger:                      log,
		JobTimeout:                  Timeout,
		RescueStuckJobsAfter:        rescueAfter,
		CompletedJobRetentionPeriod: retention,
		SoftStopTimeout:             Timeout,
		// To rebuild an index takes the table's owner, whose role no service has.
		// docs/configuration.md has the statement for the day that it is wanted.
		ReindexerIndexNames: []string{},
	}
	if cfg.Configure != nil {
		cfg.Configure(rc)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), rc)
	if err != nil {
		return nil, fmt.Errorf("river: %w", err)
	}
	for {
		if err = client.Start(context.WithoutCancel(ctx)); err == nil {
			return client, nil
		}
		log.WarnContext(ctx, "jobs cannot start yet", "error", err)
		if retry.Sleep(ctx, time.Second) != nil {
			return nil, nil //nolint:nilerr // the process stops, which is no failure
		}
	}
}

// Snooze is what a worker returns to have its job repeated after d. River adds d to
// the machine's time; the offset makes that the time of this process's clock.
func Snooze(d time.Duration, c clock.Config) error {
	return river.JobSnooze(max(0, d+c.Offset))
}

// Stop takes no more jobs and lets those under way finish.
func Stop(ctx context.Context, client *river.Client[pgx.Tx], log *slog.Logger) {
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := client.Stop(stopCtx); err != nil {
		log.WarnContext(ctx, "jobs did not stop in time", "error", err)
	}
}

// Await returns true as soon as ready returns nil, false when ctx ends first.
func Await(ctx context.Context, ready func(context.Context) error) bool {
	policy := retry.Policy{Backoff: retry.Backoff{Initial: 50 * time.Millisecond, Max: time.Second}}
	return retry.Do(ctx, policy, ready) == nil
}

// Begin begins one run of a job. The first one is a span in the trace of the call that made the
// job, which traceparent names; a later one, which may come days after, begins a trace of its own
// that links to it. end takes what the run came to.
func Begin(ctx context.Context, tracer trace.Tracer, job *rivertype.JobRow, traceparent string) (_ context.Context, end func(error)) {
	telemetry.Profiled("process " + job.Kind)
	first := len(job.AttemptedBy) <= 1 // a snooze takes the attempt back, not who made it
	ctx, option := telemetry.Follow(ctx, traceparent, first)
	//nolint:spancheck // end ends it
	ctx, span := tracer.Start(ctx, "process "+job.Kind, option,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String("messaging.system", "river"),
			attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", job.Queue),
			attribute.String("messaging.message.id", strconv.FormatInt(job.ID, 10)),
			semconv.JobAttempt.Int(job.Attempt),
		))
	return ctx, func(err error) { //nolint:spancheck // as above
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}
