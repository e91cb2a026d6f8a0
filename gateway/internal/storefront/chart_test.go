package storefront

import (
	"math"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/metrics"
)

var none = math.NaN()

// TestCharts: whatever a series has, what is drawn is finite and within the picture.
func TestCharts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind   metrics.Kind
		unit   string
		limit  float64
		series []metrics.Values
		labels string   // of the grid
		paths  []string // of the lines
	}{
		"nothing":         {labels: "0 0.5 1"},
		"no values":       {series: []metrics.Values{{}}, labels: "0 0.5 1", paths: []string{""}},
		"not a number":    {series: []metrics.Values{{none, none}}, labels: "0 0.5 1", paths: []string{""}},
		"one point":       {series: []metrics.Values{{4}}, labels: "0 2 4", paths: []string{"M1000.0 16.0h-4"}},
		"zeros":           {series: []metrics.Values{{0, 0}}, labels: "0 0.5 1", paths: []string{"M0.0 149.0L1000.0 149.0"}},
		"a gap":           {series: []metrics.Values{{1, 2, none, none, 4}}, labels: "0 2 4", paths: []string{"M0.0 115.8L250.0 82.5M1000.0 16.0h-4"}},
		"negative":        {series: []metrics.Values{{-10, 5}}, labels: "-10 -5 0 5", paths: []string{"M0.0 149.0L1000.0 16.0"}},
		"huge":            {series: []metrics.Values{{math.MaxFloat64, -math.MaxFloat64}}, labels: "-1e+300 0 1e+300", paths: []string{"M0.0 16.0L1000.0 149.0"}},
		"tiny":            {series: []metrics.Values{{5e-324, 0}}},
		"infinite":        {series: []metrics.Values{{math.Inf(1), 0}}},
		"a near limit":    {unit: "s", limit: .5, series: []metrics.Values{{.3, .2}}, labels: "0 s 200 ms 400 ms 600 ms", paths: []string{"M0.0 82.5L1000.0 104.7"}},
		"a far limit":     {unit: "s", limit: 10, series: []metrics.Values{{.3, .2}}, labels: "0 s 100 ms 200 ms 300 ms"},
		"bytes":           {unit: "bytes", series: []metrics.Values{{3 << 20, 5 << 20}}, labels: "0 B 2 MiB 4 MiB 6 MiB"},
		"yes and no":      {unit: "bool_yes_no", series: []metrics.Values{{1, 0}}, labels: "no yes"},
		"stacked":         {kind: metrics.Stacked, series: []metrics.Values{{1, none}, {1, 3}}, labels: "0 1 2 3", paths: []string{"M0.0 104.7L1000.0 149.0L1000.0 149.0L0.0 149.0Z", "M0.0 60.3L1000.0 16.0L1000.0 149.0L0.0 104.7Z"}},
		"stacked nothing": {kind: metrics.Stacked, series: []metrics.Values{{}}, paths: []string{""}},
	} {
		p := &metrics.Panel{Kind: tc.kind, Unit: tc.unit, Limit: tc.limit}
		points := 0
		for _, v := range tc.series {
			p.Series = append(p.Series, metrics.Series{Name: "s", Values: v})
			points = len(v)
		}
		c := newChart(p, points)
		var labels []string
		for _, line := range c.Grid {
			labels = append(labels, line.Label)
			if strings.ContainsAny(line.Y+line.LabelY, "NI") {
				t.Errorf("%s: grid %+v", name, line)
			}
		}
		if got := strings.Join(labels, " "); tc.labels != "" && got != tc.labels || len(labels) < 2 || len(labels) > 7 {
			t.Errorf("%s: labels %q, want %q", name, got, tc.labels)
		}
		if len(c.Lines) != len(tc.series) {
			t.Errorf("%s: %d lines", name, len(c.Lines))
		}
		for i, line := range c.Lines {
			if strings.ContainsAny(line.Path, "NI") || tc.paths != nil && line.Path != tc.paths[i] {
				t.Errorf("%s: line %d is %q, want %q", name, i, line.Path, tc.paths)
			}
		}
		if near := tc.limit == .5; (c.Limit != "") != near {
			t.Errorf("%s: the limit is at %q", name, c.Limit)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		unit string
		v    float64
		want string
	}{
		{"s", 0, "0 s"}, {"s", .0000012, "1.2 µs"}, {"s", .0127, "12.7 ms"}, {"s", .9996, "1 s"}, {"s", 1.234, "1.23 s"}, {"s", 300, "5 min"}, {"s", 86400, "24 h"}, {"s", 7776000, "90 days"}, {"s", -.25, "-250 ms"},
		{"bytes", 0, "0 B"}, {"bytes", 1000, "0.977 KiB"}, {"bytes", 52 << 20, "52 MiB"}, {"bytes", 1e300, "9.09e+287 TiB"}, {"Bps", 2048, "2 KiB/s"},
		{"percentunit", .9995, "100%"}, {"percentunit", -.034, "-3.4%"}, {"percentunit", 1, "100%"},
		{"short", 0, "0"}, {"short", 1234, "1,234"}, {"short", 999.7, "1,000"}, {"short", 2_500_000, "2.5 M"}, {"short", 1e300, "1e+300"}, {"short", .00001, "1e-05"}, {"short", math.Copysign(0, -1), "0"},
		{"cps", .033333, "0.0333/s"}, {"reqps", 41.66, "41.7/s"}, {"suffix: minor units", 1999, "1,999 minor units"}, {"suffix: x", 14.4, "14.4 x"}, {"suffix: s/s", .5, "0.5 s/s"},
		{"bool_yes_no", 1, "yes"}, {"bool_yes_no", 0, "no"}, {"bool_yes_no", .5, "0.5"}, {"watt", 3, "3 watt"}, {"s", none, "no data"}, {"short", math.Inf(-1), "no data"},
	} {
		if got := formatValue(tc.v, tc.unit); got != tc.want {
			t.Errorf("%v %s: %q, want %q", tc.v, tc.unit, got, tc.want)
		}
	}
}
