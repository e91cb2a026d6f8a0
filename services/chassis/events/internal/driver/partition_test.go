package driver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/chassis/events/internal/driver"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// work is what a test does with messages of a partition.
type work struct {
	handle func(attempt int) driver.Verdict
	settle func()
}

func (w work) Begin(_ context.Context, attempt int) func(bool) driver.Verdict {
	return func(behind bool) driver.Verdict {
		if behind {
			return driver.Verdict{}
		}
		return w.handle(attempt)
	}
}

func (w work) Settle(ctx context.Context, _ int, _ driver.Verdict) error {
	w.settle()
	return ctx.Err()
}

// TestPartition: whatever fails and however often, messages of a subject are done with in order,
// what is suspect is tried alone, and the progress says no more than what is done with.
func TestPartition(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 0))
			ctx, stop := context.WithCancel(t.Context())
			const messages, subjects = 60, 5
			var mu sync.Mutex
			newest, done, tried := map[string]uint64{}, map[uint64]bool{}, 0
			var p *driver.Partition
			checked := func() {
				mu.Lock()
				defer mu.Unlock()
				for at, place := p.Progress(), uint64(1); place <= at.Done; place++ {
					if !done[place] {
						t.Errorf("seed %d: progress says %d, and %d is not done with", seed, at.Done, place)
					}
				}
			}
			p = driver.NewPartition(ctx, seed%2 == 1, checked)
			add := func(place uint64) {
				subject, fails, suspect := fmt.Sprint(draw.IntN(subjects)), 0, draw.IntN(8) == 0
				if draw.IntN(4) == 0 {
					fails = draw.IntN(4)
				}
				takes := time.Duration(draw.IntN(30)) * time.Millisecond
				p.Add(driver.Message{Place: place, Delivery: place, Subject: subject, Attempt: 1, Suspect: suspect, Work: work{
					handle: func(attempt int) driver.Verdict {
						mu.Lock()
						if tried++; suspect && attempt == 1 && tried > 1 {
							t.Errorf("seed %d: %d is suspect, and is tried while another is", seed, place)
						}
						if newest[subject] > place {
							t.Errorf("seed %d: %d of subject %s comes after %d", seed, place, subject, newest[subject])
						}
						mu.Unlock()
						_ = retry.Sleep(t.Context(), takes)
						mu.Lock()
						defer mu.Unlock()
						tried--
						if attempt <= fails {
							return driver.Verdict{Again: time.Duration(draw.IntN(50)+1) * time.Millisecond}
						}
						newest[subject] = place
						return driver.Verdict{Handled: true}
					},
					settle: func() {
						mu.Lock()
						defer mu.Unlock()
						done[place] = true
					},
				}})
			}
			// The first ones come in any order, before anything may be begun.
			p.Hold()
			for _, i := range draw.Perm(messages / 2) {
				add(uint64(i) + 1)
			}
			synctest.Wait()
			if n := p.InHand(messages); n != messages/2 || tried > 0 || len(done) > 0 {
				t.Fatalf("seed %d: %d are in hand, %d are tried", seed, n, tried)
			}
			p.Release()
			for i := messages / 2; i < messages; i++ {
				mu.Lock()
				add(uint64(i) + 1)
				pause := time.Duration(draw.IntN(10)) * time.Millisecond
				mu.Unlock()
				_ = retry.Sleep(t.Context(), pause)
			}
			if err := p.Idle(ctx); err != nil {
				t.Fatal(err)
			}
			if at := p.Progress(); at != (driver.Progress{Done: messages}) || len(p.Open()) > 0 {
				t.Errorf("seed %d: %+v, %d are open", seed, at, len(p.Open()))
			}
			// What comes again is handled again, and takes nothing back.
			clear(newest)
			add(7)
			if err := p.Idle(ctx); err != nil || p.Progress().Done != messages {
				t.Errorf("seed %d: %v, %+v", seed, err, p.Progress())
			}
			stop()
			p.End()
		})
	}
}

// TestPartitionThatIsGivenAway: what is under way ends, what is not begun stays open, and what is
// delivered again while it is in hand is no second message.
func TestPartitionThatIsGivenAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := driver.NewPartition(ctx, false, nil)
		handled := 0
		message := func(place uint64) driver.Message {
			return driver.Message{Place: place, Delivery: place, Subject: "order.a", Attempt: 1, Work: work{settle: func() {}, handle: func(int) driver.Verdict {
				handled++
				if place == 1 {
					_ = retry.Sleep(t.Context(), time.Second)
					return driver.Verdict{Handled: true}
				}
				_ = retry.Sleep(ctx, time.Hour)
				return driver.Verdict{} // it stops
			}}}
		}
		for place := range uint64(3) {
			p.Add(message(place + 1))
		}
		again := message(1)
		again.Delivery = 4
		if known := p.Add(again); known != driver.InHand || p.InHand(3) != 2 {
			t.Errorf("it is %d, and %d of the deliveries before are in hand", known, p.InHand(3))
		}
		_ = retry.Sleep(t.Context(), 2*time.Second)
		synctest.Wait()
		stop()
		p.End()
		if open := p.Open(); handled != 2 || len(open) != 2 || open[0].Place != 2 || p.Progress() != (driver.Progress{Done: 1, Next: 2}) {
			t.Errorf("%d were handled, %+v are open, %+v", handled, open, p.Progress())
		}
	})
}

// TestPartitionWithALateMessage: one that is delivered again, and waits until it is alone, holds up
// the progress of what was begun before it and is done with.
func TestPartitionWithALateMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := driver.NewPartition(ctx, false, nil)
		add := func(place uint64, suspect bool) {
			p.Add(driver.Message{Place: place, Subject: fmt.Sprint(place), Attempt: 1, Suspect: suspect, Work: work{settle: func() {}, handle: func(int) driver.Verdict {
				_ = retry.Sleep(t.Context(), time.Second)
				return driver.Verdict{Handled: true}
			}}})
		}
		for _, place := range []uint64{2, 3, 4} {
			add(place, false)
		}
		add(1, true)
		_ = retry.Sleep(t.Context(), 1500*time.Millisecond)
		if at := p.Progress(); at != (driver.Progress{Next: 1}) {
			t.Errorf("%+v before it", at)
		}
		_ = retry.Sleep(t.Context(), time.Second)
		add(5, false)
		if err := p.Idle(ctx); err != nil || p.Progress() != (driver.Progress{Done: 5}) {
			t.Errorf("%v, %+v after it", err, p.Progress())
		}
		stop()
		p.End()
	})
}

// TestPartitionIsBounded: no more is taken in hand than the window, and no more is done with past
// one that fails than a process that takes over may be given again.
func TestPartitionIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := driver.NewPartition(ctx, false, nil)
		full := func() bool {
			a, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			return errors.Is(p.Room(a), context.DeadlineExceeded)
		}
		var healed atomic.Bool
		add := func(place uint64, subject string) {
			p.Add(driver.Message{Place: place, Subject: subject, Attempt: 1, Work: work{settle: func() {}, handle: func(int) driver.Verdict {
				if subject == "fails" && !healed.Load() {
					return driver.Verdict{Again: time.Second}
				}
				return driver.Verdict{Handled: true}
			}}})
		}
		add(1, "fails")
		add(2, "others")
		synctest.Wait()
		if known := p.Add(driver.Message{Place: 2}); known != driver.Done {
			t.Errorf("what is done with after what is not is %d", known)
		}
		place := uint64(2)
		for ; place < 5000 && !full(); place++ {
			add(place+1, "others")
			synctest.Wait()
		}
		if place != 4096 {
			t.Errorf("%d are taken", place)
		}
		synctest.Wait()
		if at := p.Progress(); at.Done != 0 || at.Next != 1 || at.Failed == 0 {
			t.Errorf("%+v", at)
		}
		healed.Store(true)
		if err := p.Idle(ctx); err != nil {
			t.Fatal(err)
		}
		p.Hold()
		for n := range uint64(driver.Window) {
			if full() {
				t.Errorf("%d are too many", n)
			}
			add(place+n+1, "more")
		}
		if !full() {
			t.Errorf("more than %d are taken in hand", driver.Window)
		}
		stop()
		p.End()
	})
}

// ahead is work that is begun before what comes of it is asked.
type ahead struct {
	begin  func(attempt int)
	end    func(attempt int, behind bool) driver.Verdict
	settle func(driver.Verdict) error
}

func (a ahead) Begin(_ context.Context, attempt int) func(bool) driver.Verdict {
	a.begin(attempt)
	return func(behind bool) driver.Verdict { return a.end(attempt, behind) }
}

func (a ahead) Settle(_ context.Context, _ int, v driver.Verdict) error { return a.settle(v) }

// TestPartitionAhead: messages of a subject are begun in order before what came of the ones in
// front is known. What fails is tried again, alone first; an error behind it counts for nothing.
func TestPartitionAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var mu sync.Mutex
		var log []string
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprintf(format, args...))
		}
		p := driver.NewPartition(ctx, true, nil)
		p.Hold()
		// The second of four fails at first, and the third with it; the fourth takes effect.
		for place := range uint64(4) {
			p.Add(driver.Message{Place: place + 1, Delivery: place + 1, Subject: "a", Attempt: 1, Work: ahead{
				begin: func(attempt int) { note("%d begun %d", place+1, attempt) },
				end: func(attempt int, behind bool) driver.Verdict {
					switch {
					case place == 1 && attempt == 1:
						return driver.Verdict{Again: time.Second}
					case place == 2 && behind:
						return driver.Verdict{}
					}
					return driver.Verdict{Handled: true}
				},
				settle: func(driver.Verdict) error { note("%d settled", place+1); return nil },
			}})
		}
		p.Release()
		if err := p.Idle(ctx); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1 begun 1", "2 begun 1", "3 begun 1", "4 begun 1", "1 settled", "4 settled",
			"2 begun 2", "2 settled", "3 begun 1", "3 settled",
		}
		if !slices.Equal(log, want) || p.Progress() != (driver.Progress{Done: 4}) {
			t.Errorf("%q, %+v", log, p.Progress())
		}

		// What cannot be settled ends the process's turn; the others' outcomes are asked all the same.
		log = nil
		for place := uint64(5); place < 8; place++ {
			p.Add(driver.Message{Place: place, Delivery: place, Subject: "a", Attempt: 1, Work: ahead{
				begin: func(int) {},
				end: func(_ int, behind bool) driver.Verdict {
					note("%d ended, behind %v", place, behind)
					return driver.Verdict{Handled: true}
				},
				settle: func(driver.Verdict) error { return errors.New("the broker is away") },
			}})
		}
		p.End()
		if len(log) == 0 || len(p.Open()) != 3 || p.Progress().Done != 4 {
			t.Errorf("%q, %d are open, %+v", log, len(p.Open()), p.Progress())
		}
	})
}
