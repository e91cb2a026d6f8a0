package cache

import (
	"context"
	"errors"
	"time"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

// A Filler asks another process, which keeps the same answers, for one whose read began at
// most maxAge before it was asked. It returns the answer with its age, which is how long
// before it was asked that read began, 0 for one that began later; false for no answer. It
// bounds its own time, and the other process asks no third one: it answers with Aged.
//
// The other process may not have been told yet of a change of which this one was. So each
// answer is held against the changes of this process: one whose read began before this
// process was told of a change of its items is not used. What was told was committed before,
// so a read that began later has it, whatever the other process has heard. Ages are measured
// by the monotonic clock of each process alone; only their rates have to agree.
type Filler[T any] func(ctx context.Context, maxAge time.Duration) (v T, age time.Duration, ok bool)

const (
	// filled begins the keys of loads that ask another process first: those who ask it wait
	// for no other process, so two that ask each other do not wait in a circle.
	filled = "\x00filled "
	// asks is how often another process is asked: what it keeps may be too old for this
	// one, which knows only then how old it may be.
	asks = 2
	// drift is the part of an age by which the clocks of two processes may differ: a
	// thousandth, where oscillators differ by a ten thousandth.
	drift = 1000
)

// errNotFilled has all who waited for another process load here: outside of the flight in which
// it was asked, which begins again when something changes, with all the loads in it.
var errNotFilled = errors.New("cache: no other process has filled this")

// fill asks another process for an answer, and when its read began, at the latest.
func fill[T any](ctx context.Context, c *Cache, q Query[T], ask Filler[T], began uint64) (v T, read time.Time, ok bool) {
	most := c.memoryTTL
	if c.following.Load() {
		most = max(most, c.backstop)
	}
	oldest := latest(time.Now().Add(-most), c.clock.lastChange(nil))
	for range asks {
		asked := time.Now()
		maxAge := max(asked.Sub(oldest), 0)
		maxAge -= maxAge / drift
		v, age, ok := ask(ctx, maxAge)
		if !ok || age < 0 || age > maxAge { // the last two are no ages that it can have given
			break
		}
		read := asked.Add(-age - age/drift) // asked is before it was asked
		if oldest = q.oldest(c, v, began, read); !read.Before(oldest) {
			return v, read, true
		}
	}
	return v, read, false
}

// oldest is when the read of an answer has to have begun at the earliest for this process to
// use it. It began at read.
func (q *Query[T]) oldest(c *Cache, v T, began uint64, read time.Time) time.Time {
	var items []string
	if q.Items != nil {
		items = q.Items(v)
	}
	most := c.memoryTTL
	if c.following.Load() {
		most = q.keep(c, v, began, time.Since(read))
	}
	return latest(time.Now().Add(-most), c.clock.lastChange(items))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// errNoAge says that a cache cannot tell how old its answers are.
var errNoAge = errors.New("cache: what is in Redis has no age")

// Aged is Get for another process that asks with a Filler: the answer has an age as that
// gives it, at most maxAge, and no process is asked for it.
func Aged[T any](ctx context.Context, c *Cache, q Query[T], maxAge time.Duration) (T, time.Duration, error) {
	var none T
	if c.remote != nil {
		return none, 0, errNoAge
	}
	asked := time.Now()
	since := asked.Add(-maxAge)
	if v, read, ok := q.kept(c, consistency.Position{}, since); ok {
		c.memoryHits.Add(1)
		return v, max(asked.Sub(read), 0), nil
	}
	if c.memory != nil {
		c.memoryMisses.Add(1)
	}
	v, read, err := loadHere(ctx, c, q, consistency.Position{}, since)
	return v, max(asked.Sub(read), 0), err
}
