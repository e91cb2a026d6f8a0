package rpc

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"github.com/souk-shop/souk/proto/contact"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/access"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

// self is the viewer of calls that the service makes for itself.
var self = access.Service("notification")

// Orders is the order service.
type Orders struct{ client orderv1.OrderServiceClient }

// NewOrders returns a client.
func NewOrders(conn grpc.ClientConnInterface) *Orders {
	return &Orders{orderv1.NewOrderServiceClient(conn)}
}

// Order returns what a mail says of an order.
func (o *Orders) Order(ctx context.Context, id string) (mail.Order, error) {
	resp, err := o.client.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id, Viewer: self})
	switch chassisrpc.Reason[orderv1.ErrorReason](err) {
	case orderv1.ErrorReason_ERROR_REASON_ORDER_NOT_FOUND, orderv1.ErrorReason_ERROR_REASON_ORDER_ARCHIVED:
		return mail.Order{}, mail.ErrOrderNotFound
	default:
	}
	if err != nil {
		return mail.Order{}, err
	}
	return orderOf(resp.GetOrder())
}

func orderOf(o *orderv1.Order) (out mail.Order, err error) {
	out = mail.Order{
		Email: o.GetEmail(), PlacedAt: o.GetPlacedAt().AsTime(), ShortSKUs: o.GetShortSkus(), Erased: o.GetErasedAt() != nil,
		ShipTo: addressLines(o.GetShippingAddress()),
	}
	if out.Total, err = money.FromProto(o.GetTotal()); err != nil {
		return out, fmt.Errorf("total of order %s: %w", o.GetId(), err)
	}
	for _, l := range o.GetLines() {
		line := mail.Line{SKU: l.GetSku(), Name: l.GetName(), Quantity: l.GetQuantity()}
		var err1, err2 error
		line.UnitPrice, err1 = money.FromProto(l.GetUnitPrice())
		line.Total, err2 = money.FromProto(l.GetTotal())
		if err1 != nil || err2 != nil {
			return out, fmt.Errorf("price of %s in order %s is no money", l.GetSku(), o.GetId())
		}
		out.Lines = append(out.Lines, line)
	}
	for _, r := range o.GetRefunds() {
		refund := mail.Refund{ID: r.GetId()}
		for _, l := range r.GetLines() {
			refund.Units = append(refund.Units, mail.Units{SKU: l.GetSku(), Quantity: l.GetQuantity()})
		}
		out.Refunds = append(out.Refunds, refund)
	}
	return out, nil
}

// addressLines are as the storefront shows them.
func addressLines(a *orderv1.Address) (lines []string) {
	town := strings.Join(strings.Fields(a.GetCity()+" "+a.GetRegion()+" "+a.GetPostalCode()), " ")
	for _, l := range []string{a.GetName(), a.GetLine1(), a.GetLine2(), town, countryName(a.GetCountry())} {
		if l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

func countryName(code string) string {
	if c, ok := contact.Lookup(code); ok {
		return c.Name
	}
	return code
}
