package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// Conflicts is when a transaction that lost against another one is run again: up
// to 6 times in all, after 2, 4, 8, 16 and 32 ms at most.
var Conflicts = retry.Policy{
	Backoff:  retry.Backoff{Initial: 2 * time.Millisecond, Max: 32 * time.Millisecond},
	Attempts: 6,
	If:       pgerr.IsRetryable,
}

// stalePlans is when a transaction on a stale connection is run again: at once, and
// more often than a pool has connections, because after a migration each of them may
// be stale. Each is closed by its error.
var stalePlans = retry.Policy{Attempts: 64, If: pgerr.IsStalePlan}

// Again calls fn, which is one transaction, again as long as that is the cure.
func Again(ctx context.Context, fn func(context.Context) error) error {
	return retry.Do(ctx, Conflicts, func(ctx context.Context) error { return retry.Do(ctx, stalePlans, fn) })
}

// Beginner starts transactions: a pool or a connection.
type Beginner interface {
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

// TxFunc is the body of a transaction. It may run several times, so it must
// not change anything outside the transaction before it has succeeded.
type TxFunc = func(ctx context.Context, tx pgx.Tx) error

// InTx runs fn in a transaction: commits when it returns nil, else rolls back
// and returns its error. Its isolation is read committed unless opts names another.
// A transaction that loses against another (serialization_failure, deadlock_detected),
// or whose statements were prepared for an earlier schema, is run again from its
// start. The context is the transaction's; when it ends, so does the
// transaction.
//
// An error that pgerr.IsUnavailable after fn returned nil may mean that the commit
// happened: only an idempotent retry tells.
func InTx(ctx context.Context, db Beginner, opts pgx.TxOptions, fn TxFunc) error {
	return Again(ctx, func(ctx context.Context) error { return once(ctx, db, opts, fn) })
}

func once(ctx context.Context, db Beginner, opts pgx.TxOptions, fn TxFunc) (err error) {
	if opts.IsoLevel == "" {
		opts.IsoLevel = pgx.ReadCommitted
	}
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// Also after a panic and after ctx is done: the connection goes back to
		// the pool clean or not at all.
		rollbackCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = tx.Rollback(rollbackCtx)
	}()
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}
