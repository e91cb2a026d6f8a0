package chaos

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// A history is linearizable if each call can be given one moment between its
// start and its end at which it took effect, such that all of them in that
// order make sense: Herlihy and Wing, "Linearizability: a correctness condition
// for concurrent objects", 1990. Porcupine searches for such an order.

// decideWithin bounds the search for one history.
const decideWithin = 5 * time.Second

// forever is the end of a call that was not answered: it may take effect at
// any time, or never.
const forever = math.MaxInt64

// checkLinear searches an order of the calls for each scarce SKU and each
// shared cart.
func (t *trial) checkLinear(v violations, byKey map[string]string) (undecided int) {
	judge := func(m porcupine.Model, ops []porcupine.Operation, what string) {
		switch porcupine.CheckOperationsTimeout(m, ops, decideWithin) {
		case porcupine.Illegal:
			v.add(Linearizable, "no order of its %d calls explains what %s was seen to be", len(ops), what)
		case porcupine.Unknown:
			undecided++
		}
	}
	for id, calls := range t.rec.carts {
		judge(cartModel, t.cartHistory(id, calls), "cart "+id)
	}
	for sku, first := range t.goods {
		if first > scarceUnits {
			continue // never short: any order explains it
		}
		judge(stockModel(first), t.stockHistory(sku, byKey), "the stock of "+sku)
	}
	return undecided
}

func (t *trial) nanos(at time.Time) int64 { return at.Sub(t.rec.began).Nanoseconds() }

// cartOp is a call of a cart with one line: add units (or none) and see the
// line, -1 for not seen.
type cartOp struct{ add, seen int64 }

// cartModel is one line of a cart.
var cartModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{int64(0)} },
	Step: func(state, input, _ any) []any {
		units, op := state.(int64), input.(cartOp)
		after := units + op.add
		switch {
		case op.seen < 0:
			return []any{units, after}
		case op.seen == after:
			return []any{after}
		}
		return nil
	},
}).ToModel()

func (t *trial) cartHistory(id string, calls []cartCall) []porcupine.Operation {
	var ops []porcupine.Operation
	sku := ""
	for s := range t.ev.carts[id] {
		sku = s // it has one line at most
	}
	for _, c := range calls {
		end := int64(forever)
		if !c.done.IsZero() {
			end = t.nanos(c.done)
		}
		ops = append(ops, porcupine.Operation{ClientId: c.shopper, Input: cartOp{c.add, c.seen}, Call: t.nanos(c.sent), Return: end})
	}
	last := t.nanos(t.atRest)
	return append(ops, porcupine.Operation{ClientId: shoppers, Input: cartOp{0, t.ev.carts[id][sku]}, Call: last, Return: last + 1})
}

// stockOp is something that happens to the stock of a SKU.
type stockOp struct {
	kind  stockKind
	units int64
	order string // for take and putBack
	sure  bool   // it did happen; else it may not have
}

type stockKind int

const (
	deliver   stockKind = iota // units come in
	take                       // an order takes units: they are there
	putBack                    // an order that took units gives them back
	short                      // an order does not get its units: they are not there
	available                  // units are what is available
)

// shelf is the state of a SKU: what is available, and which orders that will be
// cancelled hold some of it, in order and separated by spaces.
type shelf struct {
	available int64
	holding   string
}

// stockModel is the stock of a SKU that has first units.
func stockModel(first int64) porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{shelf{available: first}} },
		Step: func(state, input, _ any) []any {
			return input.(stockOp).after(state.(shelf))
		},
	}).ToModel()
}

// after returns the states that the operation can lead to; none when it cannot
// have happened in this state.
func (op stockOp) after(s shelf) []any {
	var out []any
	switch op.kind {
	case deliver:
		out = append(out, shelf{s.available + op.units, s.holding})
	case take:
		if s.available >= op.units {
			next := shelf{s.available - op.units, s.holding}
			if !op.sure {
				next.holding = hold(s.holding, op.order)
			}
			out = append(out, next)
		}
	case putBack:
		if rest, ok := unhold(s.holding, op.order); ok {
			return []any{shelf{s.available + op.units, rest}}
		}
		return []any{s}
	case short:
		if s.available >= op.units {
			return nil
		}
		return []any{s}
	case available:
		if s.available != op.units {
			return nil
		}
		return []any{s}
	}
	if !op.sure {
		out = append(out, s)
	}
	return out
}

func hold(holding, order string) string {
	list := append(strings.Fields(holding), order)
	slices.Sort(list)
	return strings.Join(list, " ")
}

func unhold(holding, order string) (string, bool) {
	list := strings.Fields(holding)
	i := slices.Index(list, order)
	if i < 0 {
		return holding, false
	}
	return strings.Join(slices.Delete(list, i, i+1), " "), true
}

func (t *trial) stockHistory(sku string, byKey map[string]string) []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(op stockOp, from, to time.Time) {
		end := int64(forever)
		if !to.IsZero() {
			end = t.nanos(to)
		}
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: op, Call: t.nanos(from), Return: end})
	}
	for _, r := range t.rec.restocks {
		if r.sku == sku {
			add(stockOp{kind: deliver, units: r.units, sure: !r.done.IsZero()}, r.sent, r.done)
		}
	}
	for _, p := range t.rec.purchases {
		id, exists := byKey[p.key]
		units := unitsIn(p.lines, sku)
		if !exists || units == 0 {
			continue
		}
		end := p.ended
		if end.IsZero() {
			end = t.atRest
		}
		switch {
		case t.ev.orders[id].state == "paid":
			add(stockOp{kind: take, units: units, sure: true}, p.sent, end)
		case p.order != nil && p.order.CancelReason == "HELD_BY_OTHERS": // it took none
		case p.order != nil && p.order.CancelReason == "INSUFFICIENT_STOCK":
			// All lines or none are taken, and those that are short are named.
			if slices.Contains(p.order.ShortSKUs, sku) {
				add(stockOp{kind: short, units: units}, p.sent, end)
			}
		default:
			add(stockOp{kind: take, units: units, order: id}, p.sent, end)
			add(stockOp{kind: putBack, units: units, order: id}, p.sent, end)
		}
	}
	for _, g := range t.rec.refunds {
		if r, exists := t.ev.refunds[g.key]; exists && r.state == "succeeded" {
			if units := unitsIn(g.lines, sku); units > 0 {
				end := g.done
				if end.IsZero() || g.state != shopclient.RefundSucceeded {
					end = t.atRest
				}
				add(stockOp{kind: deliver, units: units, sure: true}, g.sent, end)
			}
		}
	}
	s := t.ev.stock[sku]
	add(stockOp{kind: available, units: s.total - s.held - s.committed}, t.atRest, t.atRest.Add(1))
	return ops
}

func unitsIn(lines []shopclient.Line, sku string) int64 {
	for _, l := range lines {
		if l.SKU == sku {
			return l.Quantity
		}
	}
	return 0
}
