package order_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// quiet is an order service whose watches say nothing until their context ends.
type quiet struct{ order.Client }

func (quiet) WatchOrder(ctx context.Context, _ *orderv1.WatchOrderRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[orderv1.WatchOrderResponse], error) {
	return quietStream{ctx: ctx}, nil
}

type quietStream struct {
	grpc.ServerStreamingClient[orderv1.WatchOrderResponse]
	ctx context.Context
}

func (s quietStream) Recv() (*orderv1.WatchOrderResponse, error) {
	<-s.ctx.Done()
	return nil, status.FromContextError(s.ctx.Err()).Err()
}

// A watch that meets the drain ends with an answer that says to try again.
func TestWatchMeetsTheDrain(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	close(draining)
	orders := order.New(order.Config{Client: quiet{}, Caller: client.New(client.Config{}), Draining: draining})
	var got []error
	for _, err := range orders.WatchOrder(t.Context(), access.Customer(uuid.NewString()), uuid.New()) {
		got = append(got, err)
	}
	if len(got) != 1 || problem.As(got[0]).Type != problem.Unavailable {
		t.Errorf("got %v, want one Unavailable", got)
	}
}
