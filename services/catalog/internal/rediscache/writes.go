package rediscache

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// What an order does changes the stock of some products: this process stops
// believing Redis about them for a while, which costs the order nothing. What
// an operator does ends the generation, for all replicas at once.

// Reserve implements domain.Reservations.
func (s *Store) Reserve(ctx context.Context, orderID string, lines []domain.StockLine, hold time.Duration) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Reserve(ctx, orderID, lines, hold)
	s.clock.Change(touched)
	return res, touched, err
}

// Confirm implements domain.Reservations.
func (s *Store) Confirm(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Confirm(ctx, orderID)
	s.clock.Change(touched)
	return res, touched, err
}

// Release implements domain.Reservations.
func (s *Store) Release(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	res, touched, err := s.Store.Release(ctx, orderID)
	s.clock.Change(touched)
	return res, touched, err
}

// Restock implements domain.Reservations.
func (s *Store) Restock(ctx context.Context, restockID, orderID string, lines []domain.StockLine) (domain.Touched, error) {
	touched, err := s.Store.Restock(ctx, restockID, orderID, lines)
	s.clock.Change(touched)
	return touched, err
}

// ExpireHolds implements domain.Keeper.
func (s *Store) ExpireHolds(ctx context.Context) (domain.Touched, error) {
	touched, err := s.Store.ExpireHolds(ctx)
	s.clock.Change(touched)
	return touched, err
}

// RefreshPopularity implements domain.Keeper.
func (s *Store) RefreshPopularity(ctx context.Context) (domain.Touched, error) {
	touched, err := s.Store.RefreshPopularity(ctx)
	s.clock.Change(touched)
	return touched, err
}

// edited comes between the commit of an edit and its acknowledgement. It is
// called after an error, too: that may hide a commit.
func (s *Store) edited(ctx context.Context) {
	s.remote.endGeneration(ctx)
	s.clock.ChangeAll()
}

// Upsert implements domain.Editor.
func (s *Store) Upsert(ctx context.Context, products []domain.ProductInput) (domain.UpsertResult, error) {
	defer s.edited(ctx)
	return s.Store.Upsert(ctx, products)
}

// AdjustStock implements domain.Editor.
func (s *Store) AdjustStock(ctx context.Context, a domain.Adjustment) ([]domain.Variant, error) {
	defer s.edited(ctx)
	return s.Store.AdjustStock(ctx, a)
}

// SetPrices implements domain.Editor.
func (s *Store) SetPrices(ctx context.Context, changes []domain.PriceChange) ([]domain.Variant, error) {
	defer s.edited(ctx)
	return s.Store.SetPrices(ctx, changes)
}
