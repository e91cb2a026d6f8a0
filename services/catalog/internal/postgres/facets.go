package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
)

// tally adds up facets.
type tally struct {
	facets     domain.Facets
	categories map[string]*domain.Category
	prices     []int64
}

func newTally() *tally {
	return &tally{categories: map[string]*domain.Category{}, prices: make([]int64, len(domain.PriceSteps))}
}

func (t *tally) category(slug, name string, n int64) {
	c := t.categories[slug]
	if c == nil {
		c = &domain.Category{Slug: slug, Name: name}
		t.categories[slug] = c
	}
	c.Products += n
}

func (t *tally) price(step int, n int64) { t.prices[min(max(step, 0), len(t.prices)-1)] += n }

// sum returns the facets: categories by name, without what there is none of.
func (t *tally) sum() *domain.Facets {
	f := t.facets
	for _, c := range t.categories {
		if c.Products > 0 {
			f.Categories = append(f.Categories, *c)
		}
	}
	sortCategories(f.Categories)
	for i, n := range t.prices {
		if n > 0 {
			bucket := domain.PriceBucketAt(i)
			bucket.Count = n
			f.Prices = append(f.Prices, bucket)
		}
	}
	return &f
}

func sortCategories(all []domain.Category) {
	slices.SortFunc(all, func(a, b domain.Category) int {
		if c := compareKeys(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Slug, b.Slug)
	})
}

// countAll counts a listing without a query, from counts that are kept: exactly,
// but for a range of prices that begins or ends between two steps, which is
// counted up to domain.MaxPriced.
func (s *Store) countAll(ctx context.Context, l domain.Listing) (*domain.Facets, error) {
	f := l.Filter
	counts, err := s.view.ListingCounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count listings: %w", err)
	}
	from, to, whole := stepsOf(f)
	t := newTally()
	for _, c := range counts {
		inCategory := f.Category == "" || c.Category == f.Category
		inStock := !f.InStock || c.InStock
		if inCategory && inStock {
			t.price(int(c.Step), c.Products)
		}
		if !whole || int(c.Step) < from || int(c.Step) > to {
			continue
		}
		if inStock {
			t.category(c.Category, c.Name, c.Products)
		}
		if inCategory && c.InStock {
			t.facets.InStock += c.Products
		}
		if inCategory && inStock {
			t.facets.Total += c.Products
		}
	}
	if !whole {
		if err := s.countPrices(ctx, f, counts, t); err != nil {
			return nil, fmt.Errorf("count prices: %w", err)
		}
	}
	return t.sum(), nil
}

// stepsOf are the steps of price that a filter asks for; whole is false when it
// begins or ends between two.
func stepsOf(f domain.Filter) (from, to int, whole bool) {
	from, to, whole = 0, len(domain.PriceSteps)-1, true
	if f.MinPrice != nil {
		from = domain.PriceStep(*f.MinPrice)
		whole = domain.PriceSteps[from] == *f.MinPrice
	}
	if f.MaxPrice != nil {
		to = domain.PriceStep(*f.MaxPrice)
		whole = whole && to+1 < len(domain.PriceSteps) && domain.PriceSteps[to+1] == *f.MaxPrice+1
	}
	return from, to, whole
}

// countPrices counts the products of a range of prices: those of all categories,
// and those of the filter's.
func (s *Store) countPrices(ctx context.Context, f domain.Filter, counts []db.ListingCountsRow, t *tally) error {
	type row struct {
		Category string
		InStock  bool
		Products int64
	}
	low, high := int64(0), int64(1<<62)
	if f.MinPrice != nil {
		low = *f.MinPrice
	}
	if f.MaxPrice != nil {
		high = *f.MaxPrice
	}
	const of = `SELECT category, in_stock, count(*) FROM (
    SELECT p.category, f.in_stock FROM products p JOIN search_entries f ON f.product_id = p.id
    WHERE p.listed AND p.price >= $1 AND p.price <= $2 AND ($3::text = '' OR p.category = $3) LIMIT $4) priced GROUP BY category, in_stock`
	var all, own []row
	err := s.ask(ctx, func(b *pgx.Batch) {
		plan(b)
		b.Queue(of, low, high, "", domain.MaxPriced+1)
		b.Queue(of, low, high, f.Category, domain.MaxPriced+1)
	}, func(r pgx.BatchResults) (err error) {
		if _, err = r.Exec(); err != nil {
			return err
		}
		if all, err = readRows[row](r); err != nil {
			return err
		}
		own, err = readRows[row](r)
		return err
	})
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, c := range counts {
		names[c.Category] = c.Name
	}
	var seenAll, seenOwn int64
	for _, r := range all {
		seenAll += r.Products
		if !f.InStock || r.InStock {
			t.category(r.Category, names[r.Category], r.Products)
		}
	}
	for _, r := range own {
		seenOwn += r.Products
		if r.InStock {
			t.facets.InStock += r.Products
		}
		if !f.InStock || r.InStock {
			t.facets.Total += r.Products
		}
	}
	if t.facets.AtLeast = max(seenAll, seenOwn) > domain.MaxPriced; seenOwn > domain.MaxPriced {
		t.facets.Total = min(t.facets.Total, domain.MaxPriced)
	}
	return nil
}

// countFound counts what a search finds, up to domain.MaxFound products.
func (s *Store) countFound(ctx context.Context, l domain.Listing, found *search) (*domain.Facets, error) {
	type row struct {
		Category, Name string
		Step           int16
		InStock        bool
		PriceFits      bool
		Products       int64
	}
	window := found.expected.FirstWindow(2 * domain.MaxFound)
	for {
		q := query{listing: l, search: found}
		sql := q.facets(window)
		var rows []row
		err := s.ask(ctx, func(b *pgx.Batch) {
			plan(b)
			b.Queue(sql, q.args...)
		}, func(r pgx.BatchResults) (err error) {
			if _, err = r.Exec(); err != nil {
				return err
			}
			rows, err = readRows[row](r)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("count facets: %w", err)
		}
		t := newTally()
		var seen int64
		f := l.Filter
		for _, r := range rows {
			seen += r.Products
			inCategory := f.Category == "" || r.Category == f.Category
			inStock := !f.InStock || r.InStock
			if inCategory && inStock {
				t.price(int(r.Step), r.Products)
			}
			if r.PriceFits && inStock {
				t.category(r.Category, r.Name, r.Products)
			}
			if r.PriceFits && inCategory && r.InStock {
				t.facets.InStock += r.Products
			}
			if r.PriceFits && inCategory && inStock {
				t.facets.Total += r.Products
			}
		}
		if seen <= domain.MaxFound && window != domain.AllShelves {
			window = domain.AllShelves // fewer than the words' numbers let expect
			continue
		}
		t.facets.AtLeast = seen > domain.MaxFound
		t.facets.Total = min(t.facets.Total, domain.MaxFound)
		return t.sum(), nil
	}
}

// facets is the statement that counts what matches the words, by all that the
// groups of facets distinguish: every group leaves out its own part of the filter.
func (q *query) facets(window domain.Window) string {
	f := q.listing.Filter
	fits := []string{"true"}
	if f.MinPrice != nil {
		fits = append(fits, "f.price >= "+q.arg(*f.MinPrice))
	}
	if f.MaxPrice != nil {
		fits = append(fits, "f.price <= "+q.arg(*f.MaxPrice))
	}
	return fmt.Sprintf(`SELECT m.category, c.name, m.step, m.in_stock, m.price_fits, m.n FROM (
    SELECT category, price_step(price) AS step, in_stock, price_fits, count(*) AS n
    FROM (SELECT f.category, f.price, f.in_stock, (%s) AS price_fits FROM search_entries f WHERE %s LIMIT %s) matched
    GROUP BY 1, 2, 3, 4) m
JOIN categories c ON c.slug = m.category`,
		strings.Join(fits, " AND "), q.matches(window), q.arg(domain.MaxFound+1))
}
