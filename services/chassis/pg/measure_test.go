package pg_test

import (
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

func TestPoolsAreMeasured(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), "shop", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pg.Open(t.Context(), pg.Config{DSN: config.Secret(pgtest.New(t, nil)), MaxConns: 7}, tel)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pg.MeasurePools(tel.Meter(), map[string]*pgxpool.Pool{"main": pool}); err != nil {
		t.Fatal(err)
	}
	check := func(name, label string, want float64) {
		t.Helper()
		if got, found := telemetrytest.Metric(t, tel.Registry, name, label); !found || got != want {
			t.Errorf("%s of %s is %v (%v), want %v", name, label, got, found, want)
		}
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check("db_client_connection_max", "main", 7)
	check("db_client_connection_count", "used", 1)
	conn.Release()
	check("db_client_connection_count", "used", 0)
	check("db_client_connection_timeouts_total", "main", 0)
	// The first caller waits until a connection is made.
	if got, found := telemetrytest.Metric(t, tel.Registry, "souk_postgres_pool_wait_seconds_total", "main"); !found || got <= 0 {
		t.Errorf("waited for %v s (%v)", got, found)
	}
}
