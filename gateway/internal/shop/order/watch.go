package order

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// WatchOrder yields the order as it is, then after each change, without its
// lines, until it is settled or ctx ends. It yields one error at most, the last:
// Unavailable when the process drains. When the order service restarts the watch is
// taken up again, so a state may come twice. Problems: OrderNotFound, OrderArchived, Unavailable.
func (o *Orders) WatchOrder(ctx context.Context, v *accessv1.Viewer, id uuid.UUID) iter.Seq2[*Order, error] {
	return func(yield func(*Order, error) bool) {
		caller := ctx
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the stream when the reader stops
		go func() {
			select {
			case <-o.cfg.Draining:
				cancel()
			case <-ctx.Done():
			}
		}()
		retries := o.cfg.Caller.Retries()
		for {
			stream, err := o.cfg.Client.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: id.String(), Viewer: v})
			for err == nil {
				var res *orderv1.WatchOrderResponse
				if res, err = stream.Recv(); err != nil {
					break
				}
				retries.Succeeded()
				var order *Order
				if order, err = newOrder(res.GetOrder(), v); err != nil {
					break
				}
				if !yield(order, nil) || order.State.Terminal() {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				err = errEnded
			}
			if !retries.Again(ctx, err) {
				switch {
				case caller.Err() != nil: // there is no reader
				case ctx.Err() != nil:
					yield(nil, problem.New(problem.Unavailable)) // the process drains
				default:
					yield(nil, o.noticed(ctx, v, client.Error(ctx, err)))
				}
				return
			}
		}
	}
}

// errEnded is a stream that ended before the order was settled: the service stops.
var errEnded = status.Error(codes.Unavailable, "the stream ended")
