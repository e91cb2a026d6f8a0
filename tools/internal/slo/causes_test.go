package slo_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/slo"
)

// TestWindows: how long causes may take to fire is read from their rules.
func TestWindows(t *testing.T) {
	t.Parallel()
	want := map[string][2]time.Duration{ // window, threshold
		"ProcessDown":    {time.Minute, 0},
		"BrokerDown":     {3 * time.Minute, 0},
		"ProviderDown":   {3 * time.Minute, 0},
		"OrdersStuck":    {time.Minute, 5 * time.Minute},
		"MailServerDown": {2 * time.Minute, 5 * time.Minute},
		"WebhookBacklog": {10 * time.Minute, time.Hour},
	}
	for _, c := range slo.Causes() {
		if w, ok := want[c.Alert]; ok && (c.Window() != w[0] || c.Threshold() != w[1]) {
			t.Errorf("%s: window %s, threshold %s; want %v", c.Alert, c.Window(), c.Threshold(), w)
		}
	}
}

// TestLooksBack: how long alerts may outlast what they tell of is read from their rules, whatever they
// wait for before they fire.
func TestLooksBack(t *testing.T) {
	t.Parallel()
	want := map[string]time.Duration{"ProcessDown": 0, "ProcessRestarts": 15 * time.Minute, "SpansLost": 5 * time.Minute, "MailsFailed": time.Hour}
	for _, c := range slo.Causes() {
		if w, ok := want[c.Alert]; ok && c.LooksBack() != w {
			t.Errorf("%s looks back %s, not %s", c.Alert, c.LooksBack(), w)
		}
		delete(want, c.Alert)
	}
	if len(want) > 0 {
		t.Errorf("no such alerts: %v", want)
	}
}
