package peers

import (
	"fmt"
	"slices"
	"testing"
)

// Keys are spread over the members, and one that goes leaves its own keys alone to others.
func TestRing(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	all, less := newRing(slices.Clone(names)), newRing(slices.Clone(names[1:]))
	if back := newRing([]string{"h", "g", "f", "e", "d", "c", "b", "a"}); !slices.Equal(back.names, all.names) {
		t.Error("the order in which members come counts")
	}
	const keys = 8000
	owned, heirs := map[string]int{}, map[string]int{}
	for i := range keys {
		key := fmt.Sprint("list ", i)
		order := all.rank(key, len(names))
		owned[order[0]]++
		switch now := less.rank(key, 1)[0]; {
		case order[0] == "a":
			heirs[now]++
			if now != order[1] {
				t.Fatalf("%q goes to %s, not to the second of %v", key, now, order)
			}
		case now != order[0]:
			t.Fatalf("%q moved from %s to %s", key, order[0], now)
		}
	}
	for _, name := range names {
		if n := owned[name]; n < keys/8*8/10 || n > keys/8*12/10 {
			t.Errorf("%s owns %d of %d", name, n, keys)
		}
	}
	for _, name := range names[1:] {
		if n := heirs[name]; n < keys/8/7/2 || n > keys/8/7*2 {
			t.Errorf("%s inherits %d", name, n)
		}
	}
}
