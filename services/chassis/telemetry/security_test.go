package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// TestSecurityLog: each event is counted, and a flood of one kind leaves few lines,
// which hides no other kind.
func TestSecurityLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tel, err := Start(t.Context(), "shop", Config{LogFormat: "json", LogOutput: &out})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		tel.Security.Record(t.Context(), AuthnFail, "operator_token", slog.String("client", "192.0.2.1"))
	}
	tel.Security.Record(t.Context(), AuthzFail, "operator_token")
	for range 10 {
		tel.Security.Record(t.Context(), AuthzAdmin, "SetPrices")
	}
	var lines []map[string]any
	for dec := json.NewDecoder(&out); dec.More(); {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if len(lines) != 12 || lines[0]["log"] != "security" || lines[0]["event"] != "authn_login_fail" || lines[0]["client"] != "192.0.2.1" ||
		lines[1]["event"] != "authz_fail" || lines[1]["level"] != "WARN" {
		t.Errorf("lines: %v", lines)
	}
	if n := counted(t, tel, "souk_security_events_total"); n != 111 {
		t.Errorf("%v events are counted, want 111", n)
	}
	Discard().Security.Record(t.Context(), AuthnFail, "operator_token")
}

func counted(t *testing.T, tel *Telemetry, name string) (sum float64) {
	t.Helper()
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name && family.GetType() == dto.MetricType_COUNTER {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
