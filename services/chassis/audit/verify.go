package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// Entry is an action of an operator.
type Entry struct {
	Sequence int64
	// Version is that of the encoding that is hashed.
	Version int16
	At      time.Time
	Actor
	Object string
	// Before and After are JSON, or "" for nothing.
	Before, After  string
	Previous, Hash []byte
}

// sum is the hash that an entry of its fields has. The length before each field keeps
// text from moving from one into the next. souk_audit_append computes the same.
func (e *Entry) sum() []byte {
	b := []byte("souk audit entry 1")
	b = binary.BigEndian.AppendUint64(b, uint64(e.Sequence))       // two's complement, as int8send
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro())) // two's complement, as int8send
	for _, field := range []string{e.Operator, e.Caller, e.Action, e.Object, e.Before, e.After, e.Request, string(e.Previous)} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	hash := sha256.Sum256(b)
	return hash[:]
}

// genesis is what comes before the first entry of a chain.
func genesis(chain string) []byte {
	hash := sha256.Sum256([]byte("souk audit chain " + chain))
	return hash[:]
}

// Fault is the first place where a chain is broken.
type Fault struct {
	// Sequence is the entry's; what is before it is as it was written.
	Sequence int64
	// What says what is wrong.
	What string
}

func (f *Fault) Error() string { return fmt.Sprintf("entry %d: %s", f.Sequence, f.What) }

// Verified is what a verification came to.
type Verified struct {
	// Head is what the database says is the last entry.
	Head Head
	// Entries is how many were found to be as they were written.
	Entries int64
	// Checkpoint is the last one; nil where nothing was ever removed.
	Checkpoint *Checkpoint
	// Fault is nil for a chain that is whole.
	Fault *Fault
}

// Expected is what is known of a chain from elsewhere.
type Expected struct {
	// Anchors are earlier heads: entries that must still be there.
	Anchors []Head
	// SinceAnchor has only what follows the newest anchor verified.
	SinceAnchor bool
}

// Verify recomputes a service's chain, entry by entry.
func Verify(ctx context.Context, db pg.Beginner, want Expected) (v Verified, err error) {
	err = snapshot(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
		if v.Head, err = readHead(ctx, tx); err != nil {
			return err
		}
		return v.verify(ctx, tx, want)
	})
	if fault, ok := errors.AsType[*Fault](err); ok {
		v.Fault, err = fault, nil
	}
	return v, err
}

func (v *Verified) verify(ctx context.Context, tx pgx.Tx, want Expected) error {
	start, err := v.start(ctx, tx)
	if err != nil {
		return err
	}
	anchors := map[int64][]byte{0: genesis(v.Head.Chain), start.Sequence: start.Hash}
	var newest int64
	for _, a := range want.Anchors {
		if a.Chain != v.Head.Chain {
			return &Fault{1, fmt.Sprintf("the chain is %s, and was %s: another one is in its place", v.Head.Chain, a.Chain)}
		}
		if known, ok := anchors[a.Sequence]; ok && !bytes.Equal(known, a.Hash) {
			return &Fault{a.Sequence, "two anchors say different things of it"}
		}
		anchors[a.Sequence] = a.Hash
		newest = max(newest, a.Sequence)
	}
	if newest > 0 && newest < start.Sequence {
		return &Fault{newest + 1, fmt.Sprintf("it is of what the checkpoint %d says was removed, up to %d, and no anchor is as new: nothing shows what was removed", v.Checkpoint.Sequence, start.Sequence)}
	}
	last := start
	from := int64(0) // all, also what has no business there
	if want.SinceAnchor && newest > start.Sequence {
		from, last.Sequence = newest, newest-1
	}
	for e, err := range entries(ctx, tx, from) {
		if err != nil {
			return err
		}
		if from > 0 && e.Sequence == from {
			last.Hash = e.Previous // the anchor's hash is over it
		}
		if err := follows(e, last); err != nil {
			return err
		}
		if expected, ok := anchors[e.Sequence]; ok && !bytes.Equal(expected, e.Hash) {
			return &Fault{e.Sequence, fmt.Sprintf("its hash is %x, and was %x by the anchor: the chain was written anew", e.Hash, expected)}
		}
		last.Sequence, last.Hash = e.Sequence, e.Hash
		v.Entries++
	}
	switch {
	case last.Sequence < newest:
		return &Fault{last.Sequence + 1, fmt.Sprintf("it is not there, nor what followed; by the anchor there were %d", newest)}
	case last.Sequence < v.Head.Sequence:
		return &Fault{last.Sequence + 1, fmt.Sprintf("it is not there, nor what followed; by the head there are %d", v.Head.Sequence)}
	case last.Sequence > v.Head.Sequence, !bytes.Equal(last.Hash, v.Head.Hash):
		return &Fault{last.Sequence, fmt.Sprintf("it is the last, and the head is of %d, %x", v.Head.Sequence, v.Head.Hash)}
	}
	return nil
}

// start is what the first entry follows: what comes before the first of all, or the last
// one that was removed, by the newest checkpoint. That is an entry itself, and as such
// verified with the others.
func (v *Verified) start(ctx context.Context, tx pgx.Tx) (Head, error) {
	start := Head{Chain: v.Head.Chain, Hash: genesis(v.Head.Chain)}
	var err error
	if v.Checkpoint, err = readCheckpoint(ctx, tx); err != nil || v.Checkpoint == nil {
		return start, err
	}
	var first int64
	if err := tx.QueryRow(ctx, "SELECT coalesce(min(sequence), 0) FROM souk_audit").Scan(&first); err != nil {
		return start, fmt.Errorf("read the first entry of the audit log: %w", err)
	}
	if first <= v.Checkpoint.Through {
		return start, &Fault{first, fmt.Sprintf("it is there, and by the checkpoint %d all up to %d were removed", v.Checkpoint.Sequence, v.Checkpoint.Through)}
	}
	start.Sequence, start.Hash = v.Checkpoint.Through, v.Checkpoint.Hash
	return start, nil
}

// follows returns a Fault unless an entry is what was appended after the last one.
func follows(e *Entry, last Head) error {
	switch expected := last.Sequence + 1; {
	case e.Sequence > expected:
		return &Fault{expected, fmt.Sprintf("it is not there; the next is %d", e.Sequence)}
	case e.Sequence < expected:
		return &Fault{e.Sequence, fmt.Sprintf("it was inserted: %d was to come next", expected)}
	case e.Version != 1:
		return &Fault{e.Sequence, fmt.Sprintf("it is of version %d, which is not known here", e.Version)}
	case !bytes.Equal(e.Previous, last.Hash):
		return &Fault{e.Sequence, fmt.Sprintf("it follows an entry of hash %x, and the one before has %x", e.Previous, last.Hash)}
	case !bytes.Equal(e.Hash, e.sum()):
		return &Fault{e.Sequence, "it was changed: its hash is not that of its fields"}
	}
	return nil
}

// ReadHead returns the head of a service's chain.
func ReadHead(ctx context.Context, db pg.Queryer) (Head, error) { return readHead(ctx, db) }

func readHead(ctx context.Context, db pg.Queryer) (h Head, err error) {
	err = db.QueryRow(ctx, "SELECT chain::text, sequence, coalesce(hash, ''), at FROM souk_audit_head").Scan(&h.Chain, &h.Sequence, &h.Hash, &h.At)
	failed, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return h, &Fault{1, "the head is not there"}
	case failed != nil && failed.Code == "42P01": // undefined_table
		return h, &Fault{1, "the log is not there"}
	case err != nil:
		return h, fmt.Errorf("read the head of the audit log: %w", err)
	}
	return h, nil
}

// Read calls each with the entries of a service from a time on, in their order, until it
// returns an error.
func Read(ctx context.Context, db pg.Beginner, from time.Time, each func(*Entry) error) error {
	return snapshot(ctx, db, func(ctx context.Context, tx pgx.Tx) error {
		for e, err := range entries(ctx, tx, 0) {
			if err != nil {
				return err
			}
			if e.At.Before(from) {
				continue
			}
			if err := each(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// snapshot runs fn on the database as it is at one moment. It is not run again: fn has
// told others what it has read.
func snapshot(ctx context.Context, db pg.Beginner, fn pg.TxFunc) error {
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	return fn(ctx, tx)
}

// A column that was made nullable and emptied is read as empty, and then found.
const readEntries = `
SELECT coalesce(sequence, 0), coalesce(version, 0), at, coalesce(operator, ''), coalesce(caller, ''), coalesce(action, ''), coalesce(object, ''),
    coalesce(before, ''), coalesce(after, ''), coalesce(request, ''), coalesce(previous, ''), coalesce(hash, '')
FROM souk_audit WHERE sequence >= $1 OR $1 = 0 ORDER BY sequence`

// entries yields the entries from a number on, all for 0, one at a time as they arrive.
func entries(ctx context.Context, tx pgx.Tx, from int64) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		rows, err := tx.Query(ctx, readEntries, from)
		if err != nil {
			yield(nil, fmt.Errorf("read the audit log: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var e Entry
			var at pgtype.Timestamptz // infinity is no time.Time
			err := rows.Scan(&e.Sequence, &e.Version, &at, &e.Operator, &e.Caller, &e.Action, &e.Object,
				&e.Before, &e.After, &e.Request, &e.Previous, &e.Hash)
			if e.At = at.Time; err != nil {
				err = fmt.Errorf("read the audit log: %w", err)
			}
			if !yield(&e, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, fmt.Errorf("read the audit log: %w", err))
		}
	}
}
