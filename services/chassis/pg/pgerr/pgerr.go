// Package pgerr tells PostgreSQL's errors apart.
package pgerr

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// SQLSTATE codes that Souk acts upon.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
)

// IsUnique reports a violation of the named unique constraint or index; any
// when constraint is empty.
func IsUnique(err error, constraint string) bool { return violates(err, uniqueViolation, constraint) }

// IsRetryable reports that the transaction lost against another one and may
// succeed if it is run again from its start.
func IsRetryable(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code == serializationFailure || pgErr.Code == deadlockDetected)
}

// IsUnavailable reports that the database could not be reached, went away or
// refuses work for now. It says nothing about what was asked: a commit under
// way may have happened. The end of the caller's own context is not the
// database's fault and reported as false.
func IsUnavailable(err error) bool {
	if err == nil {
		return false
	}
	// Before its cause, which may be a timeout of its own or a wrong password.
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return unavailableCode(pgErr.Code)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, puddle.ErrClosedPool) || pgconn.SafeToRetry(err)
}

func unavailableCode(code string) bool {
	switch code {
	case "57P01", // admin_shutdown
		"57P02", // crash_shutdown
		"57P03", // cannot_connect_now: starting up, shutting down, in recovery
		"57P05", // idle_session_timeout
		"57014", // query_canceled, by statement_timeout
		"55P03", // lock_not_available, by lock_timeout
		"25P03", // idle_in_transaction_session_timeout
		"53300", // too_many_connections
		"53200", // out_of_memory
		"53100": // disk_full
		return true
	}
	return len(code) == 5 && code[:2] == "08" // connection exceptions
}

func violates(err error, code, constraint string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == code && (constraint == "" || pgErr.ConstraintName == constraint)
}
