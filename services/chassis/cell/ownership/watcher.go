package ownership

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/route"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// MaxAge bounds how old what a process knows of its buckets may be when it lets a request
	// through. The mover of a bucket waits as long before it is in the new cell: no caller is shown
	// afterwards what the old cell still has of it.
	MaxAge = 300 * time.Millisecond
	// lookEvery is the time between two looks; a request looks itself where the last is too old.
	lookEvery = 100 * time.Millisecond
	// refuseAge is how old it may be when it refuses one.
	refuseAge = 20 * time.Millisecond
	// patience bounds one look.
	patience = 2 * time.Second
)

// Watcher knows which buckets the process's cell has. It implements route.Buckets.
type Watcher struct {
	db   pg.DB
	cell string
	now  atomic.Pointer[view]

	mu      sync.Mutex
	looking *look // under way; nil for none
	held    map[cell.Bucket]map[*hold]struct{}
}

// look is one at the database, of all that wait for it.
type look struct {
	done chan struct{} // closed when it is over
	err  error
}

// view is what the database said.
type view struct {
	asked   time.Time // before it was
	version int64
	buckets map[cell.Bucket]bucket
}

type bucket struct {
	here  bool
	other string
	epoch int64
}

// hold is a request under way.
type hold struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	epoch int64     // of the bucket
	here  time.Time // when it was known last that the bucket is here
	gone  error     // since then; nil while it is here
}

// NewWatcher returns a watcher of a cell's database. Run keeps it up to date.
func NewWatcher(pool *pgxpool.Pool, name string) *Watcher {
	return &Watcher{db: pg.DB{Pool: pool}, cell: name, held: map[cell.Bucket]map[*hold]struct{}{}}
}

// Run looks until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	for retry.Sleep(ctx, lookEvery) == nil {
		_ = w.fresh(ctx, lookEvery/2) // a request that finds it too old looks itself, and is told why it cannot
	}
	return nil
}

// Hold implements route.Buckets: it fails with a *route.WrongCellError for a bucket that is not
// here. The context that it returns ends with such an error when the bucket leaves, until release
// is called. That fails where it is not known that the bucket was here until MaxAge ago, as of a process
// that has stood still: since then the new cell may have been written, and what is left here deleted.
func (w *Watcher) Hold(ctx context.Context, b cell.Bucket) (_ context.Context, release func() error, err error) {
	if err := w.fresh(ctx, MaxAge); err != nil {
		return ctx, nil, err
	}
	h := &hold{}
	if err = w.note(ctx, b, h); err != nil {
		// It may have come since.
		if late := w.fresh(ctx, refuseAge); late == nil {
			err = w.note(ctx, b, h)
		}
	}
	if err != nil {
		return ctx, nil, err
	}
	return h.ctx, func() error { return w.release(h.ctx, b, h) }, nil
}

// note adds a request about a bucket that is here to those under way.
func (w *Watcher) note(ctx context.Context, b cell.Bucket, h *hold) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.now.Load() // what is newer tells h
	if err := v.check(w.cell, b); err != nil {
		return err
	}
	h.ctx, h.end = context.WithCancelCause(ctx)
	h.epoch, h.here = v.buckets[b].epoch, v.asked
	if w.held[b] == nil {
		w.held[b] = map[*hold]struct{}{}
	}
	w.held[b][h] = struct{}{}
	return nil
}

// release ends what note has begun. It leaves the context as it is, by which the request's answer is made.
func (w *Watcher) release(ctx context.Context, b cell.Bucket, h *hold) error {
	err := w.fresh(ctx, MaxAge)
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.held[b], h); len(w.held[b]) == 0 {
		delete(w.held, b)
	}
	if h.gone == nil {
		return err
	}
	if time.Since(h.here) <= MaxAge {
		return nil
	}
	return h.gone
}

// check fails for a bucket that is not here.
func (v *view) check(name string, b cell.Bucket) error {
	at := v.buckets[b]
	if at.here {
		return nil
	}
	return &route.WrongCellError{Cell: name, Bucket: b, MovedTo: at.other, Epoch: at.epoch}
}

// fresh returns once what is known is not older than an age, or than the call.
func (w *Watcher) fresh(ctx context.Context, age time.Duration) error {
	for begun := time.Now(); ; {
		if v := w.now.Load(); v != nil && (v.asked.After(begun) || time.Since(v.asked) <= age) {
			return nil
		}
		l := w.join(ctx)
		select {
		case <-l.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if l.err != nil {
			return l.err
		}
	}
}

// join returns the look that is under way, or begins one. It does not end with ctx: others wait for it, too.
func (w *Watcher) join(ctx context.Context) *look {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looking == nil {
		w.looking = &look{done: make(chan struct{})}
		go w.lookFor(context.WithoutCancel(ctx), w.looking)
	}
	return w.looking
}

// lookFor looks for those that wait.
func (w *Watcher) lookFor(ctx context.Context, l *look) {
	defer close(l.done)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before := w.now.Load()
	v, err := w.look(ctx, before)
	if err != nil {
		if ctx.Err() != nil { // it is the database that is late, and not a caller
			err = status.Error(codes.Unavailable, err.Error())
		}
		l.err = fmt.Errorf("which buckets cell %s has: %w", w.cell, err)
	}
	w.mu.Lock() // who sees v finds its holds as v has them
	defer w.mu.Unlock()
	w.looking = nil
	if err != nil {
		return
	}
	w.now.Store(v)
	if before != nil && v.version != before.version {
		w.leave(v, before)
	}
}

// look asks the database, for the buckets where they have changed.
func (w *Watcher) look(ctx context.Context, before *view) (*view, error) {
	v := &view{asked: time.Now()}
	if err := w.db.QueryRow(ctx, "SELECT version FROM souk_cell").Scan(&v.version); err != nil {
		return nil, err
	}
	if before != nil && before.version == v.version {
		v.buckets = before.buckets
		return v, nil
	}
	// What changes between the two is seen now, and again with its version.
	rows, err := w.db.Query(ctx, "SELECT bucket, state <> 'away', other, epoch FROM souk_cell_buckets")
	if err != nil {
		return nil, err
	}
	v.buckets = map[cell.Bucket]bucket{}
	var b int32
	var at bucket
	_, err = pgx.ForEachRow(rows, []any{&b, &at.here, &at.other, &at.epoch}, func() error {
		v.buckets[cell.Bucket(b)] = at
		return nil
	})
	return v, err
}

// leave ends requests about buckets that are not here any more, or have been elsewhere since before.
// w.mu is held.
func (w *Watcher) leave(v, before *view) {
	for b, holds := range w.held {
		at := v.buckets[b]
		for h := range holds {
			if at.here && at.epoch == h.epoch || h.gone != nil {
				continue
			}
			h.here, h.gone = before.asked, v.check(w.cell, b)
			if h.gone == nil { // it is back
				h.gone = &route.WrongCellError{Cell: w.cell, Bucket: b, MovedTo: w.cell, Epoch: at.epoch}
			}
			h.end(h.gone)
		}
	}
}
