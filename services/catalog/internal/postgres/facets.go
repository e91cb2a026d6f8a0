package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// facets is the statement that counts what matches the query, once for each
// group: every group leaves out its own part of the filter. The rows are
// (group, key, name, count).
func (q *query) facets() string {
	f := q.listing.Filter
	category, price, stock := "true", "true", "true"
	where := "true"
	if q.match != domain.MatchAll {
		where = q.matches()
	}
	if f.Category != "" {
		category = "p.category = " + q.arg(f.Category)
	}
	var bounds []string
	if f.MinPrice != nil {
		bounds = append(bounds, "p.price >= "+q.arg(*f.MinPrice))
	}
	if f.MaxPrice != nil {
		bounds = append(bounds, "p.price <= "+q.arg(*f.MaxPrice))
	}
	if len(bounds) > 0 {
		price = strings.Join(bounds, " AND ")
	}
	if f.InStock {
		stock = "k.product_id IS NOT NULL"
	}
	return fmt.Sprintf(`WITH matched AS MATERIALIZED (
    SELECT p.category, p.price, k.product_id IS NOT NULL AS in_stock,
           (%s) AS category_fits, (%s) AS price_fits, (%s) AS stock_fits
    FROM %s
    LEFT JOIN (SELECT DISTINCT product_id FROM stock WHERE total - held - committed > 0) k ON k.product_id = p.id
    WHERE %s
)
SELECT 'total', '', '', count(*) FROM matched WHERE category_fits AND price_fits AND stock_fits
UNION ALL
SELECT 'stock', '', '', count(*) FROM matched WHERE category_fits AND price_fits AND in_stock
UNION ALL
SELECT 'price', b::text, '', n FROM (
    SELECT width_bucket(price, %s::bigint[]) - 1 AS b, count(*) AS n
    FROM matched WHERE category_fits AND stock_fits GROUP BY 1 ORDER BY 1) prices
UNION ALL
SELECT 'category', slug, name, n FROM (
    SELECT c.slug, c.name, m.n
    FROM (SELECT category, count(*) AS n FROM matched WHERE price_fits AND stock_fits GROUP BY category) m
    JOIN categories c ON c.slug = m.category ORDER BY lower(c.name), c.slug) categories`,
		category, price, stock, q.from(), where, q.arg(domain.PriceSteps))
}

func readFacets(r pgx.BatchResults) (*domain.Facets, error) {
	type facetRow struct {
		Group, Key, Name string
		Count            int64
	}
	rows, err := readRows[facetRow](r)
	if err != nil {
		return nil, err
	}
	var f domain.Facets
	for _, row := range rows {
		switch row.Group {
		case "total":
			f.Total = row.Count
		case "stock":
			f.InStock = row.Count
		case "category":
			f.Categories = append(f.Categories, domain.Category{Slug: row.Key, Name: row.Name, Products: row.Count})
		case "price":
			var i int
			if _, err := fmt.Sscan(row.Key, &i); err != nil || i < 0 || i >= len(domain.PriceSteps) {
				return nil, fmt.Errorf("price bucket %q", row.Key)
			}
			bucket := domain.PriceBucketAt(i)
			bucket.Count = row.Count
			f.Prices = append(f.Prices, bucket)
		}
	}
	return &f, nil
}
