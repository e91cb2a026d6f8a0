package app

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// Open is how many orders in one state have something left to do, and how long ago the
// oldest of them was placed.
type Open struct {
	Orders int64
	Oldest time.Duration
}

// MeasureOpen has the meter ask for open orders each time that metrics are collected, by a
// callback that observed wraps. open leaves out states without any. Every replica reports the
// same numbers, which are the database's.
func MeasureOpen(meter metric.Meter, open func(context.Context) (map[domain.State]Open, error), observed func(metric.Callback) metric.Callback) error {
	orders, err := meter.Int64ObservableGauge("souk.order.open", metric.WithUnit("{order}"),
		metric.WithDescription("Orders that have something left to do, by state."))
	if err != nil {
		return err
	}
	age, err := meter.Float64ObservableGauge("souk.order.open.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the oldest of them was placed; 0 without one."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(observed(func(ctx context.Context, o metric.Observer) error {
		found, err := open(ctx)
		if err != nil {
			return err
		}
		for _, s := range domain.States() {
			if s == domain.Cancelled {
				continue // never open
			}
			state := metric.WithAttributes(semconv.OrderState.String(string(s)))
			o.ObserveInt64(orders, found[s].Orders, state)
			o.ObserveFloat64(age, found[s].Oldest.Seconds(), state)
		}
		return nil
	}), orders, age)
	return err
}

// outcomes are the counters of what orders come to.
type outcomes struct {
	settled  metric.Float64Histogram
	revenue  metric.Int64Counter
	declines metric.Int64Counter
}

func newOutcomes(meter metric.Meter) (m outcomes, err error) {
	m.settled, err = meter.Float64Histogram("souk.order.settle.duration", metric.WithUnit("s"),
		metric.WithDescription("From the acceptance of an order to PAID or CANCELLED, by state and reason."),
		metric.WithExplicitBucketBoundaries(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600))
	if err != nil {
		return m, err
	}
	m.revenue, err = meter.Int64Counter("souk.order.revenue", metric.WithUnit("{minor_unit}"),
		metric.WithDescription("Totals of orders that were paid, in minor units of the currency, before refunds."))
	if err != nil {
		return m, err
	}
	m.declines, err = meter.Int64Counter("souk.order.declines", metric.WithUnit("{order}"),
		metric.WithDescription("Orders whose payment was declined, by the provider's code."))
	return m, err
}

// count counts a transition that this driver has written. No other driver has.
func (m *outcomes) count(ctx context.Context, next domain.Order, note domain.Note) {
	if next.State == domain.Cancelling && next.CancelReason == domain.PaymentDeclined {
		m.declines.Add(ctx, 1, metric.WithAttributes(semconv.DeclineCode.String(domain.DeclineClass(note.DeclineCode))))
	}
	if next.State == domain.Paid {
		m.revenue.Add(ctx, next.Total.Units, metric.WithAttributes(semconv.Currency.String(next.Total.Currency)))
	}
	if next.Settled() {
		m.settled.Record(ctx, next.SettledAt.Sub(next.PlacedAt).Seconds(), metric.WithAttributes(
			semconv.OrderState.String(string(next.State)), semconv.OrderCancelReason.String(string(next.CancelReason))))
	}
}
