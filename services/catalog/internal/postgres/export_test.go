package postgres

import (
	"context"
	"io/fs"
	"testing/fstest"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// PageSQL returns the statement of a page.
func PageSQL(l domain.Listing) (string, []any) {
	q := query{listing: l}
	sql := q.page(domain.AllShelves)
	return sql, q.args
}

// MigrationsBefore are those whose files come before a name, such as "00004".
func MigrationsBefore(name string) fs.FS {
	before := fstest.MapFS{}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		if file < "migrations/"+name {
			data, err := migrations.ReadFile(file)
			if err != nil {
				panic(err)
			}
			before[file] = &fstest.MapFile{Data: data}
		}
	}
	return before
}

// Accept is the first part of Import.
func (s *Store) Accept(ctx context.Context, id string, products []domain.ProductInput) error {
	return s.accept(ctx, id, products)
}
