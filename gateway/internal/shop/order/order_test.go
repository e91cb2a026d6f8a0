package order_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/proto/contact"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refusing is an order service that refuses every order for the reason.
type refusing struct {
	order.Client
	code   codes.Code
	reason string
}

func (r refusing) PlaceOrder(context.Context, *orderv1.PlaceOrderRequest, ...grpc.CallOption) (*orderv1.PlaceOrderResponse, error) {
	st, err := status.New(r.code, "").WithDetails(&errdetails.ErrorInfo{Reason: r.reason, Domain: "order.souk"})
	if err != nil {
		return nil, err
	}
	return nil, st.Err()
}

// observed counts how orders fare.
type observed struct{ begun, refused, served int }

func (o *observed) OrderBegun(context.Context) bool { o.begun++; return true }
func (o *observed) OrderEnded(_ context.Context, refused bool) {
	if refused {
		o.refused++
	} else {
		o.served++
	}
}

// An order that is refused for another reason than a lack of capacity is one that
// the order service had the capacity for.
func TestOnlyOverloadCountsAsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code   codes.Code
		reason string
		want   observed
	}{
		{codes.ResourceExhausted, "OVERLOADED", observed{begun: 1, refused: 1}},
		{codes.FailedPrecondition, "CART_EMPTY", observed{begun: 1, served: 1}},
	} {
		var got observed
		orders := order.New(order.Config{
			Client: refusing{code: tc.code, reason: tc.reason}, Caller: client.New(client.Config{}), Admission: &got,
		})
		_, err := orders.PlaceOrder(t.Context(), checkout())
		if err == nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", tc.reason, got, err, tc.want)
		}
	}
}

func checkout() order.Checkout {
	return order.Checkout{
		Viewer: access.Customer(uuid.NewString()), Cart: uuid.New(), Email: "ada@example.com",
		Address: contact.Address{Name: "Ada", Line1: "1 High St", City: "York", PostalCode: "YO1 7HH", Country: "GB"},
	}
}
