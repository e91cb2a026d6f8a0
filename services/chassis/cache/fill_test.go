package cache_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// source is what a fleet of caches reads: one number, which takes a time to read.
type source struct {
	mu    sync.Mutex
	value int
	loads int
	takes time.Duration
}

func (s *source) load(ctx context.Context) (int, error) {
	s.mu.Lock()
	v := s.value
	s.loads++
	s.mu.Unlock()
	return v, retry.Sleep(ctx, s.takes)
}

func (s *source) set(v int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = v
}

// fleet are an owner and one who asks it, each with a cache; a way to the owner takes lag.
type fleet struct {
	*testing.T
	source
	owner, asker *cache.Cache
	lag          time.Duration
	away         bool // the owner does not answer
	asked        int
	brief        bool
}

func fleetTest(t *testing.T, test func(*fleet)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{T: t, lag: time.Millisecond, source: source{value: 1, takes: 10 * time.Millisecond}}
		for _, c := range []**cache.Cache{&f.owner, &f.asker} {
			var err error
			if *c, err = cache.New(cache.Config{
				Name: "shop", Database: "shop", MemoryTTL: time.Second, MemoryWeight: 100, Backstop: time.Minute, Settle: 5 * time.Second,
			}, telemetry.Discard()); err != nil {
				t.Fatal(err)
			}
			defer (*c).Close()
			(*c).Following(true)
		}
		f.pass(6 * time.Second) // nothing has changed for longer than Settle
		test(f)
	})
}

func (f *fleet) pass(d time.Duration) {
	f.Helper()
	if err := retry.Sleep(f.Context(), d); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) query() cache.Query[int] {
	return cache.Query[int]{
		Key: "k", Items: func(int) []string { return []string{"item"} }, Parts: func(int) []string { return []string{"part"} },
		Brief: func(int) bool { return f.brief }, Load: f.load,
	}
}

func (f *fleet) ask() cache.Filler[int] { return f.fill }

func (f *fleet) fill(ctx context.Context, maxAge time.Duration) (int, time.Duration, bool) {
	f.asked++
	if f.away {
		return 0, 0, false
	}
	_ = retry.Sleep(ctx, f.lag)
	v, age, err := cache.Aged(ctx, f.owner, f.query(), maxAge)
	_ = retry.Sleep(ctx, f.lag)
	return v, age, err == nil
}

// get is what the asker shows, which is to cost so many questions and loads.
func (f *fleet) get(want, asked, loads int, when string) {
	f.Helper()
	f.getAs(f.Context(), want, asked, loads, when)
}

func (f *fleet) getAs(ctx context.Context, want, asked, loads int, when string) {
	f.Helper()
	q := f.query()
	q.Fill = f.ask
	beforeAsked, beforeLoads := f.asked, f.loads
	got, err := cache.Get(ctx, f.asker, q)
	if err != nil || got != want {
		f.Errorf("%s: %d, %v; want %d", when, got, err, want)
	}
	if f.asked-beforeAsked != asked || f.loads-beforeLoads != loads {
		f.Errorf("%s: %d questions and %d loads, want %d and %d", when, f.asked-beforeAsked, f.loads-beforeLoads, asked, loads)
	}
}

func (f *fleet) atOwner(want int) {
	f.Helper()
	if got, err := cache.Get(f.Context(), f.owner, f.query()); err != nil || got != want {
		f.Errorf("the owner has %d, %v; want %d", got, err, want)
	}
}

func TestFillTakesWhatTheOwnerHas(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		f.get(1, 1, 1, "no process has it")
		f.get(1, 0, 0, "it is kept")
		f.atOwner(1)
		if f.loads != 1 {
			f.Errorf("%d loads in the fleet", f.loads)
		}
		f.pass(61 * time.Second)
		f.atOwner(1)
		f.pass(30 * time.Second)
		f.get(1, 1, 0, "the owner's is half a minute old")
		f.pass(29 * time.Second)
		f.get(1, 0, 0, "it is kept for the rest of a minute")
		f.pass(2 * time.Second)
		f.get(1, 1, 1, "the minute is over, counted from the owner's read")
	})
}

// The owner has not been told yet of a change of which the asker was.
func TestFillIsNeverOlderThanWhatWasTold(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		f.get(1, 1, 1, "before")
		f.set(2)
		f.asker.Changed("item")
		f.get(2, 2, 1, "the owner still has what was before")
		f.owner.Changed("item")
		f.get(2, 0, 0, "the owner is told, too")
		f.set(3)
		f.asker.ChangedAll(f.Context())
		f.get(3, 1, 1, "the asker has changed everything")
		f.atOwner(3)
	})
}

// The asker is told while the owner's answer is on its way to it.
func TestFillIsOvertakenByAChange(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		f.atOwner(1)
		f.lag = 20 * time.Millisecond
		go func() {
			f.pass(30 * time.Millisecond)
			f.set(2)
			f.asker.Changed("item")
		}()
		f.get(2, 3, 1, "told at 30 ms of 40") // again with a flight of its own, and once more with a bound
	})
}

// What is read from a source that lags is brief for the asker, too.
func TestFillKeepsBrieflyWhatIsBrief(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		f.atOwner(1)
		f.pass(10 * time.Second)
		f.asker.Changed("part")
		f.get(1, 2, 1, "a part was changed since the owner's read: a second is the most")
		f.pass(1100 * time.Millisecond)
		f.get(1, 2, 1, "the source may still have lagged then")
		f.pass(10 * time.Second)
		f.get(1, 2, 1, "the owner's was read within Settle")
		f.pass(10 * time.Second)
		f.get(1, 0, 0, "no change for long")

		f.brief = true
		f.asker.ChangedAll(f.Context())
		f.owner.ChangedAll(f.Context())
		f.pass(10 * time.Second)
		f.get(1, 1, 1, "of what changes without an event")
		f.pass(900 * time.Millisecond)
		f.get(1, 0, 0, "within a second")
		f.pass(200 * time.Millisecond)
		f.get(1, 1, 1, "after a second")
	})
}

func TestFillWithoutEventsIsAMomentOld(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		f.atOwner(1)
		f.pass(600 * time.Millisecond)
		f.asker.Following(false)
		f.set(2)
		f.get(1, 1, 0, "the owner's is within a second")
		f.pass(500 * time.Millisecond)
		f.get(2, 1, 1, "a second after the owner's read")
	})
}

// An owner that is away costs a load and no error; one that fails does, too.
func TestFillFromNoProcess(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		f.away = true
		f.get(1, 1, 1, "the owner is away")
		f.get(1, 0, 0, "kept")
	})
}

// Those who ask at once are answered by one load of the owner, and by one of the asker when
// it is away; the owner's own load and the one it makes for others are one, too.
func TestFillsShareALoad(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		all := func() {
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() {
					q := f.query()
					q.Fill = f.ask
					if v, err := cache.Get(f.Context(), f.asker, q); err != nil || v != 1 {
						f.Errorf("%d, %v", v, err)
					}
				})
				wait.Go(func() { f.atOwner(1) })
			}
			wait.Wait()
		}
		all()
		if f.loads != 1 || f.asked != 1 {
			f.Errorf("%d loads, %d questions", f.loads, f.asked)
		}
	})
}

// Two that take each other for the owner of a key do not wait for each other.
func TestFillsAreNotPassedOn(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		q := f.query()
		ask := func(c *cache.Cache) func() cache.Filler[int] {
			return func() cache.Filler[int] {
				return func(ctx context.Context, maxAge time.Duration) (int, time.Duration, bool) {
					v, age, err := cache.Aged(ctx, c, q, maxAge)
					return v, age, err == nil
				}
			}
		}
		there, here := f.query(), f.query()
		there.Fill, here.Fill = ask(f.owner), ask(f.asker)
		var wait sync.WaitGroup
		begun := time.Now()
		for range 10 {
			wait.Go(func() { _, _ = cache.Get(f.Context(), f.asker, there) })
			wait.Go(func() { _, _ = cache.Get(f.Context(), f.owner, here) })
		}
		wait.Wait()
		if took := time.Since(begun); took != f.takes || f.loads > 2 {
			f.Errorf("%v, %d loads", took, f.loads)
		}
	})
}

// Who has written is given what was read for them, here.
func TestFillIsNotForThoseWhoWrote(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		ctx, _ := consistency.Begin(f.Context(), consistency.Token{"shop": {Timeline: 1, LSN: 9}})
		f.getAs(ctx, 1, 0, 1, "who has written")
	})
}

// The owner has begun to read before the change of which the asker was told: that read is
// waited for and not used.
func TestFillWaitsForALaterRead(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		go f.atOwner(1)
		f.pass(5 * time.Millisecond)
		f.set(2)
		f.asker.ChangedAll(f.Context())
		f.get(2, 1, 1, "the owner reads for another")
	})
}

// A load that ends between a caller's look at what is kept and its own load serves it, too.
func TestALoadThatHasJustEnded(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		for _, filler := range []cache.Filler[int]{nil, f.fill} {
			f.asker.ChangedAll(f.Context())
			f.pass(10 * time.Second)
			before := f.loads
			q := f.query()
			q.Fill = func() cache.Filler[int] { // between the two
				if _, err := cache.Get(f.Context(), f.asker, f.query()); err != nil {
					f.Error(err)
				}
				return filler
			}
			if v, err := cache.Get(f.Context(), f.asker, q); err != nil || v != 1 {
				f.Errorf("%d, %v", v, err)
			}
			if f.loads-before != 1 || f.asked > 0 {
				f.Errorf("%d loads, %d questions", f.loads-before, f.asked)
			}
		}
	})
}

// Another process that takes all the time of a load leaves this one's load its own.
func TestAFillThatTakesTooLong(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		f.takes = time.Second
		q := f.query()
		q.Fill = func() cache.Filler[int] {
			return func(ctx context.Context, _ time.Duration) (int, time.Duration, bool) {
				<-ctx.Done()
				return 0, 0, false
			}
		}
		if v, err := cache.Get(f.Context(), f.asker, q); err != nil || v != 1 {
			f.Errorf("%d, %v", v, err)
		}
	})
}

// While changes come faster than a load takes, a read costs a bounded number of loads: those of
// one process for each question, and its own.
func TestFillUnderConstantChange(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		ctx, stop := context.WithCancel(f.Context())
		defer stop()
		go func() {
			for retry.Sleep(ctx, 3*time.Millisecond) == nil {
				f.owner.Changed("item")
				f.asker.Changed("item")
			}
		}()
		begun := time.Now()
		f.get(1, 2, 2*3+3, "constant change")
		if took, most := time.Since(begun), 2*(3*f.takes+2*f.lag)+3*f.takes; took > most {
			f.Errorf("it took %v, and %v is the most", took, most)
		}
	})
}

// An age that no process can have given, as it was asked for at most so much, is no answer.
func TestFillOfAnImpossibleAge(t *testing.T) {
	fleetTest(t, func(f *fleet) {
		for _, age := range []time.Duration{-1, 2 * time.Minute, math.MaxInt64} {
			q := f.query()
			q.Fill = func() cache.Filler[int] {
				return func(context.Context, time.Duration) (int, time.Duration, bool) { return 7, age, true }
			}
			f.asker.ChangedAll(f.Context())
			if v, err := cache.Get(f.Context(), f.asker, q); err != nil || v != 1 {
				f.Errorf("%v: %d, %v", age, v, err)
			}
		}
	})
}
