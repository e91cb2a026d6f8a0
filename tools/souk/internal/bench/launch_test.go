package bench

import (
	"errors"
	"strings"
	"testing"
)

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
