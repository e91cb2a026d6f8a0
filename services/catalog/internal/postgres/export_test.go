package postgres

import "github.com/souk-shop/souk/services/catalog/internal/domain"

// PageSQL returns the statement of a page.
func PageSQL(l domain.Listing) (string, []any) {
	q := query{listing: l}
	sql := q.page(domain.AllShelves)
	return sql, q.args
}
