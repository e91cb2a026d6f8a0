package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/souk-shop/souk/proto/contact"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	orderjobs "github.com/souk-shop/souk/services/order/internal/jobs"
	"github.com/souk-shop/souk/services/order/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// open returns a store on a database of its own, and a superuser's pool there.
func open(t *testing.T) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	db := pgtest.Service(t, postgres.Migrate)
	pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return postgres.New(pool, postgres.Times{Deadline: 10 * time.Minute, AuthorizeWithin: 75 * time.Second, DriveDelay: 15 * time.Second}), db.Superuser(t)
}

func gbp(units int64) money.Money { return money.Money{Units: units, Currency: "GBP"} }

func newOrder() domain.Order {
	return domain.Order{
		ID: uuid.Must(uuid.NewV7()).String(), CustomerID: uuid.NewString(), IdempotencyKey: uuid.NewString(),
		RequestHash: []byte("hash"), CartID: uuid.NewString(), CartVersion: 3, PaymentMethod: "pm_card_visa",
		Email: "a@example.com", Address: contact.Address{Name: "Ann", Line1: "1 High St", City: "York", PostalCode: "YO1 7HH", Country: "GB"},
		Total: gbp(665), TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Lines: []domain.Line{
			{SKU: "Z", Name: "Zebra", Quantity: 2, UnitPrice: gbp(295), Total: gbp(590)},
			{SKU: "A", Name: "Apple", Quantity: 3, UnitPrice: gbp(25), Total: gbp(75)},
		},
	}
}

func place(t *testing.T, s *postgres.Store, o domain.Order) domain.Order {
	t.Helper()
	placed, err := s.Place(t.Context(), o, 0, domain.Numbers("00"))
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

// path walks an order along the given events.
func path(t *testing.T, s *postgres.Store, o domain.Order, events ...domain.Event) domain.Order {
	t.Helper()
	for _, e := range events {
		tr, err := domain.Next(o.State, e)
		if err != nil {
			t.Fatal(err)
		}
		next, ok, err := s.Advance(t.Context(), o, tr, domain.Note{})
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v", e, ok, err)
		}
		o = next
	}
	return o
}

func paid(t *testing.T, s *postgres.Store) domain.Order {
	t.Helper()
	return path(t, s, place(t, s, newOrder()), domain.StockReserved, domain.PaymentAuthorized, domain.StockConfirmed, domain.MoneyCaptured)
}

func jobs(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPlaceAndGet(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	placed := place(t, s, newOrder())
	got, err := s.Get(t.Context(), placed.ID, domain.Viewer{Customer: placed.CustomerID})
	if err != nil {
		t.Fatal(err)
	}
	if got.Number != placed.Number || got.State != domain.Pending || got.Version != 1 || !got.PlacedAt.Equal(placed.PlacedAt) ||
		got.Total != gbp(665) || got.Address != placed.Address || !got.AnsweredPending || !got.Open || got.Overdue ||
		len(got.Lines) != 2 || got.Lines[0] != placed.Lines[0] || got.Lines[1] != placed.Lines[1] ||
		len(got.History) != 1 || !got.History[0].At.Equal(placed.PlacedAt) || got.TraceParent != placed.TraceParent {
		t.Errorf("got %+v\nplaced %+v", got, placed)
	}
	if jobs(t, pool) != 1 {
		t.Error("the order has no job")
	}
	if _, err := s.Get(t.Context(), placed.ID, domain.Viewer{Customer: uuid.NewString()}); !errors.Is(err, domain.ErrOrderNotFound) {
		t.Errorf("another customer gets %v", err)
	}
	if _, err := s.Get(t.Context(), uuid.NewString(), domain.Viewer{All: true}); !errors.Is(err, domain.ErrOrderNotFound) {
		t.Errorf("an unknown order gives %v", err)
	}
}

func TestPlaceOncePerKey(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	first := newOrder()
	place(t, s, first)
	second := newOrder()
	second.CustomerID, second.IdempotencyKey = first.CustomerID, first.IdempotencyKey
	if _, err := s.Place(t.Context(), second, 0, domain.Numbers("00")); !errors.Is(err, domain.ErrKeyTaken) {
		t.Fatalf("second: %v", err)
	}
	if id, err := s.FindByKey(t.Context(), first.CustomerID, first.IdempotencyKey); err != nil || id != first.ID {
		t.Errorf("key has %s, %v", id, err)
	}
	if jobs(t, pool) != 1 {
		t.Error("the refused order left a job")
	}
}

func TestPlaceTakesAnotherNumber(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first := place(t, s, newOrder())
	numbers := []string{first.Number, first.Number, "S-0000-0001"}
	second, err := s.Place(t.Context(), newOrder(), 0, func() string {
		n := numbers[0]
		numbers = numbers[1:]
		return n
	})
	if err != nil || second.Number != "S-0000-0001" {
		t.Fatalf("number %q, %v", second.Number, err)
	}
	if _, err := s.Place(t.Context(), newOrder(), 0, func() string { return first.Number }); err == nil {
		t.Error("two orders have one number")
	}
}

// TestJobRowIsRivers compares the row that Place writes with River's own, so that
// an upgrade of River which changes them is noticed.
func TestJobRowIsRivers(t *testing.T) {
	t.Parallel()
	for delay, state := range map[time.Duration]rivertype.JobState{
		15 * time.Second: rivertype.JobStateScheduled, 0: rivertype.JobStateAvailable,
	} {
		t.Run(delay.String(), func(t *testing.T) {
			t.Parallel()
			_, pool := open(t)
			s := postgres.New(pool, postgres.Times{Deadline: 10 * time.Minute, AuthorizeWithin: 75 * time.Second, DriveDelay: delay})
			o := place(t, s, newOrder())
			client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
			if err != nil {
				t.Fatal(err)
			}
			opts := &river.InsertOpts{MaxAttempts: 1000, UniqueOpts: river.UniqueOpts{
				ByArgs: true, ByState: []rivertype.JobState{
					rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
					rivertype.JobStateRetryable, rivertype.JobStateScheduled,
				},
			}}
			if delay > 0 {
				opts.ScheduledAt = time.Now().Add(delay)
			}
			own, err := client.Insert(t.Context(), orderjobs.OrderArgs{OrderID: o.ID, TraceParent: o.TraceParent}, opts)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := pool.Query(t.Context(), `SELECT to_jsonb(j) - '{id,created_at,scheduled_at,unique_key}'::text[] FROM river_job j ORDER BY id`)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || len(got) != 2 || got[0] != got[1] {
				t.Errorf("rows %q, %v", got, err)
			}
			var gap time.Duration
			if err := pool.QueryRow(t.Context(), "SELECT max(scheduled_at) - min(scheduled_at) FROM river_job").Scan(&gap); err != nil || gap > 5*time.Second {
				t.Errorf("scheduled %v apart, %v", gap, err)
			}
			if own.Job.State != state {
				t.Errorf("River's job is %s", own.Job.State)
			}
		})
	}
}

func TestAdvanceIsGuarded(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := place(t, s, newOrder())
	tr := domain.Transition{To: domain.Authorizing}
	next, ok, err := s.Advance(t.Context(), o, tr, domain.Note{})
	if err != nil || !ok || next.State != domain.Authorizing || next.Version != 2 {
		t.Fatalf("%+v, %v, %v", next, ok, err)
	}
	if _, ok, err := s.Advance(t.Context(), o, tr, domain.Note{}); ok || err != nil {
		t.Errorf("a second driver wrote, too: %v, %v", ok, err)
	}
	stale := next
	stale.Version = 1
	if _, ok, _ := s.Advance(t.Context(), stale, domain.Transition{To: domain.Confirming}, domain.Note{}); ok {
		t.Error("a stale version wrote")
	}
	got, err := s.Load(t.Context(), o.ID, false)
	if err != nil || got.Version != 2 || len(got.History) != 2 || got.History[1].State != domain.Authorizing {
		t.Errorf("%+v, %v", got, err)
	}
	// To the end: the job goes with the order, and what was noted stays.
	c, ok, err := s.Advance(t.Context(), next, domain.Transition{To: domain.Cancelling, Reason: domain.InsufficientStock},
		domain.Note{ShortSKUs: []string{"A"}, DeclineCode: "x"})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if jobs(t, pool) != 1 {
		t.Error("the job is gone before its order is settled")
	}
	c = path(t, s, c, domain.GivenBack)
	if jobs(t, pool) != 0 {
		t.Error("the job of a cancelled order is still there")
	}
	got, err = s.Get(t.Context(), o.ID, domain.Viewer{All: true})
	if err != nil || got.State != domain.Cancelled || got.Open || got.CancelReason != domain.InsufficientStock ||
		got.DeclineCode != "x" || len(got.ShortSKUs) != 1 || !got.SettledAt.Equal(c.SettledAt) || got.SettledAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCancelRacesCapture lets a cancellation and the step to CAPTURING race: one
// of them wins, never both.
func TestCancelRacesCapture(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for range 30 {
		o := path(t, s, place(t, s, newOrder()), domain.StockReserved, domain.PaymentAuthorized)
		var wg sync.WaitGroup
		var captured, cancelled bool
		wg.Go(func() {
			_, captured, _ = s.Advance(context.Background(), o, domain.Transition{To: domain.Capturing}, domain.Note{})
		})
		wg.Go(func() { cancelled, _ = s.Cancel(context.Background(), o.ID) })
		wg.Wait()
		if captured == cancelled {
			t.Fatalf("captured %v, cancelled %v", captured, cancelled)
		}
		got, err := s.Load(t.Context(), o.ID, false)
		if err != nil || (got.State == domain.Capturing) != captured || got.Version != 4 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

func TestAnswerIsDecidedOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	o, err := s.Place(t.Context(), newOrder(), time.Minute, domain.Numbers("00"))
	if err != nil || o.AnsweredPending {
		t.Fatalf("%+v, %v", o, err)
	}
	if due, err := s.AnswerDue(t.Context(), o.ID); err != nil || due {
		t.Errorf("%v, %v", due, err)
	}
	if pending, err := s.AnswerPending(t.Context(), o.ID); !pending || err != nil {
		t.Errorf("unsettled: %v, %v", pending, err)
	}
	if pending, err := s.AnswerPending(t.Context(), o.ID); !pending || err != nil {
		t.Errorf("again: %v, %v", pending, err)
	}
	if got := path(t, s, o, domain.StockReserved); !got.AnsweredPending {
		t.Error("the driver does not hear of it")
	}
	o, err = s.Place(t.Context(), newOrder(), time.Minute, domain.Numbers("00"))
	if err != nil {
		t.Fatal(err)
	}
	path(t, s, o, domain.CancelAsked, domain.GivenBack)
	if pending, err := s.AnswerPending(t.Context(), o.ID); pending || err != nil {
		t.Errorf("settled: %v, %v", pending, err)
	}
}

func TestFinish(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := paid(t, s)
	if got, err := s.Load(t.Context(), o.ID, false); err != nil || !got.Open || got.State != domain.Paid {
		t.Errorf("%+v, %v", got, err)
	}
	if jobs(t, pool) != 1 {
		t.Error("the job is gone before the follow-ups are done")
	}
	for range 2 {
		if err := s.Finish(t.Context(), o.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Load(t.Context(), o.ID, false); err != nil || got.Open {
		t.Errorf("%+v, %v", got, err)
	}
	if jobs(t, pool) != 0 {
		t.Error("the job is still there")
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	ctx := t.Context()
	o, done := place(t, s, newOrder()), paid(t, s)
	if err := s.Finish(ctx, done.ID); err != nil {
		t.Fatal(err)
	}
	refund, _, err := s.PlaceRefund(ctx, wantRefund(done.ID))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.InsertMissingJobs(ctx); n != 0 || err != nil {
		t.Errorf("everything has a job, yet it gave %d, %v", n, err)
	}
	for _, lost := range []string{"DELETE FROM river_job", "UPDATE river_job SET state = 'discarded', finalized_at = now()"} {
		if _, err := pool.Exec(ctx, lost); err != nil {
			t.Fatal(err)
		}
		if n, err := s.InsertMissingJobs(ctx); n != 2 || err != nil {
			t.Errorf("after %s it gave %d, %v", lost, n, err)
		}
		if n, err := s.InsertMissingJobs(ctx); n != 0 || err != nil {
			t.Errorf("again it gave %d, %v", n, err)
		}
	}
	stalled, err := s.Stalled(ctx, 0, 10)
	if err != nil || len(stalled) != 2 || stalled[0].ID != o.ID || stalled[0].TraceParent != o.TraceParent ||
		stalled[1].ID != refund.ID || !stalled[1].Refund {
		t.Errorf("stalled %+v, %v", stalled, err)
	}
	if stalled, err := s.Stalled(ctx, time.Minute, 10); err != nil || len(stalled) != 0 {
		t.Errorf("young ones %+v, %v", stalled, err)
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := place(t, s, newOrder())
	if _, err := pool.Exec(t.Context(), "UPDATE orders SET deadline = now() - interval '1 second'"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context(), o.ID, false); err != nil || !got.Overdue {
		t.Errorf("%+v, %v", got, err)
	}
	if got := path(t, s, o, domain.StockReserved); !got.Overdue {
		t.Error("the driver does not hear of it")
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	customer := uuid.NewString()
	var want []string
	for range 5 {
		o := newOrder()
		o.CustomerID = customer
		want = append([]string{place(t, s, o).ID}, want...)
		place(t, s, newOrder()) // another customer's
	}
	after := app.Newest()
	var got []string
	for {
		page, _, err := s.List(t.Context(), domain.Viewer{Customer: customer}, app.Filter{}, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			if len(o.Lines) != 2 {
				t.Errorf("lines %+v", o.Lines)
			}
			got = append(got, o.ID)
		}
		after = app.Position{PlacedAt: page[len(page)-1].PlacedAt, ID: page[len(page)-1].ID}
	}
	if len(got) != 5 {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if all, _, err := s.List(t.Context(), domain.Viewer{All: true}, app.Filter{}, app.Newest(), 100); err != nil || len(all) != 10 {
		t.Errorf("everybody's: %d, %v", len(all), err)
	}
}

// A page ends before it is larger than a message between services may be, and the next one
// begins where it ended.
func TestPagesOfLargeOrders(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	customer, last := uuid.NewString(), 0
	for range 4 {
		o := newOrder()
		o.CustomerID = customer
		place(t, s, o)
	}
	// The names of the lines make an order some 700 KiB.
	if _, err := pool.Exec(t.Context(), "UPDATE order_lines SET name = repeat('n', 350000)"); err != nil {
		t.Fatal(err)
	}
	after := app.Newest()
	for _, want := range []int{2, 2} {
		page, more, err := s.OrdersOf(t.Context(), customer, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		last += len(page)
		if len(page) != want || more != (last < 4) {
			t.Fatalf("a page of %d orders, more follow: %v; want %d", len(page), more, want)
		}
		after = app.Position{PlacedAt: page[want-1].PlacedAt, ID: page[want-1].ID}
	}
	// One that is larger than a page comes alone.
	if _, err := pool.Exec(t.Context(), "UPDATE order_lines SET name = repeat('n', 1500000)"); err != nil {
		t.Fatal(err)
	}
	if page, more, err := s.List(t.Context(), domain.Viewer{Customer: customer}, app.Filter{}, app.Newest(), 3); err != nil || len(page) != 1 || !more {
		t.Errorf("%d orders, %v, %v", len(page), more, err)
	}
}

// An order is found by each part of a filter, and by all at once.
func TestFind(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	o := newOrder()
	o.Email = "Ada@Example.com"
	o = place(t, s, o)
	place(t, s, newOrder())
	all := domain.Viewer{All: true}
	for name, tc := range map[string]struct {
		viewer domain.Viewer
		filter app.Filter
		want   int
	}{
		"state":                {all, app.Filter{States: []domain.State{o.State}}, 2},
		"another state":        {all, app.Filter{States: []domain.State{domain.Cancelled}}, 0},
		"number in lower case": {all, app.Filter{Number: strings.ToLower(o.Number)}, 1},
		"e-mail":               {all, app.Filter{Email: "ada@EXAMPLE.com"}, 1},
		"part of an e-mail":    {all, app.Filter{Email: "ada@example"}, 0},
		"SKU":                  {all, app.Filter{SKU: o.Lines[0].SKU}, 2},
		"another SKU":          {all, app.Filter{SKU: "NOPE"}, 0},
		"from its time":        {all, app.Filter{PlacedFrom: o.PlacedAt, Number: o.Number}, 1},
		"before its time":      {all, app.Filter{PlacedBefore: o.PlacedAt, Number: o.Number}, 0},
		"a customer's":         {domain.Viewer{Customer: o.CustomerID}, app.Filter{States: []domain.State{o.State}}, 1},
		"another customer's":   {domain.Viewer{Customer: uuid.NewString()}, app.Filter{Number: o.Number}, 0},
		"nobody's":             {domain.Viewer{}, app.Filter{Number: o.Number}, 0},
		"nobody's at all":      {domain.Viewer{}, app.Filter{}, 0},
		"all at once": {domain.Viewer{Customer: o.CustomerID}, app.Filter{
			States: []domain.State{domain.Paid, o.State}, PlacedFrom: o.PlacedAt.Add(-time.Hour), PlacedBefore: o.PlacedAt.Add(time.Hour),
			Number: o.Number, Email: o.Email, SKU: o.Lines[1].SKU,
		}, 1},
	} {
		found, _, err := s.List(t.Context(), tc.viewer, tc.filter, app.Newest(), 10)
		if err != nil || len(found) != tc.want {
			t.Errorf("%s: %d orders, %v; want %d", name, len(found), err, tc.want)
		}
	}
}

// TestMigrateAtOnce runs the migrations of several replicas on an empty database.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Service(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { errs[i] = postgres.Migrate(context.Background(), db.Config, slog.New(slog.DiscardHandler)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.New(pool, postgres.Times{}).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// From the hold of its stock an order has less time to be authorized than the hold
// lasts, and an authorized one has the rest of the whole time.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	s, pool := open(t)
	o := place(t, s, newOrder())
	left := func() (d time.Duration) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT deadline - placed_at FROM orders WHERE id = $1", o.ID).Scan(&d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if got := left(); got != 10*time.Minute {
		t.Errorf("placed: %v", got)
	}
	o = path(t, s, o, domain.StockReserved)
	if got := left(); got < 75*time.Second || got > 100*time.Second {
		t.Errorf("reserved: %v", got)
	}
	if _, err := pool.Exec(t.Context(), "UPDATE orders SET deadline = now() - interval '1s' WHERE id = $1", o.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context(), o.ID, false); err != nil || !got.Overdue {
		t.Errorf("not overdue: %v", err)
	}
	o = path(t, s, o, domain.PaymentAuthorized)
	if got := left(); got != 10*time.Minute || o.Overdue {
		t.Errorf("authorized: %v, overdue %v", got, o.Overdue)
	}
}
