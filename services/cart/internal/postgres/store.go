package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
)

// Store keeps carts. Writers of one cart queue up, so nothing that was
// acknowledged is ever lost; writers of different carts do not meet.
// Errors that are not the domain's are the database's.
type Store struct {
	pool pg.DB
	q    *db.Queries
}

// NewStore returns a store on a pool of connections to a migrated database.
func NewStore(pool *pgxpool.Pool) *Store {
	return &Store{pool: pg.DB{Pool: pool}, q: db.New(pg.DB{Pool: pool})}
}

// Create makes an empty cart, or returns the one that is already there. It
// fails with domain.ErrTaken if that one is another owner's.
func (s *Store) Create(ctx context.Context, k domain.Key, now time.Time) (domain.Cart, error) {
	var b batch
	b.Queue(db.CreateCart, k.ID, k.Owner, now, domain.SeenAt(now))
	cart := b.getCart(k)
	if err := b.send(ctx, s.pool); err != nil {
		return domain.Cart{}, fmt.Errorf("create cart: %w", err)
	}
	if cart.Version == 0 {
		return domain.Cart{}, domain.ErrTaken
	}
	return *cart, nil
}

// Get returns a cart, or domain.ErrNotFound.
func (s *Store) Get(ctx context.Context, k domain.Key) (domain.Cart, error) {
	row, err := s.q.GetCart(ctx, db.GetCartParams{ID: k.ID, OwnerID: k.Owner})
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Cart{}, domain.ErrNotFound
	}
	if err != nil {
		return domain.Cart{}, fmt.Errorf("get cart: %w", err)
	}
	return toCart(k, row), nil
}

// Touch notes that a cart was used now, which keeps it from expiring.
func (s *Store) Touch(ctx context.Context, k domain.Key, now time.Time) error {
	err := s.q.TouchCart(ctx, db.TouchCartParams{SeenAt: domain.SeenAt(now), ID: k.ID, OwnerID: k.Owner})
	if err != nil {
		return fmt.Errorf("touch cart: %w", err)
	}
	return nil
}

// Change applies a valid change and returns the cart after it. A change that
// changes nothing leaves the version as it is, and so does one that was made
// before, by its ID: the answer may have been lost. It fails with
// domain.ErrNotFound, a *domain.VersionConflictError or domain.ErrFull.
func (s *Store) Change(ctx context.Context, k domain.Key, c domain.Change, now time.Time) (domain.Cart, error) {
	skus := make([]string, len(c.Set))
	quantities := make([]int64, len(c.Set))
	for i, l := range c.Set {
		skus[i], quantities[i] = l.SKU, l.Quantity
	}
	var (
		b   batch
		was db.SetLinesRow
	)
	var id *domain.UUID
	if c.ID != (domain.UUID{}) {
		id = &c.ID
	}
	b.lock(k.ID)
	b.Queue(db.SetLines, id, k.ID, k.Owner, skus, quantities, c.Replace, now, domain.SeenAt(now),
		c.Expected, int64(domain.MaxLines)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&was.Version, &was.Lines, &was.Made)
	})
	cart := b.getCart(k)
	if err := b.send(ctx, s.pool); err != nil {
		return domain.Cart{}, fmt.Errorf("set lines: %w", err)
	}
	switch {
	case was.Version == 0 || cart.Version == 0:
		return domain.Cart{}, domain.ErrNotFound
	case was.Made:
		return *cart, nil
	case c.Expected != 0 && c.Expected != was.Version:
		return domain.Cart{}, &domain.VersionConflictError{Current: was.Version}
	case was.Lines > domain.MaxLines:
		return domain.Cart{}, domain.ErrFull
	}
	return *cart, nil
}

// Add makes a valid addition and returns the cart after it. One that was made
// before, by its ID, changes nothing. It fails with domain.ErrNotFound, a
// *domain.VersionConflictError, a *domain.QuantityTooLargeError or
// domain.ErrFull.
func (s *Store) Add(ctx context.Context, k domain.Key, a domain.Addition, now time.Time) (domain.Cart, error) {
	args := db.AddLineParams{
		ID: k.ID, OwnerID: k.Owner, SKU: a.SKU, Delta: a.Delta, ChangeID: a.ID, ExpectedVersion: a.Expected,
		Now: now, SeenAt: domain.SeenAt(now), MaxQuantity: domain.MaxQuantity, MaxLines: domain.MaxLines,
	}
	row, err := s.q.AddLine(ctx, args)
	if err == nil && !row.Added && !row.Made && refusal(a, row) == nil {
		// Another writer committed while the statement waited for the lock.
		row, err = s.addLocked(ctx, args)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return domain.Cart{}, domain.ErrNotFound
	case err != nil:
		return domain.Cart{}, fmt.Errorf("add line: %w", err)
	case !row.Added && !row.Made:
		if err := refusal(a, row); err != nil {
			return domain.Cart{}, err
		}
		return domain.Cart{}, domain.ErrNotFound // the sweeper has just deleted it
	}
	return toCart(k, db.GetCartRow{
		Version: row.Version, UpdatedAt: row.UpdatedAt, SeenAt: row.SeenAt, SKUs: row.SKUs, Quantities: row.Quantities,
	}), nil
}

// refusal is what the cart that row was read from has against a, or nil.
func refusal(a domain.Addition, row db.AddLineRow) error {
	switch {
	case a.Expected != 0 && a.Expected != row.Version:
		return &domain.VersionConflictError{Current: row.Version}
	case row.Quantity > domain.MaxQuantity:
		return &domain.QuantityTooLargeError{SKU: a.SKU, Quantity: row.Quantity}
	case row.Lines > domain.MaxLines:
		return domain.ErrFull
	}
	return nil
}

// addLocked is AddLine with the lock taken before its snapshot: no other
// writer's commit can come between.
func (s *Store) addLocked(ctx context.Context, args db.AddLineParams) (db.AddLineRow, error) {
	var b batch
	b.lock(args.ID)
	row := b.addLine(args)
	err := b.send(ctx, s.pool)
	return *row, err
}

// Clear removes the lines that have not changed since the version upTo. There
// may be none, and no cart.
func (s *Store) Clear(ctx context.Context, k domain.Key, upTo int64, now time.Time) error {
	var b batch
	b.lock(k.ID)
	b.Queue(db.ClearCart, upTo, now, domain.SeenAt(now), k.ID, k.Owner)
	if err := b.send(ctx, s.pool); err != nil {
		return fmt.Errorf("clear cart: %w", err)
	}
	return nil
}

// Merge adds the lines of from to into, each up to domain.MaxQuantity, deletes
// from, and returns into. If there is no from it returns into as it is. It
// fails with domain.ErrNotFound if there is no into and with domain.ErrFull if
// the lines do not fit; then both carts stay.
func (s *Store) Merge(ctx context.Context, from, into domain.Key, now time.Time) (domain.Cart, error) {
	if from.ID == into.ID {
		return s.Get(ctx, into)
	}
	var (
		b     batch
		lines int64
	)
	b.lock(from.ID, into.ID)
	b.Queue(db.MergeCarts, into.ID, into.Owner, from.ID, from.Owner, int64(domain.MaxQuantity),
		now, domain.SeenAt(now), int64(domain.MaxLines)).QueryRow(func(row pgx.Row) error { return row.Scan(&lines) })
	cart := b.getCart(into)
	if err := b.send(ctx, s.pool); err != nil {
		return domain.Cart{}, fmt.Errorf("merge carts: %w", err)
	}
	switch {
	case cart.Version == 0:
		return domain.Cart{}, domain.ErrNotFound
	case lines > domain.MaxLines:
		return domain.Cart{}, domain.ErrFull
	}
	return *cart, nil
}

// Expire implements app.Expirer.
func (s *Store) Expire(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.q.ExpireCarts(ctx, db.ExpireCartsParams{Before: before, Batch: int32(limit)})
	if err != nil {
		return 0, fmt.Errorf("expire carts: %w", err)
	}
	return int(n), nil
}

func toCart(k domain.Key, row db.GetCartRow) domain.Cart {
	lines := make([]domain.Line, len(row.SKUs))
	for i, sku := range row.SKUs {
		lines[i] = domain.Line{SKU: sku, Quantity: row.Quantities[i]}
	}
	return domain.Cart{
		Key:       k,
		Version:   row.Version,
		Lines:     lines,
		UpdatedAt: row.UpdatedAt,
		SeenAt:    row.SeenAt,
	}
}
