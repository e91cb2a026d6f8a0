package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc"

	auditv1 "github.com/souk-shop/souk/proto/gen/souk/audit/v1"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	"github.com/souk-shop/souk/services/chassis/cell/route"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/run"
)

// Spec says what a service is made of.
type Spec struct {
	// Name is as in "order".
	Name string
	// Migrate brings the database to the schema of this version, and Migrated fails
	// until it has that schema, or a later one.
	Migrate  func(ctx context.Context, cfg pg.Config, log *slog.Logger) error
	Migrated func(ctx context.Context, pool *pgxpool.Pool) error
	// Jobs opens a pool for River.
	Jobs bool
	// Cells says what of the service's database belongs to a customer, and so moves from one cell
	// to another; nil for a service that does not run in cells.
	Cells *ownership.Plan
	// Errors maps the errors of the service's calls.
	Errors rpc.ErrorTable
	// CrashPoints are what Config.CrashAt can name. Crash is called at each instead
	// of what CrashAt says, if set, for tests.
	CrashPoints []crash.Point
	Crash       crash.Hook
	// Build makes the service from the parts: it registers its server and adds what
	// runs beside it.
	Build func(*Parts) error
}

// Parts is what a service is built from.
type Parts struct {
	*run.Process
	// Pool is the service's database, ReadPool the same for reads that wait for no lock,
	// and JobsPool that of River; nil without jobs.
	Pool     *pgxpool.Pool
	ReadPool *pgxpool.Pool
	JobsPool *pgxpool.Pool
	// Reads asks the database's replica, if there is one, in place of ReadPool: for what may be
	// a little old for everybody but its writer.
	Reads pg.Reads
	// Server takes the registration of the service's calls.
	Server *rpc.Server
	// Crash is called at each crash point.
	Crash crash.Hook
	// Now is the time of day.
	Now func() time.Time
	// Cell is of which cell the process is; "" of a service that runs in one.
	Cell string
	// Ready fails until the database answers and is migrated.
	Ready func(context.Context) error
	// silentUntil is until when no collection of metrics asks the database, in nanoseconds of Unix: one has
	// waited for it in vain.
	silentUntil atomic.Int64
}

// Owned are the buckets whose customers' data is here now: all, of a service that runs in one cell.
func (p *Parts) Owned(ctx context.Context) (cell.Set, error) {
	if p.Cell == "" {
		return cell.All(), nil
	}
	return ownership.Owned(ctx, p.ReadPool)
}

// AddReady is Add for what needs the database: fn begins when Ready has succeeded.
func (p *Parts) AddReady(name string, fn func(context.Context) error) {
	p.Add(name, func(ctx context.Context) error {
		if !jobs.Await(ctx, p.Ready) {
			return nil
		}
		return fn(ctx)
	})
}

// observeTimeout bounds what a callback of metrics waits for the database, and what all of a collection wait
// for one that is silent: a scrape that takes too long says that the process is down.
const observeTimeout = 2 * time.Second

// Observed is for a callback of metrics that asks the database: it has little time, and is
// left out while the database is away, which is reported elsewhere.
func (p *Parts) Observed(ask metric.Callback) metric.Callback {
	return func(ctx context.Context, o metric.Observer) error {
		if time.Now().UnixNano() < p.silentUntil.Load() {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, observeTimeout)
		defer cancel()
		if p.Ready(ctx) == nil {
			return ask(ctx, o)
		}
		if ctx.Err() != nil { // a question that takes too long, or a pool without a free connection, is no silence
			p.silentUntil.Store(time.Now().Add(observeTimeout).UnixNano())
		}
		return nil
	}
}

// Dial returns a connection to the part of a name, or to the cells of it, that is closed after
// the service has stopped.
func (p *Parts) Dial(part string, cfg rpc.ClientConfig) (*route.Conn, error) {
	conn, err := route.Dial(part, cfg, nil, p.Identity, p.Telemetry)
	if err != nil {
		return nil, err
	}
	p.Close(conn.Close)
	return conn, nil
}

// Run serves until ctx ends, then stops in order: calls, admin listener, what Build
// added, pools, telemetry. It starts whether or not the database and the neighbors
// are there; health says when they are.
func Run(ctx context.Context, cfg Configured, spec Spec) (err error) {
	if err := config.Complete(cfg); err != nil {
		return err
	}
	base := cfg.base()
	if base.Postgres.DSN == "" {
		return fmt.Errorf("environment variable SOUK_%s_POSTGRES_DSN is required", strings.ToUpper(spec.Name))
	}
	hook := spec.Crash
	if hook == nil {
		if hook, err = crash.Parse(base.CrashAt, spec.CrashPoints); err != nil {
			return err
		}
	}
	own, err := base.buckets(spec)
	if err != nil {
		return err
	}
	process := run.Config{Name: spec.Name, Telemetry: base.Telemetry, Admin: base.Admin, Identity: &base.Identity}
	return run.Serve(ctx, process, func(process *run.Process) (run.Server, error) {
		if base.Cell != "" {
			process.Log = process.Log.With("cell", base.Cell)
			process.Telemetry.Log = process.Log
		}
		p := &Parts{Process: process, Crash: hook, Now: base.Clock.Now, Cell: base.Cell}
		if err := p.connect(ctx, base, spec); err != nil {
			return run.Server{}, err
		}
		if base.Migrate {
			p.Add("migrate", func(ctx context.Context) error {
				if err := spec.Migrate(ctx, base.Postgres, p.Log); err != nil || base.Cell == "" {
					return err
				}
				return ownership.Migrate(ctx, base.Postgres, p.Log, base.Cell, own, *spec.Cells)
			})
		}
		if err := spec.Build(p); err != nil {
			return run.Server{}, err
		}
		return run.Server{Serve: p.Server.Serve, Ready: p.Server.Ready}, nil
	})
}

// connect opens the pools and the listener.
func (p *Parts) connect(ctx context.Context, cfg *Config, spec Spec) (err error) {
	cfg.Postgres.Doubts = &pg.Doubts{} // of all pools that ask the primary
	if p.Pool, err = pg.Open(ctx, cfg.Postgres, p.Telemetry); err != nil {
		return err
	}
	p.Close(closing(p.Pool))
	if p.ReadPool, err = pg.OpenReads(ctx, cfg.Postgres, p.Telemetry); err != nil {
		return err
	}
	p.Close(closing(p.ReadPool))
	gain, err := p.followReplica(ctx, cfg.Postgres)
	if err != nil {
		return err
	}
	if spec.Jobs {
		if p.JobsPool, err = jobs.OpenPool(ctx, cfg.Postgres, spec.Name); err != nil {
			return err
		}
		p.Close(closing(p.JobsPool))
	}
	pools := map[string]*pgxpool.Pool{"main": p.Pool, "reads": p.ReadPool}
	if p.JobsPool != nil {
		pools["jobs"] = p.JobsPool
	}
	if replica := p.Reads.Replica(); replica != nil {
		pools["replica"] = replica.Pool()
	}
	if err := pg.MeasurePools(p.Telemetry.Meter(), pools); err != nil {
		return err
	}
	role := &roleCheck{cfg: cfg.Postgres, log: p.Log}
	p.Ready = func(ctx context.Context) error {
		ctx = pg.ForHealth(ctx)
		err := spec.Migrated(ctx, p.ReadPool) // writes that wait for locks are no outage
		if err == nil && cfg.Cell != "" {
			err = ownership.Ready(ctx, p.ReadPool, cfg.Cell)
		}
		if errors.Is(err, pg.ErrReadOnly) {
			p.reconnect()
		}
		if err != nil {
			return err
		}
		return role.ready(ctx, p.ReadPool)
	}
	if err := pg.MeasureArchive(p.Telemetry.Meter(), p.Pool, p.Observed); err != nil {
		return err
	}
	p.AddReady("limit role", func(ctx context.Context) error {
		if err := pg.LimitRole(ctx, p.Pool, cfg.Postgres); err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "the role's limits are not set for sessions that this service does not open", "error", err)
		}
		return nil
	})
	var guard rpc.Guard
	if cfg.Cell != "" {
		watcher := ownership.NewWatcher(p.ReadPool, cfg.Cell)
		guard = &route.Guard{Of: watcher}
		p.AddReady("buckets", watcher.Run)
	}
	p.Server, err = rpc.NewServer(cfg.Server, rpc.ServerParts{
		Guard:    guard,
		Identity: p.Identity, Telemetry: p.Telemetry, Errors: spec.Errors,
		Checks: []rpc.Check{{Name: "postgres", Fn: p.Ready}},
		Gain:   gain,
		Unary:  []grpc.UnaryServerInterceptor{audit.Interceptor(p.Log)},
	})
	if err != nil {
		return err
	}
	auditv1.RegisterAuditServiceServer(p.Server, audit.NewServer(p.ReadPool))
	return nil
}

// followReplica opens the database's replica, if it has one, and returns what tells how far
// the log was that a call has written to.
func (p *Parts) followReplica(ctx context.Context, cfg pg.Config) (gain func(context.Context), err error) {
	replica, err := pg.OpenReplica(ctx, cfg, p.ReadPool, p.Telemetry)
	p.Reads = pg.NewReads(p.ReadPool, replica)
	if err != nil || replica == nil {
		return nil, err
	}
	p.Close(func() error { replica.Close(); return nil })
	p.Add("replica", replica.Watch)
	return replica.Gain, nil
}

// reconnect has every connection opened anew: after a failover the old ones lead to
// a server that takes no writes any more.
func (p *Parts) reconnect() {
	p.Pool.Reset()
	p.ReadPool.Reset()
	if p.JobsPool != nil {
		p.JobsPool.Reset()
	}
}

func closing(pool *pgxpool.Pool) func() error {
	return func() error { pool.Close(); return nil }
}
