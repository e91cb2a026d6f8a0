package order

import (
	"strings"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/proto/contact"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
)

// FromProto returns an order as the viewer may see it.
func FromProto(in *orderv1.Order, v *accessv1.Viewer) (*Order, error) { return newOrder(in, v) }

// newOrder returns an order as the viewer may see it.
func newOrder(in *orderv1.Order, v *accessv1.Viewer) (*Order, error) {
	id, err := uuid.Parse(in.GetId())
	if err != nil {
		return nil, problem.As(err)
	}
	a := in.GetShippingAddress()
	o := &Order{
		ID: id, Number: in.GetNumber(), Version: in.GetVersion(),
		State:   State(strings.TrimPrefix(in.GetState().String(), "ORDER_STATE_")),
		Decline: declineOf(in), Email: in.GetEmail(), CartID: in.GetCartId(),
		Address: contact.Address{
			Name: a.GetName(), Line1: a.GetLine1(), Line2: a.GetLine2(),
			City: a.GetCity(), Region: a.GetRegion(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
		},
		PlacedAt: in.GetPlacedAt().AsTime(), ShortSKUs: in.GetShortSkus(), AgreementDigest: in.GetAgreementDigest(),
	}
	if v.GetOperator() != nil {
		o.DeclineCode = in.GetDeclineCode()
	}
	if r := in.GetCancelReason(); r != orderv1.CancelReason_CANCEL_REASON_UNSPECIFIED {
		o.CancelReason = strings.TrimPrefix(r.String(), "CANCEL_REASON_")
	}
	if t := in.GetErasedAt(); t != nil {
		o.ErasedAt = t.AsTime()
	}
	if t := in.GetSettledAt(); t != nil {
		o.SettledAt = t.AsTime()
	}
	if o.Total, err = optionalMoney(in.GetTotal()); err != nil {
		return nil, err
	}
	if o.Refunded, err = optionalMoney(in.GetRefunded()); err != nil {
		return nil, err
	}
	if o.Refunded.Currency == "" {
		o.Refunded.Currency = o.Total.Currency
	}
	if o.Lines, err = newLines(in.GetLines()); err != nil {
		return nil, err
	}
	for _, r := range in.GetRefunds() {
		refund, err := newRefund(r)
		if err != nil {
			return nil, err
		}
		o.Refunds = append(o.Refunds, refund)
	}
	for _, h := range in.GetHistory() {
		o.History = append(o.History, StateChange{
			State: State(strings.TrimPrefix(h.GetState().String(), "ORDER_STATE_")), At: h.GetAt().AsTime(),
		})
	}
	return o, nil
}

func newLines(in []*orderv1.OrderLine) ([]Line, error) {
	var lines []Line
	var err error
	for _, l := range in {
		line := Line{SKU: l.GetSku(), Name: l.GetName(), Quantity: l.GetQuantity(), RefundedQuantity: l.GetRefundedQuantity()}
		if line.UnitPrice, err = optionalMoney(l.GetUnitPrice()); err != nil {
			return nil, err
		}
		if line.Total, err = optionalMoney(l.GetTotal()); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func newRefund(in *orderv1.OrderRefund) (Refund, error) {
	r := Refund{
		ID: in.GetId(), State: strings.TrimPrefix(in.GetState().String(), "ORDER_REFUND_STATE_"),
		Restock: in.GetRestock(), Reason: in.GetReason(), CreatedAt: in.GetCreatedAt().AsTime(),
	}
	for _, l := range in.GetLines() {
		r.Lines = append(r.Lines, RefundLine{SKU: l.GetSku(), Quantity: l.GetQuantity()})
	}
	var err error
	r.Amount, err = optionalMoney(in.GetAmount())
	return r, err
}

// optionalMoney leaves an unset amount at its zero value.
func optionalMoney(m *moneyv1.Money) (money.Money, error) {
	if m == nil {
		return money.Money{}, nil
	}
	v, err := money.FromProto(m)
	if err != nil {
		return v, problem.As(err)
	}
	return v, nil
}
