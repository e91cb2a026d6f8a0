package catalog

import (
	"context"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/idempotency"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/proto/money"
)

// ProductInput is a product as an operator writes it.
type ProductInput struct {
	Code         string
	Name         string
	Description  string
	Category     string // slug; made if there is none
	CategoryName string // of a category to be made
	Variants     []VariantInput
	Popularity   int64
	State        State // "" keeps what there is
}

// VariantInput is a variant as an operator writes it.
type VariantInput struct {
	SKU   string
	Name  string
	Price money.Money
	Stock *int64 // absolute total; nil keeps what there is
	State State  // "" keeps what there is
}

// Precondition is what a product must be like for an edit to be made. The zero value
// always holds.
type Precondition struct {
	// Revisions are those of which the product must have one.
	Revisions []int64
	// Exists is whether there must be such a product, Absent whether there must not.
	Exists, Absent bool
}

// Put creates or replaces a product, once for each operation, and returns it as it was
// written. Problems: PreconditionFailed, StockBelowCommitted, CodeTaken, SKUTaken,
// NotADraftAgain.
func (c *Catalog) Put(ctx context.Context, v *accessv1.Viewer, p ProductInput, must Precondition) (written *Product, created bool, err error) {
	id, _ := idempotency.ID(ctx) // a repeat writes nothing
	defer c.forget(ctx)          // also after an error: its outcome may be unknown
	res, err := client.Call(ctx, c.caller, 0, c.client.PutProduct, &catalogv1.PutProductRequest{
		Viewer: v, OperationId: id.String(), Product: productInput(p), Precondition: precondition(must),
	})
	if err != nil {
		return nil, false, err
	}
	written, err = product(res.GetProduct())
	return written, res.GetCreated(), err
}

// SetState changes the state of a product, or of its variant of a SKU, once for each
// operation, and returns the product. Problems: ProductNotFound, SKUNotFound,
// PreconditionFailed, NotADraftAgain.
func (c *Catalog) SetState(ctx context.Context, v *accessv1.Viewer, code, sku string, state State, must Precondition) (*Product, error) {
	id, _ := idempotency.ID(ctx) // a repeat changes nothing
	defer c.forget(ctx)
	res, err := client.Call(ctx, c.caller, 0, c.client.SetState, &catalogv1.SetStateRequest{
		Viewer: v, OperationId: id.String(), Code: code, Sku: sku, State: states[state], Precondition: precondition(must),
	})
	if err != nil {
		return nil, err
	}
	return product(res.GetProduct())
}

// Delete deletes a product, or its variant of a SKU, which no order ever had, once for
// each operation. Problems: ProductNotFound, SKUNotFound, PreconditionFailed,
// WasOrdered, LastVariant.
func (c *Catalog) Delete(ctx context.Context, v *accessv1.Viewer, code, sku string, must Precondition) error {
	id, _ := idempotency.ID(ctx) // a repeat deletes nothing
	defer c.forget(ctx)
	_, err := client.Call(ctx, c.caller, 0, c.client.DeleteProduct, &catalogv1.DeleteProductRequest{
		Viewer: v, OperationId: id.String(), Code: code, Sku: sku, Precondition: precondition(must),
	})
	return err
}

func precondition(must Precondition) *catalogv1.Precondition {
	return &catalogv1.Precondition{Revisions: must.Revisions, Exists: must.Exists, Absent: must.Absent}
}

func productInput(p ProductInput) *catalogv1.ProductInput {
	in := &catalogv1.ProductInput{
		Code: p.Code, Name: p.Name, Description: p.Description, Category: p.Category,
		CategoryName: p.CategoryName, Popularity: p.Popularity, State: states[p.State],
		Variants: make([]*catalogv1.VariantInput, len(p.Variants)),
	}
	for i, v := range p.Variants {
		in.Variants[i] = &catalogv1.VariantInput{Sku: v.SKU, Name: v.Name, Price: v.Price.Proto(), Stock: v.Stock, State: states[v.State]}
	}
	return in
}

// Upserted counts what an upsert or import did.
type Upserted struct {
	Created  int64 // products
	Updated  int64 // products
	Variants int64
}

// Upsert creates or replaces products, all or none.
// Problems: StockBelowCommitted, SKUTaken.
func (c *Catalog) Upsert(ctx context.Context, v *accessv1.Viewer, products []ProductInput) (Upserted, error) {
	id, _ := idempotency.ID(ctx) // a repeat is the same import
	req := &catalogv1.UpsertProductsRequest{Viewer: v, ImportId: id.String(), Products: make([]*catalogv1.ProductInput, len(products))}
	for i, p := range products {
		req.Products[i] = productInput(p)
	}
	defer c.forget(ctx) // also after an error: its outcome may be unknown
	res, err := client.Call(ctx, c.caller, importTimeout, c.client.UpsertProducts, req)
	if err != nil {
		return Upserted{}, err
	}
	return Upserted{Created: res.GetCreated(), Updated: res.GetUpdated(), Variants: res.GetVariants()}, nil
}

// StockChange adds to the stock of a SKU, or takes away.
type StockChange struct {
	SKU   string
	Delta int64
}

// adjustments is the name space of the ids that idempotency keys become.
var adjustments = uuid.MustParse("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506")

// AdjustStock changes stock, all lines or none, once for each key.
// Problems: SKUNotFound, InsufficientStock.
func (c *Catalog) AdjustStock(ctx context.Context, v *accessv1.Viewer, key, reason string, changes []StockChange) ([]Variant, error) {
	req := &catalogv1.AdjustStockRequest{
		Viewer:       v,
		AdjustmentId: uuid.NewSHA1(adjustments, []byte(key)).String(),
		Reason:       reason, Changes: make([]*catalogv1.StockChange, len(changes)),
	}
	for i, change := range changes {
		req.Changes[i] = &catalogv1.StockChange{Sku: change.SKU, Delta: change.Delta}
	}
	defer c.forget(ctx)
	res, err := client.Call(ctx, c.caller, 0, c.client.AdjustStock, req)
	if err != nil {
		return nil, err
	}
	return variants(res.GetVariants())
}

// PriceChange sets the price of a SKU.
type PriceChange struct {
	SKU   string
	Price money.Money
}

// SetPrices changes prices, all or none, once for each operation. Problems: SKUNotFound.
func (c *Catalog) SetPrices(ctx context.Context, v *accessv1.Viewer, changes []PriceChange) ([]Variant, error) {
	id, _ := idempotency.ID(ctx) // a repeat changes nothing
	req := &catalogv1.SetPricesRequest{Viewer: v, OperationId: id.String(), Changes: make([]*catalogv1.PriceChange, len(changes))}
	for i, change := range changes {
		req.Changes[i] = &catalogv1.PriceChange{Sku: change.SKU, Price: change.Price.Proto()}
	}
	defer c.forget(ctx)
	res, err := client.Call(ctx, c.caller, 0, c.client.SetPrices, req)
	if err != nil {
		return nil, err
	}
	return variants(res.GetVariants())
}

func variants(in []*catalogv1.Variant) ([]Variant, error) {
	out := make([]Variant, len(in))
	for i, v := range in {
		var err error
		if out[i], err = variant(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
