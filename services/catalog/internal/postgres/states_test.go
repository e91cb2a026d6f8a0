package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func (s *shop) setState(code, sku string, state domain.State) domain.Product {
	s.t.Helper()
	p, err := s.SetState(s.t.Context(), domain.Edit{ID: newID()}, domain.Named{Code: code, SKU: sku}, state)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *shop) listed(f domain.Filter) []string {
	s.t.Helper()
	l := domain.Listing{Filter: f, Sort: domain.SortNewest, Size: 50}
	if f.Query != "" {
		l.Sort = domain.SortRelevance
	}
	page, err := s.List(s.t.Context(), l)
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.Sorted(slices.Values(codes(page.Products)))
}

// Only what is on sale is listed, found, counted, suggested and sold; an operator finds
// the rest by its state.
func TestStates(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	two := of("TWO", "TWO-S", "TWO-L")
	two.Name, two.Variants[0].Name, two.Variants[1].Name = "pair of lanterns", "small", "enormous"
	two.Variants[0].Stock, two.Variants[1].Stock = ptr[int64](5), ptr[int64](5)
	two.Variants[1].Price = gbp(900)
	s.add(simple("ONE", "single lantern", 100, 5), two)
	draft := simple("NEXT", "next lantern", 100, 5)
	draft.State = domain.Draft
	s.add(draft)
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	facets := func() domain.Facets {
		t.Helper()
		page, err := s.List(ctx, domain.Listing{Sort: domain.SortPopularity, Size: 5, Facets: true})
		if err != nil {
			t.Fatal(err)
		}
		return *page.Facets
	}
	want("listing", s.listed(domain.Filter{}), "ONE", "TWO")
	want("search", s.listed(domain.Filter{Query: "lantern"}), "ONE", "TWO")
	want("by code", s.listed(domain.Filter{Query: "NEXT"}))
	want("drafts", s.listed(domain.Filter{State: domain.Draft}), "NEXT")
	want("drafts by code", s.listed(domain.Filter{State: domain.Draft, Query: "nex"}), "NEXT")
	want("drafts by name", s.listed(domain.Filter{State: domain.Draft, Query: "LANTERN"}), "NEXT")
	want("drafts by a pattern", s.listed(domain.Filter{State: domain.Draft, Query: "%"}))
	if f := facets(); f.Total != 2 || f.InStock != 2 {
		t.Errorf("%+v", f)
	}
	order := newID()
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("NEXT", 1)}, quarter); !errors.Is(err, domain.ErrInsufficientStock) {
		t.Errorf("a draft was reserved: %v", err)
	}

	// A variant alone.
	s.setState("TWO", "TWO-S", domain.Archived)
	want("by a retired variant's name", s.listed(domain.Filter{Query: "small"}))
	want("by the other's", s.listed(domain.Filter{Query: "enormous"}), "TWO")
	want("by price of what is on sale", s.listed(domain.Filter{MinPrice: ptr[int64](900)}), "TWO")
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("TWO-L", 1), line("TWO-S", 1)}, quarter); !errors.Is(err, domain.ErrInsufficientStock) {
		t.Errorf("a retired variant was reserved: %v", err)
	}
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("TWO-L", 5)}, quarter); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.RefreshInStock(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want("in stock", s.listed(domain.Filter{InStock: true}), "ONE")
	if f := facets(); f.Total != 2 || f.InStock != 1 {
		t.Errorf("%+v", f)
	}

	// The product. What is held is sold all the same.
	if p := s.setState("TWO", "", domain.Archived); p.State != domain.Archived || p.Variants[0].State != domain.Archived || p.Variants[1].State != domain.Active {
		t.Errorf("%+v", p)
	}
	want("listing", s.listed(domain.Filter{}), "ONE")
	want("search", s.listed(domain.Filter{Query: "pair lantern", Exact: true}))
	want("archive", s.listed(domain.Filter{State: domain.Archived}), "TWO")
	if _, _, err := s.Confirm(ctx, order); err != nil {
		t.Error(err)
	}
	s.wantStock("TWO-L", 5, 0, 5)
	if related, err := s.Related(ctx, s.product("ONE").ID, 5); err != nil || len(related) != 0 {
		t.Errorf("%v, %v", codes(related), err)
	}
	if categories, err := s.Categories(ctx); err != nil || categories[0].Products != 1 {
		t.Errorf("%+v, %v", categories, err)
	}
	// An import that says nothing of states keeps them; one more variant is not on sale.
	s.add(of("TWO", "TWO-S", "TWO-XL"))
	want("listing", s.listed(domain.Filter{}), "ONE")
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("TWO-XL", 1)}, quarter); !errors.Is(err, domain.ErrInsufficientStock) {
		t.Error(err)
	}
	// Back again; and never a draft again.
	s.setState("TWO", "", domain.Active)
	want("search", s.listed(domain.Filter{Query: "enormous"}), "TWO")
	want("listing", s.listed(domain.Filter{}), "ONE", "TWO")
	for _, what := range []domain.Named{{Code: "TWO"}, {Code: "TWO", SKU: "TWO-S"}} {
		if _, err := s.SetState(ctx, domain.Edit{}, what, domain.Draft); !errors.Is(err, domain.ErrNotADraftAgain) {
			t.Errorf("%v: %v", what, err)
		}
	}
	again := of("TWO", "TWO-S")
	again.Variants[0].State = domain.Draft
	if _, err := s.Upsert(ctx, "", []domain.ProductInput{again}); !errors.Is(err, domain.ErrNotADraftAgain) {
		t.Error(err)
	}
	s.setState("NEXT", "", domain.Active)
	want("listing", s.listed(domain.Filter{}), "NEXT", "ONE", "TWO")
	for what, wanted := range map[domain.Named]error{{Code: "NO"}: domain.ErrProductNotFound, {Code: "ONE", SKU: "TWO-S"}: domain.ErrSKUNotFound} {
		if _, err := s.SetState(ctx, domain.Edit{}, what, domain.Archived); !errors.Is(err, wanted) {
			t.Errorf("%v: %v", what, err)
		}
	}
	if _, err := s.SetState(ctx, revisions(1), domain.Named{Code: "TWO"}, domain.Archived); !errors.Is(err, domain.ErrPreconditionFailed) {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("ONE", "single lantern", 100, 5), of("TWO", "TWO-S", "TWO-L"), simple("SOLD", "sold", 100, 5))
	if _, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: "ONE", Delta: 1}, {SKU: "TWO-S", Delta: 1}}}); err != nil {
		t.Fatal(err)
	}
	order := newID()
	if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("SOLD", 1)}, quarter); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Release(ctx, order); err != nil {
		t.Fatal(err)
	}
	del := func(how domain.Edit, code, sku string, want error) {
		t.Helper()
		if err := s.Delete(ctx, how, domain.Named{Code: code, SKU: sku}); !errors.Is(err, want) {
			t.Errorf("%s %s: %v, want %v", code, sku, err, want)
		}
	}
	del(domain.Edit{}, "SOLD", "", domain.ErrWasOrdered)
	del(domain.Edit{}, "SOLD", "SOLD", domain.ErrLastVariant)
	del(domain.Edit{}, "NO", "", domain.ErrProductNotFound)
	del(domain.Edit{}, "ONE", "TWO-S", domain.ErrSKUNotFound)
	del(revisions(1), "ONE", "", domain.ErrPreconditionFailed)
	before := s.product("TWO")
	del(revisions(before.Revision), "TWO", "TWO-S", nil)
	if after := s.product("TWO"); len(after.Variants) != 1 || after.Version <= before.Version || after.Revision <= before.Revision {
		t.Errorf("%+v after %+v", after, before)
	}
	once := domain.Edit{ID: newID()}
	del(once, "ONE", "", nil)
	if _, err := s.ProductByCode(ctx, "ONE"); !errors.Is(err, domain.ErrProductNotFound) {
		t.Error(err)
	}
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("ONE", 1)}, quarter); !errors.Is(err, domain.ErrSKUNotFound) {
		t.Error(err)
	}
	if got := s.listed(domain.Filter{Query: "lantern"}); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	// The names are free, and the repeat of a deletion does not take them away again.
	s.add(simple("ONE", "another", 100, 5), of("THREE", "TWO-S"))
	del(once, "ONE", "", nil)
	if s.product("ONE").Name != "another" || s.product("TWO-S").Code != "THREE" {
		t.Error("deleted names can't be used again")
	}
	wantNames(t, s)
}

// Of a deletion and a reservation at the same time, one is refused.
func TestDeleteMeetsReserve(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	for round := range 60 {
		code := fmt.Sprintf("D%d", round)
		s.add(of(code, code+"-A", code+"-B"))
		if _, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: code + "-A", Delta: 5}}}); err != nil {
			t.Fatal(err)
		}
		what := domain.Named{Code: code}
		if round%2 == 0 {
			what.SKU = code + "-A"
		}
		var group sync.WaitGroup
		var deleted, reserved error
		group.Go(func() { deleted = s.Delete(ctx, domain.Edit{}, what) })
		group.Go(func() {
			_, _, reserved = s.Reserve(ctx, newID(), []domain.StockLine{line(code+"-A", 1)}, quarter)
		})
		group.Wait()
		switch {
		case deleted == nil && errors.Is(reserved, domain.ErrSKUNotFound):
		case errors.Is(deleted, domain.ErrWasOrdered) && reserved == nil:
			s.wantStock(code+"-A", 5, 1, 0)
		default:
			t.Fatalf("round %d: deleted %v, reserved %v", round, deleted, reserved)
		}
	}
}

// After an archive has returned nothing more is held.
func TestArchiveMeetsReserve(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	for round := range 20 {
		code := fmt.Sprintf("E%d", round)
		s.add(simple(code, code, 100, 1000))
		var archived atomic.Bool
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				for more := 3; more > 0; {
					if archived.Load() {
						more--
					}
					_, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line(code, 1)}, quarter)
					if err != nil && !errors.Is(err, domain.ErrInsufficientStock) {
						t.Error(err)
						return
					}
				}
			})
		}
		s.setState(code, "", domain.Archived)
		held := s.stock(code).Held
		archived.Store(true)
		group.Wait()
		if now := s.stock(code).Held; now != held {
			t.Fatalf("%d units were held after the archive, %d before", now-held, held)
		}
	}
}

// What searches and counts go by is the same whether it was kept edit by edit or derived
// anew.
func TestIndexFollowsStates(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	states := rapid.SampledFrom([]domain.State{"", domain.Draft, domain.Active, domain.Archived})
	code := rapid.Map(rapid.IntRange(0, 4), func(n int) string { return fmt.Sprintf("I%d", n) })
	variant := rapid.SampledFrom([]string{"S", "M", "L"})
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		allowed := func(err error) {
			for _, known := range []error{nil, domain.ErrNotADraftAgain, domain.ErrProductNotFound, domain.ErrSKUNotFound, domain.ErrWasOrdered, domain.ErrLastVariant, domain.ErrInsufficientStock, domain.ErrStockBelowCommitted} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"upsert": func(t *rapid.T) {
				p := domain.ProductInput{Code: code.Draw(t, "code"), Name: rapid.SampledFrom([]string{"red lamp", "blue lamp", "red mug"}).Draw(t, "name"), Category: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "category"), State: states.Draw(t, "state")}
				for _, v := range rapid.SliceOfNDistinct(variant, 1, 3, rapid.ID).Draw(t, "variants") {
					p.Variants = append(p.Variants, domain.VariantInput{
						SKU: p.Code + "-" + v, Name: "size " + v, Price: gbp(rapid.Int64Range(1, 300).Draw(t, "price")), Stock: ptr(rapid.Int64Range(0, 3).Draw(t, "stock")), State: states.Draw(t, "variant state"),
					})
				}
				_, err := s.Upsert(ctx, "", []domain.ProductInput{p})
				allowed(err)
			},
			"state": func(t *rapid.T) {
				what := domain.Named{Code: code.Draw(t, "code")}
				if rapid.Bool().Draw(t, "variant") {
					what.SKU = what.Code + "-" + variant.Draw(t, "sku")
				}
				state := states.Draw(t, "state")
				if state == "" {
					state = domain.Active
				}
				_, err := s.SetState(ctx, domain.Edit{}, what, state)
				allowed(err)
			},
			"delete": func(t *rapid.T) {
				what := domain.Named{Code: code.Draw(t, "code")}
				if rapid.Bool().Draw(t, "variant") {
					what.SKU = what.Code + "-" + variant.Draw(t, "sku")
				}
				allowed(s.Delete(ctx, domain.Edit{}, what))
			},
			"price": func(t *rapid.T) {
				sku := code.Draw(t, "code") + "-" + variant.Draw(t, "sku")
				_, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: sku, Price: gbp(rapid.Int64Range(1, 300).Draw(t, "price"))}})
				allowed(err)
			},
			"reserve": func(t *rapid.T) {
				_, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line(code.Draw(t, "code")+"-"+variant.Draw(t, "sku"), 1)}, quarter)
				allowed(err)
			},
		})
		for n := 1; n > 0; {
			var err error
			if n, err = s.RefreshInStock(ctx); err != nil {
				t.Fatal(err)
			}
		}
		kept := s.derived(ctx, t)
		for _, sql := range []string{"DELETE FROM search_entries", "DELETE FROM search_words", "DELETE FROM listing_counts", "UPDATE products SET edition = 0"} {
			if _, err := s.pool.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
		for n := 1; n > 0; {
			var err error
			if n, err = s.Reindex(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if anew := s.derived(ctx, t); !reflect.DeepEqual(kept, anew) {
			for _, what := range slices.Sorted(maps.Keys(kept)) {
				if !slices.Equal(kept[what], anew[what]) {
					t.Fatalf("%s: kept %q, derived anew %q", what, kept[what], anew[what])
				}
			}
		}
	})
	wantNames(t, s)
}

// derived is all that is derived from products, as text.
func (s *shop) derived(ctx context.Context, t *rapid.T) map[string][]string {
	out := map[string][]string{}
	for what, sql := range map[string]string{
		"entries": "SELECT (product_id, document, words, category, price, in_stock, popularity)::text FROM search_entries ORDER BY product_id",
		"words":   "SELECT (word, stem, products, keys)::text FROM search_words ORDER BY word",
		"counts":  "SELECT (category, step, in_stock, products)::text FROM listing_counts WHERE products <> 0 ORDER BY category, step, in_stock",
		"listed":  "SELECT id::text FROM products WHERE listed ORDER BY id",
	} {
		rows, err := s.pool.Query(ctx, sql)
		if err != nil {
			t.Fatal(err)
		}
		if out[what], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}
