package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/load"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/souk/internal/insight"
	"github.com/souk-shop/souk/tools/souk/internal/reconcile"
)

// erased is what the order service writes of orders whose buyers are erased by age.
const erased = `UPDATE orders SET email = '', shipping_address = jsonb_build_object('country', shipping_address -> 'country'), payment_method = '',
	idempotency_key = 'erased ' || id, request_hash = '', address_key = NULL, session_since = NULL, traceparent = '', erased_at = now(), version = version + 1
	WHERE NOT open AND erased_at IS NULL`

// reconciled is a daily reconciliation that has compared everything.
const reconciled = `INSERT INTO reconciliations (id, from_time, to_time, daily, phase, finished_at)
	VALUES (gen_random_uuid(), now() - interval '1 day', now() + interval '1 minute', true, 'done', now())`

// TestArchive: a shop's orders are archived by runs that are broken off before each step, one after
// the other, and restored likewise. After each run all books are equal, and the same as before.
func TestArchive(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	s.buy(40)
	guest, order := s.order("pm_card_visa")
	_, declined := s.order("pm_card_visa_chargeDeclined")
	if declined.State != shopclient.StateCancelled {
		t.Fatalf("the order ended %s", declined.State)
	}
	_, whole := s.order("pm_card_visa")
	for lines, of := range map[int64]string{1: order.ID, 0: s.orderOf("pm_card_visa").ID} {
		r := shopclient.RefundRequest{Restock: lines == 0, Reason: "broken"}
		if lines > 0 {
			r.Lines = []shopclient.Line{{SKU: s.sku, Quantity: lines}}
		}
		if refund, err := s.operator.Refund(t.Context(), of, uuid.NewString(), 30*time.Second, r); err != nil || refund.State != shopclient.RefundSucceeded {
			t.Fatalf("%+v, %v", refund, err)
		}
	}

	opts := optionsOf(s)
	s.none("order", "SELECT count(*) FROM orders WHERE open") // a paid one has follow-ups
	s.refused(opts, "say who placed them", "has not compared")
	s.sql("order", erased)
	s.refused(opts, "has not compared")
	s.sql("payment", reconciled)
	s.sql("order", "UPDATE refunds SET state = 'pending' WHERE id = (SELECT min(id::text)::uuid FROM refunds)")
	s.refused(opts, "1 refunds are under way")
	s.sql("order", "UPDATE refunds SET state = 'succeeded' WHERE state = 'pending'")
	young := opts
	young.Now = time.Now()
	if err := Run(t.Context(), young); err == nil || !strings.Contains(err.Error(), "--before") {
		t.Errorf("orders of today: %v", err)
	}
	before, shown := s.books("before"), s.get(guest, order.ID)

	runs := s.brokenOff(opts, before, Run)
	t.Logf("archived by %d runs that were broken off, and one that was not", runs)
	if n := s.count("order", "SELECT count(*) FROM orders"); n != 0 {
		t.Errorf("%d orders are still there", n)
	}
	if n := s.count("payment", "SELECT count(*) FROM attempts") + s.count("payment", "SELECT count(*) FROM ledger_entries"); n != 0 {
		t.Errorf("%d rows of payments are still there", n)
	}
	s.want(shopclient.New(s.URL).WithToken(guest.Token()), order.ID, "order-archived")
	other, _ := s.order("pm_card_visa")
	s.want(other, order.ID, "order-not-found")
	_, err := s.operator.Refund(t.Context(), order.ID, uuid.NewString(), 0, shopclient.RefundRequest{Reason: "late"})
	if problem, ok := errors.AsType[*shopclient.Problem](err); !ok || problem.Type != "/problems/order-archived" {
		t.Errorf("a refund of an archived order: %v", err)
	}
	var out bytes.Buffer
	if err := reconcile.Check(t.Context(), s.operator, time.Unix(0, 0), time.Now().Add(time.Second), &out); err != nil {
		t.Errorf("reconciliation: %v\n%s", err, &out)
	}
	after := s.books("with a new order")
	if err := insight.Command(t.Context(), []string{"--data", s.dir, "rebuild"}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if made := s.books("with a new read model"); !reflect.DeepEqual(made, after) {
		t.Errorf("a new read model has other books:\n%+v\nbefore:\n%+v", made, after)
	}

	archive := filepath.Join(opts.To, opts.Before.AddDate(0, -1, 0).Format(monthFormat))
	if err := Verify(t.Context(), opts, opts.To); err != nil {
		t.Errorf("the files: %v", err)
	}
	s.changed(opts, archive)
	s.sql("order", "UPDATE archives SET manifest = sha256('x')")
	if err := Verify(t.Context(), opts, opts.To); err == nil || !strings.Contains(err.Error(), "another manifest") {
		t.Errorf("another manifest: %v", err)
	}
	_, sum, err := readManifest(archive)
	if err != nil {
		t.Fatal(err)
	}
	s.sql("order", "UPDATE archives SET manifest = $1", sum)

	runs = s.brokenOff(opts, after, func(ctx context.Context, opts Options) error { return Restore(ctx, opts, archive) })
	t.Logf("restored by %d runs that were broken off, and one that was not", runs)
	if again := s.get(guest, order.ID); !reflect.DeepEqual(again, shown) {
		t.Errorf("the order is back as\n%+v\nand was\n%+v", again, shown)
	}
	for _, table := range []string{"archives", "archived_orders", "archived_units"} {
		if n := s.count("order", "SELECT count(*) FROM "+table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	for _, table := range []string{"archives", "archived_payments", "archived_entries"} {
		if n := s.count("payment", "SELECT count(*) FROM "+table); n != 0 {
			t.Errorf("%s of payment has %d rows", table, n)
		}
	}
	s.changedMeanwhile(opts, order.ID, whole.ID)
}

// TestArchiveMeanwhile: while a run writes the files another one is refused, and what happens until
// they are written is looked at before anything is deleted. Files with an order that has moved to
// another cell outlast that the others are restored and archived again. Files may be those of another
// system, such as one before a restored dump.
func TestArchiveMeanwhile(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	guest, order := s.order("pm_card_visa")
	moved := s.orderOf("pm_card_visa")
	s.none("order", "SELECT count(*) FROM orders WHERE open")
	s.sql("order", erased)
	s.sql("payment", reconciled)
	opts := optionsOf(s)
	meanwhile := func(what func()) Options {
		opts := opts
		opts.step = func(step string) error {
			if step == "export" {
				what()
			}
			return nil
		}
		return opts
	}
	s.refused(meanwhile(func() {
		s.sql("payment", "UPDATE reconciliations SET phase = 'there', finished_at = NULL")
	}), "has not compared", "is under way")
	s.sql("payment", "UPDATE reconciliations SET phase = 'done', finished_at = now()")
	err := Run(t.Context(), meanwhile(func() {
		if err := Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "another run") {
			t.Errorf("another run: %v", err)
		}
		for _, service := range []string{"order", "payment"} { // as in a system that is further on
			s.sql(service, "UPDATE souk_events SET tx = (tx::text::bigint + 1000000000)::text::xid8")
		}
	}))
	if err == nil {
		err = Verify(t.Context(), opts, opts.To)
	}
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(opts.To, opts.Before.AddDate(0, -1, 0).Format(monthFormat))
	s.sql("order", "DELETE FROM archived_orders WHERE id = $1", moved.ID)
	s.sql("payment", "DELETE FROM archived_payments WHERE order_id = $1", moved.ID)
	if err := Restore(t.Context(), opts, archive); err != nil {
		t.Fatal(err)
	}
	s.get(guest, order.ID)
	for _, service := range []string{"order", "payment"} {
		if n := s.count(service, "SELECT count(*) FROM souk_events WHERE tx >= pg_snapshot_xmax(pg_current_snapshot())"); n > 0 {
			s.Errorf("%s: the log's followers wait for %d events", service, n)
		}
	}
	if n := s.count("insight", "SELECT count(*) FROM archived_orders"); n != 2 {
		t.Errorf("a read model that is being made gets %d orders from the one that answers", n)
	}
	begun, elsewhere := opts, opts
	begun.step = func(step string) error {
		if step == "begun order" {
			return errBrokenOff
		}
		return nil
	}
	if err := Run(t.Context(), begun); !errors.Is(err, errBrokenOff) {
		t.Fatal(err)
	}
	elsewhere.To = t.TempDir()
	if err := Run(t.Context(), elsewhere); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("a run is repeated with another folder: %v", err)
	}
	if err := Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	for folder, orders := range map[string]int64{archive: 2, archive + ".2": 1} {
		if man, _, err := readManifest(folder); err != nil || man.rows("order", "orders") != orders {
			t.Errorf("%s: %+v, %v", folder, man, err)
		}
		if err := os.Truncate(filepath.Join(folder, "order", "orders.csv.gz"), 9); err != nil {
			t.Fatal(err)
		}
	}
	err = Verify(t.Context(), opts, opts.To)
	for _, folder := range []string{archive, archive + ".2"} {
		if err == nil || !strings.Contains(err.Error(), folder+"/") {
			t.Errorf("%s is damaged: %v", folder, err)
		}
	}
}

// TestArchiveOfCells: each cell has a folder of its own, and the books over all cells stay equal.
// What is not published is not archived.
func TestArchiveOfCells(t *testing.T) {
	t.Parallel()
	s := startShop(t, func(o *localshop.Options) { o.Cells, o.Events = 2, localshop.EmbeddedEvents })
	s.buy(20)
	for _, cell := range []string{"c1", "c2"} {
		s.none("order_"+cell, "SELECT count(*) FROM orders WHERE open")
		s.sql("order_"+cell, erased)
		s.sql("payment_"+cell, reconciled)
	}
	before := s.books("before")
	opts := optionsOf(s)
	s.published()
	s.sql("order_c1", "UPDATE souk_events_relay SET tx = '0', subject = '', version = 0, leader = gen_random_uuid(), lease_until = now() + interval '1 hour'")
	s.refused(opts, "events of order are not published")
	s.sql("order_c1", "UPDATE souk_events_relay SET lease_until = now()")
	s.published()
	if err := Run(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if after := s.books("after"); !reflect.DeepEqual(after, before) {
		t.Errorf("the books are\n%+v\nand were\n%+v", after, before)
	}
	if err := Verify(t.Context(), opts, opts.To); err != nil {
		t.Error(err)
	}
	for _, cell := range []string{"c1", "c2"} {
		if n := s.count("order_"+cell, "SELECT count(*) FROM orders"); n != 0 {
			t.Errorf("%d orders are still in %s", n, cell)
		}
		archive := filepath.Join(opts.To, cell, opts.Before.AddDate(0, -1, 0).Format(monthFormat))
		if err := Restore(t.Context(), opts, archive); err != nil {
			t.Error(err)
		}
	}
	if after := s.books("restored"); !reflect.DeepEqual(after, before) {
		t.Errorf("the books are\n%+v\nand were\n%+v", after, before)
	}
}

// published waits until the relays of orders and payments have published the logs of all cells.
func (s *testShop) published() {
	s.Helper()
	for name := range s.DSNs() {
		if strings.HasPrefix(name, "order") || strings.HasPrefix(name, "payment") {
			s.none(name, "SELECT count(*) FROM souk_events e, souk_events_relay r WHERE r.system = 0 OR (e.tx, e.subject, e.version) > (r.tx, r.subject, r.version)")
		}
	}
}

// none waits until a query counts nothing.
func (s *testShop) none(service, query string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for s.count(service, query) > 0 {
		select {
		case <-ctx.Done():
			s.Fatalf("%s: %s: %v", service, query, ctx.Err())
		case <-tick.C:
		}
	}
}

// optionsOf archive all orders of a shop as if a year had passed.
func optionsOf(s *testShop) Options {
	now := time.Now().UTC()
	return Options{
		Databases: s.DSNs(), To: s.TempDir(), Out: io.Discard, batch: 15,
		Now: now.AddDate(1, 0, 0), Before: time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// changedMeanwhile archives the shop's orders again, of which one changes after the files were
// written, and the payment of another one: both stay, whole, until the next run.
func (s *testShop) changedMeanwhile(opts Options, order, payment string) {
	s.Helper()
	s.none("order", "SELECT count(*) FROM orders WHERE open")
	s.sql("order", erased)
	s.sql("payment", reconciled)
	before := s.books("restored")
	var out bytes.Buffer
	opts.Out = &out
	opts.step = func(step string) error {
		if step == "begun payment" {
			s.sql("order", "UPDATE orders SET version = version + 1 WHERE id = $1", order)
			s.sql("payment", "INSERT INTO reviews (order_id, from_state, to_state, decided_by, why) VALUES ($1, 'needs_review', 'captured', 'ann', 'seen')", payment)
		}
		return nil
	}
	if err := Run(s.Context(), opts); err != nil {
		s.Fatal(err)
	}
	if !strings.Contains(out.String(), "2 orders or payments have changed") {
		s.Errorf("it is not said that two have changed:\n%s", &out)
	}
	for table, want := range map[string]int{"order_lines": 1, "order_history": 5, "souk_events": 9} {
		if n := s.count("order", "SELECT count(*) FROM "+table); n != want {
			s.Errorf("of the order that has changed %s has %d rows, want %d", table, n, want)
		}
	}
	// The order that has changed keeps its payment.
	if n := s.count("payment", "SELECT count(*) FROM attempts"); n != 2 {
		s.Errorf("%d payments are still there", n)
	}
	if got := s.books("changed meanwhile"); !reflect.DeepEqual(got, before) {
		s.Errorf("the books are\n%+v\nand were\n%+v", got, before)
	}
	opts.step = nil
	if err := Run(s.Context(), opts); err != nil {
		s.Fatal(err)
	}
	if n := s.count("order", "SELECT count(*) FROM orders") + s.count("payment", "SELECT count(*) FROM attempts"); n != 0 {
		s.Errorf("%d orders and payments are still there", n)
	}
	if got := s.books("archived in two parts"); !reflect.DeepEqual(got, before) {
		s.Errorf("the books are\n%+v\nand were\n%+v", got, before)
	}
	if err := Verify(s.Context(), opts, opts.To); err != nil {
		s.Errorf("the files of both: %v", err)
	}
	if n := s.count("order", "SELECT count(*) FROM archives WHERE finished_at IS NOT NULL"); n != 2 {
		s.Errorf("%d archives", n)
	}
}

type testShop struct {
	*testing.T
	*localshop.Shop
	dir, sku       string
	shop, operator *shopclient.Client
}

func startShop(t *testing.T, with ...func(*localshop.Options)) *testShop {
	t.Helper()
	s := &testShop{T: t, dir: filepath.Join(pgtest.Folder(t), "data")}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	opts := localshop.Options{Dir: s.dir, Disposable: true, Seed: true}
	for _, change := range with {
		change(&opts)
	}
	running, err := localshop.Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Stop(context.Background()) })
	s.Shop, s.shop = running, shopclient.New(running.URL)
	s.operator = s.shop.WithToken(running.OperatorToken)
	page, err := s.shop.Products(t.Context(), shopclient.ProductQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.sku = page.Products[0].Variants[0].SKU
	return s
}

// buy places so many orders.
func (s *testShop) buy(orders int) {
	s.Helper()
	const rate = 20
	l, err := load.Prepare(s.Context(), load.Options{
		Shop: s.shop, Rate: rate, Duration: time.Duration(orders) * time.Second / rate, Mix: load.Mix{load.Checkout: 1}, Seed: 1, Timeout: time.Minute,
	})
	if err == nil {
		err = l.Run(s.Context())
	}
	if err != nil {
		s.Fatal(err)
	}
}

// order places an order as a new guest.
func (s *testShop) order(method string) (guest *shopclient.Client, o *shopclient.Order) {
	s.Helper()
	guest = s.shop.WithToken("")
	cart, err := guest.NewCart(s.Context(), []shopclient.Line{{SKU: s.sku, Quantity: 3}})
	if err != nil {
		s.Fatal(err)
	}
	guest = guest.WithToken(cart.Token)
	o, err = guest.PlaceOrder(s.Context(), uuid.NewString(), 30*time.Second, shopclient.Checkout{
		CartID: cart.ID, PaymentMethod: method, Email: "now@example.com",
		ShippingAddress: shopclient.Address{Name: "A Shopper", Line1: "1 High Street", City: "Town", PostalCode: "SW1Y 4JH", Country: "GB"},
	})
	if err != nil {
		s.Fatal(err)
	}
	return guest, o
}

func (s *testShop) orderOf(method string) *shopclient.Order {
	s.Helper()
	_, o := s.order(method)
	return o
}

// get returns an order as its guest sees it.
func (s *testShop) get(guest *shopclient.Client, id string) *shopclient.Order {
	s.Helper()
	o, err := guest.Order(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return o
}

// want fails unless the order is refused to a client with a problem.
func (s *testShop) want(client *shopclient.Client, id, problem string) {
	s.Helper()
	_, err := client.Order(s.Context(), id)
	if p, ok := errors.AsType[*shopclient.Problem](err); !ok || p.Type != "/problems/"+problem || p.Status != 404 {
		s.Errorf("%v, want %s", err, problem)
	}
}

// books are the ledgers of the shop, which have to be equal.
func (s *testShop) books(when string) []audit.Ledger {
	s.Helper()
	report, err := audit.Run(s.Context(), audit.Sources{Databases: s.DSNs(), ProviderJournal: s.Journal}, time.Minute)
	if err != nil {
		s.Fatalf("%s: %v", when, err)
	}
	if !report.Clean() || len(report.Ledgers) != 4 {
		var out strings.Builder
		_ = report.Print(&out)
		s.Fatalf("%s: %d ledgers\n%s", when, len(report.Ledgers), &out)
	}
	return report.Ledgers
}

// refused fails unless a run is refused for reasons.
func (s *testShop) refused(opts Options, reasons ...string) {
	s.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var refusal *RefusedError
	for read := false; !read; <-tick.C { // the read model reads each second
		err := Run(s.Context(), opts)
		var ok bool
		if refusal, ok = errors.AsType[*RefusedError](err); !ok {
			s.Fatalf("%v, want %q", err, reasons)
		}
		read = !strings.Contains(err.Error(), "the read model has not read")
	}
	if len(refusal.Reasons) != len(reasons) {
		s.Fatalf("%v, want %q", refusal, reasons)
	}
	for i, reason := range reasons {
		if !strings.Contains(refusal.Reasons[i], reason) {
			s.Errorf("%q, want %q", refusal.Reasons[i], reason)
		}
	}
}

var errBrokenOff = errors.New("broken off")

// brokenOff does a run that ends before its second step, one that ends before its third one, and so
// on, until one is done, and compares the books after each.
func (s *testShop) brokenOff(opts Options, want []audit.Ledger, run func(context.Context, Options) error) (runs int) {
	s.Helper()
	for {
		at, steps := "", 0
		opts.step = func(step string) error {
			if steps++; steps > runs+1 {
				at = step
				return errBrokenOff
			}
			return nil
		}
		err := run(s.Context(), opts)
		if err != nil && !errors.Is(err, errBrokenOff) {
			s.Fatalf("after %d runs: %v", runs, err)
		}
		if got := s.books("broken off before " + at); !reflect.DeepEqual(got, want) {
			s.Errorf("broken off before %q, the books are\n%+v\nand were\n%+v", at, got, want)
		}
		if err == nil {
			return runs
		}
		s.Logf("broken off before %q", at)
		runs++
	}
}

// changed changes a byte of each file, in turn, and has it found.
func (s *testShop) changed(opts Options, archive string) {
	s.Helper()
	files, err := filepath.Glob(filepath.Join(archive, "*", "*.gz"))
	if err != nil || len(files) != 13 {
		s.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		other := bytes.Clone(b)
		other[len(other)/2] ^= 1
		if err := os.WriteFile(path, other, 0o600); err != nil {
			s.Fatal(err)
		}
		if err := Verify(s.Context(), opts, archive); err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
			s.Errorf("%s was changed: %v", path, err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *testShop) sql(service, statement string, args ...any) {
	s.Helper()
	s.connected(service, func(conn *pgx.Conn) error {
		_, err := conn.Exec(s.Context(), statement, args...)
		return err
	})
}

func (s *testShop) count(service, query string) (n int) {
	s.Helper()
	s.connected(service, func(conn *pgx.Conn) error { return conn.QueryRow(s.Context(), query).Scan(&n) })
	return n
}

func (s *testShop) connected(service string, fn func(*pgx.Conn) error) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.DSN(service))
	if err == nil {
		err = fn(conn)
	}
	if err != nil {
		s.Fatal(err)
	}
	_ = conn.Close(s.Context())
}

// TestFirstID: ids of a time are not before the first one, and those of the time before are.
func TestFirstID(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC)
	m := newMonth(at.AddDate(0, -1, 0))
	if m.name != "2025-01" || m.before != firstID(at) || !idTime(uuid.MustParse(m.before)).Equal(at) {
		t.Errorf("%+v", m)
	}
	if firstID(at.Add(-time.Millisecond)) >= m.before || firstID(at.Add(time.Millisecond)) <= m.before {
		t.Error("ids are not in the order of times")
	}
}

func TestParseMonth(t *testing.T) {
	t.Parallel()
	if at, err := ParseMonth("2025-01"); err != nil || !at.Equal(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", at, err)
	}
	for _, text := range []string{"", "2025", "2025-13", "2025-01-01", "January"} {
		if _, err := ParseMonth(text); err == nil || !strings.Contains(err.Error(), "--before") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestCommand: arguments that make no sense are refused before anything is asked of a shop.
func TestCommand(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--before 2025-01":              nil,
		`--before "2025": want a month`: {"--before", "2025"},
		"no shop is running":            {"--data", t.TempDir(), "--before", "2020-01"},
		"takes verify or restore":       {"verify"},
		"without --before and --to":     {"--before", "2025-01", "restore", "x"},
		"or no argument":                {"delete", "everything"},
		"there is no order database":    {"--dsn", "payment=postgres://127.0.0.1:1/x", "--before", "2020-01"},
		"until":                         {"--dsn", "order=postgres://127.0.0.1:1/x", "--before", time.Now().Format(monthFormat)},
		"there is no archive in":        {"verify", t.TempDir()},
		manifestFile + ": no such file": {"--dsn", "order=x", "restore", t.TempDir()},
	} {
		if err := Command(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}
