package jobs_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/souk-shop/souk/services/chassis/jobs"
)

// wallClock is a River clock that leaves to the database what River leaves to it
// outside of tests.
type wallClock time.Duration

func (c wallClock) Now() time.Time       { return time.Now().Add(time.Duration(c)) }
func (c wallClock) NowOrNil() *time.Time { return nil }

type worker struct {
	river.WorkerDefaults[plainArgs]
	worked chan string
}

func (w *worker) Work(_ context.Context, job *river.Job[plainArgs]) error {
	w.worked <- job.Args.EventID
	return nil
}

// TestAJobRunsByAWrongClock: the database says that a job is due, so a process
// whose clock is wrong works it all the same. The clock
// of River can be set in tests alone; a fault run has Snooze instead.
func TestAJobRunsByAWrongClock(t *testing.T) {
	t.Parallel()
	for name, offset := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := migrated(t)
			w := &worker{worked: make(chan string, 10)}
			workers := river.NewWorkers()
			river.AddWorker(workers, w)
			scan[*int64](t, pool, `SELECT souk_job_insert('apply_event', '{"event_id": "evt_1"}', '', '0')`)
			quiet := slog.New(slog.DiscardHandler)
			client, err := jobs.Start(t.Context(), pool, workers, jobs.Config{
				Workers: 1, PollInterval: 100 * time.Millisecond,
				Configure: func(c *river.Config) { c.Test.Time = wallClock(offset) },
			}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer jobs.Stop(t.Context(), client, quiet)
			select {
			case id := <-w.worked:
				if id != "evt_1" {
					t.Errorf("worked %s", id)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("a job that is due is not worked")
			}
		})
	}
}
