package chaos

import (
	"crypto/sha256"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// soundTrial is a small run in which every promise was kept: order o1 is paid
// and partly given back, o2 is cancelled for want of stock.
func soundTrial() *trial {
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	paid := &purchase{
		key: "k1", checkout: shopclient.Checkout{CartID: "c1"}, good: true,
		lines: []shopclient.Line{{SKU: "plenty", Quantity: 2}, {SKU: "scarce", Quantity: 12}},
		later: &shopclient.Line{SKU: "other", Quantity: 3}, laterOK: true,
		sent: at(1), accepted: at(2), ended: at(3), answer: sha256.Sum256(nil),
		order: &shopclient.Order{ID: "o1", State: shopclient.StatePaid, Total: shopclient.Money{Amount: 100, Currency: "GBP"}},
	}
	cancelled := &purchase{
		key: "k2", checkout: shopclient.Checkout{CartID: "c2"}, good: true,
		lines: []shopclient.Line{{SKU: "scarce", Quantity: 1}},
		sent:  at(4), accepted: at(5), ended: at(6),
		order: &shopclient.Order{ID: "o2", State: shopclient.StateCancelled, Total: shopclient.Money{Amount: 10, Currency: "GBP"}, CancelReason: "INSUFFICIENT_STOCK", ShortSKUs: []string{"scarce"}},
	}
	rec := newRecord()
	rec.began = began
	rec.purchases = []*purchase{paid, cancelled}
	rec.restocks = []*restock{{key: "r1", sku: "scarce", units: 5, sent: at(7), done: at(8)}}
	rec.refunds = []*refund{{purchase: paid, key: "g1", lines: paid.lines[1:], sent: at(9), done: at(10), state: shopclient.RefundSucceeded, amount: 60}}
	rec.carts["c3"] = []cartCall{
		{shopper: 1, add: 2, seen: 2, sent: at(1), done: at(2)},
		{shopper: 2, add: 3, seen: 5, sent: at(3), done: at(4)},
		{shopper: 2, add: 4, seen: -1, sent: at(5)},
		{shopper: 1, seen: 5, sent: at(6), done: at(7)},
	}
	orderEvent := func(version int64, kind string) events.Event {
		return events.Event{Source: "order", Subject: "order.o1", Version: version, Type: "souk.order.v1." + kind}
	}
	w, all := newWitness(), []events.Event{orderEvent(1, "OrderPlaced"), orderEvent(2, "OrderPaid")}
	told := told{logs: map[occasion]content{}, taken: map[string]map[occasion]int64{
		"notification/mail": {{source: "order", subject: "order.o1"}: 2},
	}}
	for _, e := range all {
		told.logs[occasionOf(e)] = contentOf(e)
		w.take(e)
	}
	w.take(all[0]) // at least once
	paidEvent := events.Event{
		Source: "order", Subject: "order.o1", Version: 2, Type: "souk.order.v1.OrderPaid", Time: at(3), Data: []byte("\x0a\x02o1"),
	}
	placed := events.Event{Source: "order", Subject: "order.o1", Version: 1, Type: "souk.order.v1.OrderPlaced", Time: at(2), Data: []byte("\x0a\x02o1")}
	postOf := func(e events.Event) post {
		return post{id: "evt_" + strconv.FormatInt(e.Version, 10), signed: true, about: occasionOf(e), is: e.Type, at: e.Time, data: []byte(`{"order_id":"o1"}`)}
	}
	paidLetter := letter{occasionOf(paidEvent), address("k1")}
	return &trial{
		witness: w, repeats: 1, buyer: func(order string) string { return map[string]string{"o1": address("k1"), "o2": address("k2")}[order] },
		rec: rec, goods: map[string]int64{"plenty": plentyUnits, "other": plentyUnits, "scarce": scarceUnits},
		healed: at(4), atRest: at(11),
		ev: &evidence{
			told: told,
			elsewhere: elsewhere{
				facts:   map[occasion]events.Event{occasionOf(placed): placed, occasionOf(paidEvent): paidEvent},
				letters: []letter{paidLetter, paidLetter},
				posts:   []post{postOf(placed), postOf(paidEvent), postOf(placed)},
				asked:   map[occasion]int{occasionOf(paidEvent): 2},
			},
			events: map[string]string{"e1": "applied", "e2": "ignored"}, webhooks: webhooks{owed: 3, delivered: map[hook]bool{{"e1", 1}: true, {"e2", 1}: true}, withheld: map[hook]bool{{"e3", 1}: true}},
			report: &audit.Report{Ledgers: []audit.Ledger{{Name: "journal", Entries: map[string]audit.Entry{
				"o1": {Captures: 1, Captured: 100, Refunds: 1, Refunded: 60, Currency: "GBP"},
			}}}},
			orders: map[string]orderRow{
				"o1": {key: "k1", state: "paid", currency: "GBP", total: 100, ends: 1},
				"o2": {key: "k2", state: "cancelled", currency: "GBP", total: 10, ends: 1},
			},
			refunds:      map[string]refundRow{"g1": {id: "f1", order: "o1", state: "succeeded", amount: 60, restocks: 1}},
			reservations: map[string]string{"o1": "committed", "o2": "released"},
			attempts:     map[string]string{"o1": "captured"},
			carts:        map[string]map[string]int64{"c1": {"other": 3}, "c2": {"scarce": 1}, "c3": {"plenty": 5}},
			stock: map[string]stockRow{
				"plenty": {total: plentyUnits, committed: 2}, "other": {total: plentyUnits}, "scarce": {total: scarceUnits + 5},
			},
		},
	}
}

func TestASoundTrialIsSound(t *testing.T) {
	t.Parallel()
	v, undecided := soundTrial().check()
	if len(v) > 0 || undecided > 0 {
		t.Errorf("violations %v, %d undecided", v, undecided)
	}
}

// TestMoreOfWhatWasOrdered: what was added to an ordered line stays.
func TestMoreOfWhatWasOrdered(t *testing.T) {
	t.Parallel()
	tr := soundTrial()
	tr.rec.purchases[0].later.SKU = "plenty"
	tr.ev.carts["c1"] = map[string]int64{"plenty": 3}
	if v, _ := tr.check(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

// TestEachPromiseCanBeSeenBroken breaks one thing at a time: it must be found,
// under the promise that it breaks.
func TestEachPromiseCanBeSeenBroken(t *testing.T) {
	t.Parallel()
	told3 := events.Event{Source: "order", Subject: "order.o1", Version: 3, Type: "souk.order.v1.OrderAmended"}
	third := occasionOf(told3)
	second := occasion{source: "order", subject: "order.o1", version: 2}
	order := func(t *trial, id string, change func(*orderRow)) {
		o := t.ev.orders[id]
		change(&o)
		t.ev.orders[id] = o
	}
	money := func(t *trial, id string, e audit.Entry) { t.ev.report.Ledgers[0].Entries[id] = e }
	for _, c := range []struct {
		name, want string
		breaks     func(*trial)
	}{
		{"a difference of units", NoOversell, func(t *trial) {
			t.ev.report.Differences = []audit.Difference{{Kind: audit.Units, Subject: "SKU x"}}
		}},
		{"stock that nobody delivered", NoOversell, func(t *trial) { t.ev.stock["plenty"] = stockRow{total: plentyUnits + 1, committed: 2} }},
		{"a delivery that is lost", NoOversell, func(t *trial) { t.ev.stock["plenty"] = stockRow{total: plentyUnits - 1, committed: 2} }},
		{"paid and not committed", NoOversell, func(t *trial) { t.ev.reservations["o1"] = "held" }},
		{"an accepted order is gone", SettledOnce, func(t *trial) { delete(t.ev.orders, "o2") }},
		{"an order of another key", SettledOnce, func(t *trial) { order(t, "o2", func(o *orderRow) { o.key = "k9" }) }},
		{"two orders of one key", SettledOnce, func(t *trial) { order(t, "o2", func(o *orderRow) { o.key = "k1" }) }},
		{"an order that ended twice", SettledOnce, func(t *trial) { order(t, "o1", func(o *orderRow) { o.ends = 2 }) }},
		{"an order that never ended", SettledOnce, func(t *trial) { order(t, "o2", func(o *orderRow) { o.ends = 0 }) }},
		{"told another end", SettledOnce, func(t *trial) { t.rec.purchases[1].order.State = shopclient.StatePaid }},
		{"an order of a refused shopper", SettledOnce, func(t *trial) { t.rec.purchases[1].refused = &shopclient.Problem{} }},
		{"a contradiction", SettledOnce, func(t *trial) { t.rec.contradiction(SettledOnce, "two ends") }},
		{"captured twice", ChargedOnce, func(t *trial) { money(t, "o1", audit.Entry{Captures: 2, Captured: 200, Currency: "GBP"}) }},
		{"captured nothing", ChargedOnce, func(t *trial) { money(t, "o1", audit.Entry{}) }},
		{"captured another amount", ChargedOnce, func(t *trial) { money(t, "o1", audit.Entry{Captures: 1, Captured: 99, Currency: "GBP"}) }},
		{"captured another currency", ChargedOnce, func(t *trial) { money(t, "o1", audit.Entry{Captures: 1, Captured: 100, Currency: "EUR"}) }},
		{"told another total", ChargedOnce, func(t *trial) { t.rec.purchases[0].order.Total.Amount = 99 }},
		{"told another currency", ChargedOnce, func(t *trial) { t.rec.purchases[0].order.Total.Currency = "EUR" }},
		{"a cancelled order is charged", NothingHeld, func(t *trial) { money(t, "o2", audit.Entry{Captures: 1, Captured: 10, Currency: "GBP"}) }},
		{"a cancelled order holds stock", NothingHeld, func(t *trial) { t.ev.reservations["o2"] = "held" }},
		{"a cancelled order holds money", NothingHeld, func(t *trial) { t.ev.attempts["o2"] = "authorized" }},
		{"money is held", NothingHeld, func(t *trial) {
			t.ev.report.Differences = []audit.Difference{{Kind: audit.Held, Subject: "order x"}}
		}},
		{"a cart is gone", NoLostLine, func(t *trial) { delete(t.ev.carts, "c2") }},
		{"a line is gone", NoLostLine, func(t *trial) { delete(t.ev.carts["c2"], "scarce") }},
		{"a later line is gone", NoLostLine, func(t *trial) { delete(t.ev.carts["c1"], "other") }},
		{"a later line is bought too", NoLostLine, func(t *trial) {
			t.rec.purchases[0].later.SKU = "plenty" // and the cart has none of it
			delete(t.ev.carts["c1"], "other")
		}},
		{"a line that grew stays whole", EffectsOnce, func(t *trial) {
			t.rec.purchases[0].later.SKU = "plenty"
			t.ev.carts["c1"] = map[string]int64{"plenty": 5}
		}},
		{"a line from nowhere", NoLostLine, func(t *trial) { t.ev.carts["c1"]["plenty2"] = 1 }},
		{"the ledger", LedgerMatchesProvider, func(t *trial) {
			t.ev.report.Differences = []audit.Difference{{Kind: audit.Unbalanced, Subject: "x"}}
		}},
		{"a fact that is not told", ToldOnce, func(t *trial) {
			t.ev.report.Differences = []audit.Difference{{Kind: audit.Told, Subject: "order x"}}
		}},
		{"an event that takes no effect", ToldOnce, func(t *trial) {
			t.ev.report.Differences = []audit.Difference{{Kind: audit.Model, Subject: "order x"}}
		}},
		{"other bytes", SameKeySameAnswer, func(t *trial) { t.rec.contradiction(SameKeySameAnswer, "other bytes") }},
		{"an event is lost", ToldAsCommitted, func(t *trial) { t.ev.told.logs[third] = content{} }},
		{"an event is invented", ToldAsCommitted, func(t *trial) { t.witness.take(told3) }},
		{"an event is told as another", ToldAsCommitted, func(t *trial) { t.ev.told.logs[second] = content{is: "souk.order.v1.OrderPaid", data: [32]byte{1}} }},
		{"an event is told as two", ToldAsCommitted, func(t *trial) {
			t.witness.take(events.Event{Source: "order", Subject: "order.o1", Version: 2, Type: "x"})
		}},
		{"events are told out of order", ToldAsCommitted, func(t *trial) {
			t.witness = newWitness()
			for version := int64(3); version > 0; version-- {
				e := events.Event{Source: "order", Subject: "order.o1", Version: version}
				t.witness.take(e)
				t.ev.told.logs[occasionOf(e)] = contentOf(e)
			}
			t.ev.told.taken["notification/mail"][occasion{source: "order", subject: "order.o1"}] = 3
		}},
		{"an event is not taken", ToldOnce, func(t *trial) {
			t.ev.told.taken["notification/mail"][occasion{source: "order", subject: "order.o1"}] = 1
		}},
		{"consumers lack events for too long", SettlesInTime, func(t *trial) { t.rebuilds = []Rebuild{{Taken: rebuildLimit}, {Taken: rebuildLimit + 1}} }},
		{"consumers lack events in the end", SettlesInTime, func(t *trial) { t.rebuilds = []Rebuild{{Published: 1}} }},
		{"an event is passed over", ToldOnce, func(t *trial) { t.ev.told.skipped = []string{"one"} }},
		{"a mail is lost", ToldOutside, func(t *trial) { t.ev.elsewhere.letters = nil }},
		{"a mail goes to another", ToldOutside, func(t *trial) { t.ev.elsewhere.letters[1].to = address("k2") }},
		{"a mail of nothing", ToldOutside, func(t *trial) { t.ev.elsewhere.letters[1].about.version = 3 }},
		{"a mail of what buyers are not told", ToldOutside, func(t *trial) { t.ev.elsewhere.letters[1].about.version = 1 }},
		{"a mail comes twice without a reason", ToldOutside, func(t *trial) { t.repeats = 0 }},
		{"a mail comes more often than it was sent", ToldOutside, func(t *trial) { t.ev.elsewhere.asked[second] = 1 }},
		{"a mail cannot be read", ToldOutside, func(t *trial) { t.ev.elsewhere.odd = []string{"one"} }},
		{"a mail is still to be sent", ToldOutside, func(t *trial) { t.outstanding.Mails = 1 }},
		{"a webhook of the shop is lost", ToldOutside, func(t *trial) { t.ev.elsewhere.posts = t.ev.elsewhere.posts[:1] }},
		{"a webhook is not signed", ToldOutside, func(t *trial) { t.ev.elsewhere.posts[2].signed = false }},
		{"a webhook of nothing", ToldOutside, func(t *trial) { t.ev.elsewhere.posts[2].about.version = 3 }},
		{"a webhook is another the second time", ToldOutside, func(t *trial) { t.ev.elsewhere.posts[2].id = "evt_9" }},
		{"a webhook of two events", ToldOutside, func(t *trial) { t.ev.elsewhere.posts[1].id = "evt_1" }},
		{"a webhook says something else", ToldOutside, func(t *trial) { t.ev.elsewhere.posts[1].data = []byte(`{"order_id":"o2"}`) }},
		{"a webhook of another type", ToldOutside, func(t *trial) { t.ev.elsewhere.posts[1].is = "souk.order.v1.OrderRefunded" }},
		{"a webhook of a type that the endpoint did not subscribe to", ToldOutside, func(t *trial) {
			e := t.ev.elsewhere.facts[second]
			e.Version, e.Type = 3, "souk.order.v1.OrderConfirmed"
			t.ev.elsewhere.facts[occasionOf(e)] = e
			t.ev.elsewhere.posts = append(t.ev.elsewhere.posts, post{id: "evt_3", signed: true, about: occasionOf(e), is: e.Type, at: e.Time, data: []byte("{}")})
		}},
		{"webhooks out of order", ToldOutside, func(t *trial) { p := t.ev.elsewhere.posts; p[0], p[1] = p[1], p[0] }},
		{"a price is shown for too long", ShownInTime, func(t *trial) { t.wronglyShown = []string{"one"} }},
		{"a cart is not cleared", EffectsOnce, func(t *trial) { t.ev.carts["c1"]["plenty"] = 2 }},
		{"a refund is lost", EffectsOnce, func(t *trial) { delete(t.ev.refunds, "g1") }},
		{"units are not put back", EffectsOnce, func(t *trial) { t.ev.refunds["g1"] = refundRow{order: "o1", state: "succeeded", amount: 60} }},
		{"a refund that nobody asked for", EffectsOnce, func(t *trial) { t.rec.refunds = nil }},
		{"a webhook is lost", EffectsOnce, func(t *trial) { delete(t.ev.events, "e1") }},
		{"a webhook is never delivered", EffectsOnce, func(t *trial) { t.ev.webhooks.owed++ }},
		{"a webhook is given up", EffectsOnce, func(t *trial) {
			t.ev.webhooks.owed++
			t.ev.webhooks.givenUp = map[hook]bool{{"e4", 1}: true}
		}},
		{"a webhook is a dead letter", EffectsOnce, func(t *trial) { t.ev.events["e1"] = "dead" }},
		{"a webhook is not applied", EffectsOnce, func(t *trial) { t.ev.events["e1"] = "pending" }},
		{"something still moves", SettlesInTime, func(t *trial) { t.left.Orders = 1 }},
		{"a webhook is on its way", SettlesInTime, func(t *trial) { t.left.Undelivered = 1 }},
		{"an order took too long", SettlesInTime, func(t *trial) { t.rec.purchases[0].ended = t.healed.Add(61 * time.Second) }},
		{"an add is lost", Linearizable, func(t *trial) { t.ev.carts["c3"]["plenty"] = 3 }},
		{"an old cart is shown", Linearizable, func(t *trial) { t.rec.carts["c3"][3].seen = 2 }},
		{"sold out, though there is stock", Linearizable, func(t *trial) {
			t.rec.purchases[0].sent, t.rec.purchases[0].ended = t.rec.began.Add(10*time.Second), t.rec.began.Add(11*time.Second)
		}},
		{"more is available than can be", Linearizable, func(t *trial) { t.ev.stock["scarce"] = stockRow{total: scarceUnits + 5, committed: -1} }},
		{"an answer of 500", NoInternalErrors, func(t *trial) { t.rec.failure(t.healed, true, "500") }},
		{"a failed call under a gentle fault", NoInternalErrors, func(t *trial) { t.gentle = true; t.rec.failure(t.healed, false, "503") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tr := soundTrial()
			c.breaks(tr)
			v, _ := tr.check()
			if !slices.Contains(v.names(), c.want) {
				t.Errorf("broken: %v, want %s", v, c.want)
			}
		})
	}
}

// TestWhatWasBeforeIsNotTold: events from before the notification service and the endpoint are due
// to nobody.
func TestWhatWasBeforeIsNotTold(t *testing.T) {
	t.Parallel()
	tr := soundTrial()
	o := &tr.ev.elsewhere
	o.letters, o.posts, o.mailsSince, o.hooksSince = nil, nil, tr.atRest, tr.atRest
	if v, _ := tr.check(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}

// TestFaultsThatRepeatMails: those that end, stop or cut off the notification service, or take its
// database away.
func TestFaultsThatRepeatMails(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"none": false, "kill-notification": true, "kill-order": false, "kill-random": true, "crash-notification": true, "crash-order": false,
		"postgres-kill": true, "database-read-only": true, "partition-notification-postgres": true, "partition-postgres-cart": false,
		"column-type-changed": false, "latency-500ms": true, "nats-lost": false, "rolling-restart": false, "client-reprice": false,
	} {
		if got := mustFind(t, name).repeatsMails(); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFaultsBreakPartsThatExist, by their names.
func TestFaultsBreakPartsThatExist(t *testing.T) {
	t.Parallel()
	for _, f := range Faults() {
		for _, name := range f.Breaks {
			if _, known := topology.Find(name); !known && name != topology.Replica {
				t.Errorf("%s breaks %q", f.Name, name)
			}
		}
	}
}

// TestAFailedCallIsNoViolation: under any other fault a call may fail.
func TestAFailedCallIsNoViolation(t *testing.T) {
	t.Parallel()
	tr := soundTrial()
	tr.rec.failure(tr.healed, false, "503")
	if v, _ := tr.check(); len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
}
