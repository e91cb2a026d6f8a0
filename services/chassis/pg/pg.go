// Package pg is a service's way to its PostgreSQL database: the pool,
// transactions and migrations. What its errors mean is in pgerr.
package pg

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is where the database is and how it is used.
type Config struct {
	// DSN is a connection string of libpq, as a URL or as key=value pairs. What it does
	// not say, libpq's variables do: PGSSLMODE, PGSSLROOTCERT. It may name several servers, one
	// of which is the primary (target_session_attrs=read-write).
	// Its role is the service's own, which changes no schema. Only a migration does without.
	DSN config.Secret `env:"DSN"`
	// OwnerDSN is the same for the role that owns the database. Migrations alone use it;
	// without it they use DSN, and one role does everything.
	OwnerDSN config.Secret `env:"OWNER_DSN"`
	// RuntimeRole is the role that migrations grant to; without it that of DSN.
	RuntimeRole string `env:"RUNTIME_ROLE"`
	// ReaderRole is a role that reads the whole database, for backups, if there is one:
	// migrations let it connect.
	ReaderRole string `env:"READER_ROLE"`
	// RefuseOwner has the service not be ready, instead of warning, while its role can
	// do what only migrations need.
	RefuseOwner bool `env:"REFUSE_OWNER"`
	// ReplicaDSN is a standby of the database, for the same role as DSN: it answers reads that
	// may be a little old (Reads). Without one the primary answers all.
	ReplicaDSN config.Secret `env:"REPLICA_DSN"`
	// ReplicaWait is how long a read waits for the replica to replay what its caller has
	// written, before the primary is asked.
	ReplicaWait time.Duration `env:"REPLICA_WAIT, default=20ms"`
	// ReplicaMaxLag is how old an answer of the replica may be for who has not written what
	// was asked for: a replica that is older is not asked.
	ReplicaMaxLag time.Duration `env:"REPLICA_MAX_LAG, default=2s"`
	// MaxConns bounds the pool.
	MaxConns int32 `env:"MAX_CONNS, default=10"`
	// ReadConns bounds the pool of reads, which have connections of their own so that
	// writes that wait for locks do not take them.
	ReadConns int32 `env:"READ_CONNS, default=4"`
	// ConnectTimeout bounds one attempt to connect.
	ConnectTimeout time.Duration `env:"CONNECT_TIMEOUT, default=2s"`
	// StatementTimeout is the server's limit for one statement; negative is none.
	StatementTimeout time.Duration `env:"STATEMENT_TIMEOUT, default=30s"`
	// LockTimeout is the server's limit for one wait for a lock; negative is none. It is
	// less than a caller's patience, so that a locked row does not use up the pool.
	LockTimeout time.Duration `env:"LOCK_TIMEOUT, default=4s"`
	// IdleInTransactionTimeout is after how long the server ends a transaction
	// in which nothing happens; negative is never.
	IdleInTransactionTimeout time.Duration `env:"IDLE_IN_TRANSACTION_TIMEOUT, default=30s"`
	// Tracer sees every query, for tests and recordings. It takes the place of
	// OpenTelemetry's unless it is combined with it (pgx's multitracer).
	Tracer pgx.QueryTracer
	// Doubts are shared by all pools of a process that ask the same primary. Without them Open's
	// pool has its own, and OpenReads' knows of none.
	Doubts *Doubts
}

// Open returns a pool for the database. It connects when it is first used and
// does not fail when the database is late or away: queries do, and health
// tells. It fails on a DSN that cannot be read. A request that uses it is taken to write:
// see package consistency.
func Open(ctx context.Context, cfg Config, tel *telemetry.Telemetry) (*pgxpool.Pool, error) {
	pc, err := poolConfig(cfg, tel)
	if err != nil {
		return nil, err
	}
	s := follow(pc, cfg, tel.Log, true)
	if s.doubts = cfg.Doubts; s.doubts == nil {
		s.doubts = &Doubts{}
	}
	pc.ConnConfig.Tracer = traced(pc.ConnConfig.Tracer, releases{s.doubts})
	pc.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		consistency.FromContext(ctx).Write(tel.Service)
		err := s.doubts.settle(ctx, conn)
		return !conn.IsClosed(), err
	}
	return s.open(ctx, pc)
}

// OpenReads is Open for reads alone, which have ReadConns connections: a request that uses
// them has not written.
func OpenReads(ctx context.Context, cfg Config, tel *telemetry.Telemetry) (*pgxpool.Pool, error) {
	_, pool, err := openReads(ctx, cfg, tel, true)
	return pool, err
}

// openReads is OpenReads; one says that the DSN's servers are not alike, as primary and standbys
// are not.
func openReads(ctx context.Context, cfg Config, tel *telemetry.Telemetry, one bool) (*servers, *pgxpool.Pool, error) {
	cfg.MaxConns = cfg.ReadConns
	pc, err := poolConfig(cfg, tel)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Doubts != nil {
		pc.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			err := cfg.Doubts.settle(ctx, conn)
			return !conn.IsClosed(), err
		}
	}
	s := follow(pc, cfg, tel.Log, one)
	pool, err := s.open(ctx, pc)
	return s, pool, err
}

// traced is a tracer that is joined to the configured one, which may be nil.
func traced(configured, by pgx.QueryTracer) pgx.QueryTracer {
	if configured == nil {
		return by
	}
	return multitracer.New(configured, by)
}

func poolConfig(cfg Config, tel *telemetry.Telemetry) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		return nil, fmt.Errorf("postgres DSN: %w", err) // pgx redacts the password
	}
	if cfg.MaxConns > 0 {
		pc.MaxConns = cfg.MaxConns
	}
	if cfg.ConnectTimeout > 0 {
		pc.ConnConfig.ConnectTimeout = cfg.ConnectTimeout
	}
	followCertificates(pc, cfg, tel.Log)
	params := pc.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "souk-" + tel.Service
	}
	session(params, cfg)
	pc.ConnConfig.OnPgError = onPgError
	switch {
	case cfg.Tracer != nil:
		pc.ConnConfig.Tracer = cfg.Tracer
	case tel.Recording:
		pc.ConnConfig.Tracer = newTracer(tel)
	}
	return pc, nil
}

// followCertificates has every new connection read the files of the DSN anew
// (sslrootcert, sslcert, sslkey), which pgx reads once: a new authority or certificate
// counts without a restart. While a file cannot be read, what was read at the start is used.
func followCertificates(pc *pgxpool.Config, cfg Config, log *slog.Logger) {
	if t := pc.ConnConfig.TLSConfig; t == nil || t.RootCAs == nil && len(t.Certificates) == 0 {
		return // no files
	}
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		now, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
		if err != nil {
			log.WarnContext(ctx, "the files of the postgres DSN cannot be read; those of the start are used", "error", err)
			return nil
		}
		cc.TLSConfig, cc.Fallbacks = now.ConnConfig.TLSConfig, now.ConnConfig.Fallbacks
		return nil
	}
}

// isolation is that of every transaction that does not ask for another one: also of
// single statements, batches, River's and goose's, whatever the server's or role's
// default is. The statements are written for it.
const isolation = "read committed"

// timeouts are the server's limits for a session.
func timeouts(cfg Config) map[string]time.Duration {
	return map[string]time.Duration{
		"statement_timeout":                   cfg.StatementTimeout,
		"lock_timeout":                        cfg.LockTimeout,
		"idle_in_transaction_session_timeout": cfg.IdleInTransactionTimeout,
	}
}

// RoleSettings are what every session of a service's role begins with, also one that
// no service opened. What provisions a role sets them, and so does each migration, with
// the limits that the service is configured with.
func RoleSettings(cfg Config) map[string]string {
	settings := map[string]string{"default_transaction_isolation": isolation}
	for name, d := range timeouts(cfg) {
		if d != 0 {
			settings[name] = milliseconds(d)
		}
	}
	return settings
}

// session sets what a connection asks for when it starts; what the DSN says goes first.
func session(params map[string]string, cfg Config) {
	for name, value := range RoleSettings(cfg) {
		if params[name] == "" {
			params[name] = value
		}
	}
}

// milliseconds is a timeout as the server reads it; 0 is none.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(0, d.Milliseconds()), 10)
}

// onPgError returns false for an error after which the connection is closed: a fatal
// one, and those of a connection that is stale. The pool then opens another one, which
// may lead to the new primary.
func onPgError(_ *pgconn.PgConn, err *pgconn.PgError) bool {
	return !strings.EqualFold(err.Severity, "FATAL") && !pgerr.IsStale(err)
}

// wait returns when ping succeeds, or an error that wraps ctx's and the last failure
// before that. It calls failed with each failure.
func wait(ctx context.Context, ping func(context.Context) error, failed func(error)) error {
	policy := retry.Policy{Backoff: retry.Backoff{Initial: 50 * time.Millisecond, Max: time.Second}}
	err := retry.Do(ctx, policy, func(ctx context.Context) error {
		err := ping(ctx)
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for postgres: %w", err)
	}
	return nil
}
