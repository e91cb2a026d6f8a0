// Package pgerr tells PostgreSQL's errors apart.
package pgerr

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

const (
	uniqueViolation     = "23505"
	featureNotSupported = "0A000"
	readOnlyTransaction = "25006"
	preparedStatement   = "26000"
	lockNotAvailable    = "55P03"
	queryCanceled       = "57014"
	wrongCell           = "SC001" // souk_cell_fence raises it
)

// IsUnique reports a violation of the named unique constraint or index; any
// when constraint is empty.
func IsUnique(err error, constraint string) bool { return violates(err, uniqueViolation, constraint) }

// IsRetryable reports that the transaction did not happen and may succeed if it is
// run again from its start: it lost against another one, or a migration has changed
// what its statements were prepared for.
func IsRetryable(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && answer(pgErr) == Again
}

// IsLockTimeout reports that a lock was not free within lock_timeout.
func IsLockTimeout(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == lockNotAvailable
}

// IsStatementTimeout reports that a statement did not end within statement_timeout, or was
// canceled by hand.
func IsStatementTimeout(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == queryCanceled
}

// WrongCell returns what a cell's database says of a write of a bucket that is not there: the
// metadata of WRONG_CELL. Nothing was written.
func WrongCell(err error) (metadata map[string]string, ok bool) {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pgErr.Code != wrongCell || json.Unmarshal([]byte(pgErr.Detail), &metadata) != nil {
		return nil, false
	}
	return metadata, true
}

// IsStale reports that a connection is of no more use, although the server keeps it
// open: its server has become read-only, or its prepared statements are of another
// schema.
func IsStale(err *pgconn.PgError) bool {
	return err.Code == readOnlyTransaction || stalePlan(err)
}

// IsStalePlan reports that a statement has to be prepared anew: the type of a column
// has changed, or a pooler or DISCARD ALL has dropped what was prepared.
func IsStalePlan(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && stalePlan(pgErr)
}

func stalePlan(err *pgconn.PgError) bool {
	return err.Code == preparedStatement || err.Code == featureNotSupported && err.Routine == "RevalidateCachedQuery"
}

func answer(err *pgconn.PgError) Answer {
	if stalePlan(err) {
		return Again
	}
	return Of(err.Code)
}

// IsUnavailable reports that the database could not be reached, went away or
// refuses work for now, or that a transaction was run again as often as is useful. It
// says nothing about what was asked: a commit under way may have happened. The end of
// the caller's own context is not the database's fault and reported as false.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	// Before its cause, which may be a timeout of its own or a wrong password.
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer(pgErr) != Fault
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok { // also DNS and TLS
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, puddle.ErrClosedPool) || pgconn.SafeToRetry(err)
}

func violates(err error, code, constraint string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == code && (constraint == "" || pgErr.ConstraintName == constraint)
}
