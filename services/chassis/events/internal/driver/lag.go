package driver

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Lag is what a group has not done with of a partition that this process has.
type Lag struct {
	// Events is how many events that is.
	Events int64
	// Oldest is when the broker took the oldest of them; zero when there is none.
	Oldest time.Time
}

// lags measures what groups have not done with.
type lags struct {
	mu sync.Mutex
	of map[*func() Lag]consuming
}

// consuming is a group and a source of its events.
type consuming struct{ group, source string }

func newLags(tel *telemetry.Telemetry) (*lags, error) {
	l := &lags{of: map[*func() Lag]consuming{}}
	_, err := tel.Meter().Int64ObservableGauge("souk.events.consumer.lag", metric.WithUnit("{event}"),
		metric.WithDescription("Events that the broker has for a consumer and that it is not done with, of the partitions that this replica has."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for c, lag := range l.sum() {
				o.Observe(lag.Events, metric.WithAttributes(c.attributes()...))
			}
			return nil
		}))
	if err != nil {
		return nil, err
	}
	_, err = tel.Meter().Float64ObservableGauge("souk.events.consumer.lag.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the broker took the oldest of them."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			for c, lag := range l.sum() {
				age := 0.0
				if !lag.Oldest.IsZero() {
					age = max(0, time.Since(lag.Oldest).Seconds())
				}
				o.Observe(age, metric.WithAttributes(c.attributes()...))
			}
			return nil
		}))
	return l, err
}

func (c consuming) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("messaging.consumer.group.name", c.group), attribute.String("messaging.destination.name", c.source)}
}

func (l *lags) sum() map[consuming]Lag {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[consuming]Lag{}
	for lag, c := range l.of {
		sum, one := all[c], (*lag)()
		sum.Events += one.Events
		if sum.Oldest.IsZero() || !one.Oldest.IsZero() && one.Oldest.Before(sum.Oldest) {
			sum.Oldest = one.Oldest
		}
		all[c] = sum
	}
	return all
}

// Measure has the metrics of a group and a source count what lag returns, until the function that it
// returns is called. What is replayed has no source, and is not measured.
func (i *Instruments) Measure(group, source string, lag func() Lag) (end func()) {
	if source == "" {
		return func() {}
	}
	i.lags.mu.Lock()
	defer i.lags.mu.Unlock()
	i.lags.of[&lag] = consuming{group, source}
	return func() {
		i.lags.mu.Lock()
		defer i.lags.mu.Unlock()
		delete(i.lags.of, &lag)
	}
}
