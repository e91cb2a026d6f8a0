package postgres

import "github.com/souk-shop/souk/services/catalog/internal/domain"

// PageSQL returns the statement of a page.
func PageSQL(l domain.Listing) (string, []any) {
	q := query{listing: l, match: domain.MatchAll}
	sql := q.page()
	return sql, q.args
}
