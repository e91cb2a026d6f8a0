package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// maintenanceLockTimeout is how long one attempt of a migration waits for a lock. A
// statement that needs the table meanwhile waits behind it, so it is short and repeated.
const maintenanceLockTimeout = time.Second

// lockRetries is when a migration whose lock was not free is tried again, without end:
// a shop that is never still lets it in between two transactions.
var lockRetries = retry.Policy{
	Backoff: retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second},
	If:      func(err error) bool { return pgerr.IsLockTimeout(err) || pgerr.IsRetryable(err) },
}

// connectRetries is when a migration is begun again that could not connect, also after its first
// connection: without end, as that is waited for. A server that many connect to at once may be late.
var connectRetries = retry.Policy{
	Backoff: retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second},
	If:      func(err error) bool { _, ok := errors.AsType[*pgconn.ConnectError](err); return ok },
}

// MigrationConfig is cfg for what changes a schema, or derives data again, while the
// shop is running: a statement may take long, a wait for a lock may not.
func MigrationConfig(cfg Config) Config {
	cfg.StatementTimeout, cfg.IdleInTransactionTimeout = -1, -1
	cfg.LockTimeout = maintenanceLockTimeout
	return cfg
}

// owner is the configuration with which the database's owner connects.
func (c Config) owner() Config {
	if c.OwnerDSN != "" {
		c.DSN = c.OwnerDSN
	}
	return c
}

// Maintain runs fn, as the owner, with a pool of MigrationConfig: migrations and what
// follows them.
// It waits for a database that is late until ctx ends, and for other replicas that
// maintain the database. When a lock was not free in time, fn is run again, so it must
// go on from what it did before.
func Maintain(ctx context.Context, cfg Config, log *slog.Logger, fn func(context.Context, *pgxpool.Pool) error) error {
	cfg = cfg.owner()
	pc, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		return fmt.Errorf("postgres DSN: %w", err)
	}
	if cfg.ConnectTimeout > 0 {
		pc.ConnConfig.ConnectTimeout = cfg.ConnectTimeout
	}
	followCertificates(pc, cfg, log)
	session(pc.ConnConfig.RuntimeParams, MigrationConfig(cfg))
	pc.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" { // what a migration has to say of the data
			log.WarnContext(ctx, "migration warns", "message", n.Message)
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := wait(ctx, pool.Ping, complaint(ctx, log, "postgres")); err != nil {
		return err
	}
	locked := complaint(ctx, log, "a lock that the shop holds")
	return retry.Do(ctx, connectRetries, func(ctx context.Context) error {
		unlock, err := lockMaintenance(ctx, pool)
		if err != nil {
			return err
		}
		defer unlock()
		return retry.Do(ctx, lockRetries, func(ctx context.Context) error {
			err := fn(ctx, pool)
			if lockRetries.If(err) {
				locked(err)
			}
			return err
		})
	})
}

// lockID is the advisory lock, within one database, of the process that maintains it.
const lockID = 0x736f756b_00000001 // any number of our own: "souk" in ASCII

// lockMaintenance serializes maintenance by an advisory lock of a session. It asks
// again and again instead of waiting inside the server, because a waiting statement
// holds a snapshot and so would block CREATE INDEX CONCURRENTLY in the very migration
// it waits for.
func lockMaintenance(ctx context.Context, pool *pgxpool.Pool) (unlock func(), err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock for migration: %w", err)
	}
	for {
		var locked bool
		err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockID)).Scan(&locked)
		if err != nil {
			conn.Release()
			return nil, fmt.Errorf("lock for migration: %w", err)
		}
		if locked {
			return func() { _ = conn.Conn().Close(context.WithoutCancel(ctx)); conn.Release() }, nil
		}
		if err := retry.Sleep(ctx, 50*time.Millisecond); err != nil {
			conn.Release()
			return nil, err
		}
	}
}
