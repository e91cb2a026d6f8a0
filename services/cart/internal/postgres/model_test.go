package postgres_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"pgregory.net/rapid"
)

// model is what the store should do, in memory and by one caller at a time.
type model struct {
	carts  map[domain.UUID]*modelCart
	merged map[domain.UUID]modelMerge
}

type modelCart struct {
	owner   domain.UUID
	version int64
	seen    time.Time
	lines   []modelLine
	orders  map[domain.UUID]modelOrder
}

type modelLine struct {
	domain.Line
	added int64 // the version that it was put in at
}

// modelOrder is an order that was taken out of a cart.
type modelOrder struct {
	version int64 // of the cart, after it
	units   map[string]int64
}

// modelMerge is where a cart's lines went.
type modelMerge struct {
	owner, into domain.UUID
	version     int64
}

func (m *model) find(k domain.Key) *modelCart {
	if c := m.carts[k.ID]; c != nil && c.owner == k.Owner {
		return c
	}
	return nil
}

func (c *modelCart) set(sku string, quantity, version int64) (changed bool) {
	i := slices.IndexFunc(c.lines, func(l modelLine) bool { return l.SKU == sku })
	switch {
	case i < 0 && quantity == 0, i >= 0 && c.lines[i].Quantity == quantity:
		return false
	case i < 0:
		c.lines = append(c.lines, modelLine{domain.Line{SKU: sku, Quantity: quantity}, version})
	case quantity == 0:
		c.lines = slices.Delete(c.lines, i, i+1)
	default:
		c.lines[i].Quantity = quantity
	}
	return true
}

func (c *modelCart) advance(changed bool, now time.Time) {
	if changed {
		c.version++
		c.seen = domain.SeenAt(now)
	}
}

func (m *model) create(k domain.Key, now time.Time) error {
	switch c := m.carts[k.ID]; {
	case c == nil:
		m.carts[k.ID] = &modelCart{owner: k.Owner, version: 1, seen: domain.SeenAt(now), orders: map[domain.UUID]modelOrder{}}
	case c.owner != k.Owner:
		return domain.ErrTaken
	default:
		c.seen = domain.SeenAt(now)
	}
	return nil
}

func (m *model) change(k domain.Key, ch domain.Change, now time.Time) error {
	c := m.find(k)
	if c == nil {
		return domain.ErrNotFound
	}
	if ch.Expected != 0 && ch.Expected != c.version {
		return domain.ErrVersionConflict
	}
	changed := false
	named := map[string]bool{}
	for _, l := range ch.Set {
		named[l.SKU] = true
		if c.set(l.SKU, l.Quantity, c.version+1) {
			changed = true
		}
	}
	if ch.Replace {
		n := len(c.lines)
		c.lines = slices.DeleteFunc(c.lines, func(l modelLine) bool { return !named[l.SKU] })
		changed = changed || len(c.lines) < n
	}
	c.advance(changed, now)
	return nil
}

func (m *model) add(k domain.Key, a domain.Addition, now time.Time) error {
	c := m.find(k)
	if c == nil {
		return domain.ErrNotFound
	}
	if a.Expected != 0 && a.Expected != c.version {
		return domain.ErrVersionConflict
	}
	sum := a.Delta
	for _, l := range c.lines {
		if l.SKU == a.SKU {
			sum += l.Quantity
		}
	}
	if sum > domain.MaxQuantity {
		return domain.ErrQuantityTooLarge
	}
	c.advance(c.set(a.SKU, sum, c.version+1), now)
	return nil
}

func (m *model) removeOrdered(k domain.Key, p domain.Purchase, now time.Time) {
	c, version := m.find(k), p.Version
	if to, ok := m.merged[k.ID]; ok && c == nil && to.owner == k.Owner {
		c, version = m.carts[to.into], to.version
	}
	if c == nil {
		return
	}
	if _, repeat := c.orders[p.Order]; repeat {
		return
	}
	taken := map[string]int64{}
	for _, bought := range p.Lines {
		units := bought.Quantity
		for _, o := range c.orders {
			if o.version > version {
				units -= o.units[bought.SKU]
			}
		}
		i := slices.IndexFunc(c.lines, func(l modelLine) bool { return l.SKU == bought.SKU && l.added <= version })
		if i < 0 || units <= 0 {
			continue
		}
		units = min(units, c.lines[i].Quantity)
		taken[bought.SKU] = units
		c.set(bought.SKU, c.lines[i].Quantity-units, 0)
	}
	c.advance(len(taken) > 0, now)
	c.orders[p.Order] = modelOrder{c.version, taken}
}

func (m *model) merge(from, into domain.Key, now time.Time) error {
	target := m.find(into)
	if target == nil {
		return domain.ErrNotFound
	}
	source := m.find(from)
	if source == nil || source == target {
		return nil
	}
	changed := false
	for _, l := range source.lines {
		sum := l.Quantity
		for _, t := range target.lines {
			if t.SKU == l.SKU {
				sum = min(sum+t.Quantity, domain.MaxQuantity)
			}
		}
		if target.set(l.SKU, sum, target.version+1) {
			changed = true
		}
	}
	target.advance(changed, now)
	delete(m.carts, from.ID)
	for id, to := range m.merged {
		if to.into == from.ID {
			m.merged[id] = modelMerge{to.owner, into.ID, target.version}
		}
	}
	m.merged[from.ID] = modelMerge{from.Owner, into.ID, target.version}
	for id, o := range source.orders {
		if _, both := target.orders[id]; !both {
			target.orders[id] = modelOrder{target.version, o.units}
		}
	}
	return nil
}

func (m *model) expire(before time.Time) (n int) {
	for id, c := range m.carts {
		if c.seen.Before(before) {
			delete(m.carts, id)
			maps.DeleteFunc(m.merged, func(_ domain.UUID, to modelMerge) bool { return to.into == id })
			n++
		}
	}
	return n
}

// TestStoreBehavesLikeTheModel runs random calls against the store and the
// model and compares answers and carts after each.
func TestStoreBehavesLikeTheModel(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t, nil)
	ctx := bounded(t)
	rapid.Check(t, func(t *rapid.T) {
		if _, err := pool.Exec(ctx, "TRUNCATE carts, cart_changes CASCADE"); err != nil {
			t.Fatal(err)
		}
		m := &model{carts: map[domain.UUID]*modelCart{}, merged: map[domain.UUID]modelMerge{}}
		orders := []domain.UUID{newID(), newID(), newID(), newID()}
		now := noon
		ids := []domain.UUID{newID(), newID(), newID()}
		owners := []domain.UUID{newID(), newID()}
		key := func(t *rapid.T, label string) domain.Key {
			return domain.Key{
				ID:    rapid.SampledFrom(ids).Draw(t, label+" id"),
				Owner: rapid.SampledFrom(owners).Draw(t, label+" owner"),
			}
		}
		lines := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) domain.Line {
			return domain.Line{
				SKU:      rapid.SampledFrom([]string{"A", "B", "C", "D", "é"}).Draw(t, "sku"),
				Quantity: rapid.SampledFrom([]int64{0, 1, 2, domain.MaxQuantity}).Draw(t, "quantity"),
			}
		}), 0, 5, func(l domain.Line) string { return l.SKU })
		agree := func(t *rapid.T, call string, got, want error) {
			if !errors.Is(got, want) {
				t.Fatalf("%s: %v, want %v", call, got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { compare(t, s, m, ids, owners) },
			"wait": func(*rapid.T) {
				now = now.Add(time.Hour)
			},
			"create": func(t *rapid.T) {
				k := key(t, "cart")
				_, err := s.Create(ctx, k, now)
				agree(t, "create", err, m.create(k, now))
			},
			"change": func(t *rapid.T) {
				k := key(t, "cart")
				ch := domain.Change{
					Set:      lines.Draw(t, "lines"),
					Replace:  rapid.Bool().Draw(t, "replace"),
					Expected: rapid.Int64Range(0, 4).Draw(t, "expected"),
				}
				_, err := s.Change(ctx, k, ch, now)
				agree(t, "change", err, m.change(k, ch, now))
			},
			"add": func(t *rapid.T) {
				k := key(t, "cart")
				a := addition(
					rapid.SampledFrom([]string{"A", "B", "C", "D", "é"}).Draw(t, "sku"),
					rapid.SampledFrom([]int64{1, 2, domain.MaxQuantity}).Draw(t, "delta"),
				)
				a.Expected = rapid.Int64Range(0, 4).Draw(t, "expected")
				got, err := s.Add(ctx, k, a, now)
				agree(t, "add", err, m.add(k, a, now))
				if err != nil {
					return
				}
				if stored, err := get(ctx, s, k); err != nil || !reflect.DeepEqual(got, stored) {
					t.Fatalf("add answered %+v, stored is %+v, %v", got, stored, err)
				}
				if again, err := s.Add(ctx, k, a, now); err != nil || !reflect.DeepEqual(again, got) {
					t.Fatalf("a repeat answered %+v, %v, the first %+v", again, err, got)
				}
			},
			"order": func(t *rapid.T) {
				k := key(t, "cart")
				p := domain.Purchase{
					Order:   rapid.SampledFrom(orders).Draw(t, "order"),
					Version: rapid.Int64Range(1, 6).Draw(t, "version"),
					Lines:   slices.DeleteFunc(lines.Draw(t, "bought"), func(l domain.Line) bool { return l.Quantity == 0 }),
				}
				agree(t, "order", s.RemoveOrdered(ctx, k, p, now), nil)
				m.removeOrdered(k, p, now)
			},
			"merge": func(t *rapid.T) {
				from, into := key(t, "from"), key(t, "into")
				_, err := s.Merge(ctx, from, into, now)
				agree(t, "merge", err, m.merge(from, into, now))
			},
			"expire": func(t *rapid.T) {
				before := now.Add(-3 * time.Hour)
				n, err := s.Expire(ctx, before, 10)
				if want := m.expire(before); err != nil || n != want {
					t.Fatalf("expired %d, %v, want %d", n, err, want)
				}
			},
		})
	})
}

func compare(t *rapid.T, s *postgres.Store, m *model, ids, owners []domain.UUID) {
	for _, id := range ids {
		for _, owner := range owners {
			k := domain.Key{ID: id, Owner: owner}
			got, err := get(t.Context(), s, k)
			want := m.find(k)
			if want == nil {
				if !errors.Is(err, domain.ErrNotFound) {
					t.Fatalf("get: %v, want ErrNotFound", err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("get: %v", err)
			}
			if got.Version != want.version || !got.SeenAt.Equal(want.seen) {
				t.Fatalf("version %d seen %s, want %d seen %s", got.Version, got.SeenAt, want.version, want.seen)
			}
			if !slices.EqualFunc(got.Lines, want.lines, func(l domain.Line, w modelLine) bool { return l == w.Line }) {
				t.Fatalf("lines %v, want %v", got.Lines, want.lines)
			}
		}
	}
}
