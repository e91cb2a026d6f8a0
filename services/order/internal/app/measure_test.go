package app_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
)

// TestOutcomesAreCounted: a paid order is revenue, a declined one is counted by its code,
// and one that is not settled is open, all of them once.
func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	d, err := app.NewDriver(app.DriverConfig{
		Ports:   app.Ports{Orders: w.store, Refunds: w.store, Catalog: w.catalog, Carts: w.carts, Payments: w.payments},
		Changes: w.changes, StockWait: time.Minute, Log: slog.New(slog.DiscardHandler), Tracer: noop.Tracer{}, Meter: tel.Meter(),
	})
	if err != nil {
		t.Fatal(err)
	}
	known := true
	if err := app.MeasureOpen(tel.Meter(), w.store.Open, func(ask metric.Callback) metric.Callback {
		return func(ctx context.Context, o metric.Observer) error {
			if !known {
				return nil
			}
			return ask(ctx, o)
		}
	}); err != nil {
		t.Fatal(err)
	}
	waiting := w.order(t, "pm_card_visa", 10)
	if _, err := w.pool.Exec(t.Context(), "UPDATE orders SET placed_at = placed_at - interval '1 hour' WHERE id = $1", waiting.ID); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"pm_card_visa", "pm_card_visa", apptest.MethodDeclined} {
		o := w.order(t, method, 10)
		for range 2 { // a drive of what is settled counts nothing
			if err := d.Drive(t.Context(), o.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(name, label string, from, to float64) {
		t.Helper()
		if got, found := telemetrytest.Metric(t, tel.Registry, name, label); !found || got < from || got > to {
			t.Errorf("%s of %s is %v (%v), want %v to %v", name, label, got, found, from, to)
		}
	}
	check("souk_order_revenue_total", "GBP", 690, 690)
	check("souk_order_declines_total", "generic_decline", 1, 1)
	check("souk_order_open", "pending", 1, 1)
	check("souk_order_open_age_seconds", "pending", 3600, 3700)
	check("souk_order_open", "capturing", 0, 0)
	check("souk_order_open_age_seconds", "capturing", 0, 0)
	known = false
	if got, found := telemetrytest.Metric(t, tel.Registry, "souk_order_open", "pending"); found {
		t.Errorf("the database is away, and %v orders are open", got)
	}
}
