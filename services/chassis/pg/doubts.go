package pg

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Doubts are commits that may be on the primary's disk alone: one whose wait for a standby was
// canceled (see confirming), and what was under way on a connection that broke. pgx has the server
// cancel a statement whose caller has lost patience, and that may be the wait of its commit.
//
// Such a commit is unknown to its caller, who asks again, and is visible: who is told of it
// takes it for done. So before a connection is used again a later commit is made, which is
// confirmed with all before it. All pools of a process that ask the primary share their doubts
// (Config.Doubts). Other processes do not know of the doubt: a repeat that reaches
// one of them may be told too early, while no standby is there.
//
// Where commits wait for no standby there is nothing to confirm: a doubt costs one question.
type Doubts struct {
	count atomic.Int64 // of open

	mu   sync.Mutex
	open []*doubt
}

// doubt is about what one connection had under way.
type doubt struct {
	server string          // its address
	ended  <-chan struct{} // closed when the server has ended it; nil where it has
	until  time.Time       // no caller waits longer for the end
}

// over reports whether the server has ended what was under way.
func (d *doubt) over() bool {
	if d.ended == nil {
		return true
	}
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// endsWithin bounds the wait until a server has ended what a broken connection had under way, which
// it is told at once: a message that may be lost. After it callers go on, each after a commit of its
// own, until the end is seen.
const endsWithin = time.Second

// add adds a doubt, with the end of the server's work if it goes on.
func (d *Doubts) add(server string, ended <-chan struct{}) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = append(d.open, &doubt{server, ended, time.Now().Add(endsWithin)})
	d.count.Store(int64(len(d.open)))
}

// seen are the doubts that there are now.
func (d *Doubts) seen() []*doubt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.open)
}

// remove removes doubts.
func (d *Doubts) remove(settled []*doubt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = slices.DeleteFunc(d.open, func(one *doubt) bool { return slices.Contains(settled, one) })
	d.count.Store(int64(len(d.open)))
}

// releases adds a doubt for each connection that broke in use, before its user has the error:
// BeforeClose runs in a goroutine of its own.
type releases struct{ doubts *Doubts }

// TraceRelease implements pgxpool.ReleaseTracer.
func (r releases) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	if data.Conn.IsClosed() {
		r.doubts.add(serverOf(data.Conn), data.Conn.PgConn().CleanupDone())
	}
}

// TraceQueryStart implements pgx.QueryTracer, as tracers of pools have to.
func (releases) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (releases) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func serverOf(conn *pgx.Conn) string { return conn.PgConn().Conn().RemoteAddr().String() }

// unsettled marks a context whose reads show no caller what was committed: they settle no doubts.
type unsettled struct{}

// ForHealth has the pools settle no doubts for a context, which could take until a standby is there.
// No caller may be told of what was committed.
func ForHealth(ctx context.Context) context.Context {
	return context.WithValue(ctx, unsettled{}, true)
}

// settle returns when there is no doubt any more that the connection could show, by a commit of it.
func (d *Doubts) settle(ctx context.Context, conn *pgx.Conn) error {
	if d.count.Load() == 0 || ctx.Value(unsettled{}) != nil {
		return nil
	}
	// Callers do this side by side, and not one for all, because a server may hang.
	// Patroni changes the setting at run time.
	seen := d.seen()
	var standbys string
	if err := conn.QueryRow(ctx, "SELECT current_setting('synchronous_standby_names')", pgx.QueryExecModeSimpleProtocol).Scan(&standbys); err != nil {
		return err
	}
	if standbys == "" {
		d.remove(seen)
		return nil
	}
	if err := await(ctx, seen, serverOf(conn)); err != nil {
		return err
	}
	// What was under way on another server, this one does not show. What goes on here is visible
	// after the commit below: it stays in doubt.
	settled := slices.DeleteFunc(seen, func(one *doubt) bool { return one.server == serverOf(conn) && !one.over() })
	if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, 'souk', '')"); err != nil {
		return err
	}
	d.remove(settled)
	return nil
}

// await waits until a server has ended what is in doubt there, or for as long as callers wait.
func await(ctx context.Context, doubts []*doubt, server string) error {
	for _, one := range doubts {
		if one.server != server || one.over() {
			continue
		}
		late := time.NewTimer(time.Until(one.until))
		select {
		case <-one.ended:
		case <-late.C:
		case <-ctx.Done():
			late.Stop()
			return ctx.Err()
		}
		late.Stop()
	}
	return nil
}
