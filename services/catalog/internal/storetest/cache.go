package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// Gate lets a test hold up readers between their read and its return.
type Gate struct {
	app.Store
	mu      sync.Mutex
	arrived chan struct{}
	open    chan struct{}
	Loads   atomic.Int64
}

// Close holds the next reader of a product. It returns a channel that tells when
// the reader has read, and a function that lets it go on.
func (g *Gate) Close() (arrived <-chan struct{}, open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.arrived, g.open = make(chan struct{}), make(chan struct{})
	opened := g.open
	return g.arrived, func() { close(opened) }
}

// ProductByID implements app.Reader.
func (g *Gate) ProductByID(ctx context.Context, id string) (domain.Product, error) {
	g.Loads.Add(1)
	p, err := g.Store.ProductByID(ctx, id)
	g.mu.Lock()
	arrived, open := g.arrived, g.open
	g.arrived, g.open = nil, nil
	g.mu.Unlock()
	if open != nil {
		close(arrived)
		<-open
	}
	return p, err
}

// TestCache checks what every cache in front of a store must keep. wrap puts
// the cache in front.
func TestCache(t *testing.T, wrap func(t *testing.T, next app.Store) app.Store) {
	start := func(t *testing.T) (*Gate, app.Store) {
		t.Parallel()
		store, _ := New(t)
		gate := &Gate{Store: store}
		cache := wrap(t, gate)
		if _, err := cache.Upsert(t.Context(), "", []domain.ProductInput{Simple("A", "apple", 100, 50), Simple("B", "berry", 200, 50)}); err != nil {
			t.Fatal(err)
		}
		return gate, cache
	}
	product := func(t *testing.T, s app.Store, code string) domain.Product {
		t.Helper()
		p, err := s.ProductByCode(t.Context(), code)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	price := func(t *testing.T, s app.Store, units int64) {
		t.Helper()
		if _, err := s.SetPrices(t.Context(), "", []domain.PriceChange{{SKU: "A", Price: GBP(units)}}); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("same answers", func(t *testing.T) {
		gate, cache := start(t)
		a := product(t, gate.Store, "A")
		for name, ask := range map[string]func(s app.Store) (any, error){
			"by id":         func(s app.Store) (any, error) { return s.ProductByID(t.Context(), a.ID) },
			"by code":       func(s app.Store) (any, error) { return s.ProductByCode(t.Context(), "B") },
			"unknown":       func(s app.Store) (any, error) { return s.ProductByID(t.Context(), NewID()) },
			"categories":    func(s app.Store) (any, error) { return s.Categories(t.Context()) },
			"related":       func(s app.Store) (any, error) { return s.Related(t.Context(), a.ID, 3) },
			"related of no": func(s app.Store) (any, error) { return s.Related(t.Context(), NewID(), 3) },
			"variants":      func(s app.Store) (any, error) { return s.Variants(t.Context(), []string{"B", "A", "NO"}) },
			"list": func(s app.Store) (any, error) {
				return s.List(t.Context(), domain.Listing{Sort: domain.SortName, Size: 1, Facets: true})
			},
			"search": func(s app.Store) (any, error) {
				return s.List(t.Context(), domain.Listing{Filter: domain.Filter{Query: "bery"}, Sort: domain.SortRelevance, Size: 1})
			},
			"second page": func(s app.Store) (any, error) {
				return s.List(t.Context(), domain.Listing{Sort: domain.SortNewest, Size: 1, After: &domain.Position{Match: domain.MatchAll, ID: NewID()}})
			},
		} {
			want, wantErr := ask(gate.Store)
			for range 3 {
				got, err := ask(cache)
				if !reflect.DeepEqual(normal(got), normal(want)) || !errors.Is(err, wantErr) {
					t.Errorf("%s: %+v, %v, want %+v, %v", name, got, err, want, wantErr)
				}
			}
		}
	})

	t.Run("asks once", func(t *testing.T) {
		gate, cache := start(t)
		id := product(t, gate.Store, "A").ID
		arrived, open := gate.Close()
		gate.Loads.Store(0)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := cache.ProductByID(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
		}
		<-arrived
		open()
		wg.Wait()
		if n := gate.Loads.Load(); n > 3 {
			t.Errorf("%d loads for 20 readers at once", n)
		}
	})

	t.Run("reads its writes", func(t *testing.T) {
		_, cache := start(t)
		ctx, order := t.Context(), NewID()
		lines := []domain.StockLine{{SKU: "A", Quantity: 2}}
		last := product(t, cache, "A")
		for name, write := range inOrder(
			"price", func() error {
				_, err := cache.SetPrices(ctx, "", []domain.PriceChange{{SKU: "A", Price: GBP(99)}})
				return err
			},
			"reserve", func() error { _, _, err := cache.Reserve(ctx, order, lines, time.Hour); return err },
			"confirm", func() error { _, _, err := cache.Confirm(ctx, order); return err },
			"popularity", func() error { _, _, err := cache.RefreshPopularity(ctx); return err },
			"restock", func() error {
				_, err := cache.Restock(ctx, NewID(), order, []domain.StockLine{{SKU: "A", Quantity: 1}})
				return err
			},
			"adjust", func() error {
				_, err := cache.AdjustStock(ctx, domain.Adjustment{ID: NewID(), Reason: "r", Changes: []domain.StockChange{{SKU: "A", Delta: 1}}})
				return err
			},
			"hold", func() error { _, _, err := cache.Reserve(ctx, NewID(), lines, time.Microsecond); return err },
			"expire", func() error { _, err := cache.ExpireHolds(ctx); return err },
			"upsert", func() error {
				_, err := cache.Upsert(ctx, "", []domain.ProductInput{Simple("A", "apple pie", 77, 60)})
				return err
			},
		) {
			if err := write(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			byCode := product(t, cache, "A")
			byID, err := cache.ProductByID(ctx, byCode.ID)
			if err != nil {
				t.Fatal(err)
			}
			if byCode.Version <= last.Version || byID.Version != byCode.Version {
				t.Errorf("after %s: version %d by code, %d by id, %d before", name, byCode.Version, byID.Version, last.Version)
			}
			last = byCode
		}
		page, err := cache.List(ctx, domain.Listing{Sort: domain.SortPriceAsc, Size: 5})
		if err != nil || page.Products[0].Name != "apple pie" {
			t.Errorf("%+v, %v", page, err)
		}
	})

	// A reader has read the old price and is slow; the price changes; then the
	// reader stores what it has. No later read may return that.
	t.Run("slow reader", func(t *testing.T) {
		gate, cache := start(t)
		id := product(t, gate.Store, "A").ID
		read := func() int64 {
			t.Helper()
			p, err := cache.ProductByID(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return p.Variants[0].Price.Units
		}
		arrived, open := gate.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = cache.ProductByID(t.Context(), id)
		}()
		<-arrived
		price(t, cache, 123)
		if got := read(); got != 123 {
			t.Errorf("while the slow reader is under way: %d", got)
		}
		open()
		<-done
		for range 3 {
			if got := read(); got != 123 {
				t.Errorf("after the slow reader has stored its answer: %d", got)
			}
		}
	})

	// A load is under way when an order is acknowledged: a reader that asks after that
	// may wait for it, but must not be served by it.
	t.Run("no older load", func(t *testing.T) {
		gate, cache := start(t)
		id := product(t, gate.Store, "A").ID
		arrived, open := gate.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = cache.ProductByID(t.Context(), id)
		}()
		<-arrived
		if _, _, err := cache.Reserve(t.Context(), NewID(), []domain.StockLine{{SKU: "A", Quantity: 3}}, time.Hour); err != nil {
			t.Fatal(err)
		}
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			p, err := cache.ProductByID(t.Context(), id)
			if err != nil || p.Variants[0].Stock.Held != 3 {
				t.Errorf("%+v, %v", p.Variants, err)
			}
		}()
		select {
		case <-asked: // it had a load of its own
		case <-time.NewTimer(50 * time.Millisecond).C: // it waits for the older one
		}
		open()
		<-asked
		<-done
	})

	t.Run("never older than acknowledged", func(t *testing.T) {
		gate, cache := start(t)
		id := product(t, gate.Store, "A").ID
		var acknowledged atomic.Int64
		acknowledged.Store(100)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					least := acknowledged.Load()
					p, err := cache.ProductByID(t.Context(), id)
					if err != nil || p.Variants[0].Price.Units < least {
						t.Errorf("price %+v, %v, want at least %d", p.Variants, err, least)
						return
					}
				}
			})
		}
		for units := int64(101); units < 130; units++ {
			price(t, cache, units)
			acknowledged.Store(units)
		}
		close(stop)
		wg.Wait()
	})
}

// normal makes answers comparable: a time read from JSON has another location.
func normal(v any) any {
	switch v := v.(type) {
	case domain.Product:
		v.UpdatedAt = v.UpdatedAt.UTC()
		return v
	case []domain.Product:
		for i := range v {
			v[i].UpdatedAt = v[i].UpdatedAt.UTC()
		}
	case domain.Page:
		normal(v.Products)
	}
	return v
}

// inOrder yields pairs of a name and a function.
func inOrder(pairs ...any) func(yield func(string, func() error) bool) {
	return func(yield func(string, func() error) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i].(string), pairs[i+1].(func() error)) {
				return
			}
		}
	}
}
