package cached_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/storetest"
)

// benchProducts is more than can be read one after the other within the time
// that Redis keeps one.
const benchProducts = 10_000

// fill returns a store with many products, of which the code of number i is
// code(i).
func fill(b *testing.B) app.Store {
	b.Helper()
	store, pool := storetest.New(b)
	for from := 0; from < benchProducts; from += 1000 {
		var batch []domain.ProductInput
		for i := from; i < from+1000; i++ {
			p := storetest.Simple(code(i), fmt.Sprintf("thing %d", i), int64(100+i%900), 1000)
			p.Category = fmt.Sprintf("category-%d", i%20)
			p.Description = "A thing that is described in about as many words as the things of a real shop are."
			batch = append(batch, p)
		}
		if _, err := store.Upsert(b.Context(), "", batch); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := pool.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
	return store
}

func code(i int) string { return fmt.Sprintf("P%d", i%benchProducts) }

// listing is the first page of category i, with its facets, that is asked for by
// one of many lowest prices.
func listing(i int) domain.Listing {
	lowest := int64(i / 20)
	return domain.Listing{
		Filter: domain.Filter{Category: fmt.Sprintf("category-%d", i%20), MinPrice: &lowest},
		Sort:   domain.SortPopularity, Size: 24, Facets: true,
	}
}

// BenchmarkLayers is what an answer costs that is found in a layer, and one that is
// not and comes from PostgreSQL.
func BenchmarkLayers(b *testing.B) {
	store := fill(b)
	redis := newServer(b).start().wrap(store, time.Second)
	memory := inMemory(b, store, time.Hour)
	for _, c := range []struct {
		name  string
		store app.Store
		key   func(i int) int
	}{
		{"memory hit", memory, func(int) int { return 0 }},
		{"redis hit", redis, func(int) int { return 0 }},
		{"redis miss", redis, func(i int) int { return i }},
		{"postgres", store, func(i int) int { return i }},
	} {
		b.Run("product/"+c.name, func(b *testing.B) {
			for i := range b.N {
				if _, err := c.store.ProductByCode(b.Context(), code(c.key(i))); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("list/"+c.name, func(b *testing.B) {
			for i := range b.N {
				if _, err := c.store.List(b.Context(), listing(c.key(i))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("product/memory hit, parallel", func(b *testing.B) {
		hot := code(0)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := memory.ProductByCode(b.Context(), hot); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// counted counts what reaches PostgreSQL.
type counted struct {
	app.Store
	loads atomic.Int64
}

func (c *counted) ProductByCode(ctx context.Context, code string) (domain.Product, error) {
	c.loads.Add(1)
	return c.Store.ProductByCode(ctx, code)
}

func (c *counted) List(ctx context.Context, l domain.Listing) (domain.Page, error) {
	c.loads.Add(1)
	return c.Store.List(ctx, l)
}

// BenchmarkReplicas has each of several processes, all with a second of memory,
// answer 400 questions a second: four of five for a product, of which few are asked
// for often and many rarely, else for one of 20 categories. One of 50 is followed by
// an order of the product.
func BenchmarkReplicas(b *testing.B) {
	const every = 2500 * time.Microsecond
	store := &counted{Store: fill(b)}
	for _, replicas := range []int{1, 3, 6} {
		for _, redis := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/redis=%v", replicas, redis), func(b *testing.B) {
				server := (*server)(nil)
				if redis {
					server = newServer(b).start()
				}
				var (
					mu   sync.Mutex
					took []time.Duration
					wg   sync.WaitGroup
				)
				store.loads.Store(0)
				began := time.Now()
				for n := range replicas {
					cache := inMemory(b, store, time.Second)
					if redis {
						cache = server.wrapped(store, time.Second, time.Second)
					}
					wg.Go(func() {
						rng := rand.New(rand.NewPCG(1, uint64(n)))
						popular := rand.NewZipf(rng, 1.2, 20, benchProducts-1)
						tick := time.NewTicker(every)
						defer tick.Stop()
						var mine []time.Duration
						for i := range b.N {
							<-tick.C
							sku := code(int(popular.Uint64()))
							start := time.Now()
							var err error
							if i%5 == 0 {
								_, err = cache.List(b.Context(), listing(rng.IntN(20)))
							} else {
								_, err = cache.ProductByCode(b.Context(), sku)
							}
							mine = append(mine, time.Since(start))
							if err == nil && i%50 == 1 {
								_, _, err = cache.Reserve(b.Context(), storetest.NewID(), []domain.StockLine{{SKU: sku, Quantity: 1}}, time.Hour)
							}
							if err != nil {
								b.Error(err)
								return
							}
						}
						mu.Lock()
						defer mu.Unlock()
						took = append(took, mine...)
					})
				}
				wg.Wait()
				seconds := time.Since(began).Seconds()
				slices.Sort(took)
				at := func(q float64) float64 {
					return float64(took[min(int(q*float64(len(took))), len(took)-1)].Microseconds())
				}
				var sum time.Duration
				for _, d := range took {
					sum += d
				}
				b.ReportMetric(float64(store.loads.Load())/seconds, "loads/s")
				b.ReportMetric(float64(len(took))/seconds, "reads/s")
				b.ReportMetric(float64(sum.Microseconds())/float64(len(took)), "mean-us")
				b.ReportMetric(at(0.5), "p50-us")
				b.ReportMetric(at(0.9), "p90-us")
				b.ReportMetric(at(0.99), "p99-us")
			})
		}
	}
}
