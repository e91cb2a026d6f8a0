package stripe

import (
	"context"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v85"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Movements implements domain.Provider: one page of the balance transactions,
// with the charge or refund of each. Payouts take what is in the account to the
// bank; they are none of the ledger's business.
func (c *Client) Movements(ctx context.Context, from, to time.Time, cursor string) ([]domain.Movement, string, error) {
	params := &stripego.BalanceTransactionListParams{CreatedRange: between(from, to)}
	params.Limit, params.Single = stripego.Int64(maxPage), true
	params.AddExpand("data.source")
	if cursor != "" {
		params.StartingAfter = stripego.String(cursor)
	}
	list := c.api.V1BalanceTransactions.List(ctx, params)
	if err := list.Err(); err != nil {
		return nil, "", c.failed("list balance transactions", err)
	}
	var page []domain.Movement
	next := ""
	for _, t := range list.Data() {
		next = t.ID
		if !strings.HasPrefix(string(t.Type), "payout") {
			page = append(page, toMovement(t))
		}
	}
	if !list.Meta().HasMore {
		next = ""
	}
	return page, next, nil
}

func toMovement(t *stripego.BalanceTransaction) domain.Movement {
	m := domain.Movement{
		ID: t.ID, Kind: domain.MovementOther, Amount: toMoney(t.Amount, t.Currency), Fee: t.Fee, At: time.Unix(t.Created, 0),
	}
	switch {
	case t.Source == nil:
	// Cards are charged and refunded, other methods pay and are paid back.
	case (t.Type == stripego.BalanceTransactionTypeCharge || t.Type == stripego.BalanceTransactionTypePayment) && t.Source.Charge != nil:
		m.Kind = domain.MovementCapture
		m.PaymentID, m.OrderID = intentID(t.Source.Charge.PaymentIntent), t.Source.Charge.Metadata[labelOrder]
	case (t.Type == stripego.BalanceTransactionTypeRefund || t.Type == stripego.BalanceTransactionTypePaymentRefund) && t.Source.Refund != nil:
		m.Kind, m.Amount.Units = domain.MovementRefund, -t.Amount
		m.RefundID = t.Source.Refund.ID
		m.PaymentID, m.OrderID = intentID(t.Source.Refund.PaymentIntent), t.Source.Refund.Metadata[labelOrder]
	}
	return m
}

func intentID(intent *stripego.PaymentIntent) string {
	if intent == nil {
		return ""
	}
	return intent.ID
}
