// Package payment is the payment service: it owns payment attempts, captures,
// refunds and the ledger, and alone talks to the payment provider.
package payment

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/clock"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/crash"
	chassisjobs "github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/run"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/jobs"
	"github.com/souk-shop/souk/services/payment/internal/point"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
	"github.com/souk-shop/souk/services/payment/internal/rpc"
	"github.com/souk-shop/souk/services/payment/internal/stripe"
)

// Config is the configuration of the payment service, from variables
// SOUK_PAYMENT_...
type Config struct {
	Server    chassisrpc.ServerConfig
	Postgres  pg.Config `env:", prefix=POSTGRES_"`
	Telemetry telemetry.Config
	Admin     admin.Config `env:", prefix=ADMIN_"`
	// Migrate brings the database up to date before the jobs begin; health waits
	// for it.
	Migrate bool `env:"MIGRATE"`

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
	// Workers is how many jobs run at once. They are few, for they come beside
	// the commands that somebody waits for.
	Workers int `env:"WORKERS, default=4"`
	// ReviewEvery is the time between two reviews of payments whose outcome is
	// unknown for so long that the provider has forgotten their keys, and between
	// two looks whether the daily reconciliation is due; 1 s at least.
	ReviewEvery time.Duration `env:"REVIEW_EVERY, default=10m"`
	// CrashAt kills the process at a point between a write and a call,
	// "<point>" or "<point>:<n>" for the n-th time. For fault tests only.
	CrashAt string `env:"CRASH_AT"`
	// Clock is wrong in fault tests.
	Clock clock.Config `env:", prefix=CLOCK_"`
}

// CrashPoints are what Config.CrashAt can name.
func CrashPoints() []string { return crash.Names(point.All()) }

// Run serves until ctx ends, then stops in good order: no new calls, and those
// that the provider was asked about are written down. It starts whether or not
// the database and the provider are there yet; health tells of the database.
func Run(ctx context.Context, cfg Config) (err error) {
	hook, err := crash.Parse(cfg.CrashAt, point.All())
	if err != nil {
		return err
	}
	tel, err := telemetry.Start(ctx, "payment", cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		err = errors.Join(err, tel.Shutdown(flush))
	}()
	provider, err := stripe.New(stripe.Config{URL: cfg.StripeURL, Key: cfg.StripeKey, Timeout: cfg.StripeTimeout}, tel)
	if err != nil {
		return err
	}
	defer provider.Close()
	pool, err := pg.Open(ctx, cfg.Postgres, tel)
	if err != nil {
		return err
	}
	defer pool.Close()
	riverPool, err := chassisjobs.OpenPool(ctx, cfg.Postgres, "payment")
	if err != nil {
		return err
	}
	defer riverPool.Close()
	store := postgres.New(pool)
	payments := domain.NewService(store, provider, cfg.Clock.Now, newID, hook, tel.Log)
	events, err := tel.Meter().Int64Counter("souk.payment.webhook.events",
		metric.WithDescription("Webhook events and attempts at them, by what they came to."))
	if err != nil {
		return err
	}
	webhooks := domain.NewWebhooks(domain.WebhookConfig{
		Events: store, Verifier: stripe.NewWebhooks(cfg.WebhookSecret), Payments: payments, Now: cfg.Clock.Now, Crash: hook,
		Attempts: cmp.Or(cfg.WebhookAttempts, 200), Log: tel.Log,
		Count: func(ctx context.Context, outcome string) {
			events.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
		},
	})
	work := jobs.New(riverPool, store, webhooks, jobs.Config{
		Workers: cmp.Or(cfg.Workers, 4), Clock: cfg.Clock,
		Reviews: payments, ReviewEvery: max(cmp.Or(cfg.ReviewEvery, 10*time.Minute), time.Second),
	}, tel.Log, tel.Tracer())

	server, err := chassisrpc.NewServer(cfg.Server, tel, rpc.Errors, chassisrpc.Check{Name: "postgres", Fn: store.Ready})
	if err != nil {
		return err
	}
	paymentv1.RegisterPaymentServiceServer(server, rpc.NewServer(payments, webhooks))

	// Stopped in the reverse order: no more calls, no more jobs, then what
	// callers gave up.
	g := run.NewGroup(tel.Log)
	g.Add("commands", func(ctx context.Context) error {
		<-ctx.Done()
		payments.Wait()
		return nil
	})
	g.Add("jobs", func(ctx context.Context) error {
		if cfg.Migrate {
			if err := postgres.Migrate(ctx, cfg.Postgres, tel.Log); err != nil {
				return err
			}
		}
		return work.Run(ctx)
	})
	g.Add("admin", func(ctx context.Context) error { return admin.Serve(ctx, cfg.Admin, tel) })
	g.Add("server", server.Serve)
	return g.Run(ctx)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
