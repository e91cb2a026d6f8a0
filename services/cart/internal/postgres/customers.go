package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/answers"
)

// OfOwner implements app.Carts.
func (s *Store) OfOwner(ctx context.Context, owner, after domain.UUID, lines int) (page []domain.Cart, more bool, err error) {
	ids, err := s.reads.CartsOfOwner(ctx, db.CartsOfOwnerParams{OwnerID: owner, After: after})
	if err != nil {
		return nil, false, fmt.Errorf("list carts of owner: %w", err)
	}
	read := 0
	for _, id := range ids {
		if read >= lines {
			return page, true, nil
		}
		k := domain.Key{ID: id, Owner: owner}
		row, err := s.reads.GetCart(ctx, db.GetCartParams{ID: id, OwnerID: owner})
		switch {
		case errors.Is(err, pgx.ErrNoRows): // it has gone meanwhile
		case err != nil:
			return nil, false, fmt.Errorf("get cart of owner: %w", err)
		default:
			c := toCart(k, row)
			page, read = append(page, c), read+len(c.Lines)
		}
	}
	return page, false, nil
}

// EraseOwner implements app.Carts.
func (s *Store) EraseOwner(ctx context.Context, owner domain.UUID) (int64, error) {
	n, err := s.q.EraseCarts(ctx, owner)
	if err == nil {
		err = answers.Erase(ctx, s.pool, owner.String())
	}
	if err != nil {
		return 0, fmt.Errorf("erase carts of owner: %w", err)
	}
	return n, nil
}
