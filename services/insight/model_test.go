package insight

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/insight/internal/app"
	"github.com/souk-shop/souk/services/insight/internal/domain"
	"github.com/souk-shop/souk/services/insight/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// shop is what three services have in their logs.
type shop struct {
	mu     sync.Mutex
	logs   map[string][]events.Event
	scans  int
	broken func(source string, scans int) error
	epoch  time.Time
	random *rand.Rand
}

func newShop(seed uint64) *shop {
	return &shop{logs: map[string][]events.Event{}, epoch: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), random: rand.New(rand.NewPCG(seed, 0))} // the same each time
}

func (s *shop) tell(subject string, at time.Time, m proto.Message) {
	kind, _, _ := strings.Cut(subject, ".")
	source := map[string]string{"order": "order", "payment": "payment", "product": "catalog", "stock": "catalog"}[kind]
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	version := int64(1)
	for i := len(s.logs[source]) - 1; i >= 0 && version == 1 && i > len(s.logs[source])-40; i-- {
		if s.logs[source][i].Subject == subject {
			version = s.logs[source][i].Version + 1
		}
	}
	s.logs[source] = append(s.logs[source], events.Event{
		Source: source, Subject: subject, Version: version, Type: string(m.ProtoReflect().Descriptor().FullName()), Time: at, Data: data,
	})
}

func gbp(units int64) *moneyv1.Money { return &moneyv1.Money{MinorUnits: units, Currency: "GBP"} }

// order tells of an order as the services do: paid, of which some are refunded, or cancelled.
func (s *shop) order(n, lines int) (id string) {
	id = uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "order %d", n)).String()
	at := s.epoch.Add(time.Duration(n) * time.Minute)
	m := &orderv1.OrderPlaced{OrderId: id, Number: fmt.Sprintf("S-%d", n), CustomerId: uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "c%d", n%7)).String(), Country: []string{"GB", "DE", "FR"}[n%3]}
	var total int64
	for i := range lines {
		quantity, price := 1+s.random.Int64N(3), 100*(1+s.random.Int64N(9))
		m.Lines = append(m.Lines, &orderv1.OrderLine{Sku: fmt.Sprintf("SKU-%d", (n+i)%50), Name: "Lamp", Quantity: quantity, UnitPrice: gbp(price), Total: gbp(quantity * price)})
		total += quantity * price
	}
	m.Total = gbp(total)
	o, p := "order."+id, "payment."+id
	s.tell(o, at, m)
	s.tell(o, at.Add(time.Second), &orderv1.OrderReserved{OrderId: id})
	if n%5 == 4 {
		s.tell(p, at.Add(2*time.Second), &paymentv1.PaymentDeclined{OrderId: id, Amount: gbp(total)})
		s.tell(o, at.Add(2*time.Second), &orderv1.OrderCancelling{OrderId: id, Reason: orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED})
		s.tell(o, at.Add(3*time.Second), &orderv1.OrderCancelled{OrderId: id, Reason: orderv1.CancelReason_CANCEL_REASON_PAYMENT_DECLINED, Total: gbp(total)})
		return id
	}
	s.tell(p, at.Add(2*time.Second), &paymentv1.PaymentAuthorized{OrderId: id, Amount: gbp(total)})
	s.tell(o, at.Add(2*time.Second), &orderv1.OrderAuthorized{OrderId: id})
	s.tell(o, at.Add(3*time.Second), &orderv1.OrderConfirmed{OrderId: id})
	s.tell(p, at.Add(4*time.Second), &paymentv1.PaymentCaptured{OrderId: id, Amount: gbp(total)})
	s.tell(o, at.Add(4*time.Second), &orderv1.OrderPaid{OrderId: id, Total: gbp(total)})
	if n%4 == 0 {
		refund := uuid.NewSHA1(uuid.Nil, []byte("refund "+id)).String()
		l := m.GetLines()[0]
		back := []*orderv1.RefundLine{{Sku: l.GetSku(), Quantity: 1}}
		s.tell(o, at.Add(time.Hour), &orderv1.OrderRefundRequested{OrderId: id, RefundId: refund, Amount: l.GetUnitPrice(), Lines: back})
		if n%8 == 0 {
			s.tell(o, at.Add(2*time.Hour), &orderv1.OrderRefundFailed{OrderId: id, RefundId: refund, Amount: l.GetUnitPrice(), FailureCode: "expired"})
		} else {
			s.tell(p, at.Add(2*time.Hour), &paymentv1.PaymentRefunded{OrderId: id, RefundId: refund, Amount: l.GetUnitPrice(), Refunded: l.GetUnitPrice()})
			s.tell(o, at.Add(2*time.Hour), &orderv1.OrderRefunded{OrderId: id, RefundId: refund, Amount: l.GetUnitPrice(), Lines: back})
		}
	}
	return id
}

func (s *shop) catalog() {
	for n := range 25 {
		id := uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "product %d", n)).String()
		s.tell("product."+id, s.epoch, &catalogv1.ProductUpserted{Product: &catalogv1.ProductFacts{
			Id: id, Name: fmt.Sprintf("Product %d", n), Variants: []*catalogv1.VariantFacts{{Sku: fmt.Sprintf("SKU-%d", 2*n)}, {Sku: fmt.Sprintf("SKU-%d", 2*n+1)}},
		}})
	}
}

// Scan implements app.Logs. Its cursor is an index.
func (s *shop) Scan(_ context.Context, source, _, cursor string) (app.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scans++
	if s.broken != nil {
		if err := s.broken(source, s.scans); err != nil {
			return app.Page{}, err
		}
	}
	from := 0
	if cursor != "" {
		_, _ = fmt.Sscan(cursor, &from)
	}
	const size = 1000
	to := min(from+size, len(s.logs[source]))
	page := app.Page{Events: slices.Clone(s.logs[source][from:to]), Next: fmt.Sprint(to)}
	if to-from < size {
		page.CompleteUntil = time.Now()
	}
	return page, nil
}

// ListEvents implements consume.Owner.
func (s *shop) ListEvents(_ context.Context, source, subject string, after int64, limit int) (out []events.Event, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.logs[source] {
		if e.Subject == subject && e.Version > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

type database struct {
	pool  *pgxpool.Pool
	store *postgres.Store
	owner string // a DSN
}

func open(t testing.TB) database {
	t.Helper()
	db := pgtest.Service(t, postgres.Migrate)
	pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return database{pool: pool, store: postgres.New(pool, pg.NewReads(pool, nil)), owner: db.DSN}
}

func (d database) follower(s *shop) *app.Follower {
	return app.NewFollower(app.FollowerConfig{
		Logs: s, Models: d.store, Apply: applier(d.pool, s, slog.New(slog.DiscardHandler)), Every: time.Millisecond, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
}

// await runs a follower until a model answers that was complete at a time.
func (d database) await(t testing.TB, f *app.Follower, at time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	var g sync.WaitGroup
	for _, s := range app.Sources {
		g.Go(func() { _ = f.Serve(s)(running) })
		g.Go(func() { _ = f.Build(s)(running) })
	}
	defer g.Wait()
	defer stop()
	for {
		m, err := d.store.Model(ctx)
		if err != nil {
			t.Fatal(err)
		}
		progress, err := d.store.Progress(ctx)
		if err != nil {
			t.Fatal(err)
		}
		complete := 0
		for _, p := range progress {
			if p.Generation == m.Serving && p.CompleteUntil.After(at) {
				complete++
			}
		}
		if complete == len(app.Sources) && m.Building == app.None {
			return
		}
		if err := retry.Sleep(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("%+v with %+v: %v", m, progress, err)
		}
	}
}

// dump is all that a generation has.
func (d database) dump(t testing.TB, generation int16) string {
	t.Helper()
	var out strings.Builder
	for _, q := range []string{
		"SELECT (to_jsonb(r) - 'generation')::text FROM orders r WHERE generation = $1 ORDER BY id",
		"SELECT (to_jsonb(r) - 'generation')::text FROM order_lines r WHERE generation = $1 ORDER BY order_id, sku",
		"SELECT (to_jsonb(r) - 'generation')::text FROM refunds r WHERE generation = $1 ORDER BY id",
		"SELECT (to_jsonb(r) - 'generation')::text FROM refund_lines r WHERE generation = $1 ORDER BY refund_id, sku",
		"SELECT (to_jsonb(r) - 'generation')::text FROM payments r WHERE generation = $1 ORDER BY order_id",
		"SELECT (to_jsonb(r) - 'generation')::text FROM variants r WHERE generation = $1 ORDER BY sku",
	} {
		rows, err := d.pool.Query(t.Context(), q, generation)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			out.WriteString(line + "\n")
		}
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
	}
	return out.String()
}

// A broker may deliver in any order, again and again, or not at all, and the logs may be read
// in the middle of it: the model is what the events say one after the other.
func TestHoweverEventsArriveTheModelIsTheSame(t *testing.T) {
	t.Parallel()
	s := newShop(1)
	s.catalog()
	for n := range 60 {
		s.order(n, 1+n%4)
	}
	plain, mixed := open(t), open(t)
	plain.await(t, plain.follower(s), time.Time{})
	want := plain.dump(t, 0)

	mixed.await(t, mixed.follower(&shop{logs: map[string][]events.Event{}}), time.Time{}) // an empty shop: it answers
	live := app.Live(mixed.store, applier(mixed.pool, s, slog.New(slog.DiscardHandler)))
	all := slices.Concat(s.logs["order"], s.logs["payment"])
	for range 40 {
		var ds []events.Delivery
		for range s.random.IntN(30) {
			ds = append(ds, events.Delivery{Event: all[s.random.IntN(len(all))], Attempt: 1})
		}
		if err := errors.Join(live(t.Context(), ds)...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mixed.pool.Exec(t.Context(), "UPDATE progress SET cursor = '', complete_until = '-infinity'"); err != nil {
		t.Fatal(err)
	}
	mixed.await(t, mixed.follower(s), time.Time{})
	if got := mixed.dump(t, 0); got != want {
		t.Errorf("the model has:\n%s\nwant:\n%s", got, want)
	}
}

// Making a model anew changes nothing that is answered until the new one is whole; it goes
// on where it was when the process ended.
func TestAModelThatIsMadeAnewTakesThePlaceOfTheOther(t *testing.T) {
	t.Parallel()
	s := newShop(2)
	s.catalog()
	for n := range 400 {
		s.order(n, 2)
	}
	d := open(t)
	if _, _, err := d.store.Orders(t.Context(), app.OrderFilter{}, app.Beginning(), 10); !errors.Is(err, domain.ErrNotReady) {
		t.Errorf("before there is a model: %v", err)
	}
	d.await(t, d.follower(s), time.Time{})
	before := d.dump(t, 0)

	if _, err := d.store.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.Begin(t.Context()); err != nil { // changes nothing
		t.Fatal(err)
	}
	// The process ends after the first pages.
	ctx, crash := context.WithCancel(t.Context())
	first := s.scans
	s.broken = func(source string, scans int) error {
		if source == "order" && scans > first+3 {
			crash()
			return errors.New("the process is gone")
		}
		return nil
	}
	_ = d.follower(s).Build(app.Sources[0])(ctx)
	s.broken = nil
	if m, err := d.store.Model(t.Context()); err != nil || m.Serving != 0 || m.Building != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	if page, _, err := d.store.Orders(t.Context(), app.OrderFilter{}, app.Beginning(), 1000); err != nil || len(page) != 400 {
		t.Errorf("meanwhile %d orders are listed: %v", len(page), err)
	}
	s.order(400, 2) // and the shop goes on
	if _, err := d.pool.Exec(t.Context(), "UPDATE progress SET lease_until = now()"); err != nil {
		t.Fatal(err)
	}
	d.await(t, d.follower(s), time.Now())
	m, err := d.store.Model(t.Context())
	if err != nil || m.Serving != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	if page, _, err := d.store.Orders(t.Context(), app.OrderFilter{}, app.Beginning(), 1000); err != nil || len(page) != 401 {
		t.Errorf("%d orders are listed: %v", len(page), err)
	}
	if err := d.store.Clear(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if left := d.dump(t, 0); left != "" {
		t.Errorf("what was replaced has still:\n%s", left)
	}
	if after := d.dump(t, 1); !strings.Contains(after, before[:strings.Index(before, "\n")]) {
		t.Errorf("the first order is another one:\n%.1000s", after)
	}
}

func TestTheFiguresAreThoseOfTheEvents(t *testing.T) {
	t.Parallel()
	s := newShop(3)
	s.catalog()
	for n := range 80 {
		s.order(n, 1+n%3)
	}
	d := open(t)
	d.await(t, d.follower(s), time.Time{})
	a := app.New(d.store, d.store)
	ctx, whole := t.Context(), app.Period{From: s.epoch.Add(-time.Hour), Before: s.epoch.Add(24 * time.Hour)}
	var gross, refunded, orders int64
	for _, e := range s.logs["payment"] {
		switch e.Type {
		case "souk.payment.v1.PaymentCaptured":
			m := &paymentv1.PaymentCaptured{}
			_ = proto.Unmarshal(e.Data, m)
			gross += m.GetAmount().GetMinorUnits()
			orders++
		case "souk.payment.v1.PaymentRefunded":
			m := &paymentv1.PaymentRefunded{}
			_ = proto.Unmarshal(e.Data, m)
			refunded += m.GetAmount().GetMinorUnits()
		}
	}
	for _, by := range []app.Dimension{app.ByHour, app.ByDay, app.BySKU, app.ByProduct, app.ByCountry, app.ByCurrency} {
		rows, _, err := a.Sales(ctx, app.SalesQuery{Period: whole, By: by, Zone: "Europe/London", Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var g, r, o int64
		for _, row := range rows {
			g, r, o = g+row.Gross, r+row.Refunded, o+row.Orders
		}
		if g != gross || r != refunded || o != orders && by != app.BySKU && by != app.ByProduct {
			t.Errorf("by %d: %d orders, gross %d, refunded %d; payment has %d, %d, %d", by, o, g, r, orders, gross, refunded)
		}
		if by == app.ByProduct && (len(rows) != 25 || !strings.HasPrefix(rows[0].Name, "Product ")) {
			t.Errorf("%d products, the first %+v", len(rows), rows[0])
		}
	}
	f, _, err := a.Funnel(ctx, whole)
	if err != nil {
		t.Fatal(err)
	}
	if f.Stages[0].Orders != 80 || f.Stages[1].Orders != 80 || f.Stages[4].Orders != 64 || f.Stages[4].Median != time.Second || f.Cancelled[0] != (app.Cancelled{Reason: "payment_declined", Orders: 16}) {
		t.Errorf("the funnel: %+v", f)
	}
	sums, _, err := a.RefundSums(ctx, whole)
	if err != nil || len(sums) != 2 || sums[1].State != domain.RefundSucceeded || sums[1].Amount != refunded {
		t.Errorf("refunds: %+v, %v; payment has %d", sums, err, refunded)
	}
	page, _, _, err := a.Refunds(ctx, app.RefundFilter{State: domain.RefundFailed}, app.Beginning(), 100)
	if err != nil || int64(len(page)) != sums[0].Refunds {
		t.Errorf("%d refunds failed, %+v: %v", len(page), sums, err)
	}
	for name, f := range map[string]app.OrderFilter{
		"state": {States: []string{domain.Cancelled}}, "customer": {CustomerIDs: []string{uuid.NewSHA1(uuid.Nil, []byte("c1")).String()}},
		"number": {Number: "s-17"}, "SKU": {SKU: "SKU-3"}, "product": {ProductID: uuid.NewSHA1(uuid.Nil, []byte("product 4")).String()},
		"time": {PlacedFrom: s.epoch.Add(5 * time.Minute), PlacedBefore: s.epoch.Add(9 * time.Minute)},
	} {
		want := map[string]int{"state": 16, "customer": 12, "number": 1, "time": 4}[name]
		page, _, _, err := a.Orders(ctx, f, app.Beginning(), 100)
		if err != nil || len(page) == 0 || want != 0 && len(page) != want {
			t.Errorf("by %s: %d orders, want %d: %v", name, len(page), want, err)
		}
	}
	if _, _, err := a.Sales(ctx, app.SalesQuery{Period: whole, By: app.ByDay, Zone: "Mars/Olympus"}); !errors.Is(err, domain.ErrTimeZone) {
		t.Errorf("no such time zone: %v", err)
	}
	long := app.Period{From: whole.From, Before: whole.From.Add(3000 * time.Hour)}
	if _, _, err := a.Sales(ctx, app.SalesQuery{Period: long, By: app.ByHour}); !errors.Is(err, domain.ErrTooManyPeriods) {
		t.Errorf("too many hours: %v", err)
	}
}

// TestArchivedOrdersStay: of an order whose events are no longer in the logs a model that is made anew
// has what the one before has, where the order was archived, and nothing where it was not.
func TestArchivedOrdersStay(t *testing.T) {
	t.Parallel()
	s := newShop(3)
	s.catalog()
	var ids []string
	for n := range 40 {
		ids = append(ids, s.order(n, 2))
	}
	d := open(t)
	d.await(t, d.follower(s), time.Time{})
	whole := d.dump(t, 0)
	gone := map[string]bool{}
	for _, id := range ids[:20] {
		gone["order."+id], gone["payment."+id] = true, true
	}
	for source := range s.logs {
		s.logs[source] = slices.DeleteFunc(s.logs[source], func(e events.Event) bool { return gone[e.Subject] })
	}
	owner, err := pgxpool.New(t.Context(), d.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Exec(t.Context(), "INSERT INTO archived_orders SELECT unnest($1::uuid[])", ids[:20]); err != nil {
		t.Fatal(err)
	}
	anew := func(serving int16) string {
		t.Helper()
		if _, err := d.store.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.await(t, d.follower(s), time.Time{})
		if m, err := d.store.Model(t.Context()); err != nil || m.Serving != serving {
			t.Fatalf("%+v, %v", m, err)
		}
		return d.dump(t, serving)
	}
	if got := anew(1); got != whole {
		t.Errorf("made anew the model has:\n%s\nand had:\n%s", got, whole)
	}
	var noted int
	if err := d.pool.QueryRow(t.Context(), "SELECT count(*) FROM souk_consumed WHERE consumer = 'insight.1' AND subject = ANY ($1)",
		[]string{"order." + ids[0], "payment." + ids[0]}).Scan(&noted); err != nil || noted != 2 {
		t.Errorf("%d versions of an archived order are noted: %v", noted, err)
	}
	if _, err := owner.Exec(t.Context(), "DELETE FROM archived_orders WHERE order_id = $1", ids[0]); err != nil {
		t.Fatal(err)
	}
	if got := anew(0); strings.Contains(got, ids[0]) || !strings.Contains(got, ids[1]) {
		t.Errorf("an order that is in no log and not archived is in the model, or one that is archived is not:\n%s", got)
	}
}

// TestArchivedWhileAModelIsMade: orders are archived when the model that is being made has read only
// some of their events. It gets the others from the one that answers.
func TestArchivedWhileAModelIsMade(t *testing.T) {
	t.Parallel()
	s := newShop(4)
	s.catalog()
	var ids []string
	for n := range 40 {
		ids = append(ids, s.order(n, 2))
	}
	d := open(t)
	d.await(t, d.follower(s), time.Time{})
	whole := d.dump(t, 0)
	if _, err := d.store.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The process ends when it has read half of the log of orders, and nothing of that of payments.
	ctx, crash := context.WithCancel(t.Context())
	half := &shop{logs: map[string][]events.Event{"order": s.logs["order"][:len(s.logs["order"])/2]}}
	half.broken = func(_ string, scans int) error {
		if scans > 1 {
			crash()
		}
		return ctx.Err()
	}
	_ = d.follower(half).Build(app.Sources[0])(ctx)
	if read := d.dump(t, 1); !strings.Contains(read, ids[0]) || strings.Contains(read, ids[39]) {
		t.Fatal("it has read nothing, or everything")
	}
	owner, err := pgxpool.New(t.Context(), d.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Exec(t.Context(), "INSERT INTO archived_orders SELECT unnest($1::uuid[])", ids); err != nil {
		t.Fatal(err)
	}
	s.logs["order"], s.logs["payment"] = nil, nil
	if _, err := d.pool.Exec(t.Context(), "UPDATE progress SET lease_until = now(), cursor = ''"); err != nil { // it was an index in the logs
		t.Fatal(err)
	}
	d.await(t, d.follower(s), time.Now())
	if got := d.dump(t, 1); got != whole {
		t.Errorf("made anew the model has:\n%.2000s\nand had:\n%.2000s", got, whole)
	}
}
