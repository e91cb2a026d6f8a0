package app

import (
	"context"
	"errors"
	"time"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Owned returns the buckets that a cell has at present.
type Owned func(ctx context.Context) (cell.Set, error)

// OfCell narrows what the provider lists as moved to the orders of the cell's buckets: the cells of a shop
// have one account at the provider, and what another cell's orders have moved is no difference
// of this one's. What is of no order is the cell's that has bucket 0, so that each cell's books
// together are the account's. No bucket moves while books are compared.
//
// The provider's list of payments, Records, stays whole: it proves that an attempt has none, which
// one that leaves out what was elsewhere for a moment would not. SettleUnknown leaves out by itself what
// is another cell's.
func OfCell(own Owned, statement Statement) Statement { return ownStatement{statement, own} }

// isOwn reports whether an order's bucket is in the set.
func isOwn(own *cell.Set, orderID string) bool {
	b, err := cell.OfText(orderID)
	if err != nil {
		b = 0
	}
	return own.Has(b)
}

type ownStatement struct {
	Statement
	own Owned
}

func (s ownStatement) BalanceTransactions(ctx context.Context, from, to time.Time, cursor string) ([]domain.BalanceTransaction, string, error) {
	page, next, err := s.Statement.BalanceTransactions(ctx, from, to, cursor)
	if err != nil {
		return nil, "", err
	}
	buckets, err := s.own(ctx)
	if err != nil {
		return nil, "", err
	}
	var own []domain.BalanceTransaction
	for _, m := range page {
		order, err := s.orderOf(ctx, m)
		if err != nil {
			return nil, "", err
		}
		if isOwn(&buckets, order) {
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
