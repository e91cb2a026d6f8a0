package consume_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/propagation"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/retry"
)

func batch(pool *pgxpool.Pool, name string, o *owner, fails func(events.Event) error) *consume.Batch {
	return &consume.Batch{Name: name, DB: pool, Owner: o, Effect: func(ctx context.Context, tx pgx.Tx, es []events.Event) error {
		for _, e := range es {
			if _, err := tx.Exec(ctx, "INSERT INTO effects (consumer, subject, version) VALUES ($1, $2, $3)", name, e.Subject, e.Version); err != nil {
				return err
			}
			if err := fails(e); err != nil {
				return err
			}
		}
		return nil
	}}
}

func deliveries(subject string, versions ...int64) (out []events.Delivery) {
	for _, v := range versions {
		out = append(out, events.Delivery{Event: event(subject, v), Attempt: 1})
	}
	return out
}

// What a broker may deliver (repeats, gaps, in any order, to several processes at once)
// takes effect once and in order, whatever is taken together.
func TestABatchTakesEffectOnceAndInOrder(t *testing.T) {
	t.Parallel()
	pool := open(t)
	var round atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		name := "c" + string(rune('a'+round.Add(1)%26)) + rapid.StringMatching("[a-z]{12}").Draw(t, "name")
		var groups [][]events.Delivery
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var ds []events.Delivery
			for range rapid.IntRange(0, 12).Draw(t, "size") {
				subject := rapid.SampledFrom([]string{"order.a", "order.b", "order.c"}).Draw(t, "subject")
				ds = append(ds, deliveries(subject, rapid.Int64Range(1, 9).Draw(t, "version"))...)
			}
			groups = append(groups, ds)
		}
		var g errgroup.Group
		for _, ds := range groups {
			g.Go(func() error {
				// The owner is not safe for use at once: each process has its own.
				return errors.Join(batch(pool, name, &owner{}, well).Apply(context.Background(), ds)...)
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		got, err := effects(context.Background(), pool, name)
		if err != nil {
			t.Fatal(err)
		}
		newest := map[string]int64{}
		for _, ds := range groups {
			for _, d := range ds {
				newest[d.Subject] = max(newest[d.Subject], d.Version)
			}
		}
		for subject, n := range newest {
			for v := range n {
				if int(n) != len(got[subject]) || got[subject][v] != v+1 {
					t.Fatalf("%s took effect as %v, not as 1 to %d", subject, got[subject], n)
				}
			}
		}
	})
}

// An event that cannot take effect holds up neither the others of its batch nor, once it is
// passed over, those that follow it.
func TestABatchSeparatesWhatFails(t *testing.T) {
	t.Parallel()
	pool := open(t)
	b := batch(pool, "poisoned", &owner{}, func(e events.Event) error {
		if e.Subject == "order.b" && e.Version == 2 {
			return events.Poison(errors.New("unreadable"))
		}
		return nil
	})
	ds := slices.Concat(deliveries("order.a", 1, 2, 3), deliveries("order.b", 1, 2, 3), deliveries("order.c", 1))
	errs := b.Apply(t.Context(), ds)
	for i, err := range errs {
		if (i == 4) != events.IsPoison(err) || i != 4 && err != nil {
			t.Errorf("%s: %v", ds[i].ID(), err)
		}
	}
	got, err := effects(t.Context(), pool, "poisoned")
	if err != nil {
		t.Fatal(err)
	}
	if len(got["order.a"]) != 3 || !slices.Equal(got["order.b"], []int64{1, 3}) || len(got["order.c"]) != 1 {
		t.Errorf("took effect: %v", got)
	}
	// Its replay takes effect later.
	b.Effect = batch(pool, "poisoned", nil, well).Effect
	if err := errors.Join(b.Apply(t.Context(), deliveries("order.b", 2, 3))...); err != nil {
		t.Fatal(err)
	}
	if got, _ := effects(t.Context(), pool, "poisoned"); !slices.Equal(got["order.b"], []int64{1, 3, 2}) {
		t.Errorf("after the replay: %v", got)
	}
}

// A panic is an error of the event that it is about, and of no other.
func TestABatchSeparatesWhatPanics(t *testing.T) {
	t.Parallel()
	b := batch(open(t), "panics", &owner{}, func(e events.Event) error {
		if e.Subject == "order.b" {
			panic("two")
		}
		return nil
	})
	c := &consume.Collector{Apply: b.Apply, Linger: 50 * time.Millisecond}
	var outcomes []func() error
	for _, subject := range []string{"order.a", "order.b", "order.c"} {
		d := deliveries(subject, 1)[0]
		d.Time = time.Now() // it waits for the others
		outcomes = append(outcomes, c.Take(t.Context(), d))
	}
	for i, outcome := range outcomes {
		if err := outcome(); (err != nil) != (i == 1) {
			t.Errorf("outcome %d: %v", i, err)
		}
	}
}

// A process that dies after the commit and before the broker has its acknowledgements, of all or of
// some, gets events again, with others that follow them.
func TestARedeliveredHalfOfABatchTakesEffectOnce(t *testing.T) {
	t.Parallel()
	pool := open(t)
	b := batch(pool, "crashed", &owner{}, well)
	first := slices.Concat(deliveries("order.a", 1, 2), deliveries("order.b", 1))
	if err := errors.Join(b.Apply(t.Context(), first)...); err != nil {
		t.Fatal(err)
	}
	again := slices.Concat(deliveries("order.a", 2, 3), deliveries("order.b", 1, 2), deliveries("order.c", 1))
	for _, i := range []int{0, 2} {
		again[i].Attempt = 2
	}
	next := batch(pool, "crashed", &owner{}, well) // another process
	for range 2 {
		if err := errors.Join(next.Apply(t.Context(), again)...); err != nil {
			t.Fatal(err)
		}
	}
	got, err := effects(t.Context(), pool, "crashed")
	if err != nil || !slices.Equal(got["order.a"], []int64{1, 2, 3}) || !slices.Equal(got["order.b"], []int64{1, 2}) || !slices.Equal(got["order.c"], []int64{1}) {
		t.Errorf("took effect: %v, %v", got, err)
	}
}

// A process that dies before the commit has had no effect, and noted none.
func TestABatchThatIsNotCommittedComesAgain(t *testing.T) {
	t.Parallel()
	pool := open(t)
	b := batch(pool, "interrupted", &owner{}, well)
	dying, die := context.WithCancel(t.Context())
	done := b.Effect
	b.Effect = func(ctx context.Context, tx pgx.Tx, es []events.Event) error {
		err := done(ctx, tx, es)
		die()
		return err
	}
	ds := slices.Concat(deliveries("order.a", 1, 2), deliveries("order.b", 1))
	for i, err := range b.Apply(dying, ds) {
		if err == nil || events.IsPoison(err) {
			t.Errorf("%s: %v", ds[i].ID(), err)
		}
	}
	if err := errors.Join(batch(pool, "interrupted", &owner{}, well).Apply(t.Context(), ds)...); err != nil {
		t.Fatal(err)
	}
	got, err := effects(t.Context(), pool, "interrupted")
	if err != nil || !slices.Equal(got["order.a"], []int64{1, 2}) || !slices.Equal(got["order.b"], []int64{1}) {
		t.Errorf("took effect: %v, %v", got, err)
	}
}

// What one transaction cannot take, as by a statement's timeout, several do.
func TestABatchThatIsTooLargeIsDivided(t *testing.T) {
	t.Parallel()
	pool := open(t)
	const most = 5
	b := batch(pool, "large", &owner{}, well)
	done := b.Effect
	b.Effect = func(ctx context.Context, tx pgx.Tx, es []events.Event) error {
		if err := done(ctx, tx, es); err != nil || len(es) <= most {
			return err
		}
		return &pgconn.PgError{Severity: "ERROR", Code: "57014", Message: "canceling statement due to statement timeout"}
	}
	ds := slices.Concat(deliveries("order.a", 1, 2, 3, 4, 5, 6, 7, 8, 9), deliveries("order.b", 1, 2, 3, 4, 5, 6, 7))
	if err := errors.Join(b.Apply(t.Context(), ds)...); err != nil {
		t.Fatal(err)
	}
	got, err := effects(t.Context(), pool, "large")
	if err != nil || !slices.Equal(got["order.a"], []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}) || !slices.Equal(got["order.b"], []int64{1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("took effect: %v, %v", got, err)
	}
}

// Events that have just become true wait for others, longer where they keep coming; those of a
// queue do not, and neither does a full batch.
func TestWhatIsNewWaitsForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type batch struct {
			size  int
			after time.Duration
		}
		var start time.Time
		var taken []batch
		c := &consume.Collector{Linger: 20 * time.Millisecond, Every: 250 * time.Millisecond, Apply: func(_ context.Context, ds []events.Delivery) []error {
			taken = append(taken, batch{len(ds), time.Since(start)})
			return make([]error, len(ds))
		}}
		d := deliveries("order.a", 1)[0]
		const ms = time.Millisecond
		for _, test := range []struct {
			name    string
			deliver func()
			want    []batch
		}{
			{name: "one", deliver: func() { c.Take(t.Context(), d) }, want: []batch{{1, 20 * ms}}},
			{name: "one after the other", deliver: func() {
				for range 60 {
					c.Take(t.Context(), d)
					_ = retry.Sleep(t.Context(), 11*ms)
				}
			}, want: []batch{{2, 20 * ms}, {23, 270 * ms}, {23, 520 * ms}, {12, 770 * ms}}},
			{name: "a queue", deliver: func() {
				c.Take(t.Context(), d)
				_ = retry.Sleep(t.Context(), ms)
				old := d
				old.Time = start.Add(-time.Minute)
				c.Take(t.Context(), old)
				_ = retry.Sleep(t.Context(), ms)
				c.Take(t.Context(), old)
			}, want: []batch{{2, ms}, {1, 2 * ms}}},
			{name: "many", deliver: func() {
				for range 1001 {
					c.Take(t.Context(), d)
				}
			}, want: []batch{{500, 0}, {500, 0}, {1, 250 * ms}}},
			{name: "the process stops", deliver: func() {
				stopped, stop := context.WithCancel(t.Context())
				stop()
				c.Take(stopped, d)
			}, want: []batch{{1, 0}}},
		} {
			_ = retry.Sleep(t.Context(), time.Minute)
			start, taken = time.Now(), nil
			d.Time = start
			test.deliver()
			_ = retry.Sleep(t.Context(), 2*time.Second)
			synctest.Wait()
			if !slices.Equal(taken, test.want) {
				t.Errorf("%s: batches of %v, not %v", test.name, taken, test.want)
			}
		}
	})
}

// A panic is an error of each delivery of its batch, and does not end the process.
func TestABatchThatPanics(t *testing.T) {
	t.Parallel()
	c := &consume.Collector{Apply: func(context.Context, []events.Delivery) []error { panic("seven") }}
	for range 2 { // it goes on
		for _, d := range deliveries("order.a", 1, 2) {
			if err := c.Take(t.Context(), d)(); err == nil || err.Error() != "panic: seven" {
				t.Errorf("%v", err)
			}
		}
	}
}

func TestWhatWaitsIsTakenTogether(t *testing.T) {
	t.Parallel()
	begun, proceed := make(chan struct{}, 10), make(chan struct{})
	var sizes []int
	c := &consume.Collector{Apply: func(_ context.Context, ds []events.Delivery) []error {
		sizes = append(sizes, len(ds))
		begun <- struct{}{}
		<-proceed
		errs := make([]error, len(ds))
		for i, d := range ds {
			if d.Version == 7 {
				errs[i] = errors.New("seven")
			}
		}
		return errs
	}}
	var wg sync.WaitGroup
	var failed atomic.Int64
	handle := func(v int64) {
		wg.Go(func() {
			if err := c.Take(t.Context(), deliveries("order.a", v)[0])(); (err != nil) != (v == 7) {
				failed.Add(1)
			}
		})
	}
	handle(1)
	<-begun // taken alone: nothing else waited
	for v := int64(2); v < 10; v++ {
		handle(v)
	}
	c.AwaitWaiting(8)
	proceed <- struct{}{}
	<-begun
	close(proceed)
	wg.Wait()
	if failed.Load() != 0 || !slices.Equal(sizes, []int{1, 8}) {
		t.Errorf("batches of %v; %d had another outcome than their own", sizes, failed.Load())
	}
}

// What is known is dropped without a lock and without a write: a stream that is made anew is
// for the most part known.
func TestWhatIsKnownIsOnlyRead(t *testing.T) {
	t.Parallel()
	pool := open(t)
	b := batch(pool, "known", &owner{}, well)
	ds := append(deliveries("order.a", 1, 2), deliveries("order.b", 1)...)
	for range 2 { // the first repeat is not expected
		if err := errors.Join(b.Apply(t.Context(), ds)...); err != nil {
			t.Fatal(err)
		}
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), "SELECT FROM souk_consumed FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Apply(t.Context(), ds)...); err != nil { // it would wait for the lock
		t.Error(err)
	}
	if got, err := effects(t.Context(), pool, "known"); err != nil || len(got["order.a"]) != 2 || len(got["order.b"]) != 1 {
		t.Errorf("took effect: %v, %v", got, err)
	}
}

// Events that are taken together stay in the traces in which they are handled.
func TestEachEventIsInItsOwnTrace(t *testing.T) {
	t.Parallel()
	var got []string
	c := &consume.Collector{Apply: func(_ context.Context, ds []events.Delivery) []error {
		for _, d := range ds {
			got = append(got, d.Traceparent)
		}
		return make([]error, len(ds))
	}}
	const published, handled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
	d := deliveries("order.a", 1)[0]
	d.Traceparent = published
	in := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": handled})
	if err := errors.Join(c.Take(in, d)(), c.Take(t.Context(), d)()); err != nil || !slices.Equal(got, []string{handled, published}) {
		t.Errorf("taken in %v, %v", got, err)
	}
}
