package app_test

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// actor is a driver that stops before each call of a neighbor and at each crash
// point until it is told how to go on, so that a test decides every interleaving.
type actor struct {
	stops chan string // where it stopped; "" when it is done
	fates chan fate   // how it goes on
	where string      // "" when it is not driving
	err   error       // of the last drive
	drive func()      // starts a drive
}

// fate is how an actor goes on.
type fate struct {
	loss  apptest.Loss // of the call
	crash bool         // at the point
}

type actorKey struct{}

// actor returns one that drives an order first as the process that has placed it, which is
// ahead of the table, and then from the table.
func (w *world) actor(o domain.Order) *actor {
	a := &actor{stops: make(chan string), fates: make(chan fate)}
	d := w.driver(func(p crash.Point) error {
		a.stops <- "point " + string(p)
		if f := <-a.fates; f.crash {
			return crash.ErrCrashed
		}
		return nil
	})
	placed := true
	a.drive = func() {
		go func() {
			ctx := context.WithValue(context.Background(), actorKey{}, a)
			if placed {
				placed = false
				a.err = d.DrivePlaced(ctx, o)
			} else {
				a.err = d.Drive(ctx, o.ID)
			}
			a.stops <- ""
		}()
		a.where = <-a.stops
	}
	return a
}

// step lets a stopped actor go on to its next stop.
func (a *actor) step(f fate) {
	a.fates <- f
	a.where = <-a.stops
}

// stopped is the network of actors.
func stopped(ctx context.Context, op, _ string) apptest.Loss {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return apptest.Nothing
	}
	a.stops <- "call " + op
	return (<-a.fates).loss
}

// TestInterleavings drives one order by two drivers whose steps interleave in
// any way, whose calls are lost before or after their effect and who die
// anywhere, while the customer cancels, the hold runs out and the deadline
// passes. Whatever happens: once the trouble is over the order is settled, in
// exactly one way, and everybody agrees.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.network(stopped)
	ctx := context.Background()
	ends := map[domain.State]int{}
	rapid.Check(t, func(rt *rapid.T) {
		method := rapid.SampledFrom([]string{
			"pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa", apptest.MethodDeclined, apptest.MethodCaptureFails, apptest.MethodAnotherAmount,
		}).Draw(rt, "method")
		o := w.order(t, method, int64(rapid.SampledFrom([]int{2, 2, 2, 2, 1}).Draw(rt, "stock")))
		actors := []*actor{w.actor(o), w.actor(o)}
		var end domain.State // once terminal, always
		for range rapid.IntRange(20, 90).Draw(rt, "steps") {
			switch action := rapid.IntRange(0, 79).Draw(rt, "action"); action {
			case 61: // rapid likes small numbers and ends of ranges
				if _, err := w.store.Cancel(ctx, o.ID); err != nil {
					rt.Fatal(err)
				}
			case 67:
				w.catalog.Expire(o.ID)
			case 73:
				if _, err := w.pool.Exec(ctx, "UPDATE orders SET deadline = now() - interval '1s' WHERE id = $1", o.ID); err != nil {
					rt.Fatal(err)
				}
			default:
				a := actors[action%2]
				if a.where == "" {
					a.drive()
					continue
				}
				a.step(fate{
					loss:  rapid.SampledFrom([]apptest.Loss{apptest.Nothing, apptest.Nothing, apptest.Nothing, apptest.Request, apptest.Answer}).Draw(rt, a.where),
					crash: rapid.IntRange(0, 19).Draw(rt, "crash") == 13,
				})
				if a.where == "" && a.err != nil && !errors.Is(a.err, domain.ErrOutcomeUnknown) && !errors.Is(a.err, crash.ErrCrashed) {
					rt.Fatalf("drive: %v", a.err)
				}
			}
			now, err := w.store.Load(ctx, o.ID, false)
			if err != nil {
				rt.Fatal(err)
			}
			if end != "" && now.State != end {
				rt.Fatalf("%s became %s", end, now.State)
			}
			if now.State.Terminal() {
				end = now.State
			}
		}
		// The trouble is over: drivers on the way finish, then one more drives.
		for _, a := range actors {
			for a.where != "" {
				a.step(fate{})
			}
		}
		if err := w.driver(nil).Drive(ctx, o.ID); err != nil {
			rt.Fatalf("the last drive: %v", err)
		}
		got := w.settled(rt, o.ID)
		if end != "" && got.State != end {
			rt.Fatalf("%s became %s", end, got.State)
		}
		ends[got.State]++
	})
	if ends[domain.Paid] == 0 || ends[domain.Cancelled] == 0 {
		t.Errorf("too tame: %v", ends)
	}
	t.Log(ends)
}
