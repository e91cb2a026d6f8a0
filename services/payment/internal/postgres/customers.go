package postgres

import (
	"context"
	"fmt"
)

// ErasePayments implements app.Persons.
func (s *Store) ErasePayments(ctx context.Context, orderIDs []string) (open []string, err error) {
	if err := s.q.ErasePayments(ctx, orderIDs); err != nil {
		return nil, fmt.Errorf("erase payments: %w", err)
	}
	if open, err = s.q.OpenPayments(ctx, orderIDs); err != nil {
		return nil, fmt.Errorf("look for open payments: %w", err)
	}
	return open, nil
}
