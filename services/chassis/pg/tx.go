package pg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
)

// maxAttempts bounds how often InTx runs a transaction.
const maxAttempts = 6

// Beginner starts transactions: a pool or a connection.
type Beginner interface {
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
}

// TxFunc is the body of a transaction. It may run several times, so it must
// not change anything outside the transaction before it has succeeded.
type TxFunc = func(ctx context.Context, tx pgx.Tx) error

// InTx runs fn in a transaction: commits when it returns nil, else rolls back
// and returns its error. A transaction that loses against another
// (serialization_failure, deadlock_detected) is run again from its start, up
// to 6 times in all, after a short random pause. The context is the
// transaction's; when it ends, so does the transaction.
//
// An error that IsUnavailable after fn returned nil may mean that the commit
// happened: only an idempotent retry tells.
func InTx(ctx context.Context, db Beginner, opts pgx.TxOptions, fn TxFunc) error {
	for attempt := 1; ; attempt++ {
		err := once(ctx, db, opts, fn)
		if err == nil || !pgerr.IsRetryable(err) || attempt == maxAttempts {
			return err
		}
		// 2, 4, 8, 16, 32 ms, each halved at random.
		pause := time.Millisecond << attempt
		pause = pause/2 + rand.N(pause/2+1)
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

func once(ctx context.Context, db Beginner, opts pgx.TxOptions, fn TxFunc) (err error) {
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
