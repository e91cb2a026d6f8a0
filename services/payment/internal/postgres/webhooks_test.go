package postgres_test

import (
	"testing"

	"github.com/souk-shop/souk/services/payment/internal/jobs"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// TestJobRowIsRivers compares the row that KeepEvent writes with River's own, so
// that an upgrade of River which changes them is noticed.
func TestJobRowIsRivers(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	if kept, err := f.KeepEvent(f.ctx, domain.Event{ID: "evt_1", State: domain.EventPending}, "00-1-2-01"); err != nil || kept != domain.EventPending {
		t.Fatal(kept, err)
	}
	client, err := river.NewClient(riverpgxv5.New(f.pool), &river.Config{})
	if err != nil {
		t.Fatal(err)
	}
	job := jobs.EventArgs{EventID: "evt_1", TraceParent: "00-1-2-01"}
	if _, err := client.Insert(f.ctx, job, &river.InsertOpts{MaxAttempts: 1000}); err != nil {
		t.Fatal(err)
	}
	rows, err := f.pool.Query(f.ctx, `SELECT to_jsonb(j) - '{id,created_at,scheduled_at}'::text[] FROM river_job j ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(got) != 2 || got[0] != got[1] {
		t.Errorf("rows %q, %v", got, err)
	}
}

// TestARecordedEventHasNoJob: an event that tells nothing new is settled when it is kept.
func TestARecordedEventHasNoJob(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	a := f.begin()
	f.moved(f.Move(f.ctx, a.OrderID, domain.Sent, domain.Authorized, "pi_1", ""))
	event := func(id, kind, payment, order string) domain.Event {
		return domain.Event{ID: id, Type: kind, PaymentID: payment, OrderID: order, State: domain.EventPending}
	}
	for _, c := range []struct {
		event domain.Event
		want  domain.EventState
		jobs  int
	}{
		{event("evt_1", "payment_intent.amount_capturable_updated", "pi_1", a.OrderID), domain.EventApplied, 0},
		{event("evt_1", "payment_intent.amount_capturable_updated", "pi_1", a.OrderID), "", 0},
		{event("evt_2", "payment_intent.succeeded", "pi_1", a.OrderID), domain.EventPending, 1},
		{event("evt_3", "payment_intent.amount_capturable_updated", "pi_2", a.OrderID), domain.EventPending, 1},
		{event("evt_4", "payment_intent.amount_capturable_updated", "pi_1", id()), domain.EventPending, 1},
		{event("evt_5", "payment_intent.amount_capturable_updated", "pi_1", ""), domain.EventPending, 1},
	} {
		var before, after int
		f.scan(&before, "SELECT count(*) FROM river_job")
		kept, err := f.KeepEvent(f.ctx, c.event, "")
		f.scan(&after, "SELECT count(*) FROM river_job")
		if err != nil || kept != c.want || after-before != c.jobs {
			t.Errorf("%+v is %q with %d jobs, %v; want %q with %d", c.event, kept, after-before, err, c.want, c.jobs)
		}
		if e, found, err := f.GetEvent(f.ctx, c.event.ID); err != nil || !found || kept != "" && e.State != kept {
			t.Errorf("%s is kept as %+v, %v, %v", c.event.ID, e, found, err)
		}
	}
}

// TestASettledEventStays: a late write changes nothing.
func TestASettledEventStays(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	if _, err := f.KeepEvent(f.ctx, domain.Event{ID: "evt_1", State: domain.EventPending}, ""); err != nil {
		t.Fatal(err)
	}
	for _, to := range []domain.EventState{domain.EventApplied, domain.EventIgnored} {
		if err := f.SettleEvent(f.ctx, "evt_1", to); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := f.FailEvent(f.ctx, "evt_1", "late", 1); err != nil || e.State != domain.EventApplied {
		t.Errorf("%+v, %v", e, err)
	}
}
