package postgres_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
)

// All carts of an owner are found and erased, with what repeats are known by; another's
// stay. A second time there is nothing.
func TestErasesAnOwner(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t, nil)
	first := newCart(t, s, line("A", 2))
	// Its id sorts after the first cart's, as pages are in order of ids.
	second, err := s.Create(t.Context(), domain.Key{ID: domain.UUID(uuid.Must(uuid.NewV7())), Owner: first.Owner}, noon)
	if err != nil {
		t.Fatal(err)
	}
	change(t, s, second.Key, domain.Change{ID: domain.UUID(uuid.New()), Set: []domain.Line{line("B", 1)}})
	merged := newCart(t, s, line("C", 1))
	if _, err := s.Merge(t.Context(), merged.Key, first.Key, noon); err != nil {
		t.Fatal(err)
	}
	remove(t, s, second.Key, order(9, line("B", 1)))
	other := newCart(t, s, line("A", 1))
	into := newCart(t, s)
	if _, err := s.Merge(t.Context(), newCartOf(t, s, first.Owner), into.Key, noon); err != nil {
		t.Fatal(err)
	}
	carts, _, err := s.OfOwner(t.Context(), first.Owner, domain.UUID{}, 1000)
	if err != nil || len(carts) != 2 {
		t.Fatalf("%v, %v", carts, err)
	}
	// A page ends after the cart whose lines fill it.
	if page, more, err := s.OfOwner(t.Context(), first.Owner, domain.UUID{}, 1); err != nil || len(page) != 1 || !more || page[0].Key != carts[0].Key {
		t.Errorf("the first page: %v, more %v, %v", page, more, err)
	}
	if page, more, err := s.OfOwner(t.Context(), first.Owner, carts[0].ID, 1); err != nil || len(page) != 1 || more || page[0].Key != carts[1].Key {
		t.Errorf("the second page: %v, more %v, %v", page, more, err)
	}
	for _, want := range []int64{2, 0} {
		if n, err := s.EraseOwner(t.Context(), first.Owner); err != nil || n != want {
			t.Errorf("%d carts, %v; want %d", n, err, want)
		}
	}
	if carts, _, err := s.OfOwner(t.Context(), first.Owner, domain.UUID{}, 1000); err != nil || len(carts) != 0 {
		t.Errorf("%v, %v", carts, err)
	}
	if carts, _, err := s.OfOwner(t.Context(), other.Owner, domain.UUID{}, 1000); err != nil || len(carts) != 1 {
		t.Errorf("another's: %v, %v", carts, err)
	}
	for _, query := range []string{
		"SELECT count(*) FROM carts WHERE owner_id = $1",
		"SELECT count(*) FROM cart_merges WHERE from_owner_id = $1",
		"SELECT count(*) FROM cart_changes WHERE cart_id NOT IN (SELECT id FROM carts) AND $1::uuid IS NOT NULL",
		"SELECT count(*) FROM cart_orders WHERE cart_id NOT IN (SELECT id FROM carts) AND $1::uuid IS NOT NULL",
	} {
		var n int
		if err := pool.QueryRow(t.Context(), query, first.Owner).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", query, n, err)
		}
	}
}

// newCartOf makes a cart of an owner.
func newCartOf(t *testing.T, s *postgres.Store, owner domain.UUID) domain.Key {
	t.Helper()
	c, err := s.Create(t.Context(), domain.Key{ID: domain.UUID(uuid.New()), Owner: owner}, noon)
	if err != nil {
		t.Fatal(err)
	}
	return c.Key
}
