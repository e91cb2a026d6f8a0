package rpc

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/consistency"
)

// A caller's token reaches the handler, and what the call wrote reaches the caller, through
// a service between them, from streams, and from calls that fail.
func TestTokensTravel(t *testing.T) {
	t.Parallel()
	came := make(chan string, 1)
	wrote := func(ctx context.Context) {
		text := "no session"
		if s := consistency.FromContext(ctx); s != nil {
			text = s.Token().String()
		}
		came <- text
		consistency.FromContext(ctx).Write("stock")
	}
	stock := serveEcho(t, &echo{
		say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
			wrote(ctx)
			if m.GetMinorUnits() < 0 {
				return nil, errors.New("after the commit")
			}
			return m, nil
		},
		watch: func(_ *moneyv1.Money, s grpc.ServerStream) error {
			wrote(s.Context())
			return nil
		},
	}, options{gain: func(ctx context.Context) {
		if s := consistency.FromContext(ctx); s.Written("stock") {
			s.Gain(consistency.Token{"stock": {Timeline: 1, LSN: 0x99}})
		}
	}})
	between := serveEcho(t, &echo{
		say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
			return stock.say(ctx, m.GetMinorUnits())
		},
		watch: func(_ *moneyv1.Money, s grpc.ServerStream) error {
			stream, err := stock.watch(s.Context())
			if err != nil {
				return err
			}
			if err := stream.RecvMsg(new(moneyv1.Money)); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		},
	}, options{})
	token := consistency.Token{"stock": {Timeline: 1, LSN: 0x10}, "order": {Timeline: 2, LSN: 0x2A}}
	for name, call := range map[string]func(context.Context) error{
		"a call":             func(ctx context.Context) error { _, err := between.say(ctx, 1); return err },
		"a call that failed": func(ctx context.Context) error { _, err := between.say(ctx, -1); return err },
		"a stream": func(ctx context.Context) error {
			stream, err := between.watch(ctx)
			if err != nil {
				return err
			}
			if err := stream.RecvMsg(new(moneyv1.Money)); !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		},
	} {
		ctx, session := consistency.Begin(t.Context(), token)
		if err := call(ctx); (err != nil) != strings.Contains(name, "failed") {
			t.Errorf("%s: %v", name, err)
		}
		if got := <-came; got != "order:2/2A.stock:1/10" {
			t.Errorf("%s: the handler has the token %q", name, got)
		}
		if got := session.Gained().String(); got != "stock:1/99" {
			t.Errorf("%s: the caller has gained %q", name, got)
		}
	}
	// Without a session there is none anywhere; one with an empty token is one.
	if _, err := between.say(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if got := <-came; got != "no session" {
		t.Errorf("a call without a token has the token %q", got)
	}
	ctx, _ := consistency.Begin(t.Context(), nil)
	if _, err := between.say(ctx, 1); err != nil {
		t.Error(err)
	}
	if got := <-came; got != "" {
		t.Errorf("the handler has the token %q", got)
	}
	ctx = metadata.AppendToOutgoingContext(t.Context(), consistency.Metadata, "stock:1/zz")
	_, err := stock.say(ctx, 1)
	if status.Code(err) != codes.InvalidArgument || Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_INVALID || !strings.Contains(err.Error(), consistency.Header) {
		t.Errorf("a token that is none: %v", err)
	}
}
