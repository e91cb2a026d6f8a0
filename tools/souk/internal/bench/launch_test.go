package bench

import (
	"errors"
	"strings"
	"testing"
)

// Buyers of other SKUs are not to fail because of a launch.
func TestLaunchLetsOthersBuy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		others [2]Others
		broken bool
	}{
		"kept":                   {[2]Others{{Done: 10}, {Done: 10}}, false},
		"failed before":          {[2]Others{{Done: 9, Failed: 1}, {Done: 10}}, true},
		"failed during":          {[2]Others{{Done: 10}, {Done: 9, Failed: 1}}, true},
		"all failed":             {[2]Others{{Done: 10}, {Failed: 10}}, true},
		"as slow as is accepted": {[2]Others{{Done: 10, P99Millis: 20}, {Done: 10, P99Millis: 40}}, false},
		"too slow":               {[2]Others{{Done: 10, P99Millis: 20}, {Done: 10, P99Millis: 41}}, true},
	} {
		r := &Launched{}
		r.checkOthers([]*Sale{{Others: c.others}})
		if broken := len(r.Broken) > 0; broken != c.broken {
			t.Errorf("%s: broken %q", name, r.Broken)
		}
	}
}

// Each promise of a launch is missed when it is not kept.
func TestLaunchPromises(t *testing.T) {
	t.Parallel()
	var (
		won    error
		sold   = errSoldOut
		tired  = errTired
		failed = errors.New("lost")
	)
	for name, c := range map[string]struct {
		outcomes []error
		booked   int
		refusals int64
		broken   string
	}{
		"kept":                     {[]error{won, won, sold, sold}, 2, 0, ""},
		"one unit too many":        {[]error{won, won, won, sold}, 3, 0, "oversold"},
		"a unit that nobody has":   {[]error{won, won, sold, sold}, 3, 0, "oversold"},
		"a sale that nobody made":  {[]error{won, sold, sold, sold}, 2, 1, "by the books"},
		"a sale that is not known": {[]error{won, sold, tired, sold}, 2, 1, ""},
		"a sale that is not there": {[]error{won, won, tired, sold}, 1, 1, "by the books"},
		"a unit that is left":      {[]error{won, sold, sold, sold}, 1, 1, "1 of 2 units"},
		"left to who gave up":      {[]error{won, sold, tired, tired}, 1, 1, ""},
		"who came later":           {[]error{won, sold, won, sold}, 2, 0, "50.0% of the first"},
		"later, as it was refused": {[]error{won, tired, won, sold}, 2, 1, ""},
		"no outcome":               {[]error{won, won, failed, sold}, 2, 0, "no end"},
	} {
		s := &Sale{Buyers: len(c.outcomes), Stock: 2, Booked: c.booked, Refusals: c.refusals}
		for i, err := range c.outcomes {
			s.count(i, err)
		}
		r := &Launched{}
		r.check("here", s)
		if got := strings.Join(r.Broken, "; "); (got == "") != (c.broken == "") || !strings.Contains(got, c.broken) {
			t.Errorf("%s: broken %q, want %q", name, got, c.broken)
		}
	}
}
