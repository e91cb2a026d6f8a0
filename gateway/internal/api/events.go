package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/sse"
)

// OrderEvent is the data of an event: what changes of an order.
type OrderEvent struct {
	ID            string        `json:"id"`
	Number        string        `json:"number"`
	State         string        `json:"state"`
	CancelReason  string        `json:"cancel_reason,omitempty"`
	DeclineReason string        `json:"decline_reason,omitempty"`
	DeclineCode   string        `json:"decline_code,omitempty"` // for operators
	Total         Money         `json:"total"`
	Refunded      Money         `json:"refunded"`
	SettledAt     time.Time     `json:"settled_at,omitzero"`
	Version       int64         `json:"version"`
	History       []StateChange `json:"history,omitempty"`
	ShortSKUs     []string      `json:"short_skus,omitempty"`
}

// watchOrder answers GET /v1/orders/{order_id}/events.
func (a *API) watchOrder(ctx context.Context, in *WatchOrderRequest) (answer, error) {
	// The first event, or the error instead of one, decides the status.
	stream, err := sse.Open(ctx, orderEvents(a.shop.Orders.WatchOrder(ctx, viewer(ctx), in.OrderID)))
	if err != nil {
		return nil, client.Error(ctx, err)
	}
	return &streamed{stream, in.LastEventID}, nil
}

func orderEvents(watch iter.Seq2[*order.Order, error]) iter.Seq2[sse.Event, error] {
	return func(yield func(sse.Event, error) bool) {
		for order, err := range watch {
			var event sse.Event
			if err == nil {
				event = sse.Event{ID: order.Version, Last: order.State.Terminal()}
				event.Data, err = json.Marshal(newOrderEvent(order))
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// streamed is the answer that goes on.
type streamed struct {
	stream *sse.Stream
	seen   string
}

func (s *streamed) write(w http.ResponseWriter) { s.stream.Serve(w, s.seen) }
