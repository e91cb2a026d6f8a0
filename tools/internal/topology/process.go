package topology

import (
	"context"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/sethvargo/go-envconfig"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/config"
	chassis "github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Process is what a part gets to run with.
type Process struct {
	// Env has its configuration.
	Env      envconfig.Lookuper
	Listener net.Listener
	// Admin is the listener for metrics, health and profiles of a part that HasAdmin; nil
	// turns it off.
	Admin net.Listener
	// Log is standard error when nil.
	Log io.Writer
	// Spans see each span, and Tracer each query; both may be nil.
	Spans  []sdktrace.SpanProcessor
	Tracer pgx.QueryTracer
}

// Run runs the part in this process until ctx is done.
func (p Part) Run(ctx context.Context, proc Process) error {
	return p.run(ctx, p.ServicePrefix(), proc)
}

// HasAdmin reports whether the part has a listener for operators.
func (p Part) HasAdmin() bool { return p.Kind == Service || p.Kind == Gateway }

type runner func(ctx context.Context, prefix string, proc Process) error

// places are the fields of a Config that no environment variable sets. The
// tracer is nil where there is no database, admin where nothing listens for operators.
type places struct {
	listener  *net.Listener
	telemetry *telemetry.Config
	admin     *admin.Config
	tracer    *pgx.QueryTracer
}

// start makes a runner of a part's Run, whatever its Config is.
func start[C any](run func(context.Context, C) error, of func(*C) places) runner {
	return func(ctx context.Context, prefix string, proc Process) error {
		var cfg C
		if err := config.LoadFrom(ctx, proc.Env, prefix, &cfg); err != nil {
			return err
		}
		at := of(&cfg)
		*at.listener = proc.Listener
		at.telemetry.LogOutput, at.telemetry.SpanProcessors = proc.Log, proc.Spans
		if at.admin != nil && proc.Admin != nil {
			at.admin.Listener, at.admin.Profiles = proc.Admin, true
		}
		if at.tracer != nil {
			*at.tracer = proc.Tracer
		}
		return run(ctx, cfg)
	}
}

// serve is start for a service, whose Config has the chassis's in it.
func serve[C any](run func(context.Context, C) error, of func(*C) *chassis.Config) runner {
	return start(run, func(c *C) places {
		base := of(c)
		return places{&base.Server.Listener, &base.Telemetry, &base.Admin, &base.Postgres.Tracer}
	})
}
