// Package events says which events the notification service takes, and what each does.
package events

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
)

// Mails keeps mails.
type Mails interface {
	// Add writes mails and their jobs in the transaction in which their events are noted.
	Add(ctx context.Context, tx pgx.Tx, ms []mail.Mail) error
}

// Mail is the consumer that makes mails of what happened to orders. first is the state in which
// a mail begins.
func Mail(mails Mails, first mail.State, newID func() string) consume.Subscription {
	return consume.Subscription{
		Name: "mail", Sources: []string{"order"},
		Effect: func(ctx context.Context, tx pgx.Tx, es []events.Event) error {
			var ms []mail.Mail
			for _, e := range es {
				m, tells, err := mailOf(e)
				if err != nil {
					return events.Poison(err)
				}
				if !tells {
					continue
				}
				m.ID, m.State = newID(), first
				m.TraceParent = e.Traceparent
				ms = append(ms, m)
			}
			if len(ms) == 0 {
				return nil
			}
			return mails.Add(ctx, tx, ms)
		},
	}
}

// told is what the events that are told by mail have in common.
type told interface {
	proto.Message
	GetOrderId() string
	GetNumber() string
	GetCustomerId() string
}

// mailOf returns the mail of an event, and false for one that is not told by mail.
func mailOf(e events.Event) (m mail.Mail, tells bool, err error) {
	var fact told
	switch e.Type {
	case "souk.order.v1.OrderPaid":
		fact, m.Kind = &orderv1.OrderPaid{}, mail.Confirmed
	case "souk.order.v1.OrderCancelled":
		fact, m.Kind = &orderv1.OrderCancelled{}, mail.Cancelled
	case "souk.order.v1.OrderRefunded":
		fact, m.Kind = &orderv1.OrderRefunded{}, mail.Refunded
	default:
		return m, false, nil
	}
	if err := proto.Unmarshal(e.Data, fact); err != nil {
		return m, false, fmt.Errorf("%s: %w", e.Type, err)
	}
	m.Subject, m.Version, m.HappenedAt = e.Subject, e.Version, e.Time
	m.OrderID, m.OrderNumber, m.CustomerID = fact.GetOrderId(), fact.GetNumber(), fact.GetCustomerId()
	var amount, refunded *moneyv1.Money
	switch fact := fact.(type) {
	case *orderv1.OrderPaid:
		amount = fact.GetTotal()
	case *orderv1.OrderCancelled:
		amount, m.CancelReason = fact.GetTotal(), reasonName(fact.GetReason())
	case *orderv1.OrderRefunded:
		amount, refunded, m.RefundID = fact.GetAmount(), fact.GetRefunded(), fact.GetRefundId()
	}
	if m.Amount, err = money.FromProto(amount); err != nil {
		return m, false, fmt.Errorf("amount of %s: %w", e.Type, err)
	}
	if refunded != nil {
		if m.Refunded, err = money.FromProto(refunded); err != nil {
			return m, false, fmt.Errorf("sum of refunds of %s: %w", e.Type, err)
		}
	}
	return m, true, nil
}

// reasonName is a reason without its enum's prefix.
func reasonName(r orderv1.CancelReason) string {
	return strings.TrimPrefix(r.String(), "CANCEL_REASON_")
}
