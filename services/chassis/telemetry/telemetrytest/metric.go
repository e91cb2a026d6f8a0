package telemetrytest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Metric is the value of a counter or a gauge, of its first series that has a label of this
// value, and whether there is one.
func Metric(t testing.TB, from prometheus.Gatherer, name, label string) (value float64, found bool) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == label {
					return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
				}
			}
		}
	}
	return 0, false
}
