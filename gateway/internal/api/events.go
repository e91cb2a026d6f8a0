package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
)

// heartbeat is how often a quiet stream sends a comment, so that no proxy takes
// it for dead and a client that is gone is noticed.
const heartbeat = 15 * time.Second

// watchOrder answers GET /v1/orders/{order_id}/events.
func (a *API) watchOrder(ctx context.Context, in *WatchOrderRequest) (answer, error) {
	watch := make(chan watched)
	ctx, cancel := context.WithCancel(ctx)
	go follow(ctx, a.orders.WatchOrder(ctx, viewer(ctx), in.OrderID), watch)
	// The first event, or the error instead of one, decides the status.
	first, ok := <-watch
	if ok && first.err == nil {
		return &stream{ctx: ctx, cancel: cancel, first: first.order, rest: watch, beat: a.heartbeat}, nil
	}
	cancel()
	if !ok {
		return nil, problem.As(context.Cause(ctx))
	}
	return nil, first.err
}

type watched struct {
	order *order.Order
	err   error
}

// follow sends what the watch yields until it or ctx ends, and closes out.
func follow(ctx context.Context, watch iter.Seq2[*order.Order, error], out chan<- watched) {
	defer close(out)
	for order, err := range watch {
		select {
		case out <- watched{order, err}:
		case <-ctx.Done():
			return
		}
	}
}

// stream is the answer that goes on.
type stream struct {
	ctx    context.Context // ends with the request
	cancel context.CancelFunc
	first  *order.Order
	rest   <-chan watched
	beat   time.Duration
}

// write writes the events. Once it has begun errors can only
// end the stream: a client connects again and gets the present state.
func (s *stream) write(w http.ResponseWriter) {
	defer s.cancel()
	control := http.NewResponseController(w)
	// A stream lasts as long as the order needs.
	_ = control.SetReadDeadline(time.Time{}) // not every test writer can
	_ = control.SetWriteDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h["Cache-Control"] = noStore
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if !s.send(w, control, s.first) {
		return
	}
	tick := time.NewTicker(s.beat)
	defer tick.Stop()
	for {
		select {
		case next, ok := <-s.rest:
			if !ok || next.err != nil {
				return
			}
			if !s.send(w, control, next.order) {
				return
			}
		case <-tick.C:
			if _, err := w.Write([]byte(": still here\n\n")); err != nil || control.Flush() != nil {
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *stream) send(w http.ResponseWriter, control *http.ResponseController, order *order.Order) bool {
	data, err := json.Marshal(newOrderEvent(order))
	if err != nil {
		return false
	}
	buf := make([]byte, 0, len(data)+64)
	buf = append(buf, "event: order\nid: "...)
	buf = strconv.AppendInt(buf, order.Version, 10)
	buf = append(buf, "\ndata: "...)
	buf = append(buf, data...)
	buf = append(buf, "\n\n"...)
	_, err = w.Write(buf)
	return err == nil && control.Flush() == nil
}
