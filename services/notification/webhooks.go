package notification

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/service"
	app "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
	inbound "github.com/souk-shop/souk/services/notification/internal/events"
	"github.com/souk-shop/souk/services/notification/internal/outbound"
	"github.com/souk-shop/souk/services/notification/internal/postgres"
)

// WebhookConfig is how outgoing webhooks are sent, from variables
// SOUK_NOTIFICATION_WEBHOOK_...
type WebhookConfig struct {
	// Key encrypts the secrets of endpoints, at least 32 bytes. All replicas share it. Without
	// it there are no webhooks.
	Key config.Secret `env:"KEY"`
	// OldKeys open what was encrypted with them, comma separated.
	OldKeys []config.Secret `env:"OLD_KEYS"`
	// HTTP allows URLs that are not https.
	HTTP bool `env:"HTTP"`
	// Ports are allowed besides 443, and 80 where HTTP is; 0 allows all.
	Ports []uint16 `env:"PORTS"`
	// Networks are allowed although they are not of the public internet, as CIDRs, comma
	// separated.
	Networks []string `env:"NETWORKS"`
	// Timeout bounds one call of an endpoint.
	Timeout time.Duration `env:"TIMEOUT, default=15s"`
	// Workers bounds the calls under way of this process, and PerEndpoint those to one
	// endpoint, of all processes. Half of the workers are for one host at most, and half for
	// endpoints on trial.
	Workers     int `env:"WORKERS, default=64"`
	PerEndpoint int `env:"PER_ENDPOINT, default=8"`
	// Keep is for how long deliveries, and what was sent, are kept.
	Keep time.Duration `env:"KEEP, default=720h"`
}

// guard reads which URLs and addresses are called.
func (c WebhookConfig) guard() (webhook.Guard, error) {
	g := webhook.Guard{HTTP: c.HTTP, Ports: c.Ports}
	for _, text := range c.Networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return g, fmt.Errorf("SOUK_NOTIFICATION_WEBHOOK_NETWORKS: %w", err)
		}
		g.Networks = append(g.Networks, network.Masked())
	}
	return g, nil
}

// minKeep is more than deliveries are tried for.
const minKeep = 7 * 24 * time.Hour

func (c WebhookConfig) validate() error {
	switch {
	case c.Timeout < time.Second || c.Timeout > time.Minute:
		return fmt.Errorf("SOUK_NOTIFICATION_WEBHOOK_TIMEOUT is %v: 1 s to 1 min", c.Timeout)
	case c.Workers < 1 || c.PerEndpoint < 1 || c.PerEndpoint > c.Workers:
		return fmt.Errorf("SOUK_NOTIFICATION_WEBHOOK_WORKERS and _PER_ENDPOINT are %d and %d: 1 at least, and one endpoint has no more than all", c.Workers, c.PerEndpoint)
	case c.Keep < minKeep:
		return fmt.Errorf("SOUK_NOTIFICATION_WEBHOOK_KEEP is %v: %v at least, for which a delivery may be tried", c.Keep, minKeep)
	}
	return nil
}

// webhooks makes what sends webhooks. Without a key there are none: it returns no use cases
// and no subscription. first is the state in which mails about endpoints begin.
func webhooks(p *service.Parts, cfg WebhookConfig, first mail.State) (*app.Endpoints, []consume.Subscription, error) {
	if cfg.Key == "" {
		p.Log.Info("no webhooks are sent: there is no WEBHOOK_KEY")
		return nil, nil, nil
	}
	if err := cfg.validate(); err != nil {
		return nil, nil, err
	}
	guard, err := cfg.guard()
	if err != nil {
		return nil, nil, err
	}
	var old []string
	for _, key := range cfg.OldKeys {
		old = append(old, key.Reveal())
	}
	sealer, err := postgres.NewSealer(cfg.Key.Reveal(), old...)
	if err != nil {
		return nil, nil, fmt.Errorf("SOUK_NOTIFICATION_WEBHOOK_KEY: %w", err)
	}
	store := postgres.NewWebhooks(p.Pool, sealer, first)
	sender := outbound.New(outbound.Config{
		Guard: guard, Timeout: cfg.Timeout, Connections: cfg.PerEndpoint, Now: p.Now, Tracer: p.Telemetry.Tracer(),
	})
	p.Close(sender.Close)
	tried, err := measure(p, store)
	if err != nil {
		return nil, nil, err
	}
	dispatcher := app.NewDispatcher(app.DispatcherConfig{
		Outbox: store, Sender: sender, Notices: logged{p.Log}, Workers: cfg.Workers, PerEndpoint: cfg.PerEndpoint,
		OnTrial: max(1, cfg.Workers/2), PerHost: max(1, cfg.Workers/2),
		Timeout: cfg.Timeout, Keep: cfg.Keep, Now: p.Now, Log: p.Log, Crash: p.Crash, Tried: tried,
	})
	p.AddReady("send webhooks", dispatcher.Run)
	p.AddReady("forget webhooks", dispatcher.Sweep)
	endpoints := app.NewEndpoints(app.Config{
		Store: store, Guard: guard, Types: inbound.Types(), Now: p.Now, NewID: newID,
	})
	return endpoints, []consume.Subscription{inbound.Webhooks(expected{store, dispatcher})}, nil
}

// expected has the dispatcher expect the deliveries that are made.
type expected struct {
	*postgres.Webhooks

	by *app.Dispatcher
}

// Deliver implements inbound.Deliveries.
func (e expected) Deliver(ctx context.Context, tx pgx.Tx, ms []webhook.Addressed) error {
	defer e.by.Expect()
	return e.Webhooks.Deliver(ctx, tx, ms)
}

// logged implements app.Notices by the log.
type logged struct{ log *slog.Logger }

func (l logged) Disabled(ctx context.Context, e webhook.Endpoint) {
	l.log.ErrorContext(ctx, "a webhook endpoint is disabled", "endpoint", e.ID, "reason", string(e.DisabledReason), "failing_since", e.FailingSince)
}

// measure makes the metrics of webhooks, and returns what counts attempts.
func measure(p *service.Parts, outbox app.Outbox) (func(context.Context, *webhook.Delivery, webhook.Attempt, webhook.Outcome), error) {
	meter := p.Telemetry.Meter()
	attempts, err := meter.Int64Counter("souk.webhook.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Calls of webhook endpoints, by what they came to: delivered, retried or failed."))
	if err != nil {
		return nil, err
	}
	duration, err := meter.Float64Histogram("souk.webhook.duration", metric.WithUnit("s"),
		metric.WithDescription("How long calls of webhook endpoints took."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60))
	if err != nil {
		return nil, err
	}
	disabled, err := meter.Int64Counter("souk.webhook.disabled", metric.WithUnit("{endpoint}"),
		metric.WithDescription("Webhook endpoints that the service has disabled, by why."))
	if err != nil {
		return nil, err
	}
	backlog, err := meter.Int64ObservableGauge("souk.webhook.backlog", metric.WithUnit("{delivery}"),
		metric.WithDescription("Webhook deliveries that are not done, by whether their endpoint is enabled (waiting) or not (held)."))
	if err != nil {
		return nil, err
	}
	age, err := meter.Float64ObservableGauge("souk.webhook.backlog.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the oldest of these was made."))
	if err != nil {
		return nil, err
	}
	_, err = meter.RegisterCallback(p.Observed(func(ctx context.Context, o metric.Observer) error {
		b, err := outbox.Backlog(ctx)
		if err != nil {
			return err
		}
		for _, s := range []struct {
			name   string
			n      int64
			oldest time.Time
		}{{"waiting", b.Waiting, b.OldestWaiting}, {"held", b.Held, b.OldestHeld}} {
			state := metric.WithAttributes(semconv.WebhookState.String(s.name))
			o.ObserveInt64(backlog, s.n, state)
			old := 0.0
			if s.n > 0 {
				old = max(0, p.Now().Sub(s.oldest).Seconds())
			}
			o.ObserveFloat64(age, old, state)
		}
		return nil
	}), backlog, age)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ *webhook.Delivery, a webhook.Attempt, out webhook.Outcome) {
		outcome := string(out.State)
		if out.State == webhook.Pending {
			outcome = "retried"
		}
		as := metric.WithAttributes(semconv.WebhookOutcome.String(outcome))
		attempts.Add(ctx, 1, as)
		duration.Record(ctx, a.Duration.Seconds(), as)
		if out.Disable != "" {
			disabled.Add(ctx, 1, metric.WithAttributes(semconv.WebhookReason.String(string(out.Disable))))
		}
	}, nil
}
