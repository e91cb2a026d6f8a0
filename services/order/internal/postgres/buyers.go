package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

// forgetBatch is how many rows of declines one statement deletes.
const forgetBatch = 1000

// Standing implements app.Orders.
func (s *Store) Standing(ctx context.Context, b app.Buyer) (domain.Standing, error) {
	keys := make([][]byte, len(b.Subjects))
	for i, subject := range b.Subjects {
		keys[i] = subject.Key
	}
	row, err := s.q.Standing(ctx, s.pool, db.StandingParams{
		CustomerID: b.CustomerID, IdempotencyKey: b.IdempotencyKey, AddressKey: b.AddressKey, Keys: keys,
	})
	if err != nil {
		return domain.Standing{}, fmt.Errorf("read buyer's standing: %w", err)
	}
	st := domain.Standing{
		OrderID: row.OrderID, Declines: make([]domain.Declines, len(row.Scores)),
		Orders: map[domain.SubjectKind]int{domain.OfGuest: int(row.OwnOrders), domain.OfAddress: int(row.NearOrders)},
	}
	for i, score := range row.Scores {
		st.Declines[i] = domain.Declines{Score: score, Since: time.Duration(row.Ages[i] * float64(time.Second))}
	}
	if len(row.Skus) > 0 {
		own, near := make(map[string]int64, len(row.Skus)), make(map[string]int64, len(row.Skus))
		for i, sku := range row.Skus {
			own[sku], near[sku] = row.OwnUnits[i], row.NearUnits[i]
		}
		st.Units = map[domain.SubjectKind]map[string]int64{domain.OfGuest: own, domain.OfAddress: near}
	}
	return st, nil
}

// ForgetDeclines implements app.Orders.
func (s *Store) ForgetDeclines(ctx context.Context) error {
	for {
		n, err := s.q.ForgetDeclines(ctx, s.pool, forgetBatch)
		if err != nil {
			return fmt.Errorf("forget declines: %w", err)
		}
		if n < forgetBatch {
			return nil
		}
	}
}
