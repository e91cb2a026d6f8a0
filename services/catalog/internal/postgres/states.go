package postgres

import (
	"context"
	"fmt"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/audit"
)

// SetState implements app.Editor.
func (s *Store) SetState(ctx context.Context, how domain.Edit, what domain.Named, state domain.State) (p domain.Product, err error) {
	err = s.edit(ctx, []string{what.Code, what.SKU}, func(ctx context.Context, q *db.Queries) (change audit.Change, err error) {
		_, err = once(ctx, q, how.ID, func() (_ struct{}, err error) {
			change, err = recorded(ctx, q, objectOf(what), []string{what.Code}, func() error { return setState(ctx, q, how.If, what, state) })
			return struct{}{}, err
		})
		if err != nil {
			return audit.Change{}, err
		}
		p, err = byCode(ctx, q, what.Code)
		return change, err
	})
	return p, err
}

func setState(ctx context.Context, q *db.Queries, must domain.Precondition, what domain.Named, state domain.State) error {
	id, err := owned(ctx, q, what)
	if err != nil {
		return err
	}
	if err := require(ctx, q, must, what.Code); err != nil {
		return err
	}
	before, name, err := stateOf(ctx, q, what)
	if err != nil {
		return err
	}
	if before == state {
		return nil
	}
	if !before.CanBecome(state) {
		return notDraftsAgain([]string{name})
	}
	ids := []string{id}
	if what.SKU == "" {
		err = q.SetProductStates(ctx, db.SetProductStatesParams{Ids: ids, States: []string{string(state)}})
	} else {
		err = q.SetVariantStates(ctx, db.SetVariantStatesParams{Skus: []string{what.SKU}, States: []string{string(state)}})
	}
	if err != nil {
		return fmt.Errorf("set state: %w", err)
	}
	if err := q.TouchProducts(ctx, ids); err != nil {
		return fmt.Errorf("touch product: %w", err)
	}
	if err := follow(ctx, q, ids); err != nil {
		return err
	}
	return index(ctx, q, ids)
}

// owned is the id of a product that is there, and has the variant, if one is named.
func owned(ctx context.Context, q *db.Queries, what domain.Named) (id string, err error) {
	rows, err := q.ProductIDs(ctx, []string{what.Code})
	if err != nil {
		return "", fmt.Errorf("look for product: %w", err)
	}
	if len(rows) == 0 {
		return "", domain.ErrProductNotFound
	}
	id = rows[0].ID
	if what.SKU == "" {
		return id, nil
	}
	variants, err := q.VariantStates(ctx, []string{what.SKU})
	if err != nil {
		return "", fmt.Errorf("look for variant: %w", err)
	}
	if len(variants) == 0 || variants[0].ProductID != id {
		return "", &domain.SKUError{Err: domain.ErrSKUNotFound, SKUs: []string{what.SKU}}
	}
	return id, nil
}

// stateOf is the state of what there is, and its own name.
func stateOf(ctx context.Context, q *db.Queries, what domain.Named) (domain.State, string, error) {
	if what.SKU != "" {
		rows, err := q.VariantStates(ctx, []string{what.SKU})
		if err != nil || len(rows) != 1 {
			return "", "", fmt.Errorf("read state of %d variants: %w", len(rows), err)
		}
		return domain.State(rows[0].State), what.SKU, nil
	}
	rows, err := q.ProductStates(ctx, []string{what.Code})
	if err != nil || len(rows) != 1 {
		return "", "", fmt.Errorf("read state of %d products: %w", len(rows), err)
	}
	return domain.State(rows[0].State), what.Code, nil
}

// Delete implements app.Editor.
func (s *Store) Delete(ctx context.Context, how domain.Edit, what domain.Named) error {
	return s.edit(ctx, []string{what.Code, what.SKU}, func(ctx context.Context, q *db.Queries) (change audit.Change, err error) {
		_, err = once(ctx, q, how.ID, func() (_ struct{}, err error) {
			change, err = recorded(ctx, q, objectOf(what), []string{what.Code}, func() error { return remove(ctx, q, how.If, what) })
			return struct{}{}, err
		})
		return change, err
	})
}

func remove(ctx context.Context, q *db.Queries, must domain.Precondition, what domain.Named) error {
	id, err := owned(ctx, q, what)
	if err != nil {
		return err
	}
	if err := require(ctx, q, must, what.Code); err != nil {
		return err
	}
	skus, err := q.SKUsOf(ctx, id)
	if err != nil {
		return fmt.Errorf("list variants: %w", err)
	}
	if what.SKU != "" {
		if len(skus) == 1 {
			return &domain.SKUError{Err: domain.ErrLastVariant, SKUs: skus}
		}
		skus = []string{what.SKU}
	}
	locked, err := q.LockToDelete(ctx, skus)
	if err != nil {
		return fmt.Errorf("lock stock: %w", err)
	}
	inherit := db.InheritCountersParams{ID: id}
	var ordered []string
	for _, row := range locked {
		if row.WasOrdered {
			ordered = append(ordered, row.Sku)
		}
		inherit.Versions += row.Version
		inherit.Revisions += row.Revision
	}
	if len(ordered) > 0 {
		return &domain.SKUError{Err: domain.ErrWasOrdered, SKUs: ordered}
	}
	ids := []string{id}
	if what.SKU == "" {
		// index takes the product out of what searches and counts go by.
		return inTurn(
			func() error { return q.UnlistProduct(ctx, id) },
			func() error { return index(ctx, q, ids) },
			func() error { return q.DeleteOldEntry(ctx, id) },
			func() error { return q.DeleteStock(ctx, skus) },
			func() error { return q.DeleteVariants(ctx, skus) },
			func() error { return q.DeleteProduct(ctx, id) },
		)
	}
	return inTurn(
		func() error { return q.DeleteStock(ctx, skus) },
		func() error { return q.DeleteVariants(ctx, skus) },
		func() error { return q.InheritCounters(ctx, inherit) },
		func() error { return follow(ctx, q, ids) },
		func() error { return index(ctx, q, ids) },
	)
}

func inTurn(steps ...func() error) error {
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d of a deletion: %w", i+1, err)
		}
	}
	return nil
}

// listState is a listing of the products in a state, for an operator.
func (s *Store) listState(ctx context.Context, l domain.Listing) (domain.Page, error) {
	l.Facets = false
	if l.Sort == domain.SortRelevance {
		l.Sort = domain.SortNewest
	}
	return s.listAll(ctx, l)
}
