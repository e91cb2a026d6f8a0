package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// A test's run is short: what it has to show happens at the first injection.
const (
	testDuration = 2 * time.Second
	testOrders   = 80
)

// TestASabotagedShopIsNoticed breaks an invariant of the shop: the audit must find
// it.
func TestASabotagedShopIsNoticed(t *testing.T) {
	t.Parallel()
	clicks := Fault{Name: "five clicks", Inject: func(ctx context.Context, e *Environment) error {
		e.Workload.SetBehavior(Behavior{Clicks: 5})
		if err := retry.Sleep(ctx, time.Second); err != nil {
			return err
		}
		e.Injected(e.Workload.Misuse().Clicks, "clicks")
		return nil
	}}
	for _, c := range []struct {
		name     string
		fault    Fault
		sabotage *sabotage
		want     []string // invariants that are found broken, among others
	}{
		{"idempotency is off", clicks, forgetKeys(), []string{SettledOnce, SameKeySameAnswer}},
		{"stock is confirmed after the capture", mustFind(t, "kill-order"), confirmLate(), []string{NoOversell}},
		{"mails are noted as sent before they are", crashFault(notifier, []string{"mail.sending"}), sentBeforehand(), []string{ToldOutside}},
		{"what callers wrote is forgotten", mustFind(t, "replica-pause"), forgetTokens(), []string{ReadYourWrites}},
		{"carts are kept in memory only", mustFind(t, "postgres-kill"), forgetCarts(), []string{NoLostLine}},
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
	for _, f := range Faults() {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no fault %q", name)
	return Fault{}
}
