package audit

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// Prune is the action of a checkpoint: entries were removed because of their age.
const Prune = "souk audit prune"

// Checkpoint is the entry that stands for those that were removed.
type Checkpoint struct {
	// Sequence is its own number, and At when they were removed.
	Sequence int64
	At       time.Time
	// Through and Hash are those of the last entry that was removed.
	Through int64
	Hash    []byte
}

// readCheckpoint returns the newest checkpoint, nil for none.
func readCheckpoint(ctx context.Context, tx pgx.Tx) (*Checkpoint, error) {
	var c Checkpoint
	var text string
	err := tx.QueryRow(ctx, "SELECT sequence, at, before FROM souk_audit WHERE action = $1 ORDER BY sequence DESC LIMIT 1", Prune).Scan(&c.Sequence, &c.At, &text)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the checkpoint of the audit log: %w", err)
	}
	var removed struct {
		Through int64  `json:"through"`
		Hash    string `json:"hash"`
	}
	if err := json.Unmarshal([]byte(text), &removed); err != nil {
		return nil, &Fault{c.Sequence, "it is a checkpoint that does not say what was removed"}
	}
	c.Through = removed.Through
	if c.Hash, err = hex.DecodeString(removed.Hash); err != nil || c.Through <= 0 {
		return nil, &Fault{c.Sequence, "it is a checkpoint that does not say what was removed"}
	}
	return &c, nil
}

// Pruned is what was removed.
type Pruned struct {
	// Removed is how many entries; 0 where none is that old, and nothing was done.
	Removed int64
	// Through is the number of the last one.
	Through int64
	// Checkpoint is the entry that stands for them: the new head.
	Checkpoint Head
}

// RemoveBefore removes the entries of a service that are older than a time, for an operator,
// with the rights of the log's owner. It leaves a checkpoint, so that Verify finds what else
// is removed.
func RemoveBefore(ctx context.Context, db pg.Queryer, operator string, before time.Time) (p Pruned, err error) {
	var chain *string
	var through, sequence *int64
	var at *time.Time
	err = db.QueryRow(ctx, "SELECT o_removed, o_through, o_chain::text, o_sequence, o_hash, o_at FROM souk_audit_prune(p_operator => $1, p_before => $2)", operator, before).
		Scan(&p.Removed, &through, &chain, &sequence, &p.Checkpoint.Hash, &at)
	if err != nil {
		return p, fmt.Errorf("remove old entries of the audit log: %w", err)
	}
	if p.Removed > 0 {
		p.Through, p.Checkpoint.Chain, p.Checkpoint.Sequence, p.Checkpoint.At = *through, *chain, *sequence, *at
	}
	return p, nil
}
