package chaos

import (
	"fmt"
	"maps"
	"time"

	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// Invariant is what must hold of a shop, whatever the fault.
type Invariant struct{ Name, Doc string }

// The invariants that a run checks.
const (
	NoOversell            = "NoOversell"
	SettledOnce           = "SettledOnce"
	ChargedOnce           = "ChargedOnce"
	NothingHeld           = "NothingHeld"
	NoLostLine            = "NoLostLine"
	LedgerMatchesProvider = "LedgerMatchesProvider"
	SameKeySameAnswer     = "SameKeySameAnswer"
	BoughtAsSeen          = "BoughtAsSeen"
	ReadYourWrites        = "ReadYourWrites"
	ShownInTime           = "ShownInTime"
	EffectsOnce           = "EffectsOnce"
	ToldAsCommitted       = "ToldAsCommitted"
	ToldOnce              = "ToldOnce"
	ToldOutside           = "ToldOutside"
	SettlesInTime         = "SettlesInTime"
	BackInTime            = "BackInTime"
	Linearizable          = "Linearizable"
	NoInternalErrors      = "NoInternalErrors"
)

// Invariants lists the invariants.
var Invariants = []Invariant{
	{NoOversell, "available + held + committed = stock, for each SKU"},
	{SettledOnce, "each accepted order ends in exactly one of PAID or CANCELLED, and no other order exists"},
	{ChargedOnce, "PAID: exactly one capture, of the same amount and currency"},
	{NothingHeld, "CANCELLED: net captured 0, nothing held, and the stock back"},
	{NoLostLine, "each acknowledged cart line is there"},
	{LedgerMatchesProvider, "the ledger sums to zero for each currency and equals the provider's journal"},
	{SameKeySameAnswer, "the same key gives the byte-identical answer, with another body 422"},
	{BoughtAsSeen, "an order has the lines, the prices and the total that its buyer agreed to"},
	{ReadYourWrites, "a buyer's list of orders has the order that was accepted, and no earlier state than was seen"},
	{ShownInTime, "a price that is shown is one that was, and replaced for no longer than caches may show it: 8 s, 12 s or 73 s, by the fault"},
	{EffectsOnce, "what follows an order happens once: bought units out of the cart, units of a refund back, webhook applied"},
	{ToldAsCommitted, "each event of a log is delivered as it was committed, in the order of its subject, and nothing else is"},
	{ToldOnce, "each fact is an event in its log and takes effect once: in each consumer, in the mails, in the read model"},
	{ToldOutside, "each buyer has the mails and each webhook endpoint the events that it is due, as committed; mails come twice only where a death may hide the first"},
	{SettlesInTime, "everything is settled within 60 s of healing, and the shop sells again"},
	{BackInTime, "after the loss of a database's node writes are back within 25 s, after a switchover within 3 s, and reads go on"},
	{Linearizable, "stock of each SKU and each shared cart are linearizable"},
	{NoInternalErrors, "no answer is a 500; under a gentle fault no call fails at all"},
}

// settleLimit is how long after healing an order may take to end.
const settleLimit = 60 * time.Second

// violations are what broke each invariant.
type violations map[string][]string

func (v violations) add(invariant, format string, args ...any) {
	v[invariant] = append(v[invariant], fmt.Sprintf(format, args...))
}

// trial is a run that is over: all that its verdict rests on.
type trial struct {
	rec    *record
	ev     *evidence
	goods  map[string]int64 // units on sale at first, by SKU
	gentle bool
	healed time.Time
	atRest time.Time
	left   moving // what still moved when the wait for rest was over
	// witness took what the broker delivered, and forgets is Fault.Forgets.
	witness *witness
	forgets bool
	// outstanding is what others had still to be told in the end, and repeats how many mails the fault
	// may have had sent twice.
	outstanding outstanding
	repeats     int
	// rebuilds are those after losses of the broker's data.
	rebuilds []Rebuild
	// gaps are the longest times without a write and a read.
	gaps Gaps
	// wronglyShown are prices that were shown too long after they were replaced, or were none.
	wronglyShown []string
	// buyer is the address of the buyer of an order.
	buyer func(order string) string
}

// check judges a trial. undecided counts histories that were too tangled to
// decide in time.
func (t *trial) check() (v violations, undecided int) {
	v = violations{}
	t.checkLedgers(v)
	t.checkStock(v)
	byKey := t.checkOrders(v)
	t.checkEnds(v)
	t.checkCarts(v, byKey)
	t.checkRefunds(v)
	t.checkEvents(v)
	t.checkTold(v)
	t.checkTelling(v)
	t.checkRebuilds(v)
	t.checkOutside(v)
	t.checkTime(v)
	t.checkGaps(v)
	for _, what := range t.wronglyShown {
		v.add(ShownInTime, "%s", what)
	}
	t.checkAnswers(v)
	undecided = t.checkLinear(v, byKey)
	return v, undecided
}

// checkLedgers adds the differences of the audit under the invariant that they break.
func (t *trial) checkLedgers(v violations) {
	of := map[audit.Kind]string{
		audit.Unsettled: SettlesInTime, audit.ClientDiffers: SettledOnce, audit.Money: ChargedOnce, audit.Held: NothingHeld, audit.Unbalanced: LedgerMatchesProvider, audit.Units: NoOversell,
		audit.Told: ToldOnce, audit.Model: ToldOnce, audit.Misplaced: SettledOnce,
	}
	for _, d := range t.ev.report.Differences {
		v.add(of[d.Kind], "%s %s", d.Subject, d.What)
	}
}

// checkStock compares the stock with what was there and what was delivered.
func (t *trial) checkStock(v violations) {
	sure, perhaps := map[string]int64{}, map[string]int64{}
	for _, r := range t.rec.restocks {
		if r.done.IsZero() {
			perhaps[r.sku] += r.units
		} else {
			sure[r.sku] += r.units
		}
	}
	for sku, first := range t.goods {
		s, ok := t.ev.stock[sku]
		if low := first + sure[sku]; !ok || s.total < low || s.total > low+perhaps[sku] {
			v.add(NoOversell, "SKU %s has %d units in all; it had %d, and %d were delivered", sku, s.total, first, sure[sku])
		}
	}
}

// checkOrders compares the orders that were accepted with those that exist. It
// returns the id of each key's order.
func (t *trial) checkOrders(v violations) map[string]string {
	byKey := map[string]string{}
	for id, o := range t.ev.orders {
		if other, twice := byKey[o.key]; twice {
			v.add(SettledOnce, "orders %s and %s are of one key", id, other)
		}
		byKey[o.key] = id
	}
	known := map[string]bool{}
	for _, p := range t.rec.purchases {
		known[p.key] = true
		id, exists := byKey[p.key]
		switch {
		case p.order != nil && !exists:
			v.add(SettledOnce, "order %s was accepted and does not exist", p.order.ID)
		case p.order != nil && id != p.order.ID:
			v.add(SettledOnce, "order %s was accepted; its key belongs to order %s", p.order.ID, id)
		case p.refused != nil && exists:
			v.add(SettledOnce, "order %s exists, and its client was refused: %v", id, p.refused)
		case p.order != nil && (p.order.Total.Amount != t.ev.orders[id].total || p.order.Total.Currency != t.ev.orders[id].currency):
			v.add(ChargedOnce, "order %s is of %d %s; the client's answer says %d %s", id, t.ev.orders[id].total, t.ev.orders[id].currency,
				p.order.Total.Amount, p.order.Total.Currency)
		case p.settled() && p.order.State != publicState(t.ev.orders[id].state):
			v.add(SettledOnce, "order %s is %s; the client's answer says %s", id, t.ev.orders[id].state, p.order.State)
		}
	}
	for id, o := range t.ev.orders {
		if !known[o.key] {
			v.add(SettledOnce, "order %s exists, and no client placed it", id)
		}
	}
	return byKey
}

// publicState is the API's word for a state in SQL.
func publicState(state string) string {
	switch state {
	case "paid":
		return shopclient.StatePaid
	case "cancelled":
		return shopclient.StateCancelled
	}
	return state
}

// checkEnds looks at what each order's end did.
func (t *trial) checkEnds(v violations) {
	journal := t.ev.report.Ledgers[len(t.ev.report.Ledgers)-1]
	for id, o := range t.ev.orders {
		money, attempt, hold := journal.Entries[id], t.ev.attempts[id], t.ev.reservations[id]
		switch o.state {
		case "paid":
			if money.Captures != 1 || money.Captured != o.total || money.Currency != o.currency || attempt != "captured" {
				v.add(ChargedOnce, "order %s of %d %s is paid; %d captures of %d %s, payment says %s",
					id, o.total, o.currency, money.Captures, money.Captured, money.Currency, attempt)
			}
			if hold != "committed" {
				v.add(NoOversell, "order %s is paid; its stock is %q", id, hold)
			}
		case "cancelled":
			if money.Captured != money.Refunded {
				v.add(NothingHeld, "order %s is cancelled; captured %d, refunded %d", id, money.Captured, money.Refunded)
			}
			if hold == "held" || hold == "committed" {
				v.add(NothingHeld, "order %s is cancelled; its stock is %s", id, hold)
			}
			if attempt == "sent" || attempt == "authorized" {
				v.add(NothingHeld, "order %s is cancelled; its payment is %s", id, attempt)
			}
		}
		if o.ends != 1 {
			v.add(SettledOnce, "order %s is %s and came to an end %d times", id, o.state, o.ends)
		}
	}
}

// checkCarts compares each cart with what was put in and ordered.
func (t *trial) checkCarts(v violations, byKey map[string]string) {
	for _, p := range t.rec.purchases {
		cart, there := t.ev.carts[p.checkout.CartID]
		if !there {
			v.add(NoLostLine, "cart %s does not exist", p.checkout.CartID)
			continue
		}
		left := maps.Clone(cart)
		paid := t.ev.orders[byKey[p.key]].state == "paid"
		want := map[string]int64{}
		for _, l := range p.lines {
			if want[l.SKU] = l.Quantity; paid {
				want[l.SKU] = 0
			}
		}
		if p.later != nil && (p.laterOK || left[p.later.SKU] != want[p.later.SKU]) {
			want[p.later.SKU] += p.later.Quantity
		}
		for sku, n := range want {
			switch units := left[sku]; {
			case paid && units > n:
				v.add(EffectsOnce, "cart %s has %d of %s after the order was paid, and should have %d", p.checkout.CartID, units, sku, n)
			case units != n:
				v.add(NoLostLine, "cart %s has %d of %s, and should have %d", p.checkout.CartID, units, sku, n)
			}
			delete(left, sku)
		}
		for sku, units := range left {
			v.add(NoLostLine, "cart %s has %d of %s, which no client put in", p.checkout.CartID, units, sku)
		}
	}
}

// checkRefunds compares the refunds with what was asked for.
func (t *trial) checkRefunds(v violations) {
	known := map[string]bool{}
	for _, g := range t.rec.refunds {
		known[g.key] = true
		r, exists := t.ev.refunds[g.key]
		switch {
		case !exists && !g.done.IsZero():
			v.add(EffectsOnce, "a refund of order %s was accepted and does not exist", g.purchase.order.ID)
		case exists && r.state != "succeeded":
			v.add(EffectsOnce, "the refund of order %s is %s", r.order, r.state)
		case exists && r.restocks != 1:
			v.add(EffectsOnce, "the units of order %s's refund were put back %d times", r.order, r.restocks)
		case exists && !g.done.IsZero() && g.amount != r.amount:
			v.add(EffectsOnce, "the refund of order %s is %d; the client's answer says %d", r.order, r.amount, g.amount)
		}
	}
	for key, r := range t.ev.refunds {
		if !known[key] {
			v.add(EffectsOnce, "order %s has a refund that no client asked for", r.order)
		}
	}
}

// checkEvents looks at the provider's events: all were delivered but those that a
// fault withheld; what was answered with success is kept, once, since its id is a
// key, and came to an end.
func (t *trial) checkEvents(v violations) {
	w := t.ev.webhooks
	for hook := range w.delivered {
		if _, kept := t.ev.events[hook.Event]; !kept {
			v.add(EffectsOnce, "webhook event %s was accepted, and is not kept", hook.Event)
		}
	}
	for hook := range w.givenUp {
		v.add(EffectsOnce, "the provider gave up webhook event %s", hook.Event)
	}
	if w.ended() != w.owed {
		v.add(EffectsOnce, "the provider owed %d webhooks, delivered %d and withheld %d", w.owed, len(w.delivered), len(w.withheld))
	}
	for id, state := range t.ev.events {
		if state != "applied" && state != "ignored" {
			v.add(EffectsOnce, "webhook event %s is %s", id, state)
		}
	}
}

// checkTold adds the answers that contradict each other.
func (t *trial) checkTold(v violations) {
	for _, c := range t.rec.contradictions {
		v.add(c.invariant, "%s", c.what)
	}
}

// checkTime looks at how long it took.
func (t *trial) checkTime(v violations) {
	if !t.left.none() {
		v.add(SettlesInTime, "still under way %s after the shop was healed and the workload ended: %s", settleLimit, t.left)
	}
	for _, p := range t.rec.purchases {
		if p.sent.Before(t.healed) && p.order != nil && (!p.settled() || p.ended.Sub(t.healed) > settleLimit) {
			v.add(SettlesInTime, "order %s was not settled within %s of healing", p.order.ID, settleLimit)
		}
	}
}

// recovery is how long after healing the last order from before it was settled.
func (t *trial) recovery() time.Duration {
	var out time.Duration
	for _, p := range t.rec.purchases {
		if p.sent.Before(t.healed) && p.settled() {
			out = max(out, p.ended.Sub(t.healed))
		}
	}
	return out
}

// checkAnswers looks at the calls that were not answered well.
func (t *trial) checkAnswers(v violations) {
	bad := t.rec.errors
	if t.gentle {
		bad = t.rec.failed
	}
	for _, f := range bad {
		v.add(NoInternalErrors, "%s", f.what)
	}
}

// names of the invariants that are broken, in order.
func (v violations) names() []string {
	var out []string
	for _, i := range Invariants {
		if len(v[i.Name]) > 0 {
			out = append(out, i.Name)
		}
	}
	return out
}
