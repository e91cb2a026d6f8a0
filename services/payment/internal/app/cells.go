package app

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// OfCell narrows what the provider lists to the orders of some buckets: the cells of a shop
// have one account at the provider, and what another cell's orders have moved is no difference
// of this one's. What is of no order is the cell's that has bucket 0, so that each cell's books
// together are the account's.
func OfCell(own cell.Set, records Records, statement Statement) (Records, Statement) {
	if own == cell.All() {
		return records, statement
	}
	return ownRecords{records, own}, ownStatement{statement, own}
}

// isOwn reports whether an order's bucket is in the set.
func isOwn(own *cell.Set, orderID string) bool {
	b, err := cell.OfText(orderID)
	if err != nil {
		b = 0
	}
	return own.Has(b)
}

type ownRecords struct {
	Records
	own cell.Set
}

func (r ownRecords) Payments(ctx context.Context, from, to time.Time) iter.Seq2[domain.Intent, error] {
	return func(yield func(domain.Intent, error) bool) {
		for in, err := range r.Records.Payments(ctx, from, to) {
			if err == nil && !isOwn(&r.own, in.OrderID) {
				continue
			}
			if !yield(in, err) {
				return
			}
		}
	}
}

type ownStatement struct {
	Statement
	own cell.Set
}

func (s ownStatement) BalanceTransactions(ctx context.Context, from, to time.Time, cursor string) ([]domain.BalanceTransaction, string, error) {
	page, next, err := s.Statement.BalanceTransactions(ctx, from, to, cursor)
	if err != nil {
		return nil, "", err
	}
	var own []domain.BalanceTransaction
	for _, m := range page {
		order, err := s.orderOf(ctx, m)
		if err != nil {
			return nil, "", err
		}
		if isOwn(&s.own, order) {
			own = append(own, m)
		}
	}
	return own, next, nil
}

// orderOf is the order that a movement is of: a refund that was made by hand at the provider has no
// label, and its payment has.
func (s ownStatement) orderOf(ctx context.Context, m domain.BalanceTransaction) (string, error) {
	if m.OrderID != "" || m.PaymentID == "" {
		return m.OrderID, nil
	}
	in, err := s.Retrieve(ctx, m.PaymentID)
	if errors.Is(err, domain.ErrNoSuchPayment) {
		return "", nil
	}
	return in.OrderID, err
}
