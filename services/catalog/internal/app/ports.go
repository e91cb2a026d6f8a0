package app

import (
	"context"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// Store keeps the catalog. Package postgres implements it, package cached
// decorates it.
//
// Every write returns after its commit; a read that begins after that sees it.
// Everything returned belongs to the caller of the write methods; the products
// of the read methods may be shared with other readers and must not be changed.
type Store interface {
	Reader
	Reservations
	Editor
	Maintenance
}

// Reader answers questions.
type Reader interface {
	// List returns a page. Errors: none of its own.
	List(ctx context.Context, l domain.Listing) (domain.Page, error)
	// ProductByID errors: ErrProductNotFound.
	ProductByID(ctx context.Context, id string) (domain.Product, error)
	// ProductByCode finds by the SKU of any variant, or by the product's code.
	// Errors: ErrProductNotFound.
	ProductByCode(ctx context.Context, code string) (domain.Product, error)
	// Variants returns those that exist, in the order of the SKUs.
	Variants(ctx context.Context, skus []string) ([]domain.Variant, error)
	// Categories returns all, by name.
	Categories(ctx context.Context) ([]domain.Category, error)
	// Related returns up to limit products bought together with the given one,
	// then popular ones of its category. Errors: ErrProductNotFound.
	Related(ctx context.Context, productID string, limit int) ([]domain.Product, error)
	// Codes returns up to limit codes from one on, and after another, in their order.
	Codes(ctx context.Context, from, after string, limit int) ([]domain.ProductCode, error)
	// CodePages returns the first code of each page of so many products.
	CodePages(ctx context.Context, size int) ([]string, error)
}

// Reservations puts stock aside. Every command is idempotent.
type Reservations interface {
	// Reserve holds the lines, all or none. The lines have distinct SKUs.
	// Errors: ShortageError, ErrSKUNotFound, ErrReservationReleased,
	// ErrReservationMismatch, ErrStockBusy.
	Reserve(ctx context.Context, orderID string, lines []domain.StockLine, hold time.Duration) (domain.Reservation, domain.Touched, error)
	// Confirm sells what is held. Errors: ErrReservationNotFound,
	// ErrReservationExpired, ErrReservationReleased.
	Confirm(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error)
	// Release gives the units back, or leaves a tombstone for an unknown order.
	// Errors: ErrReservationReturned.
	Release(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error)
	// Restock puts sold units back on sale. Errors: ErrReservationNotFound,
	// ErrReservationNotCommitted, ErrRestockExceedsSold, ErrRestockMismatch.
	Restock(ctx context.Context, restockID, orderID string, lines []domain.StockLine) (domain.Touched, error)
}

// Payments is what an operator's changes need of payment.
type Payments interface {
	// Limits are what payments take of a currency; false while that is not known.
	Limits(ctx context.Context, currency string) (domain.Limits, bool)
}

// Editor is what an operator does. An edit that has an id, a UUID, is made once: a
// repeat changes nothing, whatever was edited since, and "" is the id of no other edit.
type Editor interface {
	// Put is Upsert of one product that must be as the edit asks for. It returns the
	// product as it is then, and whether it was new. Errors: those of Upsert,
	// ErrPreconditionFailed; ErrProductNotFound for a repeat after a deletion.
	Put(ctx context.Context, how domain.Edit, product domain.ProductInput) (p domain.Product, created bool, err error)
	// Upsert creates or replaces products, all or none.
	// Errors: ErrCodeTaken, ErrSKUTaken, ErrStockBelowCommitted.
	Upsert(ctx context.Context, id string, products []domain.ProductInput) (domain.UpsertResult, error)
	// SetState changes the state of a product or a variant and returns the product as it
	// is then. Errors: ErrProductNotFound, ErrSKUNotFound, ErrPreconditionFailed,
	// ErrNotADraftAgain.
	SetState(ctx context.Context, how domain.Edit, what domain.Named, state domain.State) (domain.Product, error)
	// Delete deletes a product or a variant of which no unit was ever reserved. Errors:
	// ErrProductNotFound, ErrSKUNotFound, ErrPreconditionFailed, ErrWasOrdered, ErrLastVariant.
	Delete(ctx context.Context, how domain.Edit, what domain.Named) error
	// Import is Upsert for many products: it checks all of them, and then writes them a
	// part at a time, so that nothing waits for the whole. Once it is accepted it is
	// finished, by FinishImports if need be; it is repeated by its id, a UUID. Readers see
	// each product as it was or as it is going to be.
	// Errors: ErrSKUTaken, ErrStockBelowCommitted, ErrImportMismatch.
	Import(ctx context.Context, id string, products []domain.ProductInput) (domain.UpsertResult, error)
	// AdjustStock carries out an adjustment once, all or nothing.
	// Errors: ErrSKUNotFound, ShortageError, ErrAdjustmentMismatch.
	AdjustStock(ctx context.Context, a domain.Adjustment) ([]domain.Variant, error)
	// SetPrices changes prices, all or none. Errors: ErrSKUNotFound.
	SetPrices(ctx context.Context, id string, changes []domain.PriceChange) ([]domain.Variant, error)
}

// Maintenance is the work of the background, a bounded batch a call.
type Maintenance interface {
	// ExpireHolds releases holds that have expired and returns the products
	// whose stock changed; none means that no hold was due.
	ExpireHolds(ctx context.Context) (domain.Touched, error)
	// RefreshPopularity counts sold units into the next products and returns those
	// it changed; call after call it goes round them all. round says that it has come to
	// the last ones.
	RefreshPopularity(ctx context.Context) (changed domain.Touched, round bool, err error)
	// CountPairs counts what was bought together in orders not yet counted and
	// returns their number.
	CountPairs(ctx context.Context) (int, error)
	// RefreshInStock has searches know of products that sold out or came back, and
	// returns how many turns it followed.
	RefreshInStock(ctx context.Context) (int, error)
	// Shelve puts the next products, in the order of popularity, on the shelves that
	// searches go through, and returns how many it moved; call after call it goes
	// round them all.
	Shelve(ctx context.Context) (int, error)
	// FinishImports writes what is left of an import that its caller left, and returns
	// whether there was one.
	FinishImports(ctx context.Context) (bool, error)
	// Reindex derives again what earlier rules derived from text, and returns of how
	// many products.
	Reindex(ctx context.Context) (int, error)
}
