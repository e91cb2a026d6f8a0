package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/chassis/cache"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// followed is a cache that keeps answers for a second, and for a minute while it is told of
// changes; the source may lag for five.
type followed struct {
	*testing.T
	*cache.Cache
	loads int
	brief bool
}

// followingTest runs a test on a clock of its own.
func followingTest(t *testing.T, test func(*followed)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := cache.New(cache.Config{
			Name: "shop", MemoryTTL: time.Second, MemoryWeight: 100, Backstop: time.Minute, Settle: 5 * time.Second,
		}, telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(&followed{T: t, Cache: c})
	})
}

// pass lets time go by.
func (f *followed) pass(d time.Duration) {
	f.Helper()
	if err := retry.Sleep(f.Context(), d); err != nil {
		f.Fatal(err)
	}
}

// want reads, and says whether that is to load.
func (f *followed) want(load bool, when string) {
	f.Helper()
	before := f.loads
	_, err := cache.Get(f.Context(), f.Cache, cache.Query[int]{
		Key: "k", Items: func(int) []string { return []string{"item"} }, Parts: func(int) []string { return []string{"part"} },
		Brief: func(int) bool { return f.brief }, Load: func(context.Context) (int, error) { f.loads++; return f.loads, nil },
	})
	if err != nil {
		f.Fatal(err)
	}
	if loaded := f.loads > before; loaded != load {
		f.Errorf("%s: loaded is %v", when, loaded)
	}
}

// settled has an answer that was read when nothing had changed for long.
func (f *followed) settled() {
	f.Helper()
	f.Following(true)
	f.pass(6 * time.Second)
	f.want(true, "the first read")
}

func TestFollowingKeepsUntilTold(t *testing.T) {
	followingTest(t, func(f *followed) {
		f.settled()
		f.pass(59 * time.Second)
		f.want(false, "nothing was told for 59 s")
		f.pass(2 * time.Second)
		f.want(true, "the backstop is over")
		f.pass(10 * time.Second)
		f.Changed("another")
		f.want(false, "another item was changed")
		f.Changed("item")
		f.want(true, "the item was changed")
	})
}

// Without being told, and once that ends, an answer is kept for MemoryTTL.
func TestNotFollowing(t *testing.T) {
	followingTest(t, func(f *followed) {
		f.want(true, "the first read")
		f.pass(900 * time.Millisecond)
		f.want(false, "it is young")
		f.pass(200 * time.Millisecond)
		f.want(true, "it is a second old")
		f.settled()
		f.pass(10 * time.Second)
		f.want(false, "it follows")
		f.Following(false)
		f.want(true, "changes go by")
		f.want(false, "it was read just now")
	})
}

// What was kept while changes may have gone by is not used when the process is told again.
func TestFollowingAgainDropsAll(t *testing.T) {
	followingTest(t, func(f *followed) {
		f.settled()
		f.Following(false)
		f.want(false, "it is young")
		f.Following(true)
		f.want(true, "changes may have gone by")
	})
}

// A source that may lag is read again after a second, until it has settled.
func TestSettling(t *testing.T) {
	followingTest(t, func(f *followed) {
		for what, change := range map[string]func(){
			"an item": func() { f.Changed("item") }, "a part": func() { f.Changed("part") }, "all": func() { f.ChangedAll(f.Context()) },
		} {
			f.settled()
			change()
			f.pass(4 * time.Second)
			f.want(true, what+": changed 4 s ago")
			f.pass(1100 * time.Millisecond)
			f.want(true, what+": it was read before the source had settled")
			f.pass(10 * time.Second)
			f.want(false, what+": it has settled")
		}
	})
}

// A change of a part is shown once an answer is a second old: parts change all the time.
func TestPartsOfYoungAnswers(t *testing.T) {
	followingTest(t, func(f *followed) {
		f.settled()
		f.Changed("part")
		f.want(false, "it is young")
		f.pass(1100 * time.Millisecond)
		f.want(true, "it is a second old")
		f.pass(10 * time.Second)
		f.want(true, "it was not kept for longer, so soon after the change")
		f.pass(10 * time.Second)
		f.Changed("part")
		f.want(true, "it is ten seconds old")
	})
}

func TestBriefAnswers(t *testing.T) {
	followingTest(t, func(f *followed) {
		f.brief = true
		f.settled()
		f.pass(900 * time.Millisecond)
		f.want(false, "it is young")
		f.pass(200 * time.Millisecond)
		f.want(true, "it is a second old")
	})
}
