package rpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
)

// counting is a guard that lets all requests through and counts those under way.
type counting struct {
	held atomic.Int32
	gone error // of the release
}

func (c *counting) Covers(map[string]grpc.ServiceInfo) error { return nil }

func (c *counting) Hold(ctx context.Context, _ string, _ any) (context.Context, func() error, error) {
	c.held.Add(1)
	return ctx, func() error { c.held.Add(-1); return c.gone }, nil
}

// left is the error of a bucket that has left.
type left struct{}

func (left) Error() string { return "bucket 7 has moved" }

func (left) WrongCell() map[string]string {
	return map[string]string{"bucket": "7", "cell": "c1", "moved_to": "c2", "epoch": "1"}
}

// An answer that may be made of what a bucket has left behind is none: the caller asks where it is.
func TestWhatIsLeftIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{say: same, watch: func(*moneyv1.Money, grpc.ServerStream) error { return nil }}, options{guard: &counting{gone: left{}}})
	_, err := f.say(t.Context(), 1)
	if Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_WRONG_CELL {
		t.Errorf("a call is answered %v", err)
	}
	stream, err := f.watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(moneyv1.Money)); Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_WRONG_CELL || Info(err).GetMetadata()["moved_to"] != "c2" {
		t.Errorf("a stream is answered %v", err)
	}
}

// What a guard holds ends after the answer is made, which says what has failed and not that the
// context has ended, and ends also with a handler that panics.
func TestAnAnswerIsMadeBeforeItsHoldEnds(t *testing.T) {
	t.Parallel()
	guard := &counting{}
	var fails func() error
	f := serveEcho(t, &echo{
		say:   func(context.Context, *moneyv1.Money) (*moneyv1.Money, error) { return nil, fails() },
		watch: func(*moneyv1.Money, grpc.ServerStream) error { return fails() },
	}, options{guard: guard})
	for name, c := range map[string]struct {
		fails func() error
		want  codes.Code
	}{
		"a neighbor is away": {func() error { return &CallError{Err: status.Error(codes.Unavailable, "away")} }, codes.Unavailable},
		"a defect":           {func() error { return errors.New("defect") }, codes.Internal},
		"a panic":            {func() error { panic("defect") }, codes.Internal},
	} {
		fails = c.fails
		if _, err := f.say(t.Context(), 1); status.Code(err) != c.want {
			t.Errorf("%s: a call is answered %v, want %s", name, err, c.want)
		}
		stream, err := f.watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(new(moneyv1.Money)); status.Code(err) != c.want {
			t.Errorf("%s: a stream is answered %v, want %s", name, err, c.want)
		}
	}
	eventually(t, "nothing is held", func() bool { return guard.held.Load() == 0 })
}
