package order_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
)

// declined is an order service whose only order was declined with a code.
type declined struct {
	order.Client
	code string
}

func (d declined) order() *orderv1.Order {
	return &orderv1.Order{
		Id: uuid.NewString(), State: orderv1.OrderState_ORDER_STATE_CANCELLED,
		CancelReason: orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED, DeclineCode: d.code,
	}
}

func (d declined) PlaceOrder(context.Context, *orderv1.PlaceOrderRequest, ...grpc.CallOption) (*orderv1.PlaceOrderResponse, error) {
	return &orderv1.PlaceOrderResponse{Order: d.order()}, nil
}

func (d declined) GetOrder(context.Context, *orderv1.GetOrderRequest, ...grpc.CallOption) (*orderv1.GetOrderResponse, error) {
	return &orderv1.GetOrderResponse{Order: d.order()}, nil
}

func (d declined) ListOrders(context.Context, *orderv1.ListOrdersRequest, ...grpc.CallOption) (*orderv1.ListOrdersResponse, error) {
	return &orderv1.ListOrdersResponse{Orders: []*orderv1.Order{d.order()}}, nil
}

func (d declined) CancelOrder(context.Context, *orderv1.CancelOrderRequest, ...grpc.CallOption) (*orderv1.CancelOrderResponse, error) {
	return &orderv1.CancelOrderResponse{Order: d.order()}, nil
}

func (d declined) WatchOrder(context.Context, *orderv1.WatchOrderRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[orderv1.WatchOrderResponse], error) {
	return watched{order: d.order()}, nil
}

type watched struct {
	grpc.ServerStreamingClient[orderv1.WatchOrderResponse]
	order *orderv1.Order
}

func (w watched) Recv() (*orderv1.WatchOrderResponse, error) {
	return &orderv1.WatchOrderResponse{Order: w.order}, nil
}

type noStock struct{}

func (noStock) StockChanged(...string) {}

// A shopper is told what of a decline says nothing about the card, whatever way the
// order is read; an operator sees the code.
func TestDeclinesTellNothingOfTheCard(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]order.Decline{
		"stolen_card": order.Declined, "lost_card": order.Declined, "fraudulent": order.Declined, "pickup_card": order.Declined,
		"merchant_blacklist": order.Declined, "insufficient_funds": order.Declined, "incorrect_cvc": order.Declined,
		"incorrect_number": order.Declined, "expired_card": order.Declined, "card_velocity_exceeded": order.Declined,
		"generic_decline": order.Declined, "a_code_of_next_year": order.Declined, "": order.Declined,
		"authentication_required": order.AuthenticationRequired, "processing_error": order.TryAgain,
		"amount_not_chargeable": order.NotChargeable,
	} {
		o := order.New(order.Config{
			Client: declined{code: code}, Caller: client.New(client.Config{}), Admission: &observed{}, Stock: noStock{},
		})
		ctx, shopper, operator := t.Context(), access.Customer(uuid.NewString()), access.Operator("ann")
		see := func(way string, got *order.Order, err error, code string) {
			t.Helper()
			if err != nil || got.Decline != want || got.DeclineCode != code {
				t.Errorf("%s: %+v, %v; want %s and code %q", way, got, err, want, code)
			}
		}
		placed, err := o.PlaceOrder(ctx, checkout())
		see("placed", placed.Order, err, "")
		for viewer, code := range map[*accessv1.Viewer]string{shopper: "", operator: code} {
			got, err := o.Order(ctx, viewer, uuid.New())
			see("read", got, err, code)
			got, err = o.CancelOrder(ctx, viewer, uuid.New())
			see("cancelled", got, err, code)
			page, err := o.Orders(ctx, viewer, 0, "")
			see("listed", page.Orders[0], err, code)
			for got, err := range o.WatchOrder(ctx, viewer, uuid.New()) {
				see("watched", got, err, code)
			}
		}
	}
}
