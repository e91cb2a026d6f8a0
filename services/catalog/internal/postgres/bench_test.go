package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
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
			if _, err := s.RefreshPopularity(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
