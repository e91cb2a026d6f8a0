package domain

import (
	"fmt"
	"time"

	"github.com/souk-shop/souk/proto/money"
)

// RefundState is where a refund stands. The values are what the database stores.
type RefundState string

// The states of a refund. A failed one gives its quantities back.
const (
	RefundPending   RefundState = "pending"
	RefundSucceeded RefundState = "succeeded"
	RefundFailed    RefundState = "failed"
)

// Refund is money, and perhaps units, given back.
type Refund struct {
	ID             string
	OrderID        string
	IdempotencyKey string
	RequestHash    []byte
	State          RefundState
	Amount         money.Money
	Lines          []RefundLine
	Restock        bool
	Reason         string
	FailureCode    string
	CreatedAt      time.Time
	TraceParent    string
}

// RefundLine is a number of units of a line of an order.
type RefundLine struct {
	SKU      string
	Quantity int64
}

// PlanRefund returns the lines that a refund takes from what is left of an
// order, and their amount; no wanted lines means all that is left. The caller
// holds the order's lock. Errors: ErrOrderNotPaid, ErrRefundExceedsOrder.
func PlanRefund(o Order, wanted []RefundLine) ([]RefundLine, money.Money, error) {
	if o.State != Paid {
		return nil, money.Money{}, ErrOrderNotPaid
	}
	if len(wanted) == 0 {
		for _, l := range o.Lines {
			if left := l.Quantity - l.Refunded; left > 0 {
				wanted = append(wanted, RefundLine{SKU: l.SKU, Quantity: left})
			}
		}
	}
	if len(wanted) == 0 {
		return nil, money.Money{}, ErrRefundExceedsOrder
	}
	bySKU := make(map[string]Line, len(o.Lines))
	for _, l := range o.Lines {
		bySKU[l.SKU] = l
	}
	amount := money.Zero(o.Total.Currency)
	var exceeding []string
	for _, w := range wanted {
		l, ok := bySKU[w.SKU]
		if !ok || w.Quantity < 1 || w.Quantity > l.Quantity-l.Refunded {
			exceeding = append(exceeding, w.SKU)
			continue
		}
		l.Refunded += w.Quantity // the same SKU twice counts twice
		bySKU[w.SKU] = l
		part, err := l.UnitPrice.Mul(w.Quantity)
		if err != nil {
			return nil, money.Money{}, fmt.Errorf("refund of %s: %w", w.SKU, err)
		}
		if amount, err = amount.Add(part); err != nil {
			return nil, money.Money{}, fmt.Errorf("refund of %s: %w", w.SKU, err)
		}
	}
	if len(exceeding) > 0 {
		return nil, money.Money{}, &SKUsError{Err: ErrRefundExceedsOrder, SKUs: exceeding}
	}
	return wanted, amount, nil
}
