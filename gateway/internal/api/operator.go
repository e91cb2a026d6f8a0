package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/edge/compress"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

// putProduct answers PUT /v1/products/{sku}.
func (a *API) putProduct(ctx context.Context, in *PutProductRequest) (answer, error) {
	must, err := precondition(in.IfMatch, in.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	product := catalog.ProductInput{
		Code: in.SKU, Name: b.Name, Description: b.Description, Category: b.Category,
		CategoryName: b.CategoryName, State: catalog.State(b.State), Variants: make([]catalog.VariantInput, len(b.Variants)),
	}
	if b.Popularity != nil {
		product.Popularity = *b.Popularity
	}
	for i, v := range b.Variants {
		product.Variants[i] = catalog.VariantInput{SKU: v.SKU, Name: v.Name, Stock: v.Stock, Price: v.Price.money(), State: catalog.State(v.State)}
	}
	written, created, err := a.shop.Catalog.Put(ctx, viewer(ctx), product, must)
	switch {
	case problem.Is(err, problem.CodeTaken):
		return nil, problem.AtSKUs(err, func(string) string { return "sku" }) // of the path
	case problem.Is(err, problem.NotADraftAgain):
		return nil, problem.AtSKUs(err, func(name string) string {
			i := slices.IndexFunc(b.Variants, func(v VariantInput) bool { return v.SKU == name })
			if i < 0 || name == in.SKU && b.State == string(catalog.Draft) {
				return "state"
			}
			return fmt.Sprintf("variants[%d].state", i)
		})
	case err != nil:
		err = problem.AtFields(err, func(f problem.Field) problem.Field {
			f.Field = strings.TrimPrefix(f.Field, "product.")
			return f
		})
		return nil, inList(err, "variants", b.Variants, func(v *VariantInput) string { return v.SKU })
	}
	doc, err := operatorsProduct(written)
	if err == nil && created {
		doc.status, doc.location = http.StatusCreated, productPath(written.Code)
	}
	return doc, err
}

func (in *PutProductRequest) check() error {
	return distinct("variants", in.Body.Variants, func(v *VariantInput) string { return v.SKU })
}

// setProductState answers PUT /v1/products/{sku}/state.
func (a *API) setProductState(ctx context.Context, in *SetProductStateRequest) (answer, error) {
	return a.setState(ctx, in.SKU, "", in.Body.State, in.IfMatch)
}

// setVariantState answers PUT /v1/products/{sku}/variants/{variant_sku}/state.
func (a *API) setVariantState(ctx context.Context, in *SetVariantStateRequest) (answer, error) {
	return a.setState(ctx, in.SKU, in.VariantSKU, in.Body.State, in.IfMatch)
}

func (a *API) setState(ctx context.Context, code, sku, state, ifMatch string) (answer, error) {
	must, err := precondition(ifMatch, "")
	if err != nil {
		return nil, err
	}
	p, err := a.shop.Catalog.SetState(ctx, viewer(ctx), code, sku, catalog.State(state), must)
	if problem.Is(err, problem.SKUNotFound) {
		return nil, problem.AtSKUs(err, func(string) string { return "variant_sku" })
	}
	if err != nil {
		return nil, problem.AtSKUs(err, func(string) string { return "state" })
	}
	return operatorsProduct(p)
}

// deleteProduct answers DELETE /v1/products/{sku}.
func (a *API) deleteProduct(ctx context.Context, in *DeleteProductRequest) (answer, error) {
	return a.delete(ctx, in.SKU, "", in.IfMatch)
}

// deleteVariant answers DELETE /v1/products/{sku}/variants/{variant_sku}.
func (a *API) deleteVariant(ctx context.Context, in *DeleteVariantRequest) (answer, error) {
	return a.delete(ctx, in.SKU, in.VariantSKU, in.IfMatch)
}

func (a *API) delete(ctx context.Context, code, sku, ifMatch string) (answer, error) {
	must, err := precondition(ifMatch, "")
	if err != nil {
		return nil, err
	}
	err = a.shop.Catalog.Delete(ctx, viewer(ctx), code, sku, must)
	field := "sku"
	if sku != "" {
		field = "variant_sku"
	}
	if err != nil {
		return nil, problem.AtSKUs(err, func(string) string { return field })
	}
	return &document{status: http.StatusNoContent, body: compress.NewBody(nil, "")}, nil
}

// precondition reads the headers of an edit of a product. Of an ETag, the revision is
// compared, the part before the dash: what orders do does not fail an edit.
func precondition(ifMatch, ifNoneMatch string) (must catalog.Precondition, err error) {
	if ifNoneMatch = strings.TrimSpace(ifNoneMatch); ifNoneMatch != "" && ifNoneMatch != "*" {
		return must, problem.Invalid(problem.Field{Field: "If-None-Match", Detail: "must be * here: the product must not be there"})
	}
	must.Absent = ifNoneMatch == "*"
	if ifMatch == "" {
		return must, nil
	}
	must.Revisions, err = matchVersions(ifMatch)
	must.Exists = true
	return must, err
}

// operatorsProduct is the product with its stock, as the operator's GET has it.
func operatorsProduct(p *catalog.Product) (*document, error) {
	body, err := encode(newProduct(p, true), revision(p))
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body, tagged: true}, nil
}

// revision is the beginning of a product's ETag.
func revision(p *catalog.Product) string { return strconv.FormatInt(p.Revision, 10) }

// importProducts answers POST /v1/products/import.
func (a *API) importProducts(ctx context.Context, in *ImportProductsRequest) (answer, error) {
	doc, err := upserted(a.shop.Catalog.ImportCSV(ctx, viewer(ctx), in.Body))
	if known := (*problem.Error)(nil); err != nil && !errors.As(err, &known) {
		return nil, bodyError(err)
	}
	return doc, err
}

func upserted(u catalog.Upserted, err error) (answer, error) {
	if err != nil {
		return nil, err
	}
	return private(Upserted{Created: u.Created, Updated: u.Updated, Variants: u.Variants})
}

// adjustStock answers POST /v1/stock-adjustments.
func (a *API) adjustStock(ctx context.Context, in *AdjustStockRequest) (answer, error) {
	changes := make([]catalog.StockChange, len(in.Body.Changes))
	for i, c := range in.Body.Changes {
		changes[i] = catalog.StockChange{SKU: c.SKU, Delta: c.Delta}
	}
	levels, err := a.shop.Catalog.AdjustStock(ctx, viewer(ctx), in.IdempotencyKey, in.Body.Reason, changes)
	if err != nil {
		return nil, inList(err, "changes", in.Body.Changes, func(c *StockChange) string { return c.SKU })
	}
	return private(newLevels(levels))
}

func (in *AdjustStockRequest) check() error {
	var wrong fieldErrors
	for i, c := range in.Body.Changes {
		if c.Delta == 0 {
			wrong.add(fmt.Sprintf("changes[%d].delta", i), "must not be zero")
		}
	}
	if err := wrong.err(); err != nil {
		return err
	}
	return distinct("changes", in.Body.Changes, func(c *StockChange) string { return c.SKU })
}

// setPrices answers POST /v1/prices.
func (a *API) setPrices(ctx context.Context, in *SetPricesRequest) (answer, error) {
	changes := make([]catalog.PriceChange, len(in.Body.Changes))
	for i, c := range in.Body.Changes {
		changes[i] = catalog.PriceChange{SKU: c.SKU, Price: c.Price.money()}
	}
	levels, err := a.shop.Catalog.SetPrices(ctx, viewer(ctx), changes)
	if err != nil {
		return nil, inList(err, "changes", in.Body.Changes, func(c *PriceChange) string { return c.SKU })
	}
	return private(newLevels(levels))
}

func (in *SetPricesRequest) check() error {
	return distinct("changes", in.Body.Changes, func(c *PriceChange) string { return c.SKU })
}

func private(v any) (*document, error) {
	body, err := encode(v, "")
	if err != nil {
		return nil, err
	}
	return &document{status: http.StatusOK, body: body}, nil
}
