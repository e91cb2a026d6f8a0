package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
)

// productRow is a variant with its product and stock, as every query of
// products returns them, the variants of a product in a row.
type productRow = db.ProductsByIDRow

// ProductByID implements app.Reader.
func (s *Store) ProductByID(ctx context.Context, id string) (domain.Product, error) {
	rows, err := s.view.ProductsByID(ctx, []string{id})
	if err != nil {
		return domain.Product{}, fmt.Errorf("get product: %w", err)
	}
	return single(rows)
}

// ProductByCode implements app.Reader.
func (s *Store) ProductByCode(ctx context.Context, code string) (domain.Product, error) {
	return byCode(ctx, s.view, code)
}

// Related implements app.Reader.
func (s *Store) Related(ctx context.Context, productID string, limit int) ([]domain.Product, error) {
	rows, err := s.view.RelatedProducts(ctx, db.RelatedProductsParams{ProductID: productID, MaxProducts: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("list related: %w", err)
	}
	if len(rows) == 0 {
		exists, err := s.view.ProductExists(ctx, productID)
		if err != nil {
			return nil, fmt.Errorf("look for product: %w", err)
		}
		if !exists {
			return nil, domain.ErrProductNotFound
		}
	}
	same := make([]productRow, len(rows))
	for i, r := range rows {
		same[i] = productRow(r)
	}
	return assemble(same), nil
}

// Variants implements app.Reader. Where expired holds make a SKU look sold
// out, it releases them first.
func (s *Store) Variants(ctx context.Context, skus []string) ([]domain.Variant, error) {
	found, err := s.variants(ctx, skus)
	if err != nil {
		return nil, err
	}
	var soldOut []string
	for _, v := range found {
		if v.Stock.Available() == 0 && v.Stock.Held > 0 {
			soldOut = append(soldOut, v.SKU)
		}
	}
	if len(soldOut) == 0 {
		return found, nil
	}
	// Most holds have not expired, and then there is nothing to wait for a turn for.
	if due, err := s.areHoldsExpired(ctx, soldOut); err != nil || !due {
		return found, err
	}
	// A question does not queue for a row that commands wait for.
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	end, err := s.turns.take(soon, soldOut)
	if err != nil {
		return found, ctx.Err()
	}
	defer end()
	// A command that had its turn before may have released them.
	due, err := s.areHoldsExpired(ctx, soldOut)
	if err == nil && due {
		_, err = s.expireHoldsOf(ctx, soldOut)
	}
	if pgerr.IsLockTimeout(err) {
		return found, nil // another transaction decides about what is held
	}
	if err != nil {
		return nil, err
	}
	return s.variants(ctx, skus)
}

func (s *Store) areHoldsExpired(ctx context.Context, skus []string) (bool, error) {
	due, err := s.reads.AreHoldsExpired(ctx, skus)
	if err != nil {
		return false, fmt.Errorf("look for expired holds: %w", err)
	}
	return due, nil
}

func (s *Store) variants(ctx context.Context, skus []string) ([]domain.Variant, error) {
	rows, err := s.reads.VariantsBySKU(ctx, skus)
	if err != nil {
		return nil, fmt.Errorf("get variants: %w", err)
	}
	bySKU := make(map[string]db.VariantsBySKURow, len(rows))
	for _, r := range rows {
		bySKU[r.Sku] = r
	}
	found := make([]domain.Variant, 0, len(rows))
	for _, sku := range skus {
		if r, ok := bySKU[sku]; ok {
			found = append(found, domain.Variant{
				SKU: r.Sku, Name: r.Name, Price: money.Money{Units: r.Price, Currency: r.Currency},
				Stock:     domain.Stock{Total: r.Total, Held: r.Held, Committed: r.Committed},
				ProductID: r.ProductID, ProductName: r.ProductName, State: domain.State(r.State), ProductState: domain.State(r.ProductState),
			})
		}
	}
	return found, nil
}

// Categories implements app.Reader.
func (s *Store) Categories(ctx context.Context) ([]domain.Category, error) {
	rows, err := s.view.Categories(ctx)
	if err != nil {
		return nil, fmt.Errorf("list categories: %w", err)
	}
	all := make([]domain.Category, len(rows))
	for i, r := range rows {
		all[i] = domain.Category{Slug: r.Slug, Name: r.Name, Products: r.Products}
	}
	sortCategories(all)
	return all, nil
}

// Codes implements app.Reader.
func (s *Store) Codes(ctx context.Context, from, after string, limit int) ([]domain.ProductCode, error) {
	rows, err := s.view.Codes(ctx, db.CodesParams{First: from, After: after, MaxCodes: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("list codes: %w", err)
	}
	codes := make([]domain.ProductCode, len(rows))
	for i, r := range rows {
		codes[i] = domain.ProductCode{Code: r.Code, UpdatedAt: r.UpdatedAt}
	}
	return codes, nil
}

// CodePages implements app.Reader.
func (s *Store) CodePages(ctx context.Context, size int) ([]string, error) {
	first, err := s.view.CodePages(ctx, int64(size))
	if err != nil {
		return nil, fmt.Errorf("list pages of codes: %w", err)
	}
	return first, nil
}

func single(rows []productRow) (domain.Product, error) {
	if len(rows) == 0 {
		return domain.Product{}, domain.ErrProductNotFound
	}
	return assemble(rows)[0], nil
}

// assemble folds rows into products, keeping their order. A product's version and
// revision are the sums of its own and its stocks' counters: none of them ever falls,
// and rows are never taken away, so a sum grows with every change of either.
func assemble(rows []productRow) []domain.Product {
	var products []domain.Product
	for _, r := range rows {
		if n := len(products); n == 0 || products[n-1].ID != r.ID {
			products = append(products, domain.Product{
				ID: r.ID, Code: r.Code, Name: r.Name, Description: r.Description, Category: r.Category, State: domain.State(r.State),
				Popularity: r.Popularity, Version: r.Version, Revision: r.Revision, UpdatedAt: r.UpdatedAt,
			})
		}
		p := &products[len(products)-1]
		p.Version += r.StockVersion
		p.Revision += r.StockRevision
		p.UpdatedAt = latest(p.UpdatedAt, r.StockUpdatedAt)
		p.Variants = append(p.Variants, domain.Variant{
			SKU: r.Sku, Name: r.VariantName, Price: money.Money{Units: r.Price, Currency: r.Currency},
			Stock:     domain.Stock{Total: r.Total, Held: r.Held, Committed: r.Committed},
			ProductID: r.ID, ProductName: r.Name, State: domain.State(r.VariantState), ProductState: domain.State(r.State),
		})
	}
	return products
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
