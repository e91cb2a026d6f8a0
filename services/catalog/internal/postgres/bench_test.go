package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
)

func bigShop(b *testing.B, products int) (*shop, []domain.ProductInput) {
	b.Helper()
	s, all := newShop(b), many(products)
	for i := range all {
		all[i].Variants[0].Stock = ptr[int64](1_000_000_000)
	}
	for part := range slices.Chunk(all, 10000) {
		s.add(part...)
	}
	return s, all
}

func BenchmarkList(b *testing.B) {
	s, _ := bigShop(b, 30000)
	deep := &domain.Position{Match: domain.MatchAll, Key: 3000, ID: newID()}
	for name, l := range map[string]domain.Listing{
		"popular":  {Sort: domain.SortPopularity},
		"deep":     {Sort: domain.SortPopularity, After: deep},
		"cheapest": {Sort: domain.SortPriceAsc},
		"category": {Sort: domain.SortPopularity, Filter: domain.Filter{Category: "category-3"}},
		"in stock": {Sort: domain.SortPopularity, Filter: domain.Filter{InStock: true}},
		"facets":   {Sort: domain.SortPopularity, Facets: true},
		"words":    {Sort: domain.SortRelevance, Filter: domain.Filter{Query: "red retro lantern"}},
		"common":   {Sort: domain.SortRelevance, Filter: domain.Filter{Query: "lantern"}},
		"typo":     {Sort: domain.SortRelevance, Filter: domain.Filter{Query: "lanturn"}},
		"typos":    {Sort: domain.SortRelevance, Filter: domain.Filter{Query: "wite lanturn holdr"}},
	} {
		l.Size = 24
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.list(l)
			}
		})
	}
}

func BenchmarkReserveConfirm(b *testing.B) {
	s, all := bigShop(b, 3000)
	for _, n := range []int{1, 25, 700} {
		b.Run(fmt.Sprintf("%d lines", n), func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					lines := make([]domain.StockLine, n)
					for i, at := range rand.Perm(len(all))[:n] {
						lines[i] = line(all[at].Code, 1)
					}
					order := newID()
					if _, _, err := s.Reserve(b.Context(), order, lines, quarter); err != nil {
						b.Error(err)
						return
					}
					if _, _, err := s.Confirm(b.Context(), order); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	b.Run("pairs of 200 orders", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			if _, err := s.pool.Exec(b.Context(), "UPDATE reservations SET counted = false"); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if _, err := s.CountPairs(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("popularity", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.RefreshPopularity(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEditsDuringImport imports 20,000 known products and reports the longest
// price change, product edit and reservation meanwhile.
func BenchmarkEditsDuringImport(b *testing.B) {
	s := newShop(b)
	delivery := many(20_000)
	s.add(delivery...)
	for round := 0; b.Loop(); round++ {
		for i := range delivery {
			delivery[i].Name += fmt.Sprint(" again ", round)
			delivery[i].Variants = []domain.VariantInput{{SKU: delivery[i].Code, Price: gbp(int64(200 + round)), Stock: ptr(int64(2000 + round))}}
		}
		ctx, end := context.WithCancel(b.Context())
		worst, failed := map[string]time.Duration{}, map[string]int{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ctx.Err() == nil; i++ {
				p := delivery[i*7919%len(delivery)]
				for what, edit := range map[string]func() error{
					"price": func() error {
						_, err := s.SetPrices(b.Context(), "", []domain.PriceChange{{SKU: p.Code, Price: gbp(int64(1 + i))}})
						return err
					},
					"edit": func() error {
						_, err := s.Upsert(b.Context(), "", []domain.ProductInput{p})
						return err
					},
					"reserve": func() error {
						_, _, err := s.Reserve(b.Context(), newID(), []domain.StockLine{line(p.Code, 1)}, time.Minute)
						return err
					},
				} {
					began := time.Now()
					if err := edit(); err != nil {
						failed[what]++
					}
					worst[what] = max(worst[what], time.Since(began))
				}
			}
		}()
		began := time.Now()
		if _, err := s.Import(b.Context(), newID(), delivery); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/import")
		end()
		<-done
		for what, d := range worst {
			b.ReportMetric(float64(d.Milliseconds()), "ms-worst-"+what)
			b.ReportMetric(float64(failed[what]), "failed-"+what)
		}
	}
}

// BenchmarkHotProduct reserves one SKU for many clients at once: each in a transaction of
// its own, the baseline, and in groups; with commits that are on disk before they are
// acknowledged, as in a shop, and with ones that are not, as in tests.
func BenchmarkHotProduct(b *testing.B) {
	for _, fsync := range []string{"on", "off"} {
		server, err := pgserver.Start(b.Context(), pgserver.Options{Dir: b.TempDir(), Settings: map[string]string{"fsync": fsync, "synchronous_commit": "on"}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = server.Stop(context.Background()) })
		dsn := server.SuperuserDSN("postgres")
		if err := migrate(b.Context(), dsn); err != nil {
			b.Fatal(err)
		}
		s := shopOn(b, dsn)
		s.add(simple("HOT", "hot", 100, 1_000_000_000))
		for _, clients := range []int{1, 2, 4, 16, 64, 256} {
			for _, batch := range []int{1, batch} {
				b.Run(fmt.Sprintf("fsync=%s/clients=%d/batch=%d", fsync, clients, batch), func(b *testing.B) {
					s.Group(batch, queue)
					reserveForClients(b, s, clients)
				})
			}
		}
	}
}

func reserveForClients(b *testing.B, s *shop, clients int) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if _, _, err := s.Reserve(b.Context(), newID(), []domain.StockLine{line("HOT", 1)}, quarter); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reservations/s")
}
