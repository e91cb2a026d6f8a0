package postgres

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/audit"
)

// productRecord is what the audit log says of a product: what operators decide, not
// what orders hold and have bought.
type productRecord struct {
	Name        string                   `json:"name"`
	Description string                   `json:"description"`
	Category    string                   `json:"category"`
	State       domain.State             `json:"state"`
	Variants    map[string]variantRecord `json:"variants"` // by SKU
}

type variantRecord struct {
	Name     string       `json:"name"`
	Price    int64        `json:"price"` // in minor units
	Currency string       `json:"currency"`
	State    domain.State `json:"state"`
	Stock    int64        `json:"stock"` // in all
}

// recorded makes an edit of the products of these codes and returns what it changed of
// them, if an operator acts.
func recorded(ctx context.Context, q *db.Queries, object string, codes []string, edit func() error) (audit.Change, error) {
	if !audit.Acting(ctx) {
		return audit.Change{}, edit()
	}
	before, err := productRecords(ctx, q, codes)
	if err != nil {
		return audit.Change{}, err
	}
	if err := edit(); err != nil {
		return audit.Change{}, err
	}
	after, err := productRecords(ctx, q, codes)
	if err != nil {
		return audit.Change{}, err
	}
	was, is, err := audit.Diff(before, after)
	return audit.Change{Object: object, Before: was, After: is}, err
}

// productRecords are those that exist, by code.
func productRecords(ctx context.Context, q *db.Queries, codes []string) (map[string]productRecord, error) {
	known, err := q.ProductIDs(ctx, codes)
	if err != nil {
		return nil, fmt.Errorf("look for products: %w", err)
	}
	ids := make([]string, len(known))
	for i, r := range known {
		ids[i] = r.ID
	}
	rows, err := q.ProductsByID(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	records := make(map[string]productRecord, len(known))
	for _, p := range assemble(rows) {
		r := productRecord{Name: p.Name, Description: p.Description, Category: p.Category, State: p.State, Variants: map[string]variantRecord{}}
		for _, v := range p.Variants {
			r.Variants[v.SKU] = variantRecord{Name: v.Name, Price: v.Price.Units, Currency: v.Price.Currency, State: v.State, Stock: v.Stock.Total}
		}
		records[p.Code] = r
	}
	return records, nil
}

// objectOf names what an edit is of.
func objectOf(what domain.Named) string {
	if what.SKU != "" {
		return "variant " + what.SKU
	}
	return "product " + what.Code
}

// objects names one of several, and counts more.
func objects(kind string, names []string) string {
	if len(names) == 1 {
		return kind + " " + names[0]
	}
	return fmt.Sprintf("%d %ss", len(names), kind)
}

// priceRecord is what the audit log says of a price.
type priceRecord struct {
	Price    int64  `json:"price"` // in minor units
	Currency string `json:"currency"`
}

// priceRecords are the prices of SKUs, of those that exist.
func priceRecords(ctx context.Context, q *db.Queries, skus []string) (map[string]priceRecord, error) {
	rows, err := q.VariantsBySKU(ctx, skus)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	records := make(map[string]priceRecord, len(rows))
	for _, r := range rows {
		records[r.Sku] = priceRecord{r.Price, r.Currency}
	}
	return records, nil
}

// recordedPrices is recorded for prices.
func recordedPrices(ctx context.Context, q *db.Queries, skus []string, edit func() error) (audit.Change, error) {
	if !audit.Acting(ctx) {
		return audit.Change{}, edit()
	}
	before, err := priceRecords(ctx, q, skus)
	if err != nil {
		return audit.Change{}, err
	}
	if err := edit(); err != nil {
		return audit.Change{}, err
	}
	after, err := priceRecords(ctx, q, skus)
	return audit.Change{Object: objects("variant", skus), Before: before, After: after}, err
}

// importRecord is what the audit log says of an import: not its thousands of products,
// but which they were.
type importRecord struct {
	// SHA256 is of the products as they were sent: a repeat of the same file has the same.
	SHA256   string `json:"sha256"`
	Created  int64  `json:"created"`
	Updated  int64  `json:"updated"`
	Variants int64  `json:"variants"`
	// NewPrices counts variants that were there and get another price.
	NewPrices int64 `json:"new_prices"`
}

// recordImport is what an import is going to change, if an operator acts.
func (u *upsert) recordImport(ctx context.Context, id string, hash []byte) (audit.Change, error) {
	if !audit.Acting(ctx) {
		return audit.Change{}, nil
	}
	prices, err := u.q.CountNewPrices(ctx, db.CountNewPricesParams{Skus: u.variants.Skus, Prices: u.variants.Prices})
	if err != nil {
		return audit.Change{}, fmt.Errorf("count new prices: %w", err)
	}
	return audit.Change{Object: "import " + id, After: importRecord{
		SHA256: hex.EncodeToString(hash), Created: u.created, Updated: int64(len(u.products)) - u.created,
		Variants: int64(len(u.variants.Skus)), NewPrices: prices,
	}}, nil
}

// stockRecord is what the audit log says of stock.
type stockRecord struct {
	Available  map[string]int64 `json:"available"` // by SKU
	Adjustment string           `json:"adjustment,omitempty"`
	Reason     string           `json:"reason,omitempty"`
}

// recordAdjustment is what an adjustment changed of the stock that it has locked.
func recordAdjustment(a domain.Adjustment, locked []db.LockStockRow) audit.Change {
	before := stockRecord{Available: make(map[string]int64, len(locked))}
	for _, row := range locked {
		before.Available[row.Sku] = row.Available
	}
	after := stockRecord{Available: make(map[string]int64, len(locked)), Adjustment: a.ID, Reason: a.Reason}
	skus := make([]string, len(a.Changes))
	for i, c := range a.Changes {
		skus[i], after.Available[c.SKU] = c.SKU, before.Available[c.SKU]+c.Delta
	}
	return audit.Change{Object: objects("variant", skus), Before: before, After: after}
}
