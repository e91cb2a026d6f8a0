// Package app has the use cases of the cart service and the ports that they
// need.
package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/souk-shop/souk/services/cart/internal/domain"
)

// Carts keeps carts. Its methods fail with the domain's errors; any other is a
// fault of the store.
type Carts interface {
	Create(ctx context.Context, k domain.Key, now time.Time) (domain.Cart, error)
	Get(ctx context.Context, k domain.Key, order domain.UUID) (c domain.Cart, removed bool, err error)
	Touch(ctx context.Context, k domain.Key, now time.Time) error
	Change(ctx context.Context, k domain.Key, c domain.Change, now time.Time) (domain.Cart, error)
	Add(ctx context.Context, k domain.Key, a domain.Addition, now time.Time) (domain.Cart, error)
	RemoveOrdered(ctx context.Context, k domain.Key, p domain.Purchase, now time.Time) error
	Merge(ctx context.Context, from, into domain.Key, now time.Time) (domain.Cart, error)
	// OfOwner returns carts of an owner in the order of their ids, from the one after a given
	// id, until they have as many lines as are asked for, and whether more follow. EraseOwner
	// deletes all of them, with the answers that are kept for the owner, and returns how many
	// there were.
	OfOwner(ctx context.Context, owner, after domain.UUID, lines int) (page []domain.Cart, more bool, err error)
	EraseOwner(ctx context.Context, owner domain.UUID) (int64, error)
}

// App is the use cases of the calls.
type App struct {
	carts Carts
	now   func() time.Time
	log   *slog.Logger
}

// New returns the use cases of carts; they take the time from now.
func New(carts Carts, now func() time.Time, log *slog.Logger) *App {
	return &App{carts: carts, now: now, log: log}
}

// Create makes an empty cart, or returns the one that the same owner has
// created with this id before.
func (a *App) Create(ctx context.Context, k domain.Key) (domain.Cart, error) {
	c, err := a.carts.Create(ctx, k, a.now())
	return a.used(ctx, c, err)
}

// Get returns a cart and whether the units of an order, if one is named, have left it.
func (a *App) Get(ctx context.Context, k domain.Key, order domain.UUID) (domain.Cart, bool, error) {
	c, removed, err := a.carts.Get(ctx, k, order)
	c, err = a.used(ctx, c, err)
	return c, removed, err
}

// SetLines changes a cart's lines, all or none, and returns the cart after it.
func (a *App) SetLines(ctx context.Context, k domain.Key, c domain.Change) (domain.Cart, error) {
	if len(c.Set) == 0 && !c.Replace {
		return domain.Cart{}, &domain.InvalidError{Field: "lines", Problem: "is empty, which only replace allows"}
	}
	if err := c.Validate(); err != nil {
		return domain.Cart{}, err
	}
	cart, err := a.carts.Change(ctx, k, c, a.now())
	return a.used(ctx, cart, err)
}

// AddLine adds units to a line and returns the cart after it.
func (a *App) AddLine(ctx context.Context, k domain.Key, add domain.Addition) (domain.Cart, error) {
	if err := add.Validate(); err != nil {
		return domain.Cart{}, err
	}
	c, err := a.carts.Add(ctx, k, add, a.now())
	return a.used(ctx, c, err)
}

// Merge adds the lines of one cart to another, deletes the first and returns
// the second.
func (a *App) Merge(ctx context.Context, from, into domain.Key) (domain.Cart, error) {
	c, err := a.carts.Merge(ctx, from, into, a.now())
	return a.used(ctx, c, err)
}

// RemoveOrdered takes what an order bought out of a cart.
func (a *App) RemoveOrdered(ctx context.Context, k domain.Key, p domain.Purchase) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return a.carts.RemoveOrdered(ctx, k, p, a.now())
}

// exportLines are the lines after which a page of carts ends: with those of the last cart,
// 2,000 at most, some 700 KiB on the wire.
const exportLines = 4000

// OfOwner returns a page of the carts of an owner after an id, and whether more follow. It
// is no use of them: they expire as if they had not been looked at.
func (a *App) OfOwner(ctx context.Context, owner, after domain.UUID) (page []domain.Cart, more bool, err error) {
	return a.carts.OfOwner(ctx, owner, after, exportLines)
}

// EraseOwner deletes all that is kept of an owner and returns how many carts that were.
func (a *App) EraseOwner(ctx context.Context, owner domain.UUID) (int64, error) {
	return a.carts.EraseOwner(ctx, owner)
}

// used passes on what the store answered and notes that the cart is in use,
// which keeps it from expiring: at most once an hour, and not if a change has
// just done so.
func (a *App) used(ctx context.Context, c domain.Cart, err error) (domain.Cart, error) {
	if err != nil {
		return domain.Cart{}, err
	}
	if now := a.now(); c.SeenAt.Before(domain.SeenAt(now)) {
		if err := a.carts.Touch(ctx, c.Key, now); err != nil {
			// The cart may expire early; its owner's call has succeeded.
			a.log.WarnContext(ctx, "cart not marked as used", "cart_id", c.ID.String(), "error", err)
		}
	}
	return c, nil
}
