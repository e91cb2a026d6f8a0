package bench

import (
	"context"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// statement is one SQL statement with its arguments.
type statement struct {
	sql  string
	args []any
}

// round is what one round trip to a database sent: a statement, or a batch.
type round struct {
	database   string
	conn       *pgx.Conn
	statements []statement
}

// recorder is a pgx tracer that writes down what the services send.
type recorder struct {
	mu     sync.Mutex
	rounds []round
}

// forDatabase is the tracer to give to one service's pool.
func (r *recorder) forDatabase(name string) pgx.QueryTracer { return &databaseRecorder{r, name} }

// forCheckout is forDatabase for the services that a checkout waits for, and nil for consumers:
// what the read model and the mails do about an order is no part of its checkout.
func (r *recorder) forCheckout(name string) pgx.QueryTracer {
	switch name {
	case "insight", "notification":
		return nil
	}
	return r.forDatabase(name)
}

// take returns what was recorded and starts anew.
func (r *recorder) take() []round {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.rounds
	r.rounds = nil
	return out
}

type databaseRecorder struct {
	*recorder
	database string
}

func (r *databaseRecorder) add(conn *pgx.Conn, statements ...statement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rounds = append(r.rounds, round{r.database, conn, statements})
}

// TraceQueryStart implements pgx.QueryTracer.
func (r *databaseRecorder) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.add(conn, statement{data.SQL, data.Args})
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (r *databaseRecorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (r *databaseRecorder) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	statements := make([]statement, len(data.Batch.QueuedQueries))
	for i, q := range data.Batch.QueuedQueries {
		statements[i] = statement{q.SQL, q.Arguments}
	}
	r.add(conn, statements...)
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (r *databaseRecorder) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (r *databaseRecorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// foreground leaves out what runs by the clock: whole transactions, and
// statements outside of one, that name nothing that was made since the recording began.
func foreground(rounds []round, fresh func(any) bool) []round {
	type key struct {
		database string
		conn     *pgx.Conn
	}
	var out []round
	open := map[key][]int{} // indices into rounds of the transaction at work
	keep := make([]bool, len(rounds))
	names := func(i int) bool {
		for _, s := range rounds[i].statements {
			for _, a := range s.args {
				if fresh(a) {
					return true
				}
			}
		}
		return false
	}
	for i, rd := range rounds {
		k := key{rd.database, rd.conn}
		tx, inside := open[k]
		first, last := verb(rd.statements[0].sql), verb(rd.statements[len(rd.statements)-1].sql)
		if first == "begin" {
			inside = true
		}
		if !inside {
			keep[i] = names(i)
			continue
		}
		tx = append(tx, i)
		open[k] = tx
		if last != "commit" && last != "rollback" {
			continue
		}
		delete(open, k)
		for _, j := range tx {
			if names(j) {
				for _, j := range tx {
					keep[j] = true
				}
				break
			}
		}
	}
	for i, rd := range rounds {
		if keep[i] {
			out = append(out, rd)
		}
	}
	return out
}

func verb(sql string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	return strings.ToLower(strings.TrimSuffix(word, ";"))
}
