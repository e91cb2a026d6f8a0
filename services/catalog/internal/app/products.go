package app

import (
	"context"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// relatedDefault is how many related products are listed when the caller does not
// say.
const relatedDefault = 6

// List returns a page of a listing and the cursor of the next page, "" after the
// last. A size of 0 is the default; cursor is "" for the first page. Only an operator
// lists by state.
func (a *App) List(ctx context.Context, viewer domain.Viewer, l domain.Listing, cursor string) (page domain.Page, next string, err error) {
	if l.Size == 0 {
		l.Size = domain.DefaultPageSize
	}
	if viewer != domain.Operator && l.Filter.State != "" {
		return domain.Page{}, "", domain.ErrOperatorsOnly
	}
	if err := domain.CheckFilter(l.Filter); err != nil {
		return domain.Page{}, "", err
	}
	if l.After, err = a.cursors.Decode(l, cursor); err != nil {
		return domain.Page{}, "", err
	}
	if page, err = a.store.List(ctx, l); err != nil {
		return domain.Page{}, "", err
	}
	page.Products = seen(page.Products, viewer)
	return page, a.cursors.Encode(l, page.Next), nil
}

// seen are the products as a viewer sees them. What is given may be shared: it is not
// changed.
func seen(all []domain.Product, viewer domain.Viewer) []domain.Product {
	out := make([]domain.Product, 0, len(all))
	for _, p := range all {
		if p, ok := p.For(viewer); ok {
			out = append(out, p)
		}
	}
	return out
}

// ProductByID returns a product.
func (a *App) ProductByID(ctx context.Context, viewer domain.Viewer, id string) (domain.Product, error) {
	p, err := a.store.ProductByID(ctx, id)
	return one(p, err, viewer)
}

// one is a product that was found, as a viewer sees it.
func one(p domain.Product, err error, viewer domain.Viewer) (domain.Product, error) {
	if err != nil {
		return domain.Product{}, err
	}
	p, ok := p.For(viewer)
	if !ok {
		return domain.Product{}, domain.ErrProductNotFound
	}
	return p, nil
}

// ProductBySKU returns the product of a variant, or the one that has the SKU as its
// code.
func (a *App) ProductBySKU(ctx context.Context, viewer domain.Viewer, sku string) (domain.Product, error) {
	if err := domain.CheckText("sku", sku); err != nil {
		return domain.Product{}, err
	}
	p, err := a.store.ProductByCode(ctx, sku)
	return one(p, err, viewer)
}

// Variants returns the variants that are on sale, the SKUs of the others, and what there
// is of those that are no longer sold, all in the order of skus.
func (a *App) Variants(ctx context.Context, skus []string) (found []domain.Variant, missing []string, retired []domain.Variant, err error) {
	for _, sku := range skus {
		if err := domain.CheckText("skus", sku); err != nil {
			return nil, nil, nil, err
		}
	}
	all, err := a.store.Variants(ctx, skus)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, sku := range skus { // both are in the order of the request
		if len(all) == 0 || all[0].SKU != sku {
			missing = append(missing, sku)
			continue
		}
		v := all[0]
		all = all[1:]
		if v.OnSale() {
			found = append(found, v)
			continue
		}
		missing = append(missing, sku)
		if v.Retired() {
			retired = append(retired, v)
		}
	}
	return found, missing, retired, nil
}

// Categories returns all categories, by name.
func (a *App) Categories(ctx context.Context) ([]domain.Category, error) {
	return a.store.Categories(ctx)
}

// Related returns up to limit products that go with a product; limit 0 is the
// default.
func (a *App) Related(ctx context.Context, productID string, limit int) ([]domain.Product, error) {
	if limit == 0 {
		limit = relatedDefault
	}
	related, err := a.store.Related(ctx, productID, limit)
	return seen(related, domain.Shopper), err
}

// Codes returns up to limit codes of products from one on, and after another.
func (a *App) Codes(ctx context.Context, from, after string, limit int) ([]domain.ProductCode, error) {
	for field, text := range map[string]string{"from": from, "after": after} {
		if err := domain.CheckText(field, text); err != nil {
			return nil, err
		}
	}
	return a.store.Codes(ctx, from, after, limit)
}

// CodePages returns the first code of each page of so many products.
func (a *App) CodePages(ctx context.Context, size int) ([]string, error) {
	return a.store.CodePages(ctx, size)
}
