package localshop

import (
	"context"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-envconfig"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/services/cart"
	"github.com/souk-shop/souk/services/catalog"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/order"
	"github.com/souk-shop/souk/services/payment"
	"github.com/souk-shop/souk/tools/stripesim"
)

// service is a part of the shop that can be a process.
type service struct {
	name string
	run  func(ctx context.Context, p params) error
}

// params are what a service gets beside its environment.
type params struct {
	env      envconfig.Lookuper
	listener net.Listener
	log      io.Writer // standard error when nil
	spans    []sdktrace.SpanProcessor
	tracer   pgx.QueryTracer
}

// telemetry sets what has no environment variable.
func (p params) telemetry(cfg *telemetry.Config) {
	cfg.LogOutput, cfg.SpanProcessors = p.log, p.spans
}

// services in the order of their dependencies: each needs only those before it.
var services = []service{
	{"stripesim", func(ctx context.Context, p params) error {
		var cfg stripesim.Config
		if err := config.LoadFrom(ctx, p.env, "SOUK_STRIPESIM_", &cfg); err != nil {
			return err
		}
		cfg.Listener = p.listener
		p.telemetry(&cfg.Telemetry)
		return stripesim.Run(ctx, cfg)
	}},
	{"catalog", func(ctx context.Context, p params) error {
		var cfg catalog.Config
		if err := config.LoadFrom(ctx, p.env, "SOUK_CATALOG_", &cfg); err != nil {
			return err
		}
		cfg.Server.Listener, cfg.Postgres.Tracer = p.listener, p.tracer
		p.telemetry(&cfg.Telemetry)
		return catalog.Run(ctx, cfg)
	}},
	{"cart", func(ctx context.Context, p params) error {
		var cfg cart.Config
		if err := config.LoadFrom(ctx, p.env, "SOUK_CART_", &cfg); err != nil {
			return err
		}
		cfg.Server.Listener, cfg.Postgres.Tracer = p.listener, p.tracer
		p.telemetry(&cfg.Telemetry)
		return cart.Run(ctx, cfg)
	}},
	{"payment", func(ctx context.Context, p params) error {
		var cfg payment.Config
		if err := config.LoadFrom(ctx, p.env, "SOUK_PAYMENT_", &cfg); err != nil {
			return err
		}
		cfg.Server.Listener, cfg.Postgres.Tracer = p.listener, p.tracer
		p.telemetry(&cfg.Telemetry)
		return payment.Run(ctx, cfg)
	}},
	{"order", func(ctx context.Context, p params) error {
		var cfg order.Config
		if err := config.LoadFrom(ctx, p.env, "SOUK_ORDER_", &cfg); err != nil {
			return err
		}
		cfg.Server.Listener, cfg.Postgres.Tracer = p.listener, p.tracer
		p.telemetry(&cfg.Telemetry)
		return order.Run(ctx, cfg)
	}},
	{"gateway", func(ctx context.Context, p params) error {
		var cfg gateway.Config
		if err := config.LoadFrom(ctx, p.env, "SOUK_GATEWAY_", &cfg); err != nil {
			return err
		}
		cfg.Listener = p.listener
		p.telemetry(&cfg.Telemetry)
		return gateway.Run(ctx, cfg)
	}},
}

// runInside runs a service in this process.
func (s *Shop) runInside(ctx context.Context, svc service) error {
	p := params{env: s.lookuper(svc.name), listener: s.listeners[svc.name], log: s.logFile, spans: s.opts.SpanProcessors}
	if s.opts.Tracer != nil {
		p.tracer = s.opts.Tracer(svc.name)
	}
	return svc.run(ctx, p)
}

// environment returns the variables of all services. What wires the shop
// together is fixed; the rest yields to what this process's environment says,
// so that a setting can be tried with `SOUK_ORDER_DRIVERS=8 souk up`.
func (s *Shop) environment() map[string]string {
	// More connections than the machine can serve compete with each other and
	// with the shop for its processors: with 12 for each service instead of 4, on
	// two cores, a busy shop sold a fifth less, and its refusals took thrice as
	// long. The rule is that of "Number Of Database Connections" in PostgreSQL's
	// wiki: twice the cores. The server takes 100 from all.
	conns := strconv.Itoa(min(max(4, 2*runtime.NumCPU()), 16))
	out := map[string]string{
		"SOUK_CATALOG_POSTGRES_MAX_CONNS": conns,
		"SOUK_CART_POSTGRES_MAX_CONNS":    conns,
		"SOUK_PAYMENT_POSTGRES_MAX_CONNS": conns,
		"SOUK_ORDER_POSTGRES_MAX_CONNS":   conns,
		// One visitor, from one address: the replay and the load are that too.
		"SOUK_GATEWAY_RATE_LIMIT": "0",
	}
	if s.opts.Processes {
		// A gateway that is replaced under load closes connections once their
		// clients have had time to leave them.
		out["SOUK_GATEWAY_DRAIN_DELAY"] = "1s"
	}
	for _, svc := range services {
		out[prefix(svc.name)+"LOG_LEVEL"] = "info"
	}
	for k := range out {
		if v, ok := os.LookupEnv(k); ok {
			out[k] = v
		}
	}
	maps.Copy(out, s.wiring())
	return out
}

// wiring are the variables that nobody else can know.
func (s *Shop) wiring() map[string]string {
	out := map[string]string{
		"SOUK_STRIPESIM_JOURNAL":        s.Journal,
		"SOUK_STRIPESIM_WEBHOOK_SECRET": s.secrets.Webhooks,
		"SOUK_PAYMENT_STRIPE_KEY":       s.secrets.Stripe,
		"SOUK_PAYMENT_WEBHOOK_SECRET":   s.secrets.Webhooks,
		"SOUK_GATEWAY_SECRET":           s.secrets.Gateway,
		"SOUK_GATEWAY_OPERATOR_TOKEN":   s.secrets.OperatorToken,
	}
	maps.Copy(out, s.connections)
	for _, name := range databases {
		out[prefix(name)+"MIGRATE"] = "true"
	}
	if s.opts.JobsOnly {
		out["SOUK_ORDER_DRIVERS"] = "-1"
	}
	for _, svc := range services {
		out[prefix(svc.name)+"LOG_FORMAT"] = "json"
	}
	return out
}
