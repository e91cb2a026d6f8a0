package postgres_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

func revisions(r ...int64) domain.Edit {
	return domain.Edit{If: domain.Precondition{Revisions: r, Exists: true}}
}

// What an operator changes is a new revision, what orders change is not.
func TestRevisionFollowsEdits(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(of("MUG", "MUG-S", "MUG-L"))
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	order := newID()
	last := s.product("MUG").Revision
	for _, step := range []struct {
		name   string
		edited bool
		do     func()
	}{
		{"adjust", true, func() {
			_, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: "MUG-L", Delta: 5}}})
			do(err)
		}},
		{"price", true, func() {
			_, err := s.SetPrices(ctx, "", []domain.PriceChange{{SKU: "MUG-S", Price: gbp(7)}})
			do(err)
		}},
		{"reserve", false, func() {
			_, _, err := s.Reserve(ctx, order, []domain.StockLine{line("MUG-L", 2)}, quarter)
			do(err)
		}},
		{"confirm", false, func() { _, _, err := s.Confirm(ctx, order); do(err) }},
		{"popularity", false, func() { _, _, err := s.RefreshPopularity(ctx); do(err) }},
		{"restock", false, func() {
			_, err := s.Restock(ctx, newID(), order, []domain.StockLine{line("MUG-L", 1)})
			do(err)
		}},
		{"release", false, func() {
			other := newID()
			_, _, err := s.Reserve(ctx, other, []domain.StockLine{line("MUG-L", 2)}, quarter)
			do(err)
			_, _, err = s.Release(ctx, other)
			do(err)
		}},
		{"one more variant", true, func() { s.add(of("MUG", "MUG-M")) }},
		{"text", true, func() { s.add(of("MUG", "MUG-M")) }},
		{"stock alone", true, func() {
			in := of("MUG", "MUG-S")
			in.Variants[0].Stock = ptr[int64](9)
			s.add(in)
		}},
	} {
		step.do()
		now := s.product("MUG").Revision
		if edited := now > last; edited != step.edited || now < last {
			t.Errorf("%s: revision %d after %d", step.name, now, last)
		}
		last = now
	}
}

func TestPutPreconditions(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	absent := domain.Edit{If: domain.Precondition{Absent: true}}
	exists := domain.Edit{If: domain.Precondition{Exists: true}}
	put := func(name string, how domain.Edit, in domain.ProductInput, want error, created bool) domain.Product {
		t.Helper()
		p, made, err := s.Put(ctx, how, in)
		if !errors.Is(err, want) || made != created {
			t.Fatalf("%s: %v, created %v", name, err, made)
		}
		return p
	}
	put("not there", exists, of("A", "A"), domain.ErrPreconditionFailed, false)
	put("no revision", revisions(1), of("A", "A"), domain.ErrPreconditionFailed, false)
	first := put("absent", absent, of("A", "A"), nil, true)
	if first.Code != "A" || first.Revision == 0 || first.Revision != s.product("A").Revision {
		t.Errorf("%+v", first)
	}
	put("there", absent, of("A", "A"), domain.ErrPreconditionFailed, false)
	second := put("as seen", revisions(99, first.Revision), of("A", "A"), nil, false)
	put("seen before", revisions(first.Revision), of("A", "A"), domain.ErrPreconditionFailed, false)
	put("any", exists, of("A", "A"), nil, false)
	put("without", domain.Edit{}, of("A", "A"), nil, false)
	put("seen before", revisions(second.Revision), of("A", "A"), domain.ErrPreconditionFailed, false)
	// The code of a refused edit is not kept.
	if _, _, err := s.Put(ctx, domain.Edit{ID: newID(), If: absent.If}, of("A", "A", "A-2")); !errors.Is(err, domain.ErrPreconditionFailed) {
		t.Error(err)
	}
	if n := len(s.product("A").Variants); n != 1 {
		t.Errorf("%d variants", n)
	}
}

// Of two that saw the same revision one wins, also against a change of the stock.
func TestPutOfOneRevision(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(of("A", "A"))
	for round := range 30 {
		seen := s.product("A")
		total := seen.Variants[0].Stock.Total
		var group sync.WaitGroup
		errs := make([]error, 3)
		for i := range 2 {
			group.Go(func() {
				in := of("A", "A")
				in.Variants[0].Stock = ptr(total)
				_, _, errs[i] = s.Put(ctx, revisions(seen.Revision), in)
			})
		}
		group.Go(func() {
			_, errs[2] = s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: "A", Delta: 1}}})
		})
		group.Wait()
		won := 0
		for _, err := range errs[:2] {
			if err == nil {
				won++
			} else if !errors.Is(err, domain.ErrPreconditionFailed) {
				t.Fatal(err)
			}
		}
		if won > 1 || errs[2] != nil {
			t.Fatalf("round %d: %d of two edits of one revision were made; %v", round, won, errs[2])
		}
		if now := s.product("A").Variants[0].Stock.Total; now != total+1 {
			t.Fatalf("round %d: the delivery is lost: %d units after %d", round, now, total)
		}
	}
}

// An edit that is begun again after another came between does not undo that one.
func TestRepeatedEditsChangeNothing(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(of("A", "A"))
	price := func(id string, units int64) {
		t.Helper()
		if _, err := s.SetPrices(ctx, id, []domain.PriceChange{{SKU: "A", Price: gbp(units)}}); err != nil {
			t.Fatal(err)
		}
	}
	named := func(name string) domain.ProductInput { p := of("A", "A"); p.Name = name; return p }
	early, late := newID(), newID()
	price(early, 10)
	price(late, 20)
	price(early, 10)
	if p := s.product("A"); p.Variants[0].Price != gbp(20) {
		t.Errorf("a repeat set the price to %v", p.Variants[0].Price)
	}
	edit := domain.Edit{ID: newID(), If: domain.Precondition{Revisions: []int64{s.product("A").Revision}}}
	if _, _, err := s.Put(ctx, edit, named("early")); err != nil {
		t.Fatal(err)
	}
	s.add(named("late"))
	if p, created, err := s.Put(ctx, edit, named("early")); err != nil || p.Name != "late" || created {
		t.Errorf("%q, %v", p.Name, err)
	}
	imported := newID()
	first, err := s.Upsert(ctx, imported, []domain.ProductInput{named("early"), of("B", "B")})
	if err != nil {
		t.Fatal(err)
	}
	s.add(named("late"))
	if again, err := s.Upsert(ctx, imported, []domain.ProductInput{named("early"), of("B", "B")}); err != nil || again != first || s.product("A").Name != "late" {
		t.Errorf("%+v, first %+v, %v; now %q", again, first, err, s.product("A").Name)
	}
	// Two at once are one.
	both := newID()
	var group sync.WaitGroup
	before := s.product("A").Revision
	for range 4 {
		group.Go(func() {
			if _, _, err := s.Put(ctx, domain.Edit{ID: both}, named("both")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if now := s.product("A").Revision; now != before+1 {
		t.Errorf("revision %d after %d", now, before)
	}
	var rows int
	if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM operations").Scan(&rows); err != nil || rows != 5 {
		t.Errorf("%d operations, %v", rows, err)
	}
}
