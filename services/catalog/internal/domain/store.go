package domain

import (
	"context"
	"time"
)

// Store keeps the catalog. The postgres package implements it; caches decorate it.
//
// Every write returns after its commit; a read that begins after that sees it.
// Everything returned belongs to the caller of the write methods; the products
// of the read methods may be shared with other readers and must not be changed.
type Store interface {
	Reader
	Reservations
	Editor
	Keeper
}

// Reader answers questions.
type Reader interface {
	// List returns a page. Errors: none of its own.
	List(ctx context.Context, l Listing) (Page, error)
	// ProductByID errors: ErrProductNotFound.
	ProductByID(ctx context.Context, id string) (Product, error)
	// ProductByCode finds by the SKU of any variant, else by the product's code.
	// Errors: ErrProductNotFound.
	ProductByCode(ctx context.Context, code string) (Product, error)
	// Variants returns those that exist, in the order of the SKUs.
	Variants(ctx context.Context, skus []string) ([]Variant, error)
	// Categories returns all, by name.
	Categories(ctx context.Context) ([]Category, error)
	// Related returns up to limit products bought together with the given one,
	// then popular ones of its category. Errors: ErrProductNotFound.
	Related(ctx context.Context, productID string, limit int) ([]Product, error)
}

// Touched are the ids of the products whose stock a command changed.
type Touched []string

// Reservations puts stock aside. Every command is idempotent.
type Reservations interface {
	// Reserve holds the lines, all or none. The lines have distinct SKUs.
	// Errors: ShortageError, ErrSKUNotFound, ErrReservationReleased, ErrReservationMismatch.
	Reserve(ctx context.Context, orderID string, lines []StockLine, hold time.Duration) (Reservation, Touched, error)
	// Confirm sells what is held. Errors: ErrReservationNotFound,
	// ErrReservationExpired, ErrReservationReleased.
	Confirm(ctx context.Context, orderID string) (Reservation, Touched, error)
	// Release gives the units back, or leaves a tombstone for an unknown order.
	// Errors: ErrReservationReturned.
	Release(ctx context.Context, orderID string) (Reservation, Touched, error)
	// Restock puts sold units back on sale. Errors: ErrReservationNotFound,
	// ErrReservationNotCommitted, ErrRestockExceedsSold, ErrRestockMismatch.
	Restock(ctx context.Context, restockID, orderID string, lines []StockLine) (Touched, error)
}

// Editor is what an operator does.
type Editor interface {
	// Upsert creates or replaces products, all or none.
	// Errors: ErrSKUTaken, ErrStockBelowCommitted.
	Upsert(ctx context.Context, products []ProductInput) (UpsertResult, error)
	// AdjustStock carries out an adjustment once, all or nothing.
	// Errors: ErrSKUNotFound, ShortageError, ErrAdjustmentMismatch.
	AdjustStock(ctx context.Context, a Adjustment) ([]Variant, error)
	// SetPrices changes prices, all or none. Errors: ErrSKUNotFound.
	SetPrices(ctx context.Context, changes []PriceChange) ([]Variant, error)
}

// Keeper is the work that is done in the background, a bounded batch a call.
type Keeper interface {
	// ExpireHolds releases holds that have expired and returns the products
	// whose stock changed; none means that no hold was due.
	ExpireHolds(ctx context.Context) (Touched, error)
	// RefreshPopularity counts sold units into the products and returns those
	// it changed.
	RefreshPopularity(ctx context.Context) (Touched, error)
	// CountPairs counts what was bought together in orders not yet counted and
	// returns their number.
	CountPairs(ctx context.Context) (int, error)
}
