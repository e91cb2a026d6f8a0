// Package notification is the notification service: it tells people and other systems what
// happened in the shop. It takes the events of the services that own what they are about,
// and asks these for what events do not say.
package notification

import (
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	neturl "net/url"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/events/owner"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/service"
	app "github.com/souk-shop/souk/services/notification/internal/app/mail"
	webhookapp "github.com/souk-shop/souk/services/notification/internal/app/webhook"
	"github.com/souk-shop/souk/services/notification/internal/domain/letter"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	inbound "github.com/souk-shop/souk/services/notification/internal/events"
	"github.com/souk-shop/souk/services/notification/internal/jobs"
	"github.com/souk-shop/souk/services/notification/internal/postgres"
	"github.com/souk-shop/souk/services/notification/internal/rpc"
	"github.com/souk-shop/souk/services/notification/internal/smtp"
)

// Config is the configuration of the notification service, from variables
// SOUK_NOTIFICATION_...
type Config struct {
	service.Config

	// Events is the broker from which events are taken.
	Events events.Config `env:", prefix=EVENTS_"`

	Catalog chassisrpc.ClientConfig `env:", prefix=CATALOG_"`
	Order   chassisrpc.ClientConfig `env:", prefix=ORDER_"`
	Payment chassisrpc.ClientConfig `env:", prefix=PAYMENT_"`

	// SMTP is the mail server. Without one mails are kept, to be looked at.
	SMTP smtp.Config `env:", prefix=SMTP_"`
	// MailFrom is in whose name mails are, "Souk <orders@shop.example>"; required with a mail
	// server.
	MailFrom string `env:"MAIL_FROM, default=Souk <orders@souk.example>"`
	// MailReplyTo is where answers go; MailFrom when empty.
	MailReplyTo string `env:"MAIL_REPLY_TO"`
	// MailOperators is to whom mails about the shop itself go, "ops@shop.example". Without it they
	// are kept.
	MailOperators string `env:"MAIL_OPERATORS"`
	// MailMaxAge is for how long after what it tells a mail is worth sending.
	MailMaxAge time.Duration `env:"MAIL_MAX_AGE, default=72h"`
	// MailKeep is for how long a mail that is sent, kept, failed or withheld can be looked at.
	MailKeep time.Duration `env:"MAIL_KEEP, default=2160h"`
	// Workers is how many jobs run at once, and so how many mails are sent at once.
	Workers int `env:"WORKERS, default=4"`
	// ShopURL is where shoppers find the shop: the beginning of links to orders.
	ShopURL string `env:"SHOP_URL, default=http://127.0.0.1:8080"`

	// Webhooks are those that the shop sends.
	Webhooks WebhookConfig `env:", prefix=WEBHOOK_"`

	hook crash.Hook // tests simulate crashes with it
}

// CrashPoints are what Config.CrashAt can name.
func CrashPoints() []string { return crash.Names(crashPoints()) }

func crashPoints() []crash.Point { return append(app.CrashPoints(), webhookapp.CrashPoints()...) }

// Validate refuses what the service cannot run with.
func (cfg *Config) Validate() error {
	if err := cfg.Events.Validate(); err != nil {
		return err
	}
	if err := cfg.SMTP.Validate(); err != nil {
		return err
	}
	if _, err := cfg.sender(); err != nil {
		return err
	}
	if _, err := cfg.operators(); err != nil {
		return err
	}
	if u, err := neturl.Parse(cfg.ShopURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("SHOP_URL is %q: it is an address such as https://shop.example", cfg.ShopURL)
	}
	if cfg.MailMaxAge < time.Minute || cfg.MailKeep < time.Hour {
		return errors.New("MAIL_MAX_AGE is a minute at least, and MAIL_KEEP an hour")
	}
	if cfg.Workers < 1 {
		return errors.New("WORKERS is less than 1")
	}
	return nil
}

// sampleDomain is that of the default of MailFrom, which has no mailbox.
const sampleDomain = "souk.example"

func (cfg *Config) sender() (s smtp.Sender, err error) {
	if s.From, err = netmail.ParseAddress(cfg.MailFrom); err != nil {
		return s, fmt.Errorf("MAIL_FROM is %q: it is such as Souk <orders@shop.example>", cfg.MailFrom)
	}
	if cfg.SMTP.Host != "" && s.Host() == sampleDomain {
		return s, errors.New("MAIL_FROM is not set, and there is a mail server: say in whose name mails are")
	}
	if cfg.MailReplyTo == "" {
		return s, nil
	}
	if s.ReplyTo, err = netmail.ParseAddress(cfg.MailReplyTo); err != nil {
		return s, fmt.Errorf("MAIL_REPLY_TO is %q: it is such as Souk <help@shop.example>", cfg.MailReplyTo)
	}
	return s, nil
}

// operators is the address of the shop's operators, "" without one.
func (cfg *Config) operators() (string, error) {
	if cfg.MailOperators == "" {
		return "", nil
	}
	to, err := netmail.ParseAddress(cfg.MailOperators)
	if err != nil {
		return "", fmt.Errorf("MAIL_OPERATORS is %q: it is an address such as ops@shop.example", cfg.MailOperators)
	}
	return to.Address, nil
}

// first is the state in which mails begin; those to operators need an address, too.
func (cfg *Config) first(toOperators bool) mail.State {
	if cfg.SMTP.Host == "" || toOperators && cfg.MailOperators == "" {
		return mail.Kept
	}
	return mail.Queued
}

// Run serves until ctx ends, then stops in good order: events, mails and webhooks under way
// are finished.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, &cfg, service.Spec{
		Name: "notification", Migrate: postgres.Migrate, Migrated: postgres.Migrated, Jobs: true, Errors: rpc.Errors,
		CrashPoints: crashPoints(), Crash: cfg.hook,
		Build: func(p *service.Parts) error { return build(p, cfg) },
	})
}

func build(p *service.Parts, cfg Config) error {
	conns := map[string]grpc.ClientConnInterface{}
	for name, target := range map[string]chassisrpc.ClientConfig{"catalog": cfg.Catalog, "order": cfg.Order, "payment": cfg.Payment} {
		conn, err := p.Dial(name, target)
		if err != nil {
			return err
		}
		conns[name] = conn
	}
	store := postgres.NewMails(p.Pool, p.Reads)
	mails, err := newMails(p, cfg, store, rpc.NewOrders(conns["order"]))
	if err != nil {
		return err
	}
	from, err := broker.Open(cfg.Events, p.Telemetry)
	if err != nil {
		return err
	}
	work := jobs.New(jobs.Config{
		Pool: p.JobsPool, Mails: mails, Log: p.Log, Tracer: p.Telemetry.Tracer(), Workers: cfg.Workers,
		SendTimeout: 2*cfg.SMTP.Timeout + sendMargin, KeepMails: cfg.MailKeep, Clock: cfg.Clock,
	})
	sender, err := cfg.sender()
	if err != nil {
		return err
	}
	notificationv1.RegisterMailServiceServer(p.Server, rpc.NewMails(mails, sender.Host()))
	if err := answers.Serve(p); err != nil {
		return err
	}
	p.AddReady("jobs", work.Run)
	endpoints, told, err := webhooks(p, cfg.Webhooks, cfg.first(true))
	if err != nil {
		return err
	}
	notificationv1.RegisterWebhookServiceServer(p.Server, rpc.NewWebhooks(endpoints))
	consume.Serve(p, from, owner.New(p.Telemetry.Service, conns), append(told, inbound.Mail(store, cfg.first(false), newID))...)
	return nil
}

// sendMargin is what a mail's job takes besides the mail server: the order is asked for, and what
// happened is written.
const sendMargin = 15 * time.Second

func newMails(p *service.Parts, cfg Config, store *postgres.Mails, orders *rpc.Orders) (*app.Mails, error) {
	sender, err := cfg.sender()
	if err != nil {
		return nil, err
	}
	operators, err := cfg.operators()
	if err != nil {
		return nil, err
	}
	var server app.Server
	if cfg.SMTP.Host != "" {
		if server, err = smtp.New(cfg.SMTP, sender, p.Telemetry); err != nil {
			return nil, err
		}
	}
	meter := p.Telemetry.Meter()
	settled, err1 := meter.Int64Counter("souk.mail.settled", metric.WithUnit("{mail}"),
		metric.WithDescription("Mails that were sent, kept, failed or withheld, by which of these."))
	backlog, err2 := meter.Int64Gauge("souk.mail.backlog", metric.WithUnit("{mail}"),
		metric.WithDescription("Mails that are to be sent and are not yet."))
	age, err3 := meter.Float64Gauge("souk.mail.backlog.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago that was true which the oldest mail that is not sent yet tells."))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	p.AddReady("mail backlog", app.Gauge{
		Store: store, Now: p.Now, Log: p.Log,
		Set: func(ctx context.Context, n int64, oldest time.Duration) {
			backlog.Record(ctx, n)
			age.Record(ctx, oldest.Seconds())
		},
	}.Run)
	return app.New(app.Config{
		Store: store, Orders: orders, Server: server, Writer: letter.Writer{ShopURL: cfg.ShopURL}, Host: sender.Host(), Operators: operators,
		MaxAge: cfg.MailMaxAge, Now: p.Now, Log: p.Log, Crash: p.Crash,
		Settled: func(ctx context.Context, to mail.State) {
			settled.Add(ctx, 1, metric.WithAttributes(semconv.MailState.String(string(to))))
		},
	}), nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
