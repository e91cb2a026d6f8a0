package postgres_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func (s *shop) batches() (n int) {
	s.t.Helper()
	if err := s.pool.QueryRow(s.t.Context(), "SELECT count(*) FROM import_batches").Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// accepted is an import of which nothing is written yet, as after a crash.
func (s *shop) accepted(products []domain.ProductInput) (id string) {
	s.t.Helper()
	id = newID()
	if err := s.Accept(s.t.Context(), id, products); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// finish writes what is left of imports, as another replica does.
func (s *shop) finish() {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), "UPDATE imports SET written_at = now() - interval '1 hour'"); err != nil {
		s.t.Fatal(err)
	}
	if found, err := s.FinishImports(s.t.Context()); err != nil || !found || s.batches() != 0 {
		s.t.Fatalf("finish imports: %v, %v; %d batches are left", found, err, s.batches())
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	delivery := many(130)
	s.add(delivery[0], delivery[129])
	want := domain.UpsertResult{Created: 128, Updated: 2, Variants: 130}
	id, version := newID(), int64(0)
	for repeat := range 2 {
		if got, err := s.Import(ctx, id, delivery); err != nil || got != want {
			t.Fatalf("%+v, %v", got, err)
		}
		if before := version; repeat == 0 {
			version = s.product("P00129").Version
		} else if version = s.product("P00129").Version; version != before {
			t.Error("a repeat wrote again")
		}
	}
	if _, err := s.Import(ctx, id, many(131)); !errors.Is(err, domain.ErrImportMismatch) {
		t.Errorf("the id of another import: %v", err)
	}
	if found, err := s.FinishImports(ctx); found || err != nil {
		t.Errorf("something is left: %v, %v", found, err)
	}
	if _, err := s.pool.Exec(ctx, "UPDATE imports SET begun_at = now() - interval '8 days'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.FinishImports(ctx); err != nil {
		t.Fatal(err)
	}
	var kept int
	if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM imports").Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d old imports are kept, %v", kept, err)
	}
}

// Other edits need not wait for an import's end.
func TestImportYields(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("OTHER", "other", 100, 5))
	done := make(chan error, 1)
	go func() {
		_, err := s.Import(ctx, newID(), many(2_000))
		done <- err
	}()
	between := 0
	for price := int64(1); ; price++ {
		before := s.batches()
		if _, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: "OTHER", Price: gbp(price)}}); err != nil {
			t.Fatal(err)
		}
		if before > 0 && s.batches() > 0 {
			between++
		}
		select {
		case err := <-done:
			if err != nil || between < 3 {
				t.Fatalf("%d prices were set between batches, %v", between, err)
			}
			return
		default:
		}
	}
}

func TestImportIsFinishedByAnotherReplica(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	delivery := many(130)
	id := s.accepted(delivery)
	if found, err := s.FinishImports(ctx); found || err != nil {
		t.Fatalf("taken from its caller: %v, %v", found, err)
	}
	s.finish()
	for _, p := range delivery {
		s.wantStock(p.Code, 1000, 0, 0)
	}
	version := s.product("P00000").Version
	page, err := s.List(ctx, domain.Listing{Filter: domain.Filter{Query: "P00129"}, Sort: domain.SortRelevance, Size: 5})
	if err != nil || !slices.Equal(codes(page.Products), []string{"P00129"}) {
		t.Errorf("not found: %v, %v", codes(page.Products), err)
	}
	// The caller asks again.
	if got, err := s.Import(ctx, id, delivery); err != nil || got.Created != 130 || s.product("P00000").Version != version {
		t.Errorf("%+v, %v", got, err)
	}
}

// An import that cannot be written keeps no other from being finished.
func TestABrokenImportIsPostponed(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	id := s.accepted(many(60))
	if _, err := s.pool.Exec(ctx, "UPDATE import_batches SET products = 'broken' WHERE import_id = $1", id); err != nil {
		t.Fatal(err)
	}
	other := many(120)[60:]
	s.accepted(other)
	if _, err := s.pool.Exec(ctx, "UPDATE imports SET written_at = now() - interval '1 hour', begun_at = begun_at - CASE WHEN id = $1 THEN interval '1 second' ELSE '0' END", id); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for range 3 {
		if _, err := s.FinishImports(ctx); err != nil {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("failed %d times", failed)
	}
	for _, p := range other {
		s.wantStock(p.Code, 1000, 0, 0)
	}
}

func TestRefusedImportChangesNothing(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 5), simple("B", "b", 100, 5))
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("A", 3)}, quarter); err != nil {
		t.Fatal(err)
	}
	thief := simple("THIEF", "thief", 100, 1)
	thief.Variants[0].SKU = "B"
	for last, want := range map[*domain.ProductInput]error{
		ptr(simple("A", "changed", 100, 2)): domain.ErrStockBelowCommitted, &thief: domain.ErrSKUTaken,
	} {
		_, err := s.Import(ctx, newID(), append(many(130), *last))
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	var products, imports int
	if err := s.pool.QueryRow(ctx, "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM imports)").Scan(&products, &imports); err != nil || products != 2 || imports != 0 || s.batches() != 0 {
		t.Errorf("%d products, %d imports, %d batches, %v", products, imports, s.batches(), err)
	}
}

// What is edited after an import was accepted comes after it, whenever it is written.
func TestEditsComeAfterImports(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("P00000", "before", 100, 5))
	s.accepted(many(130))
	for _, sku := range []string{"P00000", "P00129"} { // a known and a new product
		if _, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: sku, Price: gbp(7)}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.batches(); got != 1 {
		t.Errorf("%d batches are left, not the one that no edit needed", got)
	}
	s.finish()
	s.accepted(many(180)) // two known products and a new one
	for _, sku := range []string{"P00000", "P00129", "P00179"} {
		a := domain.Adjustment{ID: newID(), Reason: "goods", Changes: []domain.StockChange{{SKU: sku, Delta: 10}}}
		for range 2 { // a repeat does it once
			if _, err := s.AdjustStock(ctx, a); err != nil {
				t.Errorf("adjust %s: %v", sku, err)
			}
		}
	}
	if got := s.batches(); got != 1 {
		t.Errorf("%d batches are left, not the one that no adjustment needed", got)
	}
	s.finish()
	for _, sku := range []string{"P00000", "P00129", "P00179"} {
		s.wantStock(sku, 1010, 0, 0)
	}
	s.add(simple("P00060", "renamed", 100, 5))
	thief := simple("THIEF", "thief", 100, 1)
	thief.Variants[0].SKU = "P00129"
	if _, err := s.Upsert(ctx, "", []domain.ProductInput{thief}); !errors.Is(err, domain.ErrSKUTaken) {
		t.Errorf("took a SKU of an import: %v", err)
	}

	first, second := many(260), many(130)
	for i := range second {
		second[i].Name = "second"
	}
	s.accepted(first)
	if _, err := s.Import(ctx, newID(), second); err != nil {
		t.Fatal(err)
	}
	s.finish()
	for _, p := range second {
		if got := s.product(p.Code).Name; got != "second" {
			t.Fatalf("%s is %q of the first import", p.Code, got)
		}
	}
	if got := s.product("P00259").Name; got != first[259].Name {
		t.Errorf("the last product is %q", got)
	}
}

// Between the check of an import and its last batch orders go on.
func TestImportMeetsOrders(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("P00000", "a", 100, 5))
	delivery := many(60)
	delivery[0].Variants[0].Stock = ptr[int64](3)
	s.accepted(delivery)
	if _, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("P00000", 4)}, quarter); err != nil {
		t.Fatal(err)
	}
	s.finish()
	s.wantStock("P00000", 4, 4, 0)
}

// A replica that knows nothing of imports may take a SKU; the import goes on.
func TestImportMeetsAnOlderReplica(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("OLD", "old", 100, 5))
	delivery := many(130)
	id := s.accepted(delivery)
	_, err := s.pool.Exec(ctx, `INSERT INTO variants (sku, product_id, name, price, currency) SELECT 'P00060', id, '', 100, 'GBP' FROM products WHERE code = 'OLD'`)
	if err != nil {
		t.Fatal(err)
	}
	s.finish()
	_, err = s.Import(ctx, id, delivery)
	if taken, ok := errors.AsType[*domain.SKUError](err); !ok || !errors.Is(err, domain.ErrSKUTaken) || !slices.Equal(taken.SKUs, []string{"P00060"}) {
		t.Errorf("%v", err)
	}
	s.product("P00129")
}
