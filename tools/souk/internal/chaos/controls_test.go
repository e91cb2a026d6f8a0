package chaos

import (
	"context"
	"testing"
	"time"
)

// A test's run is short: what it has to show happens at the first strike.
const (
	testDuration = 2 * time.Second
	testOrders   = 80
)

// TestASabotagedShopIsNoticed takes a promise from the shop: the audit must find
// it broken, or it is blind.
func TestASabotagedShopIsNoticed(t *testing.T) {
	t.Parallel()
	clicks := Fault{Name: "five clicks", Strike: func(ctx context.Context, s *Stage) error {
		s.Crowd.Behave(Manners{Clicks: 5})
		if err := s.Hold(ctx, time.Second); err != nil {
			return err
		}
		s.Struck(s.Crowd.Misdeeds().Clicks, "clicks")
		return nil
	}}
	for _, c := range []struct {
		name     string
		fault    Fault
		sabotage *sabotage
		want     []string // invariants that are found broken, among others
	}{
		{"idempotency is off", clicks, forgetKeys(), []string{I2, I7}},
		{"stock is confirmed after the capture", mustFind(t, "kill-order"), confirmLate(), []string{I1}},
		{"carts are kept in memory only", mustFind(t, "postgres-kill"), forgetCarts(), []string{I5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := trialOf(t, c.fault, c.sabotage)
			for _, i := range c.want {
				if len(res.Violations[i]) == 0 {
					t.Errorf("%s was not found broken; found broken: %v", i, violations(res.Violations).names())
				}
			}
		})
	}
}

// TestAShopKeepsItsPromises is the other half: the same run without the sabotage
// finds nothing.
func TestAShopKeepsItsPromises(t *testing.T) {
	t.Parallel()
	res := trialOf(t, mustFind(t, "kill-payment"), nil)
	for name, list := range res.Violations {
		for _, what := range list {
			t.Errorf("%s: %s", name, what)
		}
	}
}

func mustFind(t *testing.T, name string) Fault {
	t.Helper()
	f, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
