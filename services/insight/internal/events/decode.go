// Package events reads what the order, payment and catalog services tell.
package events

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/insight/internal/domain"
)

// Decode returns the fact of an event, nil for one that says nothing of the model: a type
// that a later version tells is one of these until a new model is made. An event that cannot
// be read is events.Poison.
func Decode(e events.Event) (domain.Fact, error) {
	decode, ok := decoders[e.Type]
	if !ok {
		return nil, nil
	}
	fact, err := decode(e)
	if err != nil {
		return nil, events.Poison(fmt.Errorf("%s %s: %w", e.Type, e.ID(), err))
	}
	return fact, nil
}

// DecodeAll returns the facts of events, in their order.
func DecodeAll(es []events.Event) ([]domain.Fact, error) {
	facts := make([]domain.Fact, 0, len(es))
	for _, e := range es {
		fact, err := Decode(e)
		if err != nil {
			return nil, err
		}
		if fact != nil {
			facts = append(facts, fact)
		}
	}
	return facts, nil
}

var decoders = map[string]func(events.Event) (domain.Fact, error){
	"souk.order.v1.OrderPlaced": fact(placed),
	"souk.order.v1.OrderReserved": fact(func(e events.Event, m *orderv1.OrderReserved) domain.Fact {
		return moved(e, m.GetOrderId(), domain.Authorizing)
	}),
	"souk.order.v1.OrderAuthorized": fact(func(e events.Event, m *orderv1.OrderAuthorized) domain.Fact {
		return moved(e, m.GetOrderId(), domain.Confirming)
	}),
	"souk.order.v1.OrderConfirmed": fact(func(e events.Event, m *orderv1.OrderConfirmed) domain.Fact {
		return moved(e, m.GetOrderId(), domain.Capturing)
	}),
	"souk.order.v1.OrderPaid": fact(func(e events.Event, m *orderv1.OrderPaid) domain.Fact {
		return moved(e, m.GetOrderId(), domain.Paid)
	}),
	"souk.order.v1.OrderCancelling": fact(func(e events.Event, m *orderv1.OrderCancelling) domain.Fact {
		return cancelled(e, m.GetOrderId(), domain.Cancelling, m.GetReason())
	}),
	"souk.order.v1.OrderCancelled": fact(func(e events.Event, m *orderv1.OrderCancelled) domain.Fact {
		return cancelled(e, m.GetOrderId(), domain.Cancelled, m.GetReason())
	}),
	"souk.order.v1.OrderAmended": fact(func(e events.Event, m *orderv1.OrderAmended) domain.Fact {
		return domain.OrderAmended{OrderID: m.GetOrderId(), Version: e.Version}
	}),
	"souk.order.v1.OrderRefundRequested": fact(requested),
	"souk.order.v1.OrderRefunded": fact(func(e events.Event, m *orderv1.OrderRefunded) domain.Fact {
		return domain.RefundSettled{
			Version: e.Version, OrderID: m.GetOrderId(), RefundID: m.GetRefundId(), Succeeded: true, Amount: m.GetAmount().GetMinorUnits(),
			Lines: refundLines(m.GetOrderId(), m.GetRefundId(), m.GetLines()), At: e.Time,
		}
	}),
	"souk.order.v1.OrderRefundFailed": fact(func(e events.Event, m *orderv1.OrderRefundFailed) domain.Fact {
		return domain.RefundSettled{Version: e.Version, OrderID: m.GetOrderId(), RefundID: m.GetRefundId(), FailureCode: m.GetFailureCode(), At: e.Time}
	}),

	"souk.payment.v1.PaymentAuthorized": fact(func(e events.Event, m *paymentv1.PaymentAuthorized) domain.Fact {
		return payment(e, m.GetOrderId(), "authorized", m.GetAmount())
	}),
	"souk.payment.v1.PaymentDeclined": fact(func(e events.Event, m *paymentv1.PaymentDeclined) domain.Fact {
		return payment(e, m.GetOrderId(), "declined", m.GetAmount())
	}),
	"souk.payment.v1.PaymentCaptured": fact(func(e events.Event, m *paymentv1.PaymentCaptured) domain.Fact {
		p := payment(e, m.GetOrderId(), "captured", m.GetAmount())
		p.Captured = m.GetAmount().GetMinorUnits()
		return p
	}),
	"souk.payment.v1.PaymentCaptureFailed": fact(func(e events.Event, m *paymentv1.PaymentCaptureFailed) domain.Fact {
		return payment(e, m.GetOrderId(), "capture_failed", m.GetAmount())
	}),
	"souk.payment.v1.PaymentVoided": fact(func(e events.Event, m *paymentv1.PaymentVoided) domain.Fact {
		return payment(e, m.GetOrderId(), "voided", m.GetAmount())
	}),
	"souk.payment.v1.PaymentNeedsReview": fact(func(e events.Event, m *paymentv1.PaymentNeedsReview) domain.Fact {
		return payment(e, m.GetOrderId(), "needs_review", m.GetAmount())
	}),
	"souk.payment.v1.PaymentRefunded": fact(func(e events.Event, m *paymentv1.PaymentRefunded) domain.Fact {
		p := payment(e, m.GetOrderId(), "", m.GetAmount())
		p.Refunded = m.GetAmount().GetMinorUnits()
		return p
	}),

	"souk.catalog.v1.ProductUpserted": fact(func(_ events.Event, m *catalogv1.ProductUpserted) domain.Fact { return product(m.GetProduct()) }),
	"souk.catalog.v1.ProductArchived": fact(func(_ events.Event, m *catalogv1.ProductArchived) domain.Fact { return product(m.GetProduct()) }),
}

// message is a pointer to a generated message.
type message[T any] interface {
	*T
	proto.Message
}

// fact reads the message of an event's type.
func fact[T any, M message[T], F domain.Fact](of func(events.Event, M) F) func(events.Event) (domain.Fact, error) {
	return func(e events.Event) (domain.Fact, error) {
		m := M(new(T))
		if err := proto.Unmarshal(e.Data, m); err != nil {
			return nil, err
		}
		return of(e, m), nil
	}
}

func placed(e events.Event, m *orderv1.OrderPlaced) domain.Fact {
	f := domain.OrderPlaced{
		Order: domain.Order{
			ID: m.GetOrderId(), Number: m.GetNumber(), CustomerID: m.GetCustomerId(), Country: m.GetCountry(), State: domain.Pending,
			Currency: m.GetTotal().GetCurrency(), Total: m.GetTotal().GetMinorUnits(), Version: e.Version, PlacedAt: e.Time,
		},
		Lines: make([]domain.Line, len(m.GetLines())),
	}
	for i, l := range m.GetLines() {
		f.Lines[i] = domain.Line{
			OrderID: m.GetOrderId(), SKU: l.GetSku(), Name: l.GetName(), Quantity: l.GetQuantity(),
			UnitPrice: l.GetUnitPrice().GetMinorUnits(), Total: l.GetTotal().GetMinorUnits(),
		}
	}
	return f
}

func moved(e events.Event, orderID, state string) domain.Fact {
	return domain.OrderMoved{OrderID: orderID, Version: e.Version, State: state, At: e.Time}
}

func cancelled(e events.Event, orderID, state string, reason orderv1.CancelReason) domain.Fact {
	return domain.OrderMoved{
		OrderID: orderID, Version: e.Version, State: state, At: e.Time,
		Reason: strings.ToLower(strings.TrimPrefix(reason.String(), "CANCEL_REASON_")),
	}
}

func requested(e events.Event, m *orderv1.OrderRefundRequested) domain.Fact {
	return domain.RefundRequested{
		Version: e.Version,
		Refund: domain.Refund{
			ID: m.GetRefundId(), OrderID: m.GetOrderId(), State: domain.RefundPending, Currency: m.GetAmount().GetCurrency(),
			Amount: m.GetAmount().GetMinorUnits(), Restock: m.GetRestock(), RequestedAt: e.Time,
		},
		Lines: refundLines(m.GetOrderId(), m.GetRefundId(), m.GetLines()),
	}
}

func refundLines(orderID, refundID string, lines []*orderv1.RefundLine) []domain.RefundLine {
	out := make([]domain.RefundLine, len(lines))
	for i, l := range lines {
		out[i] = domain.RefundLine{RefundID: refundID, OrderID: orderID, SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	return out
}

func payment(e events.Event, orderID, state string, amount *moneyv1.Money) domain.PaymentChanged {
	return domain.PaymentChanged{OrderID: orderID, State: state, Currency: amount.GetCurrency(), At: e.Time}
}

func product(p *catalogv1.ProductFacts) domain.Fact {
	f := domain.ProductTold{ProductID: p.GetId(), Name: p.GetName(), SKUs: make([]string, len(p.GetVariants()))}
	for i, v := range p.GetVariants() {
		f.SKUs[i] = v.GetSku()
	}
	return f
}
