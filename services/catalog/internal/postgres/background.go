package postgres

import (
	"context"
	"fmt"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
)

const (
	// expireBatch is how many orders' expired holds one transaction releases.
	expireBatch = 100
	// popularityBatch is how many products one transaction refreshes.
	popularityBatch = 1000
	// pairOrders and pairLines bound one transaction of co-purchase counting to
	// 200 * 66 pairs.
	pairOrders = 200
	pairLines  = 12
)

// ExpireHolds implements app.Maintenance, oldest first.
func (s *Store) ExpireHolds(ctx context.Context) (domain.Touched, error) {
	touched, err := s.q.ExpireHolds(ctx, expireBatch)
	if err != nil {
		return nil, fmt.Errorf("expire holds: %w", err)
	}
	return touched, nil
}

// RefreshPopularity implements app.Maintenance.
func (s *Store) RefreshPopularity(ctx context.Context) (domain.Touched, error) {
	changed, err := s.q.RefreshPopularity(ctx, popularityBatch)
	if err != nil {
		return nil, fmt.Errorf("refresh popularity: %w", err)
	}
	return changed, nil
}

// CountPairs implements app.Maintenance.
func (s *Store) CountPairs(ctx context.Context) (int, error) {
	n, err := s.q.CountPairs(ctx, db.CountPairsParams{MaxOrders: pairOrders, MaxLines: pairLines})
	if err != nil {
		return 0, fmt.Errorf("count pairs: %w", err)
	}
	return int(n), nil
}
