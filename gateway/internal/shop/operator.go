package shop

import (
	"context"

	"github.com/google/uuid"
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
}

// VariantInput is a variant as an operator writes it.
type VariantInput struct {
	SKU   string
	Name  string
	Price money.Money
	Stock *int64 // absolute total; nil keeps what there is
}

// Upserted counts what an upsert or import did.
type Upserted struct {
	Created  int64 // products
	Updated  int64 // products
	Variants int64
}

// Upsert creates or replaces products, all or none.
// Reasons: STOCK_BELOW_COMMITTED, SKU_TAKEN.
func (s *Shop) Upsert(ctx context.Context, products []ProductInput) (Upserted, error) {
	req := &catalogv1.UpsertProductsRequest{Products: make([]*catalogv1.ProductInput, len(products))}
	for i, p := range products {
		in := &catalogv1.ProductInput{
			Code: p.Code, Name: p.Name, Description: p.Description, Category: p.Category,
			CategoryName: p.CategoryName, Popularity: p.Popularity,
			Variants: make([]*catalogv1.VariantInput, len(p.Variants)),
		}
		for j, v := range p.Variants {
			in.Variants[j] = &catalogv1.VariantInput{Sku: v.SKU, Name: v.Name, Price: v.Price.Proto(), Stock: v.Stock}
		}
		req.Products[i] = in
	}
	defer s.forget() // also after an error: its outcome may be unknown
	res, err := call(ctx, s, importTimeout, s.upsertProducts, req)
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

// VariantStock is a variant after a change of its stock or price.
type VariantStock struct {
	Variant
	ProductName string
}

// adjustments is the name space of the ids that idempotency keys become.
var adjustments = uuid.MustParse("0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506")

// AdjustStock changes stock, all lines or none, once for each key.
// Reasons: SKU_NOT_FOUND, INSUFFICIENT_STOCK.
func (s *Shop) AdjustStock(ctx context.Context, key, reason string, changes []StockChange) ([]VariantStock, error) {
	req := &catalogv1.AdjustStockRequest{
		AdjustmentId: uuid.NewSHA1(adjustments, []byte(key)).String(),
		Reason:       reason, Changes: make([]*catalogv1.StockChange, len(changes)),
	}
	for i, c := range changes {
		req.Changes[i] = &catalogv1.StockChange{Sku: c.SKU, Delta: c.Delta}
	}
	defer s.forget()
	res, err := call(ctx, s, s.timeout, s.adjustStock, req)
	if err != nil {
		return nil, err
	}
	return variantStocks(res.GetVariants())
}

// PriceChange sets the price of a SKU.
type PriceChange struct {
	SKU   string
	Price money.Money
}

// SetPrices changes prices, all or none. Reasons: SKU_NOT_FOUND.
func (s *Shop) SetPrices(ctx context.Context, changes []PriceChange) ([]VariantStock, error) {
	req := &catalogv1.SetPricesRequest{Changes: make([]*catalogv1.PriceChange, len(changes))}
	for i, c := range changes {
		req.Changes[i] = &catalogv1.PriceChange{Sku: c.SKU, Price: c.Price.Proto()}
	}
	defer s.forget()
	res, err := call(ctx, s, s.timeout, s.setPrices, req)
	if err != nil {
		return nil, err
	}
	return variantStocks(res.GetVariants())
}

func variantStocks(in []*catalogv1.Variant) ([]VariantStock, error) {
	out := make([]VariantStock, len(in))
	for i, v := range in {
		var err error
		if out[i].Variant, err = variant(v); err != nil {
			return nil, err
		}
		out[i].ProductName = v.GetProductName()
	}
	return out, nil
}
