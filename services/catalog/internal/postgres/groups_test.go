package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// lineUp has calls wait for a SKU one after another, and returns what lets them go and
// waits for their errors.
func (s *shop) lineUp(sku string, calls ...func(context.Context) error) (gone func() []error) {
	s.t.Helper()
	end, err := s.Turn(s.t.Context(), sku)
	if err != nil {
		s.t.Fatal(err)
	}
	var group sync.WaitGroup
	errs := make([]error, len(calls))
	for i, call := range calls {
		group.Go(func() { errs[i] = call(s.t.Context()) })
		s.until(func() bool { return s.Waiting(sku) == i+1 })
	}
	return func() []error {
		end()
		group.Wait()
		return errs
	}
}

// until asks the database something until it is so: that gives others the time.
func (s *shop) until(is func() bool) {
	s.t.Helper()
	for !is() {
		if _, err := s.pool.Exec(s.t.Context(), "SELECT"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// untilALockIsWaitedFor returns when a transaction waits for another one.
func (s *shop) untilALockIsWaitedFor() {
	s.t.Helper()
	s.until(func() (waits bool) {
		err := s.pool.QueryRow(s.t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		if err != nil {
			s.t.Fatal(err)
		}
		return waits
	})
}

func (s *shop) reserving(order string, lines ...domain.StockLine) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := s.Reserve(ctx, order, lines, quarter)
		return err
	}
}

// A group does what its commands would have done one after another: the same outcomes, the
// same stock, and a reservation for each order.
func TestAGroupAgainstOneAtATime(t *testing.T) {
	t.Parallel()
	together, alone := newShop(t), newShop(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		run++
		skus := make([]string, 3)
		for i := range skus {
			skus[i] = fmt.Sprintf("R%d-%d", run, i)
			stock := rapid.Int64Range(0, 8).Draw(t, "total")
			for _, s := range []*shop{together, alone} {
				if _, err := s.Upsert(ctx, "", []domain.ProductInput{simple(skus[i], "r", 100, stock)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		lines := rapid.Custom(func(t *rapid.T) (lines []domain.StockLine) {
			for _, sku := range rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Concat(skus, []string{"NOPE"})), 1, 3, rapid.ID).Draw(t, "skus") {
				lines = append(lines, line(sku, rapid.Int64Range(1, 4).Draw(t, "quantity")))
			}
			return lines
		})
		// What was before: orders in every state.
		known := map[string]bool{}
		var orders []string
		for range rapid.IntRange(0, 6).Draw(t, "known orders") {
			id, wish := newID(), lines.Draw(t, "lines")
			hold := quarter
			if rapid.Bool().Draw(t, "expired") {
				hold = time.Microsecond
			}
			then := rapid.SampledFrom([]string{"", "confirm", "release", "return"}).Draw(t, "then")
			for _, s := range []*shop{together, alone} {
				_, _, err := s.Reserve(ctx, id, wish, hold)
				known[id] = err == nil
				if err == nil && (then == "confirm" || then == "return") {
					_, _, err = s.Confirm(ctx, id)
				}
				if err == nil && then == "return" {
					_, err = s.Restock(ctx, newID(), id, []domain.StockLine{line(wish[0].SKU, 1)})
				}
				if err == nil && then == "release" {
					_, _, err = s.Release(ctx, id)
				}
				if known[id] && err != nil && !errors.Is(err, domain.ErrReservationExpired) {
					t.Fatal(err)
				}
			}
			orders = append(orders, id)
		}
		var commands []postgres.Command
		for _, id := range orders {
			c := postgres.Command{OrderID: id, Lines: lines.Draw(t, "lines of a repeat"), Hold: quarter}
			if kind := rapid.SampledFrom([]string{"reserve", "confirm", "release"}).Draw(t, "kind"); known[id] {
				c.Confirm, c.Release = kind == "confirm", kind == "release"
			}
			commands = append(commands, c)
		}
		for range rapid.IntRange(1, 8).Draw(t, "new orders") {
			commands = append(commands, postgres.Command{OrderID: newID(), Lines: lines.Draw(t, "lines"), Hold: quarter})
		}
		commands = rapid.Permutation(commands).Draw(t, "commands")
		got, err := together.Together(ctx, commands)
		if err != nil {
			t.Fatal(err)
		}
		// One after another: what gives units back, what sells them, what wants them.
		for _, now := range []func(postgres.Command) bool{
			func(c postgres.Command) bool { return c.Release },
			func(c postgres.Command) bool { return c.Confirm },
			func(c postgres.Command) bool { return !c.Release && !c.Confirm },
		} {
			for i, c := range commands {
				if !now(c) {
					continue
				}
				var want postgres.Outcome
				var touched domain.Touched
				switch {
				case c.Release:
					want.Reservation, touched, want.Err = alone.Release(ctx, c.OrderID)
				case c.Confirm:
					want.Reservation, touched, want.Err = alone.Confirm(ctx, c.OrderID)
				default:
					want.Reservation, touched, want.Err = alone.Reserve(ctx, c.OrderID, c.Lines, c.Hold)
				}
				if fmt.Sprint(got[i].Err) != fmt.Sprint(want.Err) || !slices.Equal(shortages(got[i].Err), shortages(want.Err)) {
					t.Fatalf("%+v: %v %v, alone %v %v", c, got[i].Err, shortages(got[i].Err), want.Err, shortages(want.Err))
				}
				a, b := got[i].Reservation, want.Reservation
				if a.OrderID != b.OrderID || a.State != b.State || a.Expired != b.Expired || a.Returned != b.Returned || (a.Left > 0) != (b.Left > 0) ||
					a.ExpiresAt.Sub(b.ExpiresAt).Abs() > time.Minute ||
					// Who is short of units has expired holds released before the others' turn.
					got[i].Touched != len(touched) && (!c.Release || !a.Expired) {
					t.Fatalf("%+v: %+v touched %d, alone %+v touched %d", c, a, got[i].Touched, b, len(touched))
				}
			}
		}
		for _, s := range []*shop{together, alone} { // each has given back what it needed, and maybe more
			for n := 1; n > 0; {
				touched, err := s.ExpireHolds(ctx)
				if err != nil {
					t.Fatal(err)
				}
				n = len(touched)
			}
		}
		for _, sku := range skus {
			if a, b := together.stock(sku), alone.stock(sku); a != b {
				t.Fatalf("stock of %s is %+v, alone %+v", sku, a, b)
			}
		}
		var wrong int
		if err := together.pool.QueryRow(ctx, wrongSums).Scan(&wrong); err != nil || wrong > 0 {
			t.Fatalf("the stock of %d SKUs is not the sum of their lines: %v", wrong, err)
		}
	})
}

func shortages(err error) []domain.Shortage {
	if short, ok := errors.AsType[*domain.ShortageError](err); ok {
		return short.Shortages
	}
	return nil
}

// Who came first is served first, and the units of a SKU change once for each group: the log
// has an event for each change.
func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const stock, buyers = 70, 100
	s.add(simple("HOT", "hot", 100, stock))
	calls := make([]func(context.Context) error, buyers)
	for i := range calls {
		calls[i] = s.reserving(newID(), line("HOT", 1))
	}
	for i, err := range s.lineUp("HOT", calls...)() {
		switch {
		case i < stock && err != nil:
			t.Errorf("buyer %d of %d units: %v", i+1, stock, err)
		case i >= stock && !errors.Is(err, domain.ErrInsufficientStock):
			t.Errorf("buyer %d of %d units: %v", i+1, stock, err)
		}
	}
	s.wantStock("HOT", stock, stock, 0)
	var levels string
	if err := s.pool.QueryRow(t.Context(), `SELECT string_agg(data ->> 'available', ' ' ORDER BY version) FROM souk_events
		WHERE subject = 'stock.HOT'`).Scan(&levels); err != nil || levels != "70 6 0" {
		t.Errorf("the log has the levels %q (%v), want those of a group of 64 and of the rest", levels, err)
	}
}

// A small wish behind one that is too large gets what is left.
func TestARefusalIsOneMembersOwn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("HOT", "hot", 100, 5), simple("X", "x", 100, 0))
	errs := s.lineUp("HOT", s.reserving(newID(), line("HOT", 3)), s.reserving(newID(), line("HOT", 3)), s.reserving(newID(), line("HOT", 1), line("X", 1)),
		s.reserving(newID(), line("HOT", 1), line("NOPE", 1)), s.reserving(newID(), line("HOT", 2)))()
	for i, want := range []error{nil, domain.ErrInsufficientStock, domain.ErrInsufficientStock, domain.ErrSKUNotFound, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("buyer %d: %v, want %v", i+1, errs[i], want)
		}
	}
	if got := shortages(errs[1]); !slices.Equal(got, []domain.Shortage{{SKU: "HOT", Requested: 3, Available: 2, Held: 3}}) {
		t.Errorf("the second buyer was told %+v", got)
	}
	s.wantStock("HOT", 5, 5, 0)
	s.wantStock("X", 0, 0, 0)
}

// A unit of an expired hold, once given back, serves one member, who leaves another short of
// units of another expired hold.
func TestExpiredHoldsOfAGroup(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("A", "a", 100, 1), simple("C", "c", 100, 2))
	for _, sku := range []string{"A", "C"} {
		if _, _, err := s.Reserve(t.Context(), newID(), []domain.StockLine{line(sku, 1)}, time.Microsecond); err != nil {
			t.Fatal(err)
		}
	}
	for i, err := range s.lineUp("C", s.reserving(newID(), line("A", 1), line("C", 1)), s.reserving(newID(), line("C", 1)))() {
		if err != nil {
			t.Errorf("buyer %d: %v", i+1, err)
		}
	}
	s.wantStock("A", 1, 1, 0)
	s.wantStock("C", 2, 2, 0)
}

// One that the database does not take is the only one that fails.
func TestAPoisonedMember(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("HOT", "hot", 100, 50))
	poisoned := newID()
	for _, sql := range []string{
		`CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poisoned'; END $$`,
		`CREATE TRIGGER poison BEFORE INSERT ON reservations FOR EACH ROW WHEN (NEW.order_id = '` + poisoned + `') EXECUTE FUNCTION poison()`,
	} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	good := []string{newID(), newID(), newID()}
	errs := s.lineUp("HOT", s.reserving(good[0], line("HOT", 1)), s.reserving("no-uuid", line("HOT", 1)), s.reserving(good[1], line("HOT", 1)),
		s.reserving(poisoned, line("HOT", 1)), s.reserving(good[2], line("HOT", 1)))()
	for i, err := range errs {
		if bad := i == 1 || i == 3; bad != (err != nil) {
			t.Errorf("buyer %d: %v", i+1, err)
		}
	}
	if errs[3] == nil || !strings.Contains(errs[3].Error(), "poisoned") {
		t.Errorf("the poisoned one was told %v", errs[3])
	}
	s.wantStock("HOT", 50, 3, 0)
}

// The answer to a commit is lost: no caller is told that it failed or that it succeeded, nothing
// is tried a second time, and repeats find out.
func TestTheOutcomeOfAGroupIsUnknown(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("HOT", "hot", 100, 50))
	var lose atomic.Bool
	cfg := s.pool.Config()
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &lossy{Conn: conn, lose: &lose}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	far := &shop{postgres.New(pool, "GBP").Group(batch, queue), s.pool, t}
	orders := []string{newID(), newID(), newID()}
	calls := make([]func(context.Context) error, len(orders))
	for i, order := range orders {
		calls[i] = far.reserving(order, line("HOT", 2))
	}
	changed := make(chan domain.Touched, 1)
	far.TellChanged(func(products domain.Touched) { changed <- products })
	gone := far.lineUp("HOT", calls...)
	lose.Store(true)
	for i, err := range gone() {
		if !pgerr.IsUnavailable(err) {
			t.Errorf("buyer %d was told %v", i+1, err)
		}
	}
	if got, want := <-changed, s.product("HOT").ID; !slices.Equal(got, domain.Touched{want}) {
		t.Errorf("the group told that %v may have changed, want %s", got, want)
	}
	s.wantStock("HOT", 50, 6, 0)
	lose.Store(false)
	for _, order := range orders {
		if err := far.reserving(order, line("HOT", 2))(t.Context()); err != nil {
			t.Errorf("a repeat: %v", err)
		}
	}
	s.wantStock("HOT", 50, 6, 0)
}

// lossy is a connection that ends with the answer to a commit.
type lossy struct {
	net.Conn
	lose    *atomic.Bool
	commits atomic.Bool
}

func (c *lossy) Write(b []byte) (int, error) {
	c.commits.Store(bytes.Contains(b, []byte("commit\x00")))
	return c.Conn.Write(b)
}

func (c *lossy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.commits.Load() && c.lose.Load() {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// A member that goes while it waits is not carried out; one that goes while its group is at
// work does not know, and the others are not harmed.
func TestAMemberLeaves(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("HOT", "hot", 100, 50), simple("X", "x", 100, 50))
	changed := make(chan domain.Touched, 1)
	s.TellChanged(func(products domain.Touched) { changed <- products })
	early, goEarly := context.WithCancel(ctx)
	late, goLate := context.WithCancel(ctx)
	orders := []string{newID(), newID(), newID(), newID()}
	with := func(ctx context.Context, order string) func(context.Context) error {
		return func(context.Context) error { return s.reserving(order, line("HOT", 1))(ctx) }
	}
	left := make(chan struct{})
	gone := s.lineUp("HOT", with(ctx, orders[0]), with(early, orders[1]), func(ctx context.Context) error {
		defer close(left)
		return s.reserving(orders[2], line("HOT", 1), line("X", 1))(late)
	}, with(ctx, orders[3]))
	goEarly()
	s.until(func() bool { return s.Waiting("HOT") == 3 })
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SELECT FROM stock WHERE sku = 'HOT' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan []error, 1)
	go func() { done <- gone() }()
	s.untilALockIsWaitedFor()
	goLate()
	<-left
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	errs := <-done
	for i, want := range []error{nil, context.Canceled, context.Canceled, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("buyer %d: %v, want %v", i+1, errs[i], want)
		}
	}
	if errs[2] == nil || !strings.Contains(errs[2].Error(), "unknown") {
		t.Errorf("the one that left a group at work was told %v", errs[2])
	}
	s.until(func() bool { return s.stock("HOT").Held == 3 }) // the group's, with the one that went
	want := domain.Touched{s.product("HOT").ID, s.product("X").ID}
	slices.Sort(want)
	if got := <-changed; !slices.Equal(got, want) {
		t.Errorf("the group told that %v have changed, want %v: those of the one that went, too", got, want)
	}
	for i, order := range orders {
		var reserved bool
		if err := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM reservations WHERE order_id = $1)", order).Scan(&reserved); err != nil || reserved != (i != 1) {
			t.Errorf("order %d is reserved: %v, %v", i+1, reserved, err)
		}
	}
}

// A queue that is full takes no reservation, and takes what ends one.
func TestAFullQueue(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("HOT", "hot", 100, 50))
	sold := newID()
	if err := s.reserving(sold, line("HOT", 1))(ctx); err != nil {
		t.Fatal(err)
	}
	s.Group(batch, 2)
	gone := s.lineUp("HOT", s.reserving(newID(), line("HOT", 1)), s.reserving(newID(), line("HOT", 1)), func(ctx context.Context) error {
		_, _, err := s.Confirm(ctx, sold)
		return err
	})
	refused := s.reserving(newID(), line("HOT", 1))(ctx)
	if about, ok := errors.AsType[*domain.SKUError](refused); !errors.Is(refused, domain.ErrStockBusy) || !ok || !slices.Equal(about.SKUs, []string{"HOT"}) {
		t.Errorf("the third: %v", refused)
	}
	for i, err := range gone() {
		if err != nil {
			t.Errorf("command %d: %v", i+1, err)
		}
	}
	s.wantStock("HOT", 50, 2, 1)
}

// Another process releases an order, and leaves its tombstone, while a group is about to
// reserve it.
func TestAGroupMeetsATombstone(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("HOT", "hot", 100, 50))
	orders := []string{newID(), newID(), newID()}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "INSERT INTO reservations (order_id, state, expires_at, lines_hash) VALUES ($1, 'released', now(), '')", orders[1]); err != nil {
		t.Fatal(err)
	}
	gone := s.lineUp("HOT", s.reserving(orders[0], line("HOT", 1)), s.reserving(orders[1], line("HOT", 1)), s.reserving(orders[2], line("HOT", 1)))
	done := make(chan []error, 1)
	go func() { done <- gone() }()
	s.untilALockIsWaitedFor()
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	errs := <-done
	for i, want := range []error{nil, domain.ErrReservationReleased, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("order %d: %v, want %v", i+1, errs[i], want)
		}
	}
	s.wantStock("HOT", 50, 2, 0)
}

// Two replicas are asked to reserve, confirm and release the same orders of a few SKUs, all at
// once: each order has one outcome, no unit is lost or sold twice, and no two commands wait for each other.
func TestGroupsOfTwoReplicas(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	const skus, stock, orders = 3, 60, 150
	for i := range skus {
		s.add(simple(fmt.Sprintf("S%d", i), "s", 100, stock))
	}
	other := postgres.New(open(t, pg.Config{DSN: config.Secret(s.pool.Config().ConnString())}), "GBP").Group(batch, queue)
	var wg sync.WaitGroup
	for i := range orders {
		order := newID()
		lines := []domain.StockLine{line(fmt.Sprintf("S%d", i%skus), 1)}
		if i%4 == 0 {
			lines = append(lines, line(fmt.Sprintf("S%d", (i+1)%skus), 2))
		}
		for n, store := range []*postgres.Store{s.Store, other} {
			wg.Go(func() {
				_, _, err := store.Reserve(ctx, order, lines, quarter)
				if err == nil && i%2 == 0 {
					_, _, err = store.Confirm(ctx, order)
				}
				for _, expected := range []error{nil, domain.ErrInsufficientStock, domain.ErrReservationReleased} {
					if errors.Is(err, expected) {
						return
					}
				}
				t.Errorf("order %d at replica %d: %v", i, n, err)
			})
		}
		if i%5 == 0 {
			wg.Go(func() {
				if _, _, err := other.Release(ctx, order); err != nil {
					t.Errorf("release order %d: %v", i, err)
				}
			})
		}
	}
	wg.Wait()
	s.wantSums()
	for i := range skus {
		if got := s.stock(fmt.Sprintf("S%d", i)); got.Available() < 0 || got.Held+got.Committed == 0 {
			t.Errorf("SKU %d: %+v", i, got)
		}
	}
	var deadlocks int64
	if err := s.pool.QueryRow(ctx, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks); err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}

// wantSums wants the stock of each SKU to be the sum of the lines of its reservations.
func (s *shop) wantSums() {
	s.t.Helper()
	var wrong int
	if err := s.pool.QueryRow(s.t.Context(), wrongSums).Scan(&wrong); err != nil || wrong > 0 {
		s.t.Errorf("the stock of %d SKUs is not the sum of their lines: %v", wrong, err)
	}
}

const wrongSums = `SELECT count(*) FROM stock s WHERE (s.held, s.committed) <> (
	SELECT coalesce(sum(l.quantity) FILTER (WHERE r.state = 'held'), 0), coalesce(sum(l.quantity - l.returned) FILTER (WHERE r.state = 'committed'), 0)
	FROM reservation_lines l JOIN reservations r USING (order_id) WHERE l.sku = s.sku)`

// The span of a group is in the trace of its first member that is sampled, and so are its
// events; it is linked to the other sampled members and they to it. Without one it has none. A
// command that need not wait is in no group.
func TestAGroupIsTraced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		members []string
		parent  string // of the group; empty where it is not traced
		linked  []string
	}{
		"all are sampled":  {[]string{"first", "second", "third"}, "first", []string{"second", "third"}},
		"some are sampled": {[]string{"dropped", "second", "dropped", "third"}, "second", []string{"third"}},
		"none is sampled":  {[]string{"dropped", "dropped"}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ctx := newShop(t), t.Context()
			s.add(simple("HOT", "hot", 100, 50))
			recorder := tracetest.NewSpanRecorder()
			tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.ParentBased(byName{}))).Tracer("test")
			if err := s.Observe(tracer, telemetry.Discard().Meter()); err != nil {
				t.Fatal(err)
			}
			traced := func(name string, call func(context.Context) error) func(context.Context) error {
				return func(context.Context) error {
					ctx, span := tracer.Start(ctx, name)
					defer span.End()
					return call(ctx)
				}
			}
			if err := traced("alone", s.reserving(newID(), line("HOT", 1)))(ctx); err != nil {
				t.Fatal(err)
			}
			calls := make([]func(context.Context) error, len(c.members))
			for i, member := range c.members {
				calls[i] = traced(member, s.reserving(newID(), line("HOT", 1)))
			}
			if err := errors.Join(s.lineUp("HOT", calls...)()...); err != nil {
				t.Fatal(err)
			}
			spans := map[string]sdktrace.ReadOnlySpan{}
			for _, span := range recorder.Ended() {
				spans[span.Name()] = span
			}
			for name, span := range spans {
				for _, l := range span.Links() {
					if !l.SpanContext.IsSampled() {
						t.Errorf("a link of %s leads to what is not sampled", name)
					}
				}
			}
			group := spans["souk.catalog.stock.group"]
			if c.parent == "" {
				if group != nil {
					t.Error("the group has a span")
				}
				return
			}
			if group == nil || !group.Parent().Equal(spans[c.parent].SpanContext()) {
				t.Fatalf("the group is not a child of %s; the spans are %v", c.parent, spans)
			}
			links := func(from, to sdktrace.ReadOnlySpan) bool {
				return slices.ContainsFunc(from.Links(), func(l sdktrace.Link) bool { return l.SpanContext.Equal(to.SpanContext()) })
			}
			for name, span := range spans {
				if want := slices.Contains(c.linked, name); links(group, span) != want || links(span, group) != want {
					t.Errorf("%s is linked from the group: %v, to it: %v", name, links(group, span), links(span, group))
				}
			}
			var parent string
			if err := s.pool.QueryRow(ctx, "SELECT traceparent FROM souk_events WHERE subject = 'stock.HOT' ORDER BY version DESC LIMIT 1").Scan(&parent); err != nil {
				t.Fatal(err)
			}
			if want := telemetry.TraceParent(trace.ContextWithSpanContext(ctx, group.SpanContext())); parent != want {
				t.Errorf("the event's trace is %q, want that of the group, %q", parent, want)
			}
		})
	}
}

// byName samples every root but "dropped" and that of a group.
type byName struct{}

func (byName) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if p.Name == "dropped" || p.Name == "souk.catalog.stock.group" {
		return sdktrace.SamplingResult{Decision: sdktrace.Drop}
	}
	return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
}

func (byName) Description() string { return "all but dropped" }

// Transactions count their commands once they have committed; who goes while it waits has
// waited, too.
func TestTurnsAreMeasured(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("HOT", "hot", 100, 50))
	reader := sdkmetric.NewManualReader()
	if err := s.Observe(noop.NewTracerProvider().Tracer(""), sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")); err != nil {
		t.Fatal(err)
	}
	if err := s.reserving("no-uuid", line("HOT", 1))(ctx); err == nil {
		t.Fatal("an order without a UUID was reserved")
	}
	leaves, leave := context.WithCancel(ctx)
	gone := s.lineUp("HOT", s.reserving(newID(), line("HOT", 1)), s.reserving(newID(), line("HOT", 1)), func(context.Context) error {
		return s.reserving(newID(), line("HOT", 1))(leaves)
	})
	leave()
	s.until(func() bool { return s.Waiting("HOT") == 2 })
	gone()
	if err := s.reserving(newID(), line("HOT", 1))(ctx); err != nil {
		t.Fatal(err)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		t.Fatal(err)
	}
	var commands, waits string
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Histogram[int64]:
			commands = fmt.Sprintf("%d commands in %d transactions", data.DataPoints[0].Sum, data.DataPoints[0].Count)
		case metricdata.Histogram[float64]:
			waits = fmt.Sprintf("%d waits", data.DataPoints[0].Count)
		}
	}
	if commands != "3 commands in 2 transactions" || waits != "5 waits" {
		t.Errorf("%s, %s; want 3 commands in 2 transactions, 5 waits", commands, waits)
	}
}

// An adjustment has an import written before it, and waits for the lock of the catalog to do
// so: orders of the SKU do not wait for the adjustment meanwhile.
func TestOrdersDoNotWaitForAnImport(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	s.add(simple("HOT", "hot", 100, 50))
	s.accepted([]domain.ProductInput{simple("HOT", "hot", 100, 60)})
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('souk.catalog.edit', 0))"); err != nil {
		t.Fatal(err)
	}
	adjusted := make(chan error, 1)
	go func() {
		_, err := s.AdjustStock(ctx, domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: "HOT", Delta: 1}}})
		adjusted <- err
	}()
	s.untilALockIsWaitedFor()
	soon, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := s.reserving(newID(), line("HOT", 1))(soon); err != nil {
		t.Errorf("an order while the adjustment waits for the catalog: %v", err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-adjusted; err != nil {
		t.Error(err)
	}
	s.wantStock("HOT", 61, 1, 0)
}

// More holds have expired than one transaction releases: a group gets the units of all that
// it needs.
func TestManyExpiredHoldsOfAGroup(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.add(simple("HOT", "hot", 100, 130))
	s.expiredHolds(130, "HOT")
	commands := make([]postgres.Command, 64)
	for i := range commands {
		commands[i] = postgres.Command{OrderID: newID(), Lines: []domain.StockLine{line("HOT", 2)}, Hold: quarter}
	}
	out, err := s.Together(t.Context(), commands)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if o.Err != nil {
			t.Errorf("buyer %d: %v", i+1, o.Err)
		}
	}
}

// The expired holds of one SKU do not keep the units of another from a buyer, whether in a
// group or alone.
func TestExpiredHoldsOfTwoSKUs(t *testing.T) {
	t.Parallel()
	for name, buy := range map[string]func(*shop) error{
		"group": func(s *shop) error {
			out, err := s.Together(t.Context(), []postgres.Command{
				{OrderID: newID(), Lines: []domain.StockLine{line("A", 1)}, Hold: quarter},
				{OrderID: newID(), Lines: []domain.StockLine{line("B", 1)}, Hold: quarter},
			})
			if err != nil {
				return err
			}
			return errors.Join(out[0].Err, out[1].Err)
		},
		"alone": func(s *shop) error { return s.reserving(newID(), line("A", 1), line("B", 1))(t.Context()) },
		"adjustment": func(s *shop) error {
			_, err := s.AdjustStock(t.Context(), domain.Adjustment{ID: newID(), Reason: "r", Changes: []domain.StockChange{{SKU: "A", Delta: -1}, {SKU: "B", Delta: -1}}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.add(simple("A", "a", 100, 100), simple("B", "b", 100, 1))
			s.expiredHolds(100, "A")
			s.expiredHolds(1, "B")
			if err := buy(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// expiredHolds holds a unit of a SKU for each of n orders, for too short a time.
func (s *shop) expiredHolds(n int, sku string) {
	s.t.Helper()
	for range n {
		if _, _, err := s.Reserve(s.t.Context(), newID(), []domain.StockLine{line(sku, 1)}, time.Microsecond); err != nil {
			s.t.Fatal(err)
		}
	}
}

// A question that waits for its turn at a SKU that looks sold out finds that another command
// has released the expired holds meanwhile. It waits for a moment only, which may be too short
// for this test: so it asks several times.
func TestAQuestionAfterItsTurn(t *testing.T) {
	t.Parallel()
	s, ctx := newShop(t), t.Context()
	for i := range 20 {
		sku := fmt.Sprintf("HOT-%d", i)
		s.add(simple(sku, "hot", 100, 1))
		s.expiredHolds(1, sku)
		end, err := s.Turn(ctx, sku)
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan int64, 1)
		go func() {
			found, err := s.Variants(ctx, []string{sku})
			if err != nil {
				t.Error(err)
				answer <- 0
				return
			}
			answer <- found[0].Stock.Available()
		}()
		s.until(func() bool { return s.Waiting(sku) == 1 || len(answer) == 1 })
		if _, err := s.ExpireHolds(ctx); err != nil {
			t.Error(err)
		}
		end()
		if <-answer == 1 {
			return
		}
	}
	t.Error("the SKU looks sold out, though its expired hold was released")
}
