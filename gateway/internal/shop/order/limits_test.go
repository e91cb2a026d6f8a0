package order_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
)

// limited is an order service that refuses who had too many declines.
type limited struct {
	order.Client
	from *string
}

func (l limited) PlaceOrder(_ context.Context, req *orderv1.PlaceOrderRequest, _ ...grpc.CallOption) (*orderv1.PlaceOrderResponse, error) {
	*l.from = req.GetClientAddress()
	st, err := status.New(codes.ResourceExhausted, "").WithDetails(
		&errdetails.ErrorInfo{Reason: "TOO_MANY_DECLINES", Domain: "order.souk", Metadata: map[string]string{"limit": "declines-of-guest"}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(29*time.Second + time.Millisecond)})
	if err != nil {
		return nil, err
	}
	return nil, st.Err()
}

// A refusal because of declines says which limit was met and when to come again, and is
// not taken for a shop that is overloaded. The client's address is passed on.
func TestALimitOfBuyersIsTold(t *testing.T) {
	t.Parallel()
	var from string
	var seen observed
	o := order.New(order.Config{Client: limited{from: &from}, Caller: client.New(client.Config{}), Admission: &seen})
	c := checkout()
	c.Client = netip.MustParseAddr("2001:db8::7")
	_, err := o.PlaceOrder(t.Context(), c)
	e := problem.As(err)
	if e.Type != problem.TooManyDeclines || e.Type.Status != 429 || e.Limit != "declines-of-guest" || e.Seconds() != 30 {
		t.Errorf("%+v", e)
	}
	if from != "2001:db8::7" || seen != (observed{begun: 1, served: 1}) {
		t.Errorf("from %q, %+v", from, seen)
	}
}
