package wire

import "github.com/souk-shop/souk/tools/stripesim/internal/store"

// BalanceTransaction is Stripe's object. The simulator takes no fees.
type BalanceTransaction struct {
	ID                string   `json:"id"`
	Object            string   `json:"object"`
	Amount            int64    `json:"amount"`
	AvailableOn       int64    `json:"available_on"`
	BalanceType       string   `json:"balance_type"`
	Created           int64    `json:"created"`
	Currency          string   `json:"currency"`
	Description       *string  `json:"description"`
	ExchangeRate      *float64 `json:"exchange_rate"`
	Fee               int64    `json:"fee"`
	FeeDetails        []any    `json:"fee_details"`
	Net               int64    `json:"net"`
	ReportingCategory string   `json:"reporting_category"`
	Source            any      `json:"source"`
	Status            string   `json:"status"`
	Type              string   `json:"type"`
}

// NewBalanceTransaction is the object of a capture or a refund.
func NewBalanceTransaction(bt store.BalanceTransaction, expand Expansion) BalanceTransaction {
	out := BalanceTransaction{
		ID: bt.ID, Object: "balance_transaction", AvailableOn: bt.At, BalanceType: "payments", Created: bt.At, FeeDetails: []any{}, Status: "available",
	}
	if re := bt.Refund; re != nil {
		out.Type, out.Source, out.Amount, out.Currency = "refund", re.ID, -re.Amount, re.Intent.Currency
	} else {
		in := bt.Captured
		out.Type, out.Source, out.Amount, out.Currency = "charge", in.ChargeID(), in.Received, in.Currency
		out.Description = orNull(in.Description)
	}
	out.Net, out.ReportingCategory = out.Amount, out.Type
	switch {
	case !expand["source"]:
	case bt.Refund != nil:
		out.Source = NewRefund(bt.Refund)
	default:
		out.Source = NewCharge(bt.Captured)
	}
	return out
}
