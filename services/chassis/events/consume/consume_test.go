package consume_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t testing.TB) *pgxpool.Pool {
	t.Helper()
	dsn := pgtest.New(t, func(ctx context.Context, dsn string) error {
		return consume.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
	})
	return connect(t, dsn)
}

// connect opens a database that has been migrated and gives it a table of effects.
func connect(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	// What the consumer does, in the order in which it was done.
	if _, err := pool.Exec(t.Context(), "CREATE TABLE effects (n bigserial, consumer text, subject text, version bigint)"); err != nil {
		t.Fatal(err)
	}
	if err := consume.Migrated(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// owner has all events from one on.
type owner struct {
	first int64
	fails func() bool
}

func event(subject string, version int64) events.Event {
	return events.Event{Source: "order", Subject: subject, Version: version, Type: "t", Time: time.Unix(1, 0)}
}

func (o *owner) ListEvents(_ context.Context, _, subject string, after int64, _ int) (out []events.Event, _ error) {
	if o.fails != nil && o.fails() {
		return nil, errors.New("away")
	}
	for v := max(o.first, after+1); v <= min(max(o.first-1, after)+3, 9); v++ { // pages of three
		out = append(out, event(subject, v))
	}
	return out, nil
}

func consumer(pool *pgxpool.Pool, name string, o *owner, fails func(events.Event) error) *consume.Consumer {
	return &consume.Consumer{Name: name, DB: pool, Owner: o, Effect: func(ctx context.Context, tx pgx.Tx, e events.Event) error {
		if _, err := tx.Exec(ctx, "INSERT INTO effects (consumer, subject, version) VALUES ($1, $2, $3)", name, e.Subject, e.Version); err != nil {
			return err
		}
		return fails(e) // after the effect, which has to be undone
	}}
}

func well(events.Event) error { return nil }

func effects(ctx context.Context, pool *pgxpool.Pool, name string) (map[string][]int64, error) {
	rows, err := pool.Query(ctx, "SELECT subject, version FROM effects WHERE consumer = $1 ORDER BY n", name)
	if err != nil {
		return nil, err
	}
	out := map[string][]int64{}
	var subject string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&subject, &version}, func() error { out[subject] = append(out[subject], version); return nil })
	return out, err
}

// TestOnceInOrder: whatever deliveries are lost, repeated, reordered or made at the same
// time, each event up to the newest that was delivered takes effect once, in order.
func TestOnceInOrder(t *testing.T) {
	t.Parallel()
	pool := open(t)
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		name := fmt.Sprint("c", checks)
		flaky := rapid.SliceOfN(rapid.Bool(), 0, 6).Draw(rt, "failures")
		fail := func() bool {
			if len(flaky) == 0 {
				return false
			}
			is := flaky[0]
			flaky = flaky[1:]
			return is
		}
		o := &owner{fails: fail}
		c := consumer(pool, name, o, func(events.Event) error {
			if fail() {
				return errors.New("not now")
			}
			return nil
		})
		type delivery struct {
			subject int
			version int64
		}
		list := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) delivery {
			return delivery{rapid.IntRange(1, 2).Draw(rt, "subject"), rapid.Int64Range(1, 9).Draw(rt, "version")}
		}), 1, 12).Draw(rt, "deliveries")
		newest := map[string]int64{}
		for len(list) > 0 {
			d := list[0]
			list = list[1:]
			subject := fmt.Sprint("order.", d.subject)
			if c.Handle(t.Context(), events.Delivery{Event: event(subject, d.version)}) != nil {
				list = append(list, d) // the broker delivers it again
				continue
			}
			newest[subject] = max(newest[subject], d.version)
		}
		got, err := effects(t.Context(), pool, name)
		if err != nil {
			rt.Fatal(err)
		}
		for subject, n := range newest {
			var want []int64
			for v := range n {
				want = append(want, v+1)
			}
			if !slices.Equal(got[subject], want) {
				rt.Fatalf("%s: effects %v, want %v", subject, got[subject], want)
			}
		}
	})
}

// TestAtTheSameTime: processes of a group that handle the same events at once.
func TestAtTheSameTime(t *testing.T) {
	t.Parallel()
	pool := open(t)
	c := consumer(pool, "c", &owner{}, well)
	var g errgroup.Group
	for i := range 40 {
		g.Go(func() error {
			return c.Handle(t.Context(), events.Delivery{Event: event("order.a", int64(9-i%9))})
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	got, err := effects(t.Context(), pool, "c")
	if err != nil || !slices.Equal(got["order.a"], []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestPassedOver: a dead letter holds up nothing, and its replay takes effect.
func TestPassedOver(t *testing.T) {
	t.Parallel()
	pool := open(t)
	sick := errors.New("sick")
	for name, last := range map[string]bool{"poison": false, "last delivery": true} {
		cured := false
		c := consumer(pool, name, &owner{}, func(e events.Event) error {
			if e.Version != 2 || cured {
				return nil
			}
			if last {
				return sick
			}
			return events.Poison(sick)
		})
		for _, step := range []struct {
			version int64
			fails   bool
			cured   bool
			want    []int64
		}{
			{1, false, false, []int64{1}},
			{2, true, false, []int64{1}},
			{3, false, false, []int64{1, 3}},
			{2, true, false, []int64{1, 3}}, // a replay that dies again
			{2, false, true, []int64{1, 3, 2}},
			{2, false, true, []int64{1, 3, 2}}, // and one that comes twice
			{4, false, true, []int64{1, 3, 2, 4}},
		} {
			cured = step.cured
			err := c.Handle(t.Context(), events.Delivery{Event: event("order.a", step.version), Last: last})
			if step.fails != errors.Is(err, sick) || !step.fails && err != nil {
				t.Errorf("%s: version %d: %v", name, step.version, err)
			}
			got, err := effects(t.Context(), pool, name)
			if err != nil || !slices.Equal(got["order.a"], step.want) {
				t.Errorf("%s: after version %d: %v, %v, want %v", name, step.version, got, err, step.want)
			}
		}
	}
}

// TestSwept: what its owner no longer has is not waited for.
func TestSwept(t *testing.T) {
	t.Parallel()
	pool := open(t)
	c := consumer(pool, "c", &owner{first: 5}, well)
	for _, step := range []struct {
		subject string
		version int64
		want    []int64
	}{
		{"stock.a", 7, []int64{5, 6, 7}},
		{"stock.a", 2, []int64{5, 6, 7}}, // late
		{"stock.b", 3, []int64{3}},       // which the broker has still
		{"stock.b", 9, []int64{3, 5, 6, 7, 8, 9}},
	} {
		if err := c.Handle(t.Context(), events.Delivery{Event: event(step.subject, step.version)}); err != nil {
			t.Errorf("%s, version %d: %v", step.subject, step.version, err)
		}
		got, err := effects(t.Context(), pool, "c")
		if err != nil || !slices.Equal(got[step.subject], step.want) {
			t.Errorf("%s after version %d: %v, %v, want %v", step.subject, step.version, got[step.subject], err, step.want)
		}
	}
}

// TestPoisonInAGap: the event that was lost is dead, not the one that was delivered, which
// would be among the dead letters for it.
func TestPoisonInAGap(t *testing.T) {
	t.Parallel()
	pool := open(t)
	sick, cured := errors.New("sick"), false
	c := consumer(pool, "c", &owner{}, func(e events.Event) error {
		if e.Version == 2 && !cured {
			return events.Poison(sick)
		}
		return nil
	})
	var dead []string
	fails := true
	c.OnDead = func(_ context.Context, _ pgx.Tx, e events.Event, reason error) error {
		if fails {
			return errors.New("not now")
		}
		dead = append(dead, fmt.Sprint(e.ID(), " ", reason))
		return nil
	}
	deliver := func(version int64) error {
		return c.Handle(t.Context(), events.Delivery{Event: event("order.a", version)})
	}
	if err := deliver(4); err == nil || events.IsPoison(err) {
		t.Errorf("nothing is noted: %v, want an error that has the event delivered again", err)
	}
	fails = false
	if err := deliver(4); err != nil {
		t.Error(err)
	}
	cured = true
	if err := deliver(2); err != nil { // after all
		t.Error(err)
	}
	got, err := effects(t.Context(), pool, "c")
	if err != nil || !slices.Equal(got["order.a"], []int64{1, 3, 4, 2}) || !slices.Equal(dead, []string{"order.a:2 sick"}) {
		t.Errorf("effects %v, %v, dead %v", got, err, dead)
	}
}

// TestLostAndSick: an event that was never delivered and fails is not passed over, since it
// has no letter: what comes after it waits.
func TestLostAndSick(t *testing.T) {
	t.Parallel()
	pool := open(t)
	cured := false
	c := consumer(pool, "c", &owner{}, func(e events.Event) error {
		if e.Version == 1 && !cured {
			return errors.New("sick")
		}
		return nil
	})
	if err := c.Handle(t.Context(), events.Delivery{Event: event("order.a", 2), Last: true}); err == nil {
		t.Error("a version before is passed over")
	}
	cured = true
	if err := c.Handle(t.Context(), events.Delivery{Event: event("order.a", 3)}); err != nil {
		t.Error(err)
	}
	got, err := effects(t.Context(), pool, "c")
	if err != nil || cmp.Compare(len(got["order.a"]), 3) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	// An event that its owner does not have was never true.
	if err := c.Handle(t.Context(), events.Delivery{Event: event("order.a", 11)}); err == nil {
		t.Error("an event that the owner does not have took effect")
	}
}
