package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/audit"
)

// once makes an edit in the transaction of q and notes it there, or, where the edit of
// this id was made before, does nothing and returns what it returned. An id of "" is
// that of no other edit.
func once[T any](ctx context.Context, q *db.Queries, id string, edit func() (T, error)) (result T, err error) {
	if id == "" {
		return edit()
	}
	begun, err := q.BeginOperation(ctx, id)
	if err != nil {
		return result, fmt.Errorf("begin operation: %w", err)
	}
	if begun == 0 {
		noted, err := q.OperationResult(ctx, id)
		if err != nil {
			return result, fmt.Errorf("read operation: %w", err)
		}
		return result, json.Unmarshal(noted, &result)
	}
	if result, err = edit(); err != nil {
		return result, err
	}
	noted, err := json.Marshal(result)
	if err != nil {
		return result, fmt.Errorf("note operation: %w", err)
	}
	if err := q.EndOperation(ctx, db.EndOperationParams{OperationID: id, Result: noted}); err != nil {
		return result, fmt.Errorf("end operation: %w", err)
	}
	return result, nil
}

// require refuses an edit of a product that is not as the precondition asks for. Where
// revisions are compared the product's stock stays as it is until the transaction ends;
// everything else is under the lock of the catalog.
func require(ctx context.Context, q *db.Queries, must domain.Precondition, code string) error {
	if !must.Exists && !must.Absent && len(must.Revisions) == 0 {
		return nil
	}
	rows, err := q.ProductIDs(ctx, []string{code})
	if err != nil {
		return fmt.Errorf("look for product: %w", err)
	}
	if len(rows) == 0 {
		return must.Check(nil)
	}
	revision, err := q.LockRevision(ctx, rows[0].ID)
	if err != nil {
		return fmt.Errorf("read revision: %w", err)
	}
	return must.Check(&revision)
}

// Put implements app.Editor.
func (s *Store) Put(ctx context.Context, how domain.Edit, product domain.ProductInput) (domain.Product, bool, error) {
	var (
		written domain.Product
		created bool
	)
	products := []domain.ProductInput{product}
	err := s.edit(ctx, names(products), func(ctx context.Context, q *db.Queries) (change audit.Change, err error) {
		created, err = once(ctx, q, how.ID, func() (bool, error) {
			if err := require(ctx, q, how.If, product.Code); err != nil {
				return false, err
			}
			u := upsert{q: q, currency: s.currency, products: products}
			var err error
			change, err = recorded(ctx, q, "product "+product.Code, []string{product.Code}, func() error { return u.run(ctx) })
			return u.created > 0, err
		})
		if err != nil {
			return audit.Change{}, err
		}
		written, err = byCode(ctx, q, product.Code)
		return change, err
	})
	return written, created, err
}

// byCode is the product of a code or SKU.
func byCode(ctx context.Context, q *db.Queries, code string) (domain.Product, error) {
	rows, err := q.ProductByCode(ctx, code)
	if err != nil {
		return domain.Product{}, fmt.Errorf("get product by code: %w", err)
	}
	same := make([]productRow, len(rows))
	for i, r := range rows {
		same[i] = productRow(r)
	}
	return single(same)
}
