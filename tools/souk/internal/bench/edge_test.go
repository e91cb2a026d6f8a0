package bench

import (
	"strings"
	"testing"
)

// Each promise of an edge is missed when it is not kept.
func TestAnEdgeThatBreaksItsWord(t *testing.T) {
	t.Parallel()
	kept := func() *EdgeResult {
		return &EdgeResult{
			With:    EdgeSide{PerSecond: 100, HitRatio: 0.95, ShownP99Millis: 200, ShownMostMillis: 7000, GatewayMicros: 1},
			Without: EdgeSide{PerSecond: 200, GatewayMicros: 50}, Browsing: 10, Shown: 10, Marked: 10,
		}
	}
	r := kept()
	if r.check(); len(r.Broken) > 0 {
		t.Errorf("nothing is broken: %q", r.Broken)
	}
	for want, breaks := range map[string]func(*EdgeResult){
		"is the bound":      func(r *EdgeResult) { r.With.ShownMostMillis = 8001 },
		"is usual":          func(r *EdgeResult) { r.With.ShownP99Millis = 1001 },
		"are promised":      func(r *EdgeResult) { r.With.HitRatio = 0.89 },
		"the gateway works": func(r *EdgeResult) { r.With.GatewayMicros = 13 },
		"9 of 10 pages were shown while the catalog hung": func(r *EdgeResult) { r.Shown, r.Marked = 9, 9 },
		"say so": func(r *EdgeResult) { r.Marked = 9 },
	} {
		r := kept()
		breaks(r)
		if r.check(); len(r.Broken) != 1 || !strings.Contains(r.Broken[0], want) {
			t.Errorf("%s: %q", want, r.Broken)
		}
	}
}
