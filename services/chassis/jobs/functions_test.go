package jobs_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

type uniqueArgs struct {
	OrderID     string `json:"order_id" river:"unique"`
	TraceParent string `json:"traceparent"`
}

func (uniqueArgs) Kind() string { return "drive_order" }

type plainArgs struct {
	EventID string `json:"event_id"`
}

func (plainArgs) Kind() string { return "apply_event" }

func migrated(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), pgtest.New(t, func(ctx context.Context, dsn string) error {
		return jobs.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func scan[T any](t *testing.T, pool *pgxpool.Pool, sql string, args ...any) (v T) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestInsertIsRivers compares every column of a row that souk_job_insert makes
// with those of River's own, so that an upgrade of River which changes them is
// noticed. The ids and the times are of their own; the times differ by little.
func TestInsertIsRivers(t *testing.T) {
	t.Parallel()
	live := []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}
	for _, test := range []struct {
		name   string
		args   river.JobArgs
		json   string
		unique string
		delay  time.Duration
		state  rivertype.JobState
	}{
		{"unique", uniqueArgs{"0192-a", "00-1-2-01"}, `{"order_id": "0192-a", "traceparent": "00-1-2-01"}`, "order_id", 0, rivertype.JobStateAvailable},
		{"scheduled", uniqueArgs{"0192-b", ""}, `{"order_id": "0192-b", "traceparent": ""}`, "order_id", time.Hour, rivertype.JobStateScheduled},
		{"one of many", plainArgs{"evt_1"}, `{"event_id": "evt_1"}`, "", 0, rivertype.JobStateAvailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pool := migrated(t)
			const row = `SELECT to_jsonb(j) - '{id,created_at,scheduled_at}'::text[] FROM river_job j WHERE id = $1`
			const due = `SELECT scheduled_at FROM river_job WHERE id = $1`
			ours := scan[int64](t, pool, "SELECT souk_job_insert($1, $2, $3, $4)", test.args.Kind(), test.json, test.unique, test.delay)
			got, gotDue := scan[string](t, pool, row, ours), scan[time.Time](t, pool, due, ours)
			// River's would not be inserted beside one that is live.
			if _, err := pool.Exec(t.Context(), "DELETE FROM river_job"); err != nil {
				t.Fatal(err)
			}
			client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
			if err != nil {
				t.Fatal(err)
			}
			opts := &river.InsertOpts{MaxAttempts: 1000}
			if test.unique != "" {
				opts.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: live}
			}
			if test.delay > 0 {
				opts.ScheduledAt = time.Now().Add(test.delay)
			}
			result, err := client.Insert(t.Context(), test.args, opts)
			if err != nil {
				t.Fatal(err)
			}
			if result.Job.State != test.state {
				t.Errorf("River's job is %s", result.Job.State)
			}
			if want := scan[string](t, pool, row, result.Job.ID); got != want {
				t.Errorf("the function's row\n%s, River's\n%s", got, want)
			}
			if gap := result.Job.ScheduledAt.Sub(gotDue).Abs(); gap > 10*time.Second {
				t.Errorf("scheduled %s apart", gap)
			}
		})
	}
}

// TestUniqueJobs: the functions and River agree on which jobs are live.
func TestUniqueJobs(t *testing.T) {
	t.Parallel()
	pool := migrated(t)
	insert := func(id string) *int64 {
		return scan[*int64](t, pool, `SELECT souk_job_insert('drive_order', jsonb_build_object('order_id', $1::text), 'order_id', '0')`, id)
	}
	remove := func(id string) bool {
		return scan[bool](t, pool, `SELECT souk_job_delete('drive_order', 'order_id', $1)`, id)
	}
	isLive := func(id string) bool {
		return scan[bool](t, pool, `SELECT EXISTS (SELECT FROM souk_live_jobs() WHERE unique_key = souk_job_key('drive_order', 'order_id', $1))`, id)
	}
	if remove("a") || isLive("a") {
		t.Error("a job that was never inserted")
	}
	if insert("a") == nil || insert("b") == nil || insert("a") != nil {
		t.Error("one live job each")
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := client.Insert(t.Context(), uniqueArgs{OrderID: "a"}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
	if err != nil || !result.UniqueSkippedAsDuplicate {
		t.Errorf("River inserted a job beside a live one: %v", err)
	}
	for state, live := range map[string]bool{
		"available": true, "scheduled": true, "retryable": true, "pending": true,
		"running": true, "completed": false, "discarded": false, "cancelled": false,
	} {
		if _, err := pool.Exec(t.Context(), `UPDATE river_job SET state = $1::text::river_job_state,
			finalized_at = CASE WHEN $2 THEN NULL ELSE now() END WHERE args->>'order_id' = 'b'`, state, live); err != nil {
			t.Fatal(err)
		}
		if isLive("b") != live {
			t.Errorf("a %s job: live %v", state, !live)
		}
	}
	if _, err := pool.Exec(t.Context(), `UPDATE river_job SET state = 'running', finalized_at = NULL WHERE args->>'order_id' = 'b'`); err != nil {
		t.Fatal(err)
	}
	if remove("b") || !isLive("b") {
		t.Error("a running job was deleted")
	}
	if !remove("a") || isLive("a") {
		t.Error("a live job was not deleted")
	}
}
