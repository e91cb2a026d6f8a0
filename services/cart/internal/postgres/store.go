package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
)

// Store keeps carts. Writers of one cart queue up, so nothing that was
// acknowledged is ever lost; writers of different carts do not meet.
// Errors that are not the domain's are the database's.
type Store struct {
	pool  pg.DB
	q     *db.Queries
	reads *db.Queries
}

// NewStore returns a store on a pool of connections to a migrated database.
func NewStore(pool *pgxpool.Pool) *Store {
	q := db.New(pg.DB{Pool: pool})
	return &Store{pool: pg.DB{Pool: pool}, q: q, reads: q}
}

// ReadFrom has carts read by another pool of the same database: reads wait for no
// lock, and do not queue up behind writers that do.
func (s *Store) ReadFrom(pool *pgxpool.Pool) *Store {
	s.reads = db.New(pg.DB{Pool: pool})
	return s
}

// Create makes an empty cart, or returns the one that is already there. It
// fails with domain.ErrTaken if that one is another owner's, and with
// domain.ErrTooManyCarts.
func (s *Store) Create(ctx context.Context, k domain.Key, now time.Time) (domain.Cart, error) {
	var b batch
	tooMany := b.create(k, now)
	cart := b.getCart(k)
	if err := b.send(ctx, s.pool); err != nil {
		return domain.Cart{}, fmt.Errorf("create cart: %w", err)
	}
	switch {
	case cart.Version > 0:
		return *cart, nil
	case *tooMany:
		return domain.Cart{}, domain.ErrTooManyCarts
	}
	return domain.Cart{}, domain.ErrTaken
}

// Get returns a cart and whether the units of an order have left it. Errors:
// domain.ErrNotFound.
func (s *Store) Get(ctx context.Context, k domain.Key, order domain.UUID) (c domain.Cart, removed bool, err error) {
	row, err := s.reads.GetCart(ctx, db.GetCartParams{ID: k.ID, OwnerID: k.Owner, OrderID: order})
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Cart{}, false, domain.ErrNotFound
	}
	if err != nil {
		return domain.Cart{}, false, fmt.Errorf("get cart: %w", err)
	}
	return toCart(k, row), row.OrderRemoved, nil
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
// domain.ErrNotFound, a *domain.VersionConflictError or domain.ErrFull; a change that may
// create the cart with what Create fails with, instead of domain.ErrNotFound.
func (s *Store) Change(ctx context.Context, k domain.Key, c domain.Change, now time.Time) (domain.Cart, error) {
	set := newColumns(c.Set)
	var (
		b       batch
		was     db.SetLinesRow
		tooMany *bool
	)
	var id *domain.UUID
	if c.ID != (domain.UUID{}) {
		id = &c.ID
	}
	b.lock(k.ID)
	if c.Create {
		tooMany = b.create(k, now)
	}
	b.Queue(db.SetLines, id, k.ID, k.Owner, set.skus, set.quantities, set.prices, set.currencies, c.Replace,
		c.Expected, int64(domain.MaxLines), now, domain.SeenAt(now)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&was.Version, &was.Lines, &was.Made)
	})
	cart := b.getCart(k)
	if err := b.send(ctx, s.pool); err != nil {
		return domain.Cart{}, fmt.Errorf("set lines: %w", err)
	}
	switch {
	case cart.Version == 0 && c.Create && *tooMany:
		return domain.Cart{}, domain.ErrTooManyCarts
	case cart.Version == 0 && c.Create:
		return domain.Cart{}, domain.ErrTaken
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
		SeenPrice: a.Seen.Units, SeenCurrency: a.Seen.Currency,
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
		Version: row.Version, UpdatedAt: row.UpdatedAt, SeenAt: row.SeenAt,
		SKUs: row.SKUs, Quantities: row.Quantities, SeenPrices: row.SeenPrices, SeenCurrencies: row.SeenCurrencies,
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

// RemoveOrdered takes what an order bought out of a cart, or of the one that the
// cart was merged into, once. There may be none.
func (s *Store) RemoveOrdered(ctx context.Context, k domain.Key, p domain.Purchase, now time.Time) error {
	bought := newColumns(p.Lines)
	for {
		var (
			b   batch
			row db.RemoveOrderedRow
		)
		b.lock(k.ID)
		b.Queue(db.RemoveOrdered, k.ID, k.Owner, p.Order, bought.skus, bought.quantities, p.Version,
			now, domain.SeenAt(now)).QueryRow(func(r pgx.Row) error {
			return r.Scan(&row.Found, &row.IntoID, &row.IntoOwnerID, &row.IntoVersion)
		})
		if err := b.send(ctx, s.pool); err != nil {
			return fmt.Errorf("remove what was ordered: %w", err)
		}
		if row.Found || row.IntoVersion == 0 {
			return nil
		}
		// Each time round another merge has come between: it ends with the carts.
		k, p.Version = domain.Key{ID: row.IntoID, Owner: row.IntoOwnerID}, row.IntoVersion
	}
}

// Merge adds the lines of from to into, each up to domain.MaxQuantity, deletes
// from, and returns into. If there is no from it returns into as it is. It
// fails with domain.ErrNotFound if there is no into and with domain.ErrFull if
// the lines do not fit; then both carts stay.
func (s *Store) Merge(ctx context.Context, from, into domain.Key, now time.Time) (domain.Cart, error) {
	if from.ID == into.ID {
		c, _, err := s.Get(ctx, into, domain.UUID{})
		return c, err
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

// ForgetChanges implements app.Expirer.
func (s *Store) ForgetChanges(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.q.ForgetChanges(ctx, db.ForgetChangesParams{Before: before, Batch: int32(limit)})
	if err != nil {
		return 0, fmt.Errorf("forget changes: %w", err)
	}
	return int(n), nil
}

// ForgetOrders implements app.Expirer.
func (s *Store) ForgetOrders(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.q.ForgetOrders(ctx, db.ForgetOrdersParams{Before: before, Batch: int32(limit)})
	if err != nil {
		return 0, fmt.Errorf("forget orders: %w", err)
	}
	return int(n), nil
}

// ForgetMerges implements app.Expirer.
func (s *Store) ForgetMerges(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.q.ForgetMerges(ctx, db.ForgetMergesParams{Before: before, Batch: int32(limit)})
	if err != nil {
		return 0, fmt.Errorf("forget merges: %w", err)
	}
	return int(n), nil
}

// columns are lines as the statements take them.
type columns struct {
	skus       []string
	quantities []int64
	prices     []int64
	currencies []string
}

func newColumns(lines []domain.Line) columns {
	c := columns{
		skus: make([]string, len(lines)), quantities: make([]int64, len(lines)),
		prices: make([]int64, len(lines)), currencies: make([]string, len(lines)),
	}
	for i, l := range lines {
		c.skus[i], c.quantities[i], c.prices[i], c.currencies[i] = l.SKU, l.Quantity, l.Seen.Units, l.Seen.Currency
	}
	return c
}

func toCart(k domain.Key, row db.GetCartRow) domain.Cart {
	lines := make([]domain.Line, len(row.SKUs))
	for i, sku := range row.SKUs {
		lines[i] = domain.Line{
			SKU: sku, Quantity: row.Quantities[i],
			Seen: money.Money{Units: row.SeenPrices[i], Currency: row.SeenCurrencies[i]},
		}
	}
	return domain.Cart{
		Key:       k,
		Version:   row.Version,
		Lines:     lines,
		UpdatedAt: row.UpdatedAt,
		SeenAt:    row.SeenAt,
	}
}
