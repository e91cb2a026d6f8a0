package rpc

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
)

// A database that does not answer is unavailable, which is asked again, and not
// a timeout of the call, which has time left.
func TestASilentDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	cfg, err := pgx.ParseConfig("postgres://x@" + lis.Addr().String() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnectTimeout = 20 * time.Millisecond
	_, err = pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		t.Fatal("connected")
	}
	if got := (ErrorTable{}).Status(t.Context(), fmt.Errorf("get: %w", err)); got.Code() != codes.Unavailable {
		t.Errorf("%v is %v", err, got)
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if got := (ErrorTable{}).Status(late, err); got.Code() != codes.DeadlineExceeded {
		t.Errorf("after the call's own deadline: %v", got)
	}
}
