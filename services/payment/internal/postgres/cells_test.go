package postgres_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/services/chassis/cell/ownership/ownershiptest"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

// The plan of what moves with a bucket names each table of the database.
func TestWhatMovesWithABucket(t *testing.T) {
	t.Parallel()
	ownershiptest.Complete(t, postgres.Migrate, postgres.Cells)
}

// What the provider reports of no order, such as a refund by hand, is kept in all cells. What is not applied
// of a payment moves with it, with its job, also to a cell that has left it alone.
func TestEventsOfNoOrderMove(t *testing.T) {
	t.Parallel()
	pools, databases := ownershiptest.Cells(t, postgres.Migrate, postgres.Cells)
	exec := func(in, sql string, args ...any) {
		t.Helper()
		if _, err := pools[in].Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	const kept = `WITH kept AS (INSERT INTO webhook_events (id, type, payment_id, state) VALUES ($1, 'refund.created', 'pi_7', $2))
		SELECT souk_job_insert('apply_webhook_event', jsonb_build_object('event_id', $1::text, 'order_id', '', 'traceparent', ''), '', '0') WHERE $2 = 'pending'`
	exec("c1", "INSERT INTO attempts (order_id, id, state, amount, currency, payment_method, order_number, provider_id, captured) VALUES ($1, gen_random_uuid(), 'captured', 100, 'GBP', '', '', 'pi_7', 100)", cell.In(uuid.New(), 7))
	exec("c1", kept, "evt_pending", "pending")
	exec("c1", kept, "evt_dead", "dead")
	exec("c1", kept, "evt_applied", "applied")
	for _, event := range []string{"evt_pending", "evt_dead", "evt_applied"} {
		exec("c2", kept, event, "ignored")
	}
	m, err := move.Open(t.Context(), move.Config{Services: []move.Service{{Name: "payment", Databases: databases}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	for _, to := range []string{"c2", "c1"} {
		if _, err := m.Move(t.Context(), 7, to); err != nil {
			t.Fatal(err)
		}
		var pending, dead string
		var jobs int
		err := pools[to].QueryRow(t.Context(), `SELECT (SELECT state FROM webhook_events WHERE id = 'evt_pending'), (SELECT state FROM webhook_events WHERE id = 'evt_dead'),
			(SELECT count(*) FROM river_job WHERE args ->> 'event_id' = 'evt_pending' AND state = 'available')`).Scan(&pending, &dead, &jobs)
		if err != nil || pending != "pending" || dead != "dead" || jobs == 0 {
			t.Errorf("in %s: %s with %d jobs, and %s, %v", to, pending, jobs, dead, err)
		}
	}
}
