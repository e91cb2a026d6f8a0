package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// checkoutSQL is what the services of one shop sent to their databases for one
// checkout, in the order in which they sent it.
type checkoutSQL struct {
	since  time.Time
	rounds []round
}

// instance is a checkout ready to be sent.
type instance []round

// copies makes n checkouts with identities of their own, before the clock
// starts: making them must not cost the loop anything.
func copies(recorded []checkoutSQL, n int) []instance {
	out := make([]instance, n)
	for i := range out {
		rec := recorded[i%len(recorded)]
		r := newRenewer(rec.since)
		for _, rd := range rec.rounds {
			c := round{database: rd.database, statements: make([]statement, len(rd.statements))}
			for j, s := range rd.statements {
				args := make([]any, len(s.args))
				for k, a := range s.args {
					args[k] = r.renew(a)
				}
				c.statements[j] = statement{s.sql, args}
			}
			out[i] = append(out[i], c)
		}
	}
	return out
}

// poolSize is the most connections that a service of a local shop opens.
const poolSize = 16

// sqlLoop is the limit of checkout: the same statements, round trips and
// commits, issued by a bare loop against the same PostgreSQL.
type sqlLoop struct {
	pools map[string]*pgxpool.Pool
	work  [][]instance // by worker
}

// prepareSQL connects and makes what n workers send, most each. Neither is to
// cost the loop anything.
func prepareSQL(ctx context.Context, dsns map[string]string, recorded []checkoutSQL, n, most int) (*sqlLoop, error) {
	l := &sqlLoop{pools: map[string]*pgxpool.Pool{}}
	used := map[string]bool{}
	for _, c := range recorded {
		for _, r := range c.rounds {
			used[r.database] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		cfg, err := pgxpool.ParseConfig(dsns[name])
		if err != nil {
			l.close()
			return nil, err
		}
		// As many as the busiest service has: more only queue inside PostgreSQL.
		cfg.MaxConns = int32(min(n, poolSize))
		cfg.MinConns = cfg.MaxConns
		if l.pools[name], err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
			l.close()
			return nil, err
		}
	}
	for w := range n {
		l.work = append(l.work, copies(recorded[w%len(recorded):], most))
	}
	return l, nil
}

func (l *sqlLoop) close() {
	for _, pool := range l.pools {
		if pool != nil {
			pool.Close()
		}
	}
}

// run sends checkouts from all workers for d.
func (l *sqlLoop) run(ctx context.Context, d time.Duration) (sample, error) {
	return closedLoop(ctx, len(l.work), d, func(ctx context.Context, w, i int) error {
		if i >= len(l.work[w]) {
			return fmt.Errorf("a worker was through %d checkouts before its time was over", i)
		}
		return l.work[w][i].send(ctx, l.pools)
	})
}

// send runs the rounds of a checkout. A transaction keeps its connection from
// BEGIN to COMMIT; whatever a statement answers is read and dropped.
func (in instance) send(ctx context.Context, pools map[string]*pgxpool.Pool) error {
	open := map[string]*pgxpool.Conn{}
	defer func() {
		for _, c := range open {
			c.Release()
		}
	}()
	for _, rd := range in {
		conn := open[rd.database]
		if conn == nil {
			var err error
			if conn, err = pools[rd.database].Acquire(ctx); err != nil {
				return err
			}
			open[rd.database] = conn
		}
		if err := rd.send(ctx, conn); err != nil {
			return fmt.Errorf("%s: %w", rd.database, err)
		}
		if conn.Conn().PgConn().TxStatus() == 'I' {
			conn.Release()
			delete(open, rd.database)
		}
	}
	return nil
}

func (rd round) send(ctx context.Context, conn *pgxpool.Conn) error {
	if len(rd.statements) == 1 {
		s := rd.statements[0]
		rows, err := conn.Query(ctx, s.sql, s.args...)
		if err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}
	batch := &pgx.Batch{}
	for _, s := range rd.statements {
		batch.Queue(s.sql, s.args...)
	}
	return conn.SendBatch(ctx, batch).Close()
}
