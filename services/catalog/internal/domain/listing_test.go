package domain_test

import (
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// Whatever the catalog's size, a search begins with shelves that likely have what it
// wants, and never with more products than can be ranked at once.
func TestFirstWindow(t *testing.T) {
	t.Parallel()
	const wanted = 150
	for _, c := range []struct {
		catalog, most, likely int64
		want                  domain.Window
	}{
		{3_000, 900, 900, domain.AllShelves},
		{2_000_000, 499, 1, domain.AllShelves},
		{2_000_000, 1_999, 1, domain.AllShelves},
		{2_000_000, 1_999, 1_999, domain.Window{From: 0, To: 4}},
		{15_000, 9_000, 9_000, domain.Window{From: 0, To: 0}},
		{4_000, 3_900, 3_900, domain.AllShelves}, // half of it stands on the first shelf
		{200_000, 20_000, 20_000, domain.Window{From: 0, To: 0}},
		{2_000_000, 200_000, 200_000, domain.Window{From: 0, To: 0}},
		{2_000_000, 200_000, 20_000, domain.Window{From: 0, To: 2}},
		{2_000_000, 20_000, 20_000, domain.Window{From: 0, To: 2}},
		{2_000_000, 20_000, 200, domain.Window{From: 0, To: 3}}, // words that may always be together
	} {
		got := domain.Expected{Catalog: c.catalog, Most: c.most, Likely: c.likely}.FirstWindow(wanted)
		if got != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
		if got.To < domain.LastShelf && c.most*domain.Shelves[got.To]/c.catalog > 4*domain.MaxRanked {
			t.Errorf("%+v: %d products are ranked", c, c.most*domain.Shelves[got.To]/c.catalog)
		}
	}
	all := map[int]bool{}
	for w, more := (domain.Window{From: 0, To: 1}), true; more; w, more = w.Next() {
		for shelf := w.From; shelf <= w.To; shelf++ {
			if all[shelf] {
				t.Errorf("shelf %d comes twice", shelf)
			}
			all[shelf] = true
		}
	}
	if len(all) != domain.LastShelf+1 {
		t.Errorf("shelves %v", all)
	}
	for rank, want := range map[int64]int{0: 0, 1_999: 0, 2_000: 1, 511_999: 4, 512_000: domain.LastShelf} {
		if got := domain.ShelfOf(rank); got != want {
			t.Errorf("rank %d is on shelf %d", rank, got)
		}
	}
}
