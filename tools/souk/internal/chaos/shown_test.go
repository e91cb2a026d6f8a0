package chaos

import (
	"testing"
	"time"
)

// TestWhatIsShown: the age of a price counts from when the next one was acknowledged to when it was asked
// for; one that the product did not have yet, or never, is wrong.
func TestWhatIsShown(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	w := &Workload{goods: &goods{shown: []string{"a", "b"}}}
	for _, c := range []struct {
		name           string
		sku            string
		amount         int64
		sent, answered int
		oldest         time.Duration
		wrong          int
	}{
		{"before any change", "a", firstPrice, 0, 1, 0, 0},
		{"another product", "b", firstPrice, 100, 101, 0, 0},
		{"one that is not looked at", "c", 1, 0, 1, 0, 0},
		{"the new one, as soon as it is asked for", "a", 10_001, 9, 10, 0, 0},
		{"the old one, until the new one is acknowledged", "a", firstPrice, 11, 20, 0, 0},
		{"the old one, for as long as caches may", "a", firstPrice, 20, 30, 8 * time.Second, 0},
		{"the old one, for longer", "a", firstPrice, 21, 30, 9 * time.Second, 1},
		{"the one after next of that of now", "a", 10_001, 42, 43, 2 * time.Second, 0},
		{"one that no shopper asked for", "a", 10_009, 20, 30, 0, 1},
		{"one before it was asked for", "a", 10_001, 5, 9, 0, 1},
	} {
		s := newShowcase(w, nil, 8*time.Second)
		s.asked("a", 10_001, at(10))
		s.acknowledged("a", at(12))
		s.asked("a", 10_002, at(38))
		s.acknowledged("a", at(40))
		watched := s.saw(c.sku, c.amount, at(c.sent), at(c.answered))
		shown, wrong := s.end()
		if watched != (c.sku != "c") || shown.Changes != 2 || shown.Oldest != c.oldest || len(wrong) != c.wrong {
			t.Errorf("%s: %v, %+v, %q", c.name, watched, shown, wrong)
		}
	}
}
