package pg

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// doubts are commits that may be on the primary's disk alone: one whose wait for a standby was
// canceled (see confirming), and what was under way on a connection that broke. pgx has the server
// cancel a statement whose caller has lost patience, and that may be the wait of its commit.
//
// Such a commit is unknown to its caller, who asks again, and is visible: who is told of it
// takes it for done. So before a connection is used again a later commit is made, which is
// confirmed with all before it. Other processes do not know of the doubt: a repeat that reaches
// one of them may be told too early, while no standby is there.
type doubts struct {
	added, settled atomic.Int64
	// confirms has room for the one who settles doubts.
	confirms chan struct{}

	mu sync.Mutex
	// ending are the ends of the server's work for connections that broke, by the server's address.
	ending map[string][]<-chan struct{}
}

func newDoubts() *doubts { return &doubts{confirms: make(chan struct{}, 1)} }

// endsWithin bounds the wait until a server has ended what a broken connection had under way, which
// it is told at once: a message that may be lost.
const endsWithin = time.Second

// add adds a doubt, with the end of the server's work if it goes on.
func (d *doubts) add(server string, ended <-chan struct{}) {
	if d == nil {
		return
	}
	if ended != nil {
		d.mu.Lock()
		if d.ending == nil {
			d.ending = map[string][]<-chan struct{}{}
		}
		d.ending[server] = append(d.ending[server], ended)
		d.mu.Unlock()
	}
	d.added.Add(1)
}

// closed adds a doubt if the connection broke.
func (d *doubts) closed(conn *pgx.Conn) {
	if d != nil && conn.IsClosed() {
		d.add(serverOf(conn), conn.PgConn().CleanupDone())
	}
}

func serverOf(conn *pgx.Conn) string { return conn.PgConn().Conn().RemoteAddr().String() }

// settle returns when there is no doubt any more, by a commit of the connection.
func (d *doubts) settle(ctx context.Context, conn *pgx.Conn) error {
	if d.added.Load() == d.settled.Load() {
		return nil
	}
	select {
	case d.confirms <- struct{}{}:
		defer func() { <-d.confirms }()
	case <-ctx.Done():
		return ctx.Err()
	}
	until := d.added.Load()
	if until == d.settled.Load() {
		return nil // by another one meanwhile
	}
	d.mu.Lock()
	ending := d.ending[serverOf(conn)]
	d.ending = nil // what was under way on another server, this one does not show
	d.mu.Unlock()
	late := time.NewTimer(endsWithin)
	defer late.Stop()
	for _, ended := range ending {
		select {
		case <-ended:
			continue
		case <-late.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		break
	}
	if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, 'souk', '')"); err != nil {
		return err
	}
	d.settled.Store(until)
	return nil
}
