package pgerr

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed testdata/errcodes.txt
var errcodes string

func TestEveryCodeHasItsAnswer(t *testing.T) {
	t.Parallel()
	var known, seen []string
	for line := range strings.Lines(errcodes) {
		fields := strings.Fields(line)
		if fields[0] == "#" {
			continue
		}
		code, want := fields[0], fields[1]
		known = append(known, code)
		seen = append(seen, code[:2])
		if got := Of(code); got.String() != want {
			t.Errorf("%s is %s, want %s", line, got, want)
		}
		err := fmt.Errorf("query: %w", &pgconn.PgError{Code: code})
		if got := IsUnavailable(err); got != (want != "fault") {
			t.Errorf("%s: unavailable %t", line, got)
		}
		if again := want == "again"; IsRetryable(err) != again {
			t.Errorf("%s: retryable is not %t", line, again)
		}
	}
	if len(known) < 260 {
		t.Errorf("the list has %d codes", len(known))
	}
	for code := range exceptions {
		if code != wrongCell && !slices.Contains(known, code) || exceptions[code] == classes[code[:2]] && code[:2] != "40" {
			t.Errorf("%s is no exception", code)
		}
	}
	for class := range classes {
		if !slices.Contains(seen, class) && class != "72" { // snapshot_too_old is gone since 17
			t.Errorf("there is no class %s", class)
		}
	}
}

func TestUnknownCodesAreTheDatabase(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ZZ000", "ZZ999", "57P99", "53999", "08XYZ", "", "5", "XXXXXXX"} {
		if got := Of(code); got != Away {
			t.Errorf("%q is %s", code, got)
		}
	}
	if got := Of("22999"); got != Fault {
		t.Errorf("a new code of class 22 is %s", got)
	}
}

func TestErrorsOfTheConnection(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&pgconn.ConnectError{}, io.ErrUnexpectedEOF, net.ErrClosed,
		&net.OpError{Op: "read", Err: syscall.ECONNRESET}, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		syscall.ECONNRESET, syscall.EPIPE, &net.DNSError{Err: "no such host", Name: "db"},
	} {
		if !IsUnavailable(fmt.Errorf("query: %w", err)) {
			t.Errorf("%v is not the database's", err)
		}
	}
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded, errors.New("a bug"), io.EOF} {
		if IsUnavailable(err) {
			t.Errorf("%v is the database's", err)
		}
	}
}

func TestStalePlans(t *testing.T) {
	t.Parallel()
	stale := &pgconn.PgError{Code: "0A000", Routine: "RevalidateCachedQuery"}
	if !IsRetryable(stale) || !IsStale(stale) {
		t.Error("a plan that a migration made stale is not run again")
	}
	if other := (&pgconn.PgError{Code: "0A000", Routine: "transformSetOperationStmt"}); IsRetryable(other) || IsUnavailable(other) || IsStale(other) {
		t.Error("any feature that is not supported is run again")
	}
	if !IsStale(&pgconn.PgError{Code: "25006"}) {
		t.Error("a connection to a read-only server is kept")
	}
}
