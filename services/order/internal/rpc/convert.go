package rpc

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/souk-shop/souk/proto/contact"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

var states = map[domain.State]orderv1.OrderState{
	domain.Pending:     orderv1.OrderState_ORDER_STATE_PENDING,
	domain.Authorizing: orderv1.OrderState_ORDER_STATE_AUTHORIZING,
	domain.Confirming:  orderv1.OrderState_ORDER_STATE_CONFIRMING,
	domain.Capturing:   orderv1.OrderState_ORDER_STATE_CAPTURING,
	domain.Paid:        orderv1.OrderState_ORDER_STATE_PAID,
	domain.Cancelling:  orderv1.OrderState_ORDER_STATE_CANCELLING,
	domain.Cancelled:   orderv1.OrderState_ORDER_STATE_CANCELLED,
}

var reasons = map[domain.Reason]orderv1.CancelReason{
	domain.InsufficientStock: orderv1.CancelReason_CANCEL_REASON_INSUFFICIENT_STOCK,
	domain.HeldByOthers:      orderv1.CancelReason_CANCEL_REASON_HELD_BY_OTHERS,
	domain.PaymentDeclined:   orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED,
	domain.ByCustomer:        orderv1.CancelReason_CANCEL_REASON_CUSTOMER,
	domain.TimedOut:          orderv1.CancelReason_CANCEL_REASON_TIMED_OUT,
	domain.ReservationLost:   orderv1.CancelReason_CANCEL_REASON_RESERVATION_LOST,
	domain.CaptureFailed:     orderv1.CancelReason_CANCEL_REASON_CAPTURE_FAILED,
	domain.AmountMismatch:    orderv1.CancelReason_CANCEL_REASON_AMOUNT_MISMATCH,
}

var refundStates = map[domain.RefundState]orderv1.OrderRefundState{
	domain.RefundPending:   orderv1.OrderRefundState_ORDER_REFUND_STATE_PENDING,
	domain.RefundSucceeded: orderv1.OrderRefundState_ORDER_REFUND_STATE_SUCCEEDED,
	domain.RefundFailed:    orderv1.OrderRefundState_ORDER_REFUND_STATE_FAILED,
}

func orderProto(o domain.Order) *orderv1.Order {
	p := &orderv1.Order{
		Id: o.ID, Number: o.Number, CustomerId: o.CustomerID,
		State: states[o.State], CancelReason: reasons[o.CancelReason], DeclineCode: o.DeclineCode,
		Total: o.Total.Proto(), Refunded: o.Refunded.Proto(), Email: o.Email,
		ShippingAddress: &orderv1.Address{
			Name: o.Address.Name, Line1: o.Address.Line1, Line2: o.Address.Line2,
			City: o.Address.City, Region: o.Address.Region, PostalCode: o.Address.PostalCode, Country: o.Address.Country,
		},
		CartId: o.CartID, PlacedAt: timestamppb.New(o.PlacedAt), Version: o.Version,
		AgreementDigest: o.AgreementDigest, Lines: lineProtos(o.Lines),
	}
	if len(o.ShortSKUs) > 0 {
		p.ShortSkus = o.ShortSKUs
	}
	if !o.SettledAt.IsZero() {
		p.SettledAt = timestamppb.New(o.SettledAt)
	}
	if !o.ErasedAt.IsZero() {
		p.ErasedAt = timestamppb.New(o.ErasedAt)
	}
	for _, r := range o.Refunds {
		p.Refunds = append(p.Refunds, refundProto(r))
	}
	for _, c := range o.History {
		p.History = append(p.History, &orderv1.StateChange{State: states[c.State], At: timestamppb.New(c.At)})
	}
	return p
}

func lineProtos(lines []domain.Line) []*orderv1.OrderLine {
	out := make([]*orderv1.OrderLine, len(lines))
	for i, l := range lines {
		out[i] = lineProto(l)
	}
	return out
}

func lineProto(l domain.Line) *orderv1.OrderLine {
	return &orderv1.OrderLine{
		Sku: l.SKU, Name: l.Name, Quantity: l.Quantity,
		UnitPrice: l.UnitPrice.Proto(), Total: l.Total.Proto(), RefundedQuantity: l.Refunded,
	}
}

// maxChanges bounds the lines that a PriceChange names.
const maxChanges = 50

func priceChangeProto(before, now money.Money, lines []domain.LineChange) *orderv1.PriceChange {
	more := max(len(lines)-maxChanges, 0)
	p := &orderv1.PriceChange{Before: before.Proto(), Now: now.Proto(), MoreLines: int32(more)} // lines of a cart, 2,000 at most
	for _, c := range lines[:min(len(lines), maxChanges)] {
		change := &orderv1.LineChange{Sku: c.SKU}
		if c.Before != (domain.Line{}) {
			change.Before = lineProto(c.Before)
		}
		if c.Now != (domain.Line{}) {
			change.Now = lineProto(c.Now)
		}
		p.Lines = append(p.Lines, change)
	}
	return p
}

func refundProto(r domain.Refund) *orderv1.OrderRefund {
	p := &orderv1.OrderRefund{
		Id: r.ID, State: refundStates[r.State], Amount: r.Amount.Proto(),
		Restock: r.Restock, Reason: r.Reason, CreatedAt: timestamppb.New(r.CreatedAt),
	}
	for _, l := range r.Lines {
		p.Lines = append(p.Lines, &orderv1.RefundLine{Sku: l.SKU, Quantity: l.Quantity})
	}
	return p
}

func address(a *orderv1.Address) contact.Address {
	return contact.Address{
		Name: a.GetName(), Line1: a.GetLine1(), Line2: a.GetLine2(),
		City: a.GetCity(), Region: a.GetRegion(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
	}
}
