package payment

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

// measureReconciliations has the last daily reconciliation reported each time that metrics
// are collected, by every replica alike: the numbers are the database's. Nothing is reported
// before the first is done, or while the database is away.
func measureReconciliations(p *service.Parts, store *postgres.Store) error {
	meter := p.Telemetry.Meter()
	differences, err := meter.Int64ObservableGauge("souk.payment.reconciliation.differences", metric.WithUnit("{difference}"),
		metric.WithDescription("Differences between ledger and provider that the last daily reconciliation found, by kind."))
	if err != nil {
		return err
	}
	age, err := meter.Float64ObservableGauge("souk.payment.reconciliation.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the last daily reconciliation was done."))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(p.Observed(func(ctx context.Context, o metric.Observer) error {
		since, kinds, found, err := store.LastDailyDifferences(ctx)
		if err != nil || !found {
			return err
		}
		o.ObserveFloat64(age, since.Seconds())
		for _, k := range domain.DifferenceKinds() {
			kind := strings.ReplaceAll(string(k), " ", "_")
			o.ObserveInt64(differences, kinds[k], metric.WithAttributes(semconv.PaymentDifferenceKind.String(kind)))
		}
		return nil
	}), differences, age)
	return err
}
