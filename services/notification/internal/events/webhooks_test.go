package events

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	types := Types()
	if len(types) != 25 {
		t.Errorf("%d types: %v", len(types), types)
	}
	for name, want := range map[string]bool{
		"souk.order.v1.OrderPaid": true, "souk.payment.v1.PaymentVoided": true, "souk.catalog.v1.StockLevelChanged": true,
		"souk.catalog.v1.ProductFacts": false, "souk.catalog.v1.VariantFacts": false, "souk.money.v1.Money": false,
	} {
		if webhook.Matches(types, name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// deliveries implements Deliveries.
type deliveries struct {
	takers []webhook.Taker
	asked  int
	told   int
	made   []string
}

func (d *deliveries) Takers(context.Context, pgx.Tx) ([]webhook.Taker, error) {
	d.asked++
	return d.takers, nil
}

func (d *deliveries) Deliver(_ context.Context, _ pgx.Tx, ms []webhook.Addressed) error {
	d.told++
	for _, m := range ms {
		d.made = append(d.made, m.Subject+" to "+strings.Join(m.To, " "))
	}
	return nil
}

// TestWhatNobodyIsTold: who is told is asked once for all events that are taken together, what is
// told is written once, and an event that no endpoint is told is not read.
func TestWhatNobodyIsTold(t *testing.T) {
	t.Parallel()
	registered := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	of := func(subject, eventType string, at time.Time, data ...byte) events.Event {
		return events.Event{Source: "order", Subject: subject, Version: 1, Type: eventType, Time: at, Data: data}
	}
	const paid, placed = "souk.order.v1.OrderPaid", "souk.order.v1.OrderPlaced"
	es := []events.Event{
		of("order.before", paid, registered.Add(-1), 0xff),
		of("order.then", paid, registered),
		of("order.another", placed, registered.Add(1), 0xff),
		of("order.later", "souk.order.v9.OrderSung", registered.Add(1)),
		of("order.after", paid, registered.Add(1)),
	}
	for name, test := range map[string]struct {
		takers []webhook.Taker
		want   []string
	}{
		"nobody": {},
		"some": {
			[]webhook.Taker{{ID: "a", Types: []string{paid}, Since: registered}, {ID: "b", Types: []string{paid}, Since: registered.Add(1)}},
			[]string{"order.then to a", "order.after to a b"},
		},
	} {
		to := &deliveries{takers: test.takers}
		err := Webhooks(to).Effect(t.Context(), nil, es)
		if err != nil || to.asked != 1 || to.told != min(1, len(test.want)) || !slices.Equal(to.made, test.want) {
			t.Errorf("%s: %v, asked %d times, told %d times, made %v", name, err, to.asked, to.told, to.made)
		}
	}
	to := &deliveries{takers: []webhook.Taker{{ID: "a", Types: []string{"*"}}}}
	if err := Webhooks(to).Effect(t.Context(), nil, es); !events.IsPoison(err) || to.made != nil {
		t.Errorf("what an endpoint is told and cannot be read: %v, made %v", err, to.made)
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(&orderv1.OrderPaid{OrderId: "o", Number: "S-1", Total: &moneyv1.Money{MinorUnits: 1299, Currency: "GBP"}})
	if err != nil {
		t.Fatal(err)
	}
	e := events.Event{
		Source: "order", Subject: "order.o", Version: 5, Type: "souk.order.v1.OrderPaid", Data: data,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600)), Traceparent: "00-a-b-01",
	}
	m, err := message(e)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"souk.order.v1.OrderPaid","timestamp":"2026-01-02T02:04:05.000006Z","subject":"order.o","version":5,` +
		`"data":{"order_id":"o","number":"S-1","customer_id":"","total":{"minor_units":"1299","currency":"GBP"}}}`
	if string(m.Body) != want {
		t.Errorf("%s\nwant\n%s", m.Body, want)
	}
	if m.ID != webhook.MessageID("order", "order.o", 5) || m.TraceParent != e.Traceparent {
		t.Errorf("%+v", m)
	}
	e.Type = "souk.order.v9.OrderSung"
	if _, err := message(e); err == nil || events.IsPoison(err) || !strings.Contains(err.Error(), "does not know") {
		t.Errorf("a type of a later version: %v", err)
	}
	e.Type, e.Data = "souk.order.v1.OrderPaid", []byte{0xff}
	if _, err := message(e); !events.IsPoison(err) {
		t.Errorf("what is no message: %v", err)
	}
}
