package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// model is what the catalog should do, as maps.
type model struct {
	total     map[string]int64
	orders    map[string]*modelOrder
	restocked map[string]bool
}

type modelOrder struct {
	state    domain.ReservationState
	expired  bool
	lines    []domain.StockLine
	returned map[string]int64
}

func (m *model) stock(sku string) domain.Stock {
	st := domain.Stock{Total: m.total[sku]}
	for _, o := range m.orders {
		for _, l := range o.lines {
			if l.SKU != sku {
				continue
			}
			switch o.state {
			case domain.Held:
				st.Held += l.Quantity
			case domain.Committed:
				st.Committed += l.Quantity - o.returned[sku]
			}
		}
	}
	return st
}

// expire releases what the store may have released on its own.
func (m *model) expire() {
	for _, o := range m.orders {
		if o.state == domain.Held && o.expired {
			o.state = domain.Released
		}
	}
}

// Random commands, repeated and out of order, leave the stock exactly where
// the model has it: available + held + committed = total, and each is the sum
// of reservation lines.
func TestCommandsAgainstModel(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		run++
		m := &model{total: map[string]int64{}, orders: map[string]*modelOrder{}, restocked: map[string]bool{}}
		var skus []string
		for i := range 3 {
			sku := fmt.Sprintf("R%d-%d", run, i)
			skus = append(skus, sku)
			m.total[sku] = rapid.Int64Range(0, 8).Draw(t, "total")
			if _, err := s.Upsert(ctx, "", []domain.ProductInput{simple(sku, "r", 100, m.total[sku])}); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		for range 4 {
			ids = append(ids, newID())
		}
		order := rapid.SampledFrom(ids)
		lines := rapid.Custom(func(t *rapid.T) []domain.StockLine {
			var lines []domain.StockLine
			for _, sku := range rapid.SliceOfNDistinct(rapid.SampledFrom(skus), 1, 3, rapid.ID).Draw(t, "skus") {
				lines = append(lines, line(sku, rapid.Int64Range(1, 5).Draw(t, "quantity")))
			}
			return lines
		})
		want := func(t *rapid.T, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				id, wish := order.Draw(t, "order"), lines.Draw(t, "lines")
				hold, expired := quarter, false
				if rapid.Bool().Draw(t, "expires at once") {
					hold, expired = time.Microsecond, true
				}
				_, _, err := s.Reserve(ctx, id, wish, hold)
				o := m.orders[id]
				switch {
				case o != nil && (o.state == domain.Released || o.state == domain.Held && o.expired):
					want(t, err, domain.ErrReservationReleased)
					return
				case o != nil && string(domain.Fingerprint(o.lines)) != string(domain.Fingerprint(wish)):
					want(t, err, domain.ErrReservationMismatch)
					return
				case o != nil:
					want(t, err, nil)
					return
				}
				short := false
				for _, l := range wish {
					short = short || m.stock(l.SKU).Available() < l.Quantity
				}
				if short {
					// The store makes room by itself where holds have expired; the
					// rest of them go now, so that the two agree again.
					m.expire()
					defer func() {
						if _, err := s.ExpireHolds(ctx); err != nil {
							t.Fatal(err)
						}
						m.expire()
					}()
					short = false
					for _, l := range wish {
						short = short || m.stock(l.SKU).Available() < l.Quantity
					}
				}
				if short {
					want(t, err, domain.ErrInsufficientStock)
					return
				}
				want(t, err, nil)
				m.orders[id] = &modelOrder{state: domain.Held, expired: expired, lines: wish, returned: map[string]int64{}}
			},
			"confirm": func(t *rapid.T) {
				id := order.Draw(t, "order")
				_, _, err := s.Confirm(ctx, id)
				switch o := m.orders[id]; {
				case o == nil:
					want(t, err, domain.ErrReservationNotFound)
				case o.state == domain.Committed:
					want(t, err, nil)
				case o.expired:
					want(t, err, domain.ErrReservationExpired)
				case o.state == domain.Released:
					want(t, err, domain.ErrReservationReleased)
				default:
					want(t, err, nil)
					o.state = domain.Committed
				}
			},
			"release": func(t *rapid.T) {
				id := order.Draw(t, "order")
				_, _, err := s.Release(ctx, id)
				o := m.orders[id]
				if o == nil {
					o = &modelOrder{state: domain.Released}
					m.orders[id] = o
				}
				if len(o.returned) > 0 {
					want(t, err, domain.ErrReservationReturned)
					return
				}
				want(t, err, nil)
				o.state = domain.Released
			},
			"restock": func(t *rapid.T) {
				id, back := order.Draw(t, "order"), lines.Draw(t, "lines")
				restockID := newID()
				_, err := s.Restock(ctx, restockID, id, back)
				o := m.orders[id]
				switch {
				case o == nil:
					want(t, err, domain.ErrReservationNotFound)
					return
				case o.state != domain.Committed:
					want(t, err, domain.ErrReservationNotCommitted)
					return
				}
				sold := map[string]int64{}
				for _, l := range o.lines {
					sold[l.SKU] = l.Quantity - o.returned[l.SKU]
				}
				for _, l := range back {
					if l.Quantity > sold[l.SKU] {
						want(t, err, domain.ErrRestockExceedsSold)
						return
					}
				}
				want(t, err, nil)
				for _, l := range back {
					o.returned[l.SKU] += l.Quantity
				}
				_, err = s.Restock(ctx, restockID, id, back)
				want(t, err, nil)
			},
			"expire": func(t *rapid.T) {
				if _, err := s.ExpireHolds(ctx); err != nil {
					t.Fatal(err)
				}
				m.expire()
			},
			"adjust": func(t *rapid.T) {
				sku, delta := rapid.SampledFrom(skus).Draw(t, "sku"), rapid.Int64Range(1, 3).Draw(t, "delta")
				a := domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: sku, Delta: delta}}}
				for range 2 {
					if _, err := s.AdjustStock(ctx, a); err != nil {
						t.Fatal(err)
					}
				}
				m.total[sku] += delta
			},
			"": func(t *rapid.T) {
				for _, sku := range skus {
					var got domain.Stock
					var sumHeld, sumCommitted int64
					err := s.pool.QueryRow(ctx, `SELECT s.total, s.held, s.committed,
						coalesce((SELECT sum(l.quantity) FROM reservation_lines l JOIN reservations r USING (order_id) WHERE l.sku = s.sku AND r.state = 'held'), 0),
						coalesce((SELECT sum(l.quantity - l.returned) FROM reservation_lines l JOIN reservations r USING (order_id) WHERE l.sku = s.sku AND r.state = 'committed'), 0)
						FROM stock s WHERE s.sku = $1`, sku).Scan(&got.Total, &got.Held, &got.Committed, &sumHeld, &sumCommitted)
					if err != nil {
						t.Fatal(err)
					}
					if got != m.stock(sku) {
						t.Fatalf("%s: %+v, the model has %+v", sku, got, m.stock(sku))
					}
					if got.Held != sumHeld || got.Committed != sumCommitted || got.Available() < 0 {
						t.Fatalf("%s: %+v, lines sum up to %d held, %d committed", sku, got, sumHeld, sumCommitted)
					}
				}
			},
		})
	})
}
