package postgres_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/cart/internal/domain"
)

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

// While an order is paid the cart changes: what was bought goes, the rest stays.
func TestWhatWasOrderedLeavesTheCart(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	bought := []domain.Line{line("A", 2), line("B", 3)}
	for name, tt := range map[string]struct {
		meanwhile []domain.Change
		want      []domain.Line
	}{
		"nothing changed":              {nil, nil},
		"one more":                     {[]domain.Change{{Set: []domain.Line{line("A", 3)}}}, []domain.Line{line("A", 1)}},
		"another":                      {[]domain.Change{{Set: []domain.Line{line("C", 4)}}}, []domain.Line{line("C", 4)}},
		"fewer than were bought":       {[]domain.Change{{Set: []domain.Line{line("A", 1)}}}, nil},
		"removed":                      {[]domain.Change{{Set: []domain.Line{line("A", 0)}}}, nil},
		"emptied":                      {[]domain.Change{{Replace: true}}, nil},
		"removed and put in again":     {[]domain.Change{{Set: []domain.Line{line("B", 0)}}, {Set: []domain.Line{line("B", 3)}}}, []domain.Line{line("B", 3)}},
		"emptied and filled with more": {[]domain.Change{{Replace: true}, {Set: []domain.Line{line("A", 2), line("C", 1)}}}, []domain.Line{line("A", 2), line("C", 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCart(t, s, bought...)
			o := order(c.Version, bought...)
			for _, ch := range tt.meanwhile {
				c = change(t, s, c.Key, ch)
			}
			before := c
			c = remove(t, s, c.Key, o, tt.want...)
			want := before.Version
			if len(before.Lines) != len(c.Lines) || len(c.Lines) > 0 && before.Lines[0] != c.Lines[0] {
				want++
			}
			if c.Version != want {
				t.Errorf("version %d, want %d", c.Version, want)
			}
			// A repeat removes nothing, whatever was put in since.
			c = change(t, s, c.Key, domain.Change{Set: bought, Replace: true})
			again := remove(t, s, c.Key, o, c.Lines...)
			if again.Version != c.Version {
				t.Errorf("version %d after a repeat, want %d", again.Version, c.Version)
			}
		})
	}
	if err := s.RemoveOrdered(t.Context(), newKey(), order(1, bought...), noon); err != nil {
		t.Errorf("of an unknown cart: %v", err)
	}
}

// Two orders of the same units take them once; one of a later version takes what
// was added before it.
func TestTwoOrdersOfOneCart(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s, line("A", 2)) // version 2
	first, second := order(2, line("A", 2)), order(2, line("A", 2))
	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{line("A", 3)}})
	third := order(c.Version, line("A", 3))

	remove(t, s, c.Key, first, line("A", 1))
	remove(t, s, c.Key, second, line("A", 1))
	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{line("A", 5)}})
	remove(t, s, c.Key, third, line("A", 4))
	remove(t, s, c.Key, order(c.Version, line("A", 5))) // one of the five has just left
}

// What was ordered of a cart leaves the one that it was merged into, once.
func TestOrdersFollowAMerge(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	guest, customer, other := newCart(t, s, line("A", 2), line("B", 2)), newCart(t, s, line("A", 1)), newCart(t, s, line("C", 1))
	before, after := order(guest.Version, line("B", 1)), order(guest.Version, line("A", 2))
	remove(t, s, guest.Key, before, line("A", 2), line("B", 1))
	for _, pair := range [][2]domain.Key{{guest.Key, customer.Key}, {customer.Key, other.Key}} {
		if _, err := s.Merge(t.Context(), pair[0], pair[1], noon); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second repeats the first
		for _, o := range []domain.Purchase{before, after} {
			if err := s.RemoveOrdered(t.Context(), guest.Key, o, noon); err != nil {
				t.Fatal(err)
			}
		}
		c, err := get(t.Context(), s, other.Key)
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, c, line("C", 1), line("A", 1), line("B", 1))
	}
	thief := domain.Key{ID: guest.ID, Owner: newID()}
	if err := s.RemoveOrdered(t.Context(), thief, order(1, line("C", 1)), noon); err != nil {
		t.Fatal(err)
	}
	c, err := get(t.Context(), s, other.Key)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, c, line("C", 1), line("A", 1), line("B", 1))
}

// However many changes come between, a repeat is known, until it is forgotten.
func TestARepeatIsKnownAfterManyChanges(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t, nil)
	c := newCart(t, s, line("A", 1))
	first := addition("A", 1)
	set := domain.Change{Set: []domain.Line{line("S", 1)}, ID: newID()}
	idle := domain.Change{Set: []domain.Line{line("A", 2)}, ID: newID()} // changes nothing
	if _, err := s.Add(t.Context(), c.Key, first, noon); err != nil {
		t.Fatal(err)
	}
	change(t, s, c.Key, set)
	change(t, s, c.Key, idle)
	for range 20 {
		if _, err := s.Add(t.Context(), c.Key, addition("B", 1), noon); err != nil {
			t.Fatal(err)
		}
	}
	change(t, s, c.Key, domain.Change{Set: []domain.Line{line("S", 0), line("A", 9)}})
	want := []domain.Line{line("A", 9), line("B", 20)}
	repeat := func(want ...domain.Line) {
		t.Helper()
		if _, err := s.Add(t.Context(), c.Key, first, noon); err != nil {
			t.Fatal(err)
		}
		change(t, s, c.Key, set)
		wantLines(t, change(t, s, c.Key, idle), want...)
	}
	repeat(want...)

	o := order(1, line("X", 1))
	remove(t, s, c.Key, o, want...)
	later := noon.Add(time.Hour)
	for _, forget := range []struct {
		before          time.Time
		changes, orders int
	}{{noon, 0, 0}, {later, 23, 1}, {later, 0, 0}} {
		changes, err := s.ForgetChanges(t.Context(), forget.before, 100)
		if err != nil || changes != forget.changes {
			t.Errorf("forgot %d changes, %v; want %d", changes, err, forget.changes)
		}
		orders, err := s.ForgetOrders(t.Context(), forget.before, 100)
		if err != nil || orders != forget.orders {
			t.Errorf("forgot %d orders, %v; want %d", orders, err, forget.orders)
		}
	}
	repeat(line("A", 2), line("B", 20), line("S", 1))

	// The orders of a cart go with it.
	remove(t, s, c.Key, o, line("A", 2), line("B", 20), line("S", 1))
	if _, err := s.Expire(t.Context(), noon.Add(24*time.Hour), 10); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM cart_orders").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d orders are left, %v", left, err)
	}
}

// A line keeps the price that the buyer was shown when it was added.
func TestALineKeepsThePriceThatWasShown(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, nil)
	c := newCart(t, s, line("OLD", 1)) // no price is known
	shown := func(sku string, quantity, price int64) domain.Line {
		return domain.Line{SKU: sku, Quantity: quantity, Seen: gbp(price)}
	}
	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{shown("A", 1, 500), shown("B", 1, 0)}})
	wantLines(t, c, line("OLD", 1), shown("A", 1, 500), shown("B", 1, 0))

	c = change(t, s, c.Key, domain.Change{Set: []domain.Line{shown("A", 2, 600), shown("OLD", 2, 100), line("B", 3)}})
	wantLines(t, c, shown("OLD", 2, 100), shown("A", 2, 500), shown("B", 3, 0))

	a := addition("A", 1)
	a.Seen = gbp(700)
	got, err := s.Add(t.Context(), c.Key, a, noon)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, shown("OLD", 2, 100), shown("A", 3, 500), shown("B", 3, 0))
	n := addition("N", 1)
	n.Seen = gbp(800)
	if got, err = s.Add(t.Context(), c.Key, n, noon); err != nil {
		t.Fatal(err)
	}
	want := []domain.Line{shown("OLD", 2, 100), shown("A", 3, 500), shown("B", 3, 0), shown("N", 1, 800)}
	wantLines(t, got, want...)
	if got, err = get(t.Context(), s, c.Key); err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, want...)

	// What is left of an order keeps it, and so does what is merged; what is put in
	// again is new.
	remove(t, s, c.Key, order(got.Version, line("A", 1)), shown("OLD", 2, 100), shown("A", 2, 500), shown("B", 3, 0), shown("N", 1, 800))
	into := newCart(t, s, shown("A", 1, 50), line("B", 1))
	if got, err = s.Merge(t.Context(), c.Key, into.Key, noon); err != nil {
		t.Fatal(err)
	}
	wantLines(t, got, shown("A", 3, 50), shown("B", 4, 0), shown("OLD", 2, 100), shown("N", 1, 800))
	change(t, s, into.Key, domain.Change{Set: []domain.Line{line("A", 0)}})
	got = change(t, s, into.Key, domain.Change{Set: []domain.Line{shown("A", 1, 60)}})
	wantLines(t, got, shown("B", 4, 0), shown("OLD", 2, 100), shown("N", 1, 800), shown("A", 1, 60))
}
