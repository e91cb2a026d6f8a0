// Package payment is the payment service: it owns payment attempts, captures,
// refunds and the ledger, and alone talks to the payment provider.
package payment

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/relay"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/payment/internal/app"
	"github.com/souk-shop/souk/services/payment/internal/app/crashpoint"
	"github.com/souk-shop/souk/services/payment/internal/jobs"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
	"github.com/souk-shop/souk/services/payment/internal/rpc"
	"github.com/souk-shop/souk/services/payment/internal/stripe"
)

// Config is the configuration of the payment service, from variables
// SOUK_PAYMENT_...
type Config struct {
	service.Config

	// Events is the broker to which events are relayed.
	Events events.Config `env:", prefix=EVENTS_"`

	// StripeURL is the base of the provider's API, without /v1.
	StripeURL string `env:"STRIPE_URL, default=https://api.stripe.com"`
	// StripeKey is the provider's secret key.
	StripeKey config.Secret `env:"STRIPE_KEY, required"`
	// StripeTimeout bounds one call of the provider; 10 s when 0.
	StripeTimeout time.Duration `env:"STRIPE_TIMEOUT, default=10s"`
	// WebhookSecret is what the provider signs webhooks with ("whsec_..."); without
	// one they are refused, and a lost answer is found by repeats alone.
	WebhookSecret config.Secret `env:"WEBHOOK_SECRET"`
	// WebhookAttempts is how often a webhook's event is tried before it is a dead
	// letter: 200 times are three hours.
	WebhookAttempts int `env:"WEBHOOK_ATTEMPTS, default=200"`
	// Workers is how many jobs run at once: few, because they compete with commands
	// whose callers wait.
	Workers int `env:"WORKERS, default=4"`
	// ReviewEvery is the time between two reviews of payments whose outcome is
	// unknown for so long that the provider has forgotten their keys, and between
	// two checks whether the daily reconciliation is due; 1 s at least.
	ReviewEvery time.Duration `env:"REVIEW_EVERY, default=10m"`
}

// CrashPoints are what Config.CrashAt can name.
func CrashPoints() []string { return crash.Names(crashpoint.All()) }

// Run serves until ctx ends, then stops in good order: no new calls, and those
// that the provider was asked about are written down.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, &cfg, service.Spec{
		Name: "payment", Cells: &postgres.Cells, Migrate: postgres.Migrate, Jobs: true, Errors: rpc.Errors, CrashPoints: crashpoint.All(),
		Migrated: func(ctx context.Context, pool *pgxpool.Pool) error { return postgres.New(pool).Ready(ctx) },
		Build:    func(p *service.Parts) error { return build(p, cfg) },
	})
}

func build(p *service.Parts, cfg Config) error {
	provider, err := stripe.New(stripe.Config{URL: cfg.StripeURL, Key: cfg.StripeKey, Timeout: cfg.StripeTimeout}, p.Telemetry)
	if err != nil {
		return err
	}
	p.Close(func() error { provider.Close(); return nil })
	store := postgres.New(p.Pool).ReadFrom(p.Reads)
	var statement app.Statement = provider
	if p.Cell != "" {
		statement = app.OfCell(p.Owned, provider)
	}
	ports := crashpoint.Wrap(app.Ports{
		Attempts: store, Refunds: store, Reviews: store, Views: store, Persons: store, Reconciliations: store, Events: store,
		Provider: provider, Records: provider, Statement: statement,
	}, p.Crash)
	payments := app.New(app.Config{Ports: ports, Owned: p.Owned, Now: p.Now, NewID: newID, Log: p.Log})
	reconciler := app.NewReconciler(app.ReconcilerConfig{
		Reconciliations: ports.Reconciliations, Statement: ports.Statement, Now: p.Now, NewID: newID, Log: p.Log,
	})
	if err := measureReconciliations(p, store); err != nil {
		return err
	}
	counted, err := p.Telemetry.Meter().Int64Counter("souk.payment.webhook.events", metric.WithUnit("{event}"),
		metric.WithDescription("Webhook events and attempts at them, by what they came to."))
	if err != nil {
		return err
	}
	webhooks := app.NewWebhooks(app.WebhookConfig{
		Events: ports.Events, Verifier: stripe.NewWebhooks(cfg.WebhookSecret), Payments: payments, Now: p.Now,
		Attempts: cfg.WebhookAttempts, Log: p.Log,
		Count: func(ctx context.Context, outcome string) {
			counted.Add(ctx, 1, metric.WithAttributes(semconv.PaymentWebhookOutcome.String(outcome)))
		},
	})
	work := jobs.New(jobs.Config{
		Pool: p.JobsPool, Store: store, Webhooks: webhooks, Reviews: payments, Reconciler: reconciler, Log: p.Log, Tracer: p.Telemetry.Tracer(),
		Workers: cfg.Workers, ReviewEvery: max(cfg.ReviewEvery, time.Second), Clock: cfg.Clock,
	})
	paymentv1.RegisterPaymentServiceServer(p.Server, rpc.NewServer(payments, webhooks, reconciler))
	if err := answers.Serve(p); err != nil {
		return err
	}
	if err := relay.Serve(p, cfg.Events); err != nil {
		return err
	}

	// Stopped in the reverse order: no more jobs, then what callers gave up.
	p.Add("commands", func(ctx context.Context) error {
		<-ctx.Done()
		payments.Wait()
		return nil
	})
	p.AddReady("jobs", work.Run)
	return nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
