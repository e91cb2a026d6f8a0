package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/tools/internal/topology"
)

// tinyPool is how many connections an exhausted pool has.
const tinyPool = 2

func poolFaults() []Fault {
	var out []Fault
	for _, service := range topology.Databases() {
		out = append(out, Fault{
			Name: "pool-exhausted-" + service, Group: "pool",
			Doc:    fmt.Sprintf("%s has %d connections to its database, and both wait for a lock, for 6s", service, tinyPool),
			Breaks: []string{service},
			Inject: func(ctx context.Context, e *Environment) error {
				return e.during(ctx, 0, func(ctx context.Context) error {
					e.SetEnv(service, fmt.Sprintf("SOUK_%s_POSTGRES_MAX_CONNS=%d", strings.ToUpper(service), tinyPool))
					if err := e.restartQuietly(ctx, service); err != nil {
						return err
					}
					return e.lockUp(ctx, service, 6*time.Second)
				}, func(ctx context.Context) error {
					e.SetEnv(service)
					return e.restartQuietly(ctx, service)
				})
			},
		})
	}
	return out
}

// restartQuietly restarts a part with another environment, which proves nothing.
func (e *Environment) restartQuietly(ctx context.Context, part string) error {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	if _, err := e.running(ctx, part); err != nil {
		return err
	}
	return e.Shop.Restart(ctx, part)
}

// lockUp locks all tables of a service for d, so that whatever it does waits
// with its connection in the hand.
func (e *Environment) lockUp(ctx context.Context, service string, d time.Duration) (err error) {
	conn, err := pgx.Connect(ctx, e.Shop.DSN(service))
	if err != nil {
		return err
	}
	watch, err := pgx.Connect(ctx, e.Shop.DSN(service))
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, conn.Close(end), watch.Close(end)) // ends the transaction
	}()
	tables, err := tablesOf(ctx, conn)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := lockAll(ctx, conn, tables); err != nil {
		return err
	}
	// Everything waits on the way to its lock: all connections of the pool.
	err = until(ctx, "the pool is exhausted", func() (bool, error) {
		var waiting int
		err := watch.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, "souk-"+service).Scan(&waiting)
		if waiting >= tinyPool {
			e.Injected(1, fmt.Sprintf("all %d connections of %s waited for a lock", waiting, service))
			return true, err
		}
		return time.Since(began) > d, err
	})
	if err != nil {
		return err
	}
	return e.lasts(ctx, d-time.Since(began))
}

// tablesOf returns the service's own tables, quoted.
func tablesOf(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^(river|goose)' ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// lockAll locks tables until the connection is closed. A transaction that holds
// one of them and wants another would deadlock with it: it gives up soon and tries
// again.
func lockAll(ctx context.Context, conn *pgx.Conn, tables []string) error {
	for attempt := 0; ; attempt++ {
		_, err := conn.Exec(ctx, "BEGIN; SET LOCAL lock_timeout = '300ms'; LOCK TABLE "+strings.Join(tables, ", "))
		if err == nil || attempt == 20 || ctx.Err() != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			return err
		}
	}
}
