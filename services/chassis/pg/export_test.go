package pg

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

// Wait is the wait of Migrate, for a database that a test takes away and brings back.
var Wait = wait

// Outcomes are how many reads a replica has answered, or the primary in its place, and why.
func Outcomes(r *Replica) map[string]int64 {
	counts := map[string]int64{}
	for o := range outcomes {
		counts[o.String()] = r.outcomes[o].Load()
	}
	return counts
}

// Known is how far the primary was when the replica's Watch looked last.
func Known(r *Replica) consistency.Position {
	if at := r.last.Load(); at != nil {
		return *at
	}
	return consistency.Position{}
}

// Oldest is what a replica has to have replayed for any read.
func Oldest(r *Replica) consistency.Position {
	if p := r.answering.Load(); p != nil {
		return *p.oldest.Load()
	}
	return consistency.Position{}
}

// OpenDoubts is how many doubts there are.
func OpenDoubts(d *Doubts) int { return len(d.seen()) }

// LookAnew has a replica's Watch look through a new connection, and reports whether the next
// connection takes the server for one that does not answer.
func LookAnew(ctx context.Context, r *Replica) (silent bool, err error) {
	var conn *pgx.Conn
	if _, err = r.look(ctx, &conn); conn != nil {
		err = errors.Join(err, conn.Close(ctx))
	}
	r.servers.mu.Lock()
	defer r.servers.mu.Unlock()
	return !r.servers.tried.IsZero(), err
}
