package app

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Persons is where the tables say who paid.
type Persons interface {
	// ErasePayments erases the payment methods of orders and what operators wrote of
	// their payments, and returns the orders of which something is under way, with nothing
	// erased.
	ErasePayments(ctx context.Context, orderIDs []string) (open []string, err error)
}

// Export returns the payments of orders. Orders without one are left out.
func (s *Payments) Export(ctx context.Context, orderIDs []string) ([]domain.Attempt, error) {
	var out []domain.Attempt
	for _, id := range orderIDs {
		a, err := s.Get(ctx, id)
		switch {
		case errors.Is(err, domain.ErrPaymentNotFound):
		case err != nil:
			return nil, err
		default:
			out = append(out, a)
		}
	}
	return out, nil
}

// Erase is Persons.ErasePayments.
func (s *Payments) Erase(ctx context.Context, orderIDs []string) (open []string, err error) {
	return s.persons.ErasePayments(ctx, orderIDs)
}
