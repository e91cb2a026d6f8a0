package stripe

import (
	"context"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v85"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// BalanceTransactions implements app.Statement: one page of the balance transactions,
// with the charge or refund of each. Payouts take what is in the account to the
// bank; they are none of the ledger's business.
func (c *Client) BalanceTransactions(ctx context.Context, from, to time.Time, cursor string) ([]domain.BalanceTransaction, string, error) {
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
	var page []domain.BalanceTransaction
	next := ""
	for _, t := range list.Data() {
		next = t.ID
		if !strings.HasPrefix(string(t.Type), "payout") {
			page = append(page, toBalanceTransaction(t))
		}
	}
	if !list.Meta().HasMore {
		next = ""
	}
	return page, next, nil
}

func toBalanceTransaction(t *stripego.BalanceTransaction) domain.BalanceTransaction {
	amount, err := toMoney(t.Amount, t.Currency)
	fee, feeErr := toMoney(t.Fee, t.Currency)
	m := domain.BalanceTransaction{ID: t.ID, Kind: domain.EntryOther, Amount: amount, Fee: fee.Units, At: time.Unix(t.Created, 0)}
	switch {
	// An amount that Souk has no unit for is none of its charges: the provider's
	// number is reported as a difference.
	case t.Source == nil || err != nil || feeErr != nil:
	// Cards are charged and refunded, other methods pay and are paid back.
	case (t.Type == stripego.BalanceTransactionTypeCharge || t.Type == stripego.BalanceTransactionTypePayment) && t.Source.Charge != nil:
		m.Kind = domain.EntryCapture
		m.PaymentID, m.OrderID = intentID(t.Source.Charge.PaymentIntent), t.Source.Charge.Metadata[labelOrder]
	case (t.Type == stripego.BalanceTransactionTypeRefund || t.Type == stripego.BalanceTransactionTypePaymentRefund) && t.Source.Refund != nil:
		m.Kind, m.Amount.Units = domain.EntryRefund, -amount.Units
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
