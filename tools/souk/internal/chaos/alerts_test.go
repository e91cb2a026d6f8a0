package chaos

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/slo"
)

// TestOperatorsAreToldOfEveryFault: each fault has alerts that must fire or a reason why customers are
// not hurt; each alert exists, and each expectation is of a fault.
func TestOperatorsAreToldOfEveryFault(t *testing.T) {
	t.Parallel()
	for _, f := range Faults() {
		e, ok := Expected(f)
		if !ok {
			t.Errorf("alerts.go does not say what operators are told of %s", f.Name)
			continue
		}
		if (len(e.Must) == 0) != (e.Harmless != "") {
			t.Errorf("%s: alerts %v must fire, and it is harmless: %q; want either", f.Name, e.Must, e.Harmless)
		}
		for _, a := range append(slices.Clone(e.Must), e.May...) {
			if !slices.Contains(slo.Alerts(), a.Name) {
				t.Errorf("%s: there is no alert %s", f.Name, a.Name)
			}
			want := ""
			for _, c := range slo.Causes() {
				if c.Alert == a.Name {
					want = c.Dependency
				}
			}
			if got, named := a.Labels["dependency"]; named && got != want {
				t.Errorf("%s: %s names the dependency %q, not %q", f.Name, a.Name, want, got)
			}
		}
	}
	for _, e := range expectations() {
		if !slices.ContainsFunc(Faults(), func(f Fault) bool {
			ok, err := filepath.Match(e.faults, f.Name)
			return err == nil && ok
		}) {
			t.Errorf("alerts.go has %s, which no fault is", e.faults)
		}
	}
}

func TestAlertMatches(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"alertname": "PostgresDown", "dependency": "postgres", "job": "order", "severity": "page"}
	for _, tc := range []struct {
		alert Alert
		want  bool
	}{
		{alert("PostgresDown"), true},
		{alert("PostgresDown", "dependency", "postgres", "job", "order"), true},
		{alert("PostgresDown", "job", "*"), true},
		{alert("PostgresDown", "job", "cart"), false},
		{alert("RedisDown"), false},
		{alert("PostgresDown", "dependency", "redis"), false},
	} {
		if got := tc.alert.matches(labels); got != tc.want {
			t.Errorf("%s matches: %v", tc.alert, got)
		}
	}
}

// TestAlertsThatCannotEndSoon: those that look back for longer are not waited for.
func TestAlertsThatCannotEndSoon(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"ProcessDown": true, "RedisDown": true, "EdgeNotTold": true, "ProcessRestarts": false, "SpansLost": true, "MailsFailed": false, "EventsDeadLettered": false} {
		if got := endsSoon(map[string]string{"alertname": name}); got != want {
			t.Errorf("%s ends soon: %v", name, got)
		}
	}
}

func TestAlertTable(t *testing.T) {
	t.Parallel()
	got := alertTable([]*AlertResult{
		{Fault: "redis-kill", Scale: 5, Held: defaultHold, Harmless: "why", Checkout: 7},
		{Fault: "redis-freeze-15s", Scale: 1, Fired: []FiredAlert{{Alert: "RedisDown job=catalog", Receiver: "ticket", After: defaultHold, Expected: true}}},
	})
	for _, want := range []string{
		"| redis-kill (time / 5) | 0 of 0, 0 of 7 | none in 5m0s: why | | |",
		"| redis-freeze-15s | 0 of 0, 0 of 0 | **RedisDown job=catalog**, ticket | 5m0s | its window is longer |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}
