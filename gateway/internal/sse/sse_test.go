package sse

import (
	"context"
	"errors"
	"iter"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// watch yields the events, then stays until the reader leaves.
func watch(ctx context.Context, events ...Event) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		events []Event
		seen   string
		status int
		want   string
	}{
		"until it is settled": {[]Event{{1, []byte("a"), false}, {2, []byte("b"), true}}, "", 200,
			"retry: 1500\n\nevent: order\nid: 1\ndata: a\n\nevent: order\nid: 2\ndata: b\n\n"},
		"one twice":                {[]Event{{1, []byte("a"), false}, {1, []byte("a"), false}, {2, []byte("b"), true}}, "", 200, "retry: 1500\n\nevent: order\nid: 1\ndata: a\n\nevent: order\nid: 2\ndata: b\n\n"},
		"settled":                  {[]Event{{2, []byte("b"), true}}, "1", 200, "retry: 1500\n\nevent: order\nid: 2\ndata: b\n\n"},
		"settled and seen":         {[]Event{{2, []byte("b"), true}}, "2", 204, ""},
		"settled, seen is no id":   {[]Event{{2, []byte("b"), true}}, "x", 200, "retry: 1500\n\nevent: order\nid: 2\ndata: b\n\n"},
		"a client that is ahead":   {[]Event{{2, []byte("b"), true}}, "7", 204, ""},
		"quiet until the time out": {[]Event{{1, []byte("a"), false}}, "", 200, "retry: 1500\n\nevent: order\nid: 1\ndata: a\n\n: still here\n\n: still here\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
				defer cancel()
				s, err := Open(ctx, watch(ctx, tc.events...))
				if err != nil {
					t.Fatal(err)
				}
				w := httptest.NewRecorder()
				s.Serve(w, tc.seen)
				if w.Code != tc.status || w.Body.String() != tc.want {
					t.Errorf("%d %q", w.Code, w.Body)
				}
			})
		})
	}
}

// A stream ends by itself after five minutes, and an error instead of the first
// event is the answer.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		s, err := Open(ctx, watch(ctx, Event{ID: 1}))
		if err != nil {
			t.Fatal(err)
		}
		s.Serve(httptest.NewRecorder(), "")
		if took := time.Since(start); took != longest {
			t.Errorf("ends after %s", took)
		}
		cancel()
		broken := errors.New("broken")
		if _, err := Open(t.Context(), func(yield func(Event, error) bool) { yield(Event{}, broken) }); !errors.Is(err, broken) {
			t.Error(err)
		}
		if s, err := Open(t.Context(), func(func(Event, error) bool) {}); s != nil || status.Code(err) != codes.Unavailable {
			t.Errorf("a watch of nothing: %v, %v", s, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Open(ctx, watch(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
