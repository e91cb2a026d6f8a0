// Package jobs has the River workers of the notification service.
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
	app "github.com/souk-shop/souk/services/notification/internal/app/mail"
)

const (
	// poll is how late a mail may be begun: nothing notifies River of it.
	poll = 500 * time.Millisecond
	// fetchCooldown lets few workers send as many mails as a busy shop has.
	fetchCooldown = 10 * time.Millisecond
	forgetEvery   = time.Hour
)

// Mails has the use cases.
type Mails interface {
	Send(ctx context.Context, id string) error
	Forget(ctx context.Context, keep time.Duration) (int, error)
}

// Config of Jobs.
type Config struct {
	// Pool is for River alone; see chassis/jobs.OpenPool.
	Pool   *pgxpool.Pool
	Mails  Mails
	Log    *slog.Logger
	Tracer trace.Tracer
	// Workers is how many jobs run at once in this process, and so how many connections
	// it has to the mail server.
	Workers int
	// SendTimeout bounds one run of a mail's job. A job that has run for longer is given to
	// another process: it has to be longer than any call of the mail server.
	SendTimeout time.Duration
	// KeepMails is for how long mails that are settled can be looked at.
	KeepMails time.Duration
	Clock     clock.Config
}

// Jobs runs them.
type Jobs struct{ cfg Config }

// New makes Jobs.
func New(cfg Config) *Jobs { return &Jobs{cfg} }

// Run works until ctx ends.
func (j *Jobs) Run(ctx context.Context) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &sendWorker{jobs: j})
	river.AddWorker(workers, &forgetWorker{jobs: j})
	client, err := jobs.Start(ctx, j.cfg.Pool, workers, jobs.Config{
		Workers: j.cfg.Workers, PollInterval: poll, FetchCooldown: fetchCooldown,
		Periodic: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(forgetEvery), func() (river.JobArgs, *river.InsertOpts) {
			return forgetJob{}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: forgetEvery}}
		}, &river.PeriodicJobOpts{RunOnStart: true})},
	}, j.cfg.Log)
	if err != nil || client == nil {
		return err
	}
	<-ctx.Done()
	jobs.Stop(ctx, client, j.cfg.Log)
	return nil
}

// SendArgs are the arguments of the job of one mail; statements insert it.
type SendArgs struct {
	MailID string `json:"mail_id" river:"unique"`
	// TraceParent continues the trace in which the event was handled.
	TraceParent string `json:"traceparent"`
}

// Kind implements river.JobArgs.
func (SendArgs) Kind() string { return "send_mail" }

type sendWorker struct {
	river.WorkerDefaults[SendArgs]
	jobs *Jobs
}

// Timeout implements river.Worker.
func (w *sendWorker) Timeout(*river.Job[SendArgs]) time.Duration { return w.jobs.cfg.SendTimeout }

// Work implements river.Worker.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[SendArgs]) error {
	ctx, end := jobs.Begin(ctx, w.jobs.cfg.Tracer, job.JobRow, job.Args.TraceParent)
	err := w.jobs.cfg.Mails.Send(ctx, job.Args.MailID)
	end(err)
	if again, ok := errors.AsType[*app.RetryError](err); ok {
		w.jobs.cfg.Log.WarnContext(ctx, "a mail is sent later", "mail", job.Args.MailID, "pause", again.After, "error", err)
		return jobs.Snooze(again.After, w.jobs.cfg.Clock)
	}
	return err
}

type forgetJob struct{}

// Kind implements river.JobArgs.
func (forgetJob) Kind() string { return "forget_mails" }

type forgetWorker struct {
	river.WorkerDefaults[forgetJob]
	jobs *Jobs
}

// Work implements river.Worker.
func (w *forgetWorker) Work(ctx context.Context, _ *river.Job[forgetJob]) error {
	n, err := w.jobs.cfg.Mails.Forget(ctx, w.jobs.cfg.KeepMails)
	if n > 0 {
		w.jobs.cfg.Log.InfoContext(ctx, "forgot old mails", "mails", n)
	}
	return err
}
