package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func TestUpsert(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	mug := domain.ProductInput{
		Code: "MUG", Name: "Red mug", Description: "For tea", Category: "cups-and-mugs", Popularity: 7,
		Variants: []domain.VariantInput{
			{SKU: "MUG-L", Name: "large", Price: gbp(500), Stock: ptr[int64](3)},
			{SKU: "MUG-S", Name: "small", Price: gbp(300)},
		},
	}
	result := s.add(mug)
	if result.Created != 1 || result.Updated != 0 || result.Variants != 2 {
		t.Errorf("created: %+v", result)
	}
	p := s.product("MUG-L")
	if p.Code != "MUG" || p.Name != "Red mug" || p.Description != "For tea" || p.Category != "cups-and-mugs" || p.Popularity != 7 {
		t.Errorf("%+v", p)
	}
	if len(p.Variants) != 2 || p.Variants[0].SKU != "MUG-S" || p.Variants[0].Price != gbp(300) || p.Variants[1].Stock.Total != 3 {
		t.Errorf("variants not cheapest first: %+v", p.Variants)
	}
	if byCode := s.product("MUG"); byCode.ID != p.ID {
		t.Error("not found by its code")
	}
	categories, err := s.Categories(ctx)
	if err != nil || !slices.Equal(categories, []domain.Category{{Slug: "cups-and-mugs", Name: "Cups and mugs", Products: 1}}) {
		t.Errorf("%+v, %v", categories, err)
	}

	mug.Name, mug.CategoryName, mug.Popularity = "Crimson mug", "Mugs!", 9
	mug.Variants = []domain.VariantInput{{SKU: "MUG-L", Name: "huge", Price: gbp(200)}}
	if result = s.add(mug, simple("CUP", "cup", 100, 1)); result.Created != 1 || result.Updated != 1 || result.Variants != 2 {
		t.Errorf("updated: %+v", result)
	}
	again := s.product("MUG")
	if again.ID != p.ID || again.Name != "Crimson mug" || again.Popularity != 9 || again.Version <= p.Version || !again.UpdatedAt.After(p.UpdatedAt) {
		t.Errorf("%+v", again)
	}
	if len(again.Variants) != 2 || again.Variants[0].SKU != "MUG-L" || again.Variants[0].Stock.Total != 3 || again.Variants[0].ProductName != "Crimson mug" {
		t.Errorf("the unnamed variant or the stock did not stay: %+v", again.Variants)
	}
	if categories, _ = s.Categories(ctx); categories[1].Name != "Mugs!" {
		t.Errorf("%+v", categories)
	}
	if page, err := s.List(ctx, domain.Listing{Filter: domain.Filter{Query: "crimson"}, Sort: domain.SortRelevance, Size: 5}); err != nil || len(page.Products) != 1 {
		t.Errorf("the new name can't be found: %v, %v", codes(page.Products), err)
	}
}

func TestUpsertIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5), simple("B", "b", 100, 5))
	order := newID()
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 3)}, quarter); err != nil {
		t.Fatal(err)
	}
	_, err := s.Upsert(ctx, "", []domain.ProductInput{simple("NEW", "new", 100, 1), simple("A", "changed", 100, 2)})
	if !errors.Is(err, domain.ErrStockBelowCommitted) {
		t.Errorf("stock below what is held: %v", err)
	}
	thief := simple("THIEF", "thief", 100, 1)
	thief.Variants[0].SKU = "B"
	if _, err := s.Upsert(ctx, "", []domain.ProductInput{simple("NEW", "new", 100, 1), thief}); !errors.Is(err, domain.ErrSKUTaken) {
		t.Errorf("SKU of another product: %v", err)
	}
	if _, err := s.ProductByCode(ctx, "NEW"); !errors.Is(err, domain.ErrProductNotFound) {
		t.Errorf("something was written: %v", err)
	}
	if p := s.product("A"); p.Name != "a" {
		t.Errorf("name is %q", p.Name)
	}
	s.add(simple("A", "a", 100, 3))
	s.wantStock("A", 3, 3, 0)
}

func TestUpsertThousands(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	products := many(3000)
	start := time.Now()
	result := s.add(products...)
	if result.Created != 3000 {
		t.Errorf("%+v", result.Created)
	}
	t.Logf("imported 3,000 products in %v", time.Since(start))
	start = time.Now()
	if result = s.add(products...); result.Updated != 3000 {
		t.Errorf("%+v", result.Updated)
	}
	t.Logf("again in %v", time.Since(start))
}

func TestSetPrices(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(domain.ProductInput{Code: "P", Name: "p", Category: "c", Variants: []domain.VariantInput{{SKU: "P1", Price: gbp(100)}, {SKU: "P2", Price: gbp(200)}}},
		simple("Q", "q", 150, 1))
	before := s.product("P")
	_, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: "P1", Price: gbp(1)}, {SKU: "NOPE", Price: gbp(1)}})
	if !errors.Is(err, domain.ErrSKUNotFound) || s.product("P").Variants[0].Price != gbp(100) {
		t.Errorf("unknown SKU: %v", err)
	}
	changed, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: "P2", Price: gbp(160)}, {SKU: "P1", Price: gbp(170)}})
	if err != nil || len(changed) != 2 || changed[0].SKU != "P2" || changed[0].Price != gbp(160) {
		t.Fatal(changed, err)
	}
	p := s.product("P")
	if p.Version <= before.Version || p.Variants[0].SKU != "P2" {
		t.Errorf("%+v", p)
	}
	// The cheapest variant's price is what listings sort by.
	page, err := s.List(ctx, domain.Listing{Sort: domain.SortPriceAsc, Size: 10})
	if err != nil || !slices.Equal(codes(page.Products), []string{"Q", "P"}) {
		t.Errorf("%v, %v", codes(page.Products), err)
	}
}

func TestAdjustStock(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5), simple("B", "b", 100, 5))
	a := domain.Adjustment{ID: newID(), Reason: "delivery", Changes: []domain.StockChange{{SKU: "B", Delta: 10}, {SKU: "A", Delta: -2}}}
	for range 2 {
		changed, err := s.AdjustStock(ctx, a)
		if err != nil || len(changed) != 2 || changed[0].Stock.Total != 15 || changed[1].Stock.Total != 3 {
			t.Fatalf("%+v, %v", changed, err)
		}
	}
	a.Changes[0].Delta++
	if _, err := s.AdjustStock(ctx, a); !errors.Is(err, domain.ErrAdjustmentMismatch) {
		t.Errorf("the same id, other changes: %v", err)
	}
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("A", 2)}, quarter); err != nil {
		t.Fatal(err)
	}
	_, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "theft", Changes: []domain.StockChange{{SKU: "B", Delta: 1}, {SKU: "A", Delta: -2}}})
	if short, ok := errors.AsType[*domain.ShortageError](err); !ok || short.Shortages[0] != (domain.Shortage{SKU: "A", Requested: 2, Available: 1}) {
		t.Errorf("more than is available: %v", err)
	}
	_, err = s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "x", Changes: []domain.StockChange{{SKU: "NOPE", Delta: 1}, {SKU: "A", Delta: 1}}})
	if !errors.Is(err, domain.ErrSKUNotFound) {
		t.Errorf("unknown SKU: %v", err)
	}
	s.wantStock("A", 3, 2, 0)
	s.wantStock("B", 15, 0, 0)
	// Of two that exclude each other one is carried out; an expired hold hinders neither.
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("B", 15)}, time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "fire", Changes: []domain.StockChange{{SKU: "B", Delta: -15}}}); err != nil {
		t.Error(err)
	}
	s.wantStock("B", 0, 0, 0)
}

// The version changes with everything that a product shows.
func TestVersionFollowsEveryChange(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5), simple("B", "b", 100, 5))
	order := newID()
	other := s.product("B")
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	last := s.product("A")
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"price", func() { _, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: "A", Price: gbp(1)}}); do(err) }},
		{"adjust", func() {
			_, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: "A", Delta: 1}}})
			do(err)
		}},
		{"reserve", func() { _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 2)}, quarter); do(err) }},
		{"confirm", func() { _, _, err := s.Confirm(ctx, order); do(err) }},
		{"popularity", func() { _, _, err := s.RefreshPopularity(ctx); do(err) }},
		{"restock", func() { _, err := s.Restock(ctx, newID(), order, []domain.StockLine{line("A", 1)}); do(err) }},
		{"popularity again", func() { _, _, err := s.RefreshPopularity(ctx); do(err) }},
		{"upsert", func() { s.add(simple("A", "a", 1, 6)) }},
		{"stock only", func() { s.add(simple("A", "a", 1, 7)) }},
	} {
		step.do()
		p := s.product("A")
		if p.Version <= last.Version || p.UpdatedAt.Before(last.UpdatedAt) {
			t.Errorf("%s: version %d after %d, updated %v after %v", step.name, p.Version, last.Version, p.UpdatedAt, last.UpdatedAt)
		}
		last = p
	}
	if last.Popularity != 1 {
		t.Errorf("popularity %d", last.Popularity)
	}
	if changed, _, err := s.RefreshPopularity(ctx); err != nil || len(changed) != 0 {
		t.Errorf("refreshed for nothing: %v, %v", changed, err)
	}
	if now := s.product("B"); now.Version != other.Version {
		t.Errorf("the version of another product changed")
	}
}

func TestRelated(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	elsewhere := simple("TEA", "tea", 100, 100)
	elsewhere.Category = "food"
	popular := simple("POP", "popular", 100, 100)
	popular.Popularity = 50
	s.add(simple("POT", "pot", 100, 100), elsewhere, simple("CUP", "cup", 100, 100), popular, simple("DULL", "dull", 100, 100))
	buy := func(confirm bool, skus ...string) {
		t.Helper()
		order := newID()
		var lines []domain.StockLine
		for _, sku := range skus {
			lines = append(lines, line(sku, 1))
		}
		if _, _, err := s.Reserve(ctx, order, lines, quarter); err != nil {
			t.Fatal(err)
		}
		if confirm {
			if _, _, err := s.Confirm(ctx, order); err != nil {
				t.Fatal(err)
			}
		}
	}
	buy(true, "POT", "TEA")
	buy(true, "POT", "TEA", "CUP")
	buy(false, "POT", "DULL")
	for _, want := range []int{2, 0} {
		if n, err := s.CountPairs(ctx); err != nil || n != want {
			t.Fatalf("counted %d, want %d, %v", n, want, err)
		}
	}
	related, err := s.Related(ctx, s.product("POT").ID, 4)
	if err != nil || !slices.Equal(codes(related), []string{"TEA", "CUP", "POP", "DULL"}) {
		t.Errorf("%v, %v", codes(related), err)
	}
	if related, err = s.Related(ctx, s.product("TEA").ID, 1); err != nil || !slices.Equal(codes(related), []string{"POT"}) {
		t.Errorf("%v, %v", codes(related), err)
	}
	if _, err = s.Related(ctx, newID(), 4); !errors.Is(err, domain.ErrProductNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestPairsOfALongOrderAreBounded(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	products := many(300)
	s.add(products...)
	var lines []domain.StockLine
	for _, p := range products {
		lines = append(lines, line(p.Code, 1))
	}
	order := newID()
	if _, _, err := s.Reserve(ctx, order, lines, quarter); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Confirm(ctx, order); err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountPairs(ctx); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	var pairs int
	if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM copurchases").Scan(&pairs); err != nil || pairs != 12*11/2 {
		t.Errorf("%d pairs, %v", pairs, err)
	}
}

// Pages of codes are where they begin, and a stretch begins and ends where it should.
func TestCodes(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	var all []domain.ProductInput
	for i := range 25 {
		all = append(all, simple(fmt.Sprintf("C%02d", i), "cup", 100, 1))
	}
	s.add(all...)
	first, err := s.CodePages(ctx, 10)
	if err != nil || !slices.Equal(first, []string{"C00", "C10", "C20"}) {
		t.Errorf("%v, %v", first, err)
	}
	for _, c := range []struct {
		from, after string
		limit       int
		want        []string
	}{
		{"", "", 2, []string{"C00", "C01"}}, {"C10", "", 2, []string{"C10", "C11"}}, {"C10", "C11", 2, []string{"C12", "C13"}}, {"C24", "", 9, []string{"C24"}}, {"C24", "C24", 9, nil}, {"D", "", 9, nil},
	} {
		found, err := s.Codes(ctx, c.from, c.after, c.limit)
		var got []string
		for _, p := range found {
			got = append(got, p.Code)
			if p.UpdatedAt.IsZero() {
				t.Errorf("%s changed never", p.Code)
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("from %q after %q: %v, %v", c.from, c.after, got, err)
		}
	}
}
