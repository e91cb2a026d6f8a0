package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
)

func (s *shop) list(l domain.Listing) domain.Page {
	s.t.Helper()
	if l.Size == 0 {
		l.Size = 100
	}
	page, err := s.List(s.t.Context(), l)
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

func (s *shop) search(query string) []string {
	s.t.Helper()
	return codes(s.list(domain.Listing{Filter: domain.Filter{Query: query}, Sort: domain.SortRelevance}).Products)
}

func giftShop(t *testing.T) *shop {
	s := newShop(t)
	lantern := simple("71053", "WHITE METAL LANTERN", 339, 10)
	lantern.Description = "Holds a tealight candle."
	popular := simple("85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 255, 10)
	popular.Popularity = 1000
	s.add(lantern, popular,
		simple("22960", "JAM MAKING SET WITH JARS", 425, 0),
		simple("84029G", "KNITTED UNION FLAG HOT WATER BOTTLE", 339, 10),
		simple("21754", "HOME BUILDING BLOCK WORD", 595, 10),
		simple("22749", "FELTCRAFT PRINCESS CHARLOTTE DOLL", 375, 10),
		simple("22384", "LUNCH BAG PINK POLKADOT", 165, 10),
		simple("23000", "MATRYOSHKA BABUSHKA NESTING DOLL", 1295, 10),
		simple("23001", "CHRISTMAS UMBRELLA", 650, 10),
		domain.ProductInput{Code: "CLOCK", Name: "Wall clock", Category: "clocks-and-time", Variants: []domain.VariantInput{
			{SKU: "CLOCK-RED", Name: "crimson", Price: gbp(1500), Stock: ptr[int64](1)},
			{SKU: "CLOCK-BLU", Name: "azure", Price: gbp(900)},
		}},
	)
	return s
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := giftShop(t)
	for query, want := range map[string]string{
		"lantern":              "71053",
		"lanterns":             "71053",
		"White Lantern":        "71053",
		"tealight":             "71053",
		"85123a":               "85123A",
		"85123A":               "85123A",
		"clock-red":            "CLOCK",
		"azure":                "CLOCK",
		"hot water bottles":    "84029G",
		`"union flag"`:         "84029G",
		"jam":                  "22960",
		"lanturn":              "71053", // typos from here
		"lantren":              "71053",
		"white lanturn":        "71053",
		"babuska":              "23000",
		"jam maker":            "22960",
		"umbrela":              "23001",
		"chirstmas umbrella":   "23001",
		"hotwater botle":       "84029G",
		"clok":                 "CLOCK",
		"lunchbag":             "22384",
		"85123":                "85123A",
		"polka dot":            "22384",
		"the":                  "",
		"zzzzzz":               "",
		"???":                  "",
		"' OR 1=1; --":         "",
		"jam -making":          "",
		"lantern & ! ( <-> :*": "71053",
	} {
		got := s.search(query)
		switch {
		case want == "" && len(got) > 0 && query != "jam -making":
			t.Errorf("%q found %v", query, got)
		case want != "" && (len(got) == 0 || got[0] != want):
			t.Errorf("%q found %v, want %s first", query, got, want)
		}
	}
	if got := s.search("white"); !slices.Equal(got, []string{"85123A", "71053"}) {
		t.Errorf("of two equal matches the popular one is not first: %v", got)
	}
	// A query may be sorted otherwise.
	page := s.list(domain.Listing{Filter: domain.Filter{Query: "white"}, Sort: domain.SortPriceDesc})
	if !slices.Equal(codes(page.Products), []string{"71053", "85123A"}) {
		t.Error(codes(page.Products))
	}
}

func TestFiltersAndFacets(t *testing.T) {
	t.Parallel()
	s := giftShop(t)
	page := s.list(domain.Listing{
		Filter: domain.Filter{Category: "gifts", MinPrice: ptr[int64](300), MaxPrice: ptr[int64](600), InStock: true},
		Sort:   domain.SortName, Facets: true,
	})
	if want := []string{"22749", "21754", "84029G", "71053"}; !slices.Equal(codes(page.Products), want) {
		t.Errorf("%v, want %v", codes(page.Products), want)
	}
	f := page.Facets
	if f.Total != 4 || f.InStock != 4 {
		t.Errorf("total %d, in stock %d", f.Total, f.InStock)
	}
	// Other prices of the category that are in stock; the clock costs 9.00 and is no gift.
	if want := []domain.PriceBucket{{From: 100, To: 249, Count: 1}, {From: 250, To: 499, Count: 4}, {From: 500, To: 999, Count: 2}, {From: 1000, To: 2499, Count: 1}}; !slices.Equal(f.Prices, want) {
		t.Errorf("prices %+v", f.Prices)
	}
	if want := []domain.Category{{Slug: "gifts", Name: "Gifts", Products: 4}}; !slices.Equal(f.Categories, want) {
		t.Errorf("categories %+v", f.Categories)
	}
	page = s.list(domain.Listing{Sort: domain.SortPopularity, Facets: true, Filter: domain.Filter{Category: "clocks-and-time"}})
	if want := []domain.Category{{Slug: "clocks-and-time", Name: "Clocks and time", Products: 1}, {Slug: "gifts", Name: "Gifts", Products: 9}}; !slices.Equal(page.Facets.Categories, want) || page.Facets.Total != 1 {
		t.Errorf("%+v", page.Facets)
	}
	page = s.list(domain.Listing{Sort: domain.SortRelevance, Facets: true, Filter: domain.Filter{Query: "dool"}})
	if page.Facets.Total != 2 || len(page.Products) != 2 {
		t.Errorf("close words: %v, %+v", codes(page.Products), page.Facets)
	}
	if page = s.list(domain.Listing{Sort: domain.SortRelevance, Facets: true, Filter: domain.Filter{Query: "!"}}); page.Facets.Total != 0 {
		t.Errorf("%+v", page.Facets)
	}
	newest := s.list(domain.Listing{Sort: domain.SortNewest, Size: 1})
	if got := codes(newest.Products); got[0] != "CLOCK" {
		t.Errorf("newest %v", got)
	}
}

// Every order of every listing, page by page while products are added, shows
// each of the first ones exactly once, and none twice.
func TestPagesAreStableUnderInserts(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(many(120)...)
	added := 0
	for _, filter := range []domain.Filter{{}, {Query: "lantern"}, {Query: "lanturn"}, {Category: "category-3"}, {InStock: true, MinPrice: ptr[int64](500)}} {
		for sort := domain.SortRelevance; sort <= domain.SortNewest; sort++ {
			if sort == domain.SortRelevance && filter.Query == "" {
				continue
			}
			t.Run(fmt.Sprintf("%+v/%d", filter, sort), func(t *testing.T) {
				l := domain.Listing{Filter: filter, Sort: sort}
				all := codes(s.list(domain.Listing{Filter: filter, Sort: sort, Size: 10000}).Products)
				if len(all) < 3 {
					t.Fatalf("only %v", all)
				}
				l.Size = max(2, len(all)/5)
				seen := map[string]int{}
				for {
					page := s.list(l)
					for _, code := range codes(page.Products) {
						seen[code]++
					}
					if page.Next == nil {
						break
					}
					if len(page.Products) != l.Size {
						t.Errorf("a page of %d, want %d", len(page.Products), l.Size)
					}
					l.After = page.Next
					added++
					p := many(120)[added%120]
					p.Code = fmt.Sprintf("NEW%05d", added)
					p.Variants[0].SKU = p.Code
					p.Name = strings.Repeat("lantern ", added%3) + p.Name
					p.Category = "category-3"
					s.add(p)
				}
				for _, code := range all {
					if seen[code] != 1 {
						t.Errorf("%s was shown %d times", code, seen[code])
					}
				}
				for code, n := range seen {
					if n > 1 {
						t.Errorf("%s was shown %d times", code, n)
					}
				}
			})
		}
	}
}

// Listings of a large catalog use an index and no sort of everything.
func TestListingsUseIndexes(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	for part := range slices.Chunk(many(10000), 5000) {
		s.add(part...)
	}
	after := &domain.Position{Match: domain.MatchAll, Key: 3000, Text: "m", ID: newID()}
	for name, l := range map[string]domain.Listing{
		"popularity":        {Sort: domain.SortPopularity},
		"deep":              {Sort: domain.SortPopularity, After: after},
		"price":             {Sort: domain.SortPriceAsc, After: after},
		"dearest":           {Sort: domain.SortPriceDesc},
		"name":              {Sort: domain.SortName, After: after},
		"newest":            {Sort: domain.SortNewest},
		"category":          {Sort: domain.SortPopularity, Filter: domain.Filter{Category: "category-3"}},
		"category by price": {Sort: domain.SortPriceAsc, Filter: domain.Filter{Category: "category-3"}},
		"in stock":          {Sort: domain.SortPopularity, Filter: domain.Filter{InStock: true}},
	} {
		l.Size = 24
		sql, args := postgres.PageSQL(l)
		rows, err := s.pool.Query(ctx, "EXPLAIN "+sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, text)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if whole := strings.Join(plan, "\n"); strings.Contains(whole, "Seq Scan") || !strings.Contains(whole, "Index") {
			t.Errorf("%s reads whole tables:\n%s", name, whole)
		}
	}
}
