package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// A refusal tells what is held, and may come back in a moment, from what is sold; an
// expired hold and one of what is no longer sold are neither.
func TestShortagesTellHeldFromSold(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("A", "a", 100, 10))
	sold, held, gone := newID(), newID(), newID()
	for order, hold := range map[string]time.Duration{sold: quarter, held: quarter, gone: time.Microsecond} {
		if _, _, err := s.Reserve(ctx, order, []domain.StockLine{line("A", 3)}, hold); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Confirm(ctx, sold); err != nil {
		t.Fatal(err)
	}
	for wanted, want := range map[int64]domain.Shortage{
		5: {SKU: "A", Requested: 5, Available: 4, Held: 3}, // of them 3 were held until just now
		9: {SKU: "A", Requested: 9, Available: 4, Held: 3},
	} {
		_, _, err := s.Reserve(ctx, newID(), []domain.StockLine{line("A", wanted)}, quarter)
		short, ok := errors.AsType[*domain.ShortageError](err)
		if !ok || !slices.Equal(short.Shortages, []domain.Shortage{want}) {
			t.Errorf("%d wanted: %v, want %+v", wanted, err, want)
		}
	}
}
