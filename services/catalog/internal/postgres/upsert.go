package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/domain/words"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/audit"
)

// analyzeAbove is the number of products from which an import analyzes the tables
// itself, if they are a considerable share of what there is: the planner needs the new
// statistics before autovacuum runs.
const analyzeAbove = 200

// Upsert implements app.Editor: a fixed number of statements, whatever the
// number of products.
func (s *Store) Upsert(ctx context.Context, id string, products []domain.ProductInput) (domain.UpsertResult, error) {
	var result domain.UpsertResult
	codes := make([]string, len(products))
	for i, p := range products {
		codes[i] = p.Code
	}
	err := s.edit(ctx, names(products), func(ctx context.Context, q *db.Queries) (change audit.Change, err error) {
		result, err = once(ctx, q, id, func() (domain.UpsertResult, error) {
			u := upsert{q: q, currency: s.currency, products: products}
			var err error
			change, err = recorded(ctx, q, objects("product", codes), codes, func() error { return u.run(ctx) })
			return domain.UpsertResult{Created: u.created, Updated: int64(len(products)) - u.created, Variants: int64(len(u.variants.Skus))}, err
		})
		return change, err
	})
	if err != nil {
		return domain.UpsertResult{}, err
	}
	if len(products) > analyzeAbove {
		s.analyze(ctx, len(products))
	}
	return result, nil
}

// analyze makes searches fast after many products changed. Autovacuum makes up for a failure.
func (s *Store) analyze(ctx context.Context, changed int) {
	_, _ = s.pool.Exec(ctx, "SELECT analyze_catalog($1)", changed)
}

// upsert writes products in one transaction, which holds the lock of the catalog.
type upsert struct {
	q        *db.Queries
	currency string
	products []domain.ProductInput
	// accepted are products of an import whose stock was checked before: a total that
	// orders have passed meanwhile becomes what is held and sold.
	accepted bool

	ids      []string // of products, by position
	created  int64
	variants db.UpsertVariantsParams
	stocks   []int64 // by position in variants; -1 keeps what there is
}

func (u *upsert) run(ctx context.Context) error {
	for _, step := range []struct {
		name string
		fn   func(context.Context) error
	}{
		{"upsert categories", u.upsertCategories},
		{"check products", u.check},
		{"upsert products", u.upsertProducts},
		{"upsert variants", func(ctx context.Context) error { return u.q.UpsertVariants(ctx, u.variants) }},
		{"insert stock", u.insertStock},
		{"set states", u.setStates},
		{"index products", func(ctx context.Context) error { return index(ctx, u.q, u.ids) }},
		// Last, because from here to the commit orders of these SKUs wait.
		{"set stock", u.setStock},
	} {
		if err := step.fn(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// check decides what is new, and refuses what belongs to others.
func (u *upsert) check(ctx context.Context) error {
	if err := u.identify(ctx); err != nil {
		return fmt.Errorf("identify products: %w", err)
	}
	if err := u.checkOwners(ctx); err != nil {
		return err
	}
	return u.checkStates(ctx)
}

// checkStock refuses totals below what is held and sold.
func (u *upsert) checkStock(ctx context.Context) error {
	set := u.totals()
	if len(set.Skus) == 0 {
		return nil
	}
	below, err := u.q.StockBelow(ctx, db.StockBelowParams(set))
	if err != nil {
		return fmt.Errorf("check stock: %w", err)
	}
	if len(below) > 0 {
		return &domain.SKUError{Err: domain.ErrStockBelowCommitted, SKUs: below}
	}
	return nil
}

// upsertCategories makes the missing categories and renames those given a name.
func (u *upsert) upsertCategories(ctx context.Context) error {
	names := map[string]string{}
	for _, p := range u.products {
		if p.CategoryName != "" || names[p.Category] == "" {
			names[p.Category] = p.CategoryName
		}
	}
	slugs := make([]string, 0, len(names))
	for slug := range names {
		slugs = append(slugs, slug)
	}
	slices.Sort(slugs)
	known, err := u.q.KnownCategories(ctx, slugs)
	if err != nil {
		return err
	}
	var write db.UpsertCategoriesParams
	for _, slug := range slugs {
		name := names[slug]
		if name == "" {
			if slices.Contains(known, slug) {
				continue
			}
			name = categoryName(slug)
		}
		write.Slugs, write.Names = append(write.Slugs, slug), append(write.Names, name)
	}
	return u.q.UpsertCategories(ctx, write)
}

// identify finds the ids of known products and gives one to each new one.
func (u *upsert) identify(ctx context.Context) error {
	codes := make([]string, len(u.products))
	for i, p := range u.products {
		codes[i] = p.Code
	}
	rows, err := u.q.ProductIDs(ctx, codes)
	if err != nil {
		return err
	}
	known := make(map[string]string, len(rows))
	for _, r := range rows {
		known[r.Code] = r.ID
	}
	u.ids = make([]string, len(u.products))
	u.variants.Currency = u.currency
	for i, p := range u.products {
		id, ok := known[p.Code]
		if !ok {
			if id, err = newID(); err != nil {
				return err
			}
			u.created++
		}
		u.ids[i] = id
		for _, v := range p.Variants {
			u.variants.Skus = append(u.variants.Skus, v.SKU)
			u.variants.ProductIds = append(u.variants.ProductIds, id)
			u.variants.Names = append(u.variants.Names, v.Name)
			u.variants.Prices = append(u.variants.Prices, v.Price.Units)
			stock := int64(-1)
			if v.Stock != nil {
				stock = *v.Stock
			}
			u.stocks = append(u.stocks, stock)
		}
	}
	return nil
}

// checkOwners refuses codes and SKUs that name another product.
func (u *upsert) checkOwners(ctx context.Context) error {
	codes := make(map[string]string, len(u.products))
	names := slices.Clone(u.variants.Skus)
	for i, p := range u.products {
		codes[p.Code] = u.ids[i]
		names = append(names, p.Code)
	}
	skus := make(map[string]string, len(u.variants.Skus))
	for i, sku := range u.variants.Skus {
		skus[sku] = u.variants.ProductIds[i]
	}
	rows, err := u.q.OwnersOfNames(ctx, names)
	if err != nil {
		return err
	}
	var takenCodes, takenSKUs []string
	for _, r := range rows {
		if id, ok := codes[r.Name]; ok && id != r.ProductID {
			takenCodes = append(takenCodes, r.Name)
		}
		if id, ok := skus[r.Name]; ok && id != r.ProductID {
			takenSKUs = append(takenSKUs, r.Name)
		}
	}
	slices.Sort(takenCodes)
	slices.Sort(takenSKUs)
	switch {
	case len(takenCodes) > 0:
		return &domain.CodeError{Err: domain.ErrCodeTaken, Codes: takenCodes}
	case len(takenSKUs) > 0:
		return &domain.SKUError{Err: domain.ErrSKUTaken, SKUs: takenSKUs}
	}
	return nil
}

// checkStates refuses to make drafts of what was shown.
func (u *upsert) checkStates(ctx context.Context) error {
	var codes, skus []string
	for _, p := range u.products {
		if p.State == domain.Draft {
			codes = append(codes, p.Code)
		}
		for _, v := range p.Variants {
			if v.State == domain.Draft {
				skus = append(skus, v.SKU)
			}
		}
	}
	if len(codes)+len(skus) == 0 {
		return nil
	}
	products, err := u.q.ProductStates(ctx, codes)
	if err != nil {
		return fmt.Errorf("read states: %w", err)
	}
	variants, err := u.q.VariantStates(ctx, skus)
	if err != nil {
		return fmt.Errorf("read states: %w", err)
	}
	var shown []string
	for _, p := range products {
		if !domain.State(p.State).CanBecome(domain.Draft) {
			shown = append(shown, p.Code)
		}
	}
	for _, v := range variants {
		if !domain.State(v.State).CanBecome(domain.Draft) {
			shown = append(shown, v.Sku)
		}
	}
	return notDraftsAgain(shown)
}

func notDraftsAgain(shown []string) error {
	if len(shown) == 0 {
		return nil
	}
	slices.Sort(shown)
	return &domain.CodeError{Err: domain.ErrNotADraftAgain, Codes: slices.Compact(shown)}
}

// setStates sets the states that are given, and what follows from all states: what is
// sellable, what is listed, and at what price.
func (u *upsert) setStates(ctx context.Context) error {
	products := db.SetProductStatesParams{Ids: u.ids}
	variants := db.SetVariantStatesParams{Skus: u.variants.Skus}
	for _, p := range u.products {
		products.States = append(products.States, string(p.State))
		for _, v := range p.Variants {
			variants.States = append(variants.States, string(v.State))
		}
	}
	if err := u.q.SetProductStates(ctx, products); err != nil {
		return err
	}
	if err := u.q.SetVariantStates(ctx, variants); err != nil {
		return err
	}
	return follow(ctx, u.q, u.ids)
}

// follow brings up to date what follows from the states and prices of products.
func follow(ctx context.Context, q *db.Queries, ids []string) error {
	if err := q.RefreshSellable(ctx, ids); err != nil {
		return fmt.Errorf("set what is sellable: %w", err)
	}
	if err := q.RefreshListed(ctx, ids); err != nil {
		return fmt.Errorf("set what is listed: %w", err)
	}
	return nil
}

func (u *upsert) upsertProducts(ctx context.Context) error {
	write := db.UpsertProductsParams{Ids: u.ids, Edition: words.Edition}
	for _, p := range u.products {
		cheapest := p.Variants[0].Price.Units
		for _, v := range p.Variants[1:] {
			cheapest = min(cheapest, v.Price.Units)
		}
		write.Codes = append(write.Codes, p.Code)
		write.Names = append(write.Names, p.Name)
		write.SortKeys = append(write.SortKeys, words.SortKey(p.Name))
		write.Descriptions = append(write.Descriptions, p.Description)
		write.Categories = append(write.Categories, p.Category)
		write.Prices = append(write.Prices, cheapest)
		write.Popularities = append(write.Popularities, p.Popularity)
	}
	return u.q.UpsertProducts(ctx, write)
}

// insertStock gives new variants a stock.
func (u *upsert) insertStock(ctx context.Context) error {
	insert := db.InsertStockParams{Skus: u.variants.Skus, ProductIds: u.variants.ProductIds}
	for _, stock := range u.stocks {
		insert.Totals = append(insert.Totals, max(stock, 0))
	}
	return u.q.InsertStock(ctx, insert)
}

// setStock sets the absolute totals of variants that were there, none below what is
// held and sold.
func (u *upsert) setStock(ctx context.Context) error {
	set := u.totals()
	if len(set.Skus) == 0 {
		return nil
	}
	totals := make(map[string]int64, len(set.Skus))
	for i, sku := range set.Skus {
		totals[sku] = set.Totals[i]
	}
	locked, err := u.q.LockStockTotals(ctx, db.LockStockTotalsParams(set))
	if err != nil {
		return err
	}
	var below []string
	for _, row := range locked {
		if !u.accepted && totals[row.Sku] < row.Held+row.Committed {
			below = append(below, row.Sku)
		}
	}
	if len(below) > 0 {
		return &domain.SKUError{Err: domain.ErrStockBelowCommitted, SKUs: below}
	}
	if len(locked) == 0 {
		return nil
	}
	if err := u.q.SetStockTotals(ctx, set); err != nil {
		return err
	}
	return u.q.RefreshInStock(ctx, u.ids)
}

// totals are the absolute totals that are asked for.
func (u *upsert) totals() db.SetStockTotalsParams {
	var set db.SetStockTotalsParams
	for i, stock := range u.stocks {
		if stock >= 0 {
			set.Skus, set.Totals = append(set.Skus, u.variants.Skus[i]), append(set.Totals, stock)
		}
	}
	return set
}
