package payment_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func database(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close(context.Background()) })
	return db
}

// TestEventsAreKeptForThirtyDays starts on a database with events of both sides
// of that age.
func TestEventsAreKeptForThirtyDays(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t, nil)
	first := start(t, dsn, holds).ready(t)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	db := database(t, dsn)
	if _, err := db.Exec(t.Context(), `
		INSERT INTO webhook_events (id, type, payment_id, state, received_at) VALUES
			('evt_old', 'payment_intent.succeeded', 'pi_1', 'applied', now() - interval '30 days 1 minute'),
			('evt_young', 'payment_intent.succeeded', 'pi_2', 'applied', now() - interval '29 days 23 hours');
		DELETE FROM river_job`); err != nil {
		t.Fatal(err)
	}
	start(t, dsn, holds).ready(t)
	var left []string
	until(t, "the old one is forgotten", func() bool {
		if err := db.QueryRow(t.Context(), "SELECT array_agg(id) FROM webhook_events").Scan(&left); err != nil {
			t.Fatal(err)
		}
		return len(left) < 2
	})
	if len(left) != 1 || left[0] != "evt_young" {
		t.Errorf("left are %v", left)
	}
}
