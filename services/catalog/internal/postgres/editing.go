package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/audit"
)

// SetPrices implements app.Editor.
func (s *Store) SetPrices(ctx context.Context, id string, changes []domain.PriceChange) ([]domain.Variant, error) {
	skus, prices := make([]string, len(changes)), make([]int64, len(changes))
	for i, c := range changes {
		skus[i], prices[i] = c.SKU, c.Price.Units
	}
	err := s.edit(ctx, skus, func(ctx context.Context, q *db.Queries) (change audit.Change, err error) {
		_, err = once(ctx, q, id, func() (_ struct{}, err error) {
			change, err = recordedPrices(ctx, q, skus, func() error { return s.setPrices(ctx, q, skus, prices) })
			return struct{}{}, err
		})
		return change, err
	})
	if err != nil {
		return nil, err
	}
	return s.variants(ctx, skus)
}

func (s *Store) setPrices(ctx context.Context, q *db.Queries, skus []string, prices []int64) error {
	rows, err := q.SetVariantPrices(ctx, db.SetVariantPricesParams{Skus: skus, Prices: prices, Currency: s.currency})
	if err != nil {
		return fmt.Errorf("set prices: %w", err)
	}
	found := make(map[string]bool, len(rows))
	ids := make([]string, len(rows))
	for i, r := range rows {
		found[r.Sku], ids[i] = true, r.ProductID
	}
	if err := unknownSKUs(skus, found); err != nil {
		return err
	}
	if err := q.RefreshListed(ctx, ids); err != nil {
		return fmt.Errorf("set cheapest prices: %w", err)
	}
	if err := q.EntryPrices(ctx, ids); err != nil {
		return fmt.Errorf("set prices of search entries: %w", err)
	}
	if err := q.TouchProducts(ctx, ids); err != nil {
		return fmt.Errorf("touch products: %w", err)
	}
	return nil
}

// AdjustStock implements app.Editor.
func (s *Store) AdjustStock(ctx context.Context, a domain.Adjustment) ([]domain.Variant, error) {
	err := s.adjust(ctx, a)
	for released, tries := int64(expireBatch), 0; released == expireBatch && tries < maxExpiries; tries++ {
		short, ok := errors.AsType[*domain.ShortageError](err)
		if !ok {
			break
		}
		skus := make([]string, len(short.Shortages))
		for i, sh := range short.Shortages {
			skus[i] = sh.SKU
		}
		var expireErr error
		if released, expireErr = s.expireHoldsOf(ctx, skus); expireErr != nil {
			return nil, expireErr
		}
		if released > 0 {
			err = s.adjust(ctx, a)
		}
	}
	if err != nil {
		return nil, err
	}
	skus := make([]string, len(a.Changes))
	for i, c := range a.Changes {
		skus[i] = c.SKU
	}
	return s.variants(ctx, skus)
}

func (s *Store) adjust(ctx context.Context, a domain.Adjustment) error {
	skus, deltas := make([]string, len(a.Changes)), make([]int64, len(a.Changes))
	as := make([]domain.StockLine, len(a.Changes))
	for i, c := range a.Changes {
		skus[i], deltas[i] = c.SKU, c.Delta
		as[i] = domain.StockLine{SKU: c.SKU, Quantity: c.Delta}
	}
	fingerprint := domain.Fingerprint(as)
	return s.afterImports(ctx, skus, func(ctx context.Context, q *db.Queries) (none audit.Change, err error) {
		inserted, err := q.InsertAdjustment(ctx, db.InsertAdjustmentParams{AdjustmentID: a.ID, Reason: a.Reason, LinesHash: fingerprint})
		if err != nil {
			return none, fmt.Errorf("insert adjustment: %w", err)
		}
		if inserted == 0 {
			before, err := q.GetAdjustmentHash(ctx, a.ID)
			if err != nil {
				return none, fmt.Errorf("get adjustment: %w", err)
			}
			if !bytes.Equal(before, fingerprint) {
				return none, domain.ErrAdjustmentMismatch
			}
			return none, nil
		}
		locked, err := q.LockStock(ctx, skus)
		if err != nil {
			return none, fmt.Errorf("lock stock: %w", err)
		}
		// An import that was accepted before would set its totals over the changed ones.
		if err := noImport(ctx, q, uuid.Nil.String(), skus); err != nil {
			return none, err
		}
		if err := adjustable(a.Changes, locked); err != nil {
			return none, err
		}
		if err := q.AddStock(ctx, db.AddStockParams{Skus: skus, Deltas: deltas}); err != nil {
			return none, fmt.Errorf("add stock: %w", err)
		}
		if err := q.InsertAdjustmentLines(ctx, db.InsertAdjustmentLinesParams{AdjustmentID: a.ID, Skus: skus, Deltas: deltas}); err != nil {
			return none, fmt.Errorf("insert adjustment lines: %w", err)
		}
		return recordAdjustment(a, locked), nil
	})
}

// adjustable refuses unknown SKUs, and to take away more than is available.
func adjustable(changes []domain.StockChange, locked []db.LockStockRow) error {
	available := make(map[string]int64, len(locked))
	found := make(map[string]bool, len(locked))
	for _, row := range locked {
		available[row.Sku], found[row.Sku] = row.Available, true
	}
	skus := make([]string, len(changes))
	var short domain.ShortageError
	for i, c := range changes {
		skus[i] = c.SKU
		if have := available[c.SKU]; have+c.Delta < 0 {
			short.Shortages = append(short.Shortages, domain.Shortage{SKU: c.SKU, Requested: -c.Delta, Available: have})
		}
	}
	if err := unknownSKUs(skus, found); err != nil {
		return err
	}
	if len(short.Shortages) > 0 {
		return &short
	}
	return nil
}

func unknownSKUs(skus []string, found map[string]bool) error {
	var unknown []string
	for _, sku := range skus {
		if !found[sku] {
			unknown = append(unknown, sku)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return &domain.SKUError{Err: domain.ErrSKUNotFound, SKUs: unknown}
}

// categoryName makes a name of a slug: "garden-and-patio" is "Garden and patio".
func categoryName(slug string) string {
	words := strings.ReplaceAll(slug, "-", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// newID returns a UUIDv7; later ones sort higher, which is the order "newest".
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return id.String(), nil
}
