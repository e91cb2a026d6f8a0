package top

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// traffic are the calls of an operation, or of a part, between two readings.
type traffic struct {
	name          string
	calls, failed float64
	buckets       map[float64]float64 // calls that took no longer, by the bound in seconds
}

func (t *traffic) add(o *traffic) {
	t.calls += o.calls
	t.failed += o.failed
	for bound, n := range o.buckets {
		t.bucket(bound, n)
	}
}

func (t *traffic) bucket(bound, n float64) {
	if t.buckets == nil {
		t.buckets = map[float64]float64{}
	}
	t.buckets[bound] += n
}

// quantile estimates below which duration a share of the calls stayed, as Prometheus'
// histogram_quantile does: along a line within the bucket. NaN without calls; the last bound
// for what is beyond it.
func (t *traffic) quantile(q float64) float64 {
	total := t.buckets[math.Inf(1)]
	if total <= 0 {
		return math.NaN()
	}
	var lower, below float64
	for _, bound := range names(t.buckets) {
		n := t.buckets[bound]
		if n >= q*total {
			if math.IsInf(bound, 1) {
				return lower
			}
			return lower + (bound-lower)*(q*total-below)/max(n-below, 1)
		}
		lower, below = bound, n
	}
	return lower
}

// page is what is shown.
type page struct {
	url        string
	at         time.Time
	seconds    float64
	parts      []*traffic
	operations []*traffic
	settled    map[string]float64 // orders a second by outcome
	open       map[string]float64 // orders by state
	lag        map[string]float64 // events by part
	waiting    [][2]string        // what else waits
	away       []string
}

// served are the metrics of calls that a part answers, and how a call of them is named and
// known to have failed by the server's fault.
var served = []struct {
	metric string
	name   func(*dto.Metric) string
	failed func(*dto.Metric) bool
}{
	{
		"http_server_request_duration_seconds",
		func(m *dto.Metric) string {
			return labelOf(m, "http_request_method") + " " + cmp.Or(labelOf(m, "http_route"), "(no route)")
		},
		func(m *dto.Metric) bool { return labelOf(m, "http_response_status_code") >= "500" },
	},
	{
		"rpc_server_call_duration_seconds",
		func(m *dto.Metric) string { return labelOf(m, "rpc_method") },
		func(m *dto.Metric) bool { return labelOf(m, "error_type") != "" },
	},
}

// compare makes a page of two readings.
func compare(before, now *reading) *page {
	p := &page{
		url: now.url, at: now.at, seconds: now.at.Sub(before.at).Seconds(), away: now.away,
		settled: map[string]float64{}, open: map[string]float64{}, lag: map[string]float64{},
	}
	for _, name := range names(now.parts) {
		f := now.parts[name]
		part := &traffic{name: name}
		for _, op := range traffics(before.parts[name], f) {
			part.add(op)
			if op.calls > 0 {
				p.operations = append(p.operations, op)
			}
		}
		p.parts = append(p.parts, part)
		for state, n := range f.sum("souk_order_open", "souk_order_state") {
			p.open[state] = max(p.open[state], n)
		}
		for outcome, n := range counts(before.parts[name], f, "souk_order_settle_duration_seconds", func(m *dto.Metric) string {
			return strings.TrimSuffix(labelOf(m, "souk_order_state")+" "+labelOf(m, "souk_order_cancel_reason"), " ")
		}) {
			p.settled[outcome] += n / p.seconds
		}
		if lag, ok := f.sum("souk_events_lag", "")[""]; ok {
			p.lag[name] = lag
		}
		for _, w := range []struct{ metric, label, what string }{
			{"souk_mail_backlog", "", "mails"}, {"souk_webhook_backlog", "souk_webhook_state", "webhooks"},
		} {
			for label, n := range f.sum(w.metric, w.label) {
				p.waiting = append(p.waiting, [2]string{strings.TrimSpace(w.what + " " + label), fmt.Sprintf("%.0f", n)})
			}
		}
	}
	slices.SortFunc(p.operations, func(a, b *traffic) int {
		return cmp.Or(cmp.Compare(b.calls, a.calls), cmp.Compare(a.name, b.name))
	})
	slices.SortFunc(p.waiting, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	return p
}

// traffics are the calls of a part's operations between two readings. A part that was started
// anew between them counts from nothing.
func traffics(before, now families) []*traffic {
	var out []*traffic
	for _, s := range served {
		then := histograms(before[s.metric])
		byName := map[string]*traffic{}
		for key, m := range histograms(now[s.metric]) {
			old := then[key]
			if old.GetHistogram().GetSampleCount() > m.GetHistogram().GetSampleCount() {
				old = nil
			}
			name := s.name(m)
			t := byName[name]
			if t == nil {
				t = &traffic{name: name}
				byName[name] = t
			}
			calls := float64(m.GetHistogram().GetSampleCount() - old.GetHistogram().GetSampleCount())
			t.calls += calls
			if s.failed(m) {
				t.failed += calls
			}
			was := map[float64]uint64{}
			for _, b := range old.GetHistogram().GetBucket() {
				was[b.GetUpperBound()] = b.GetCumulativeCount()
			}
			for _, b := range m.GetHistogram().GetBucket() {
				t.bucket(b.GetUpperBound(), float64(b.GetCumulativeCount()-was[b.GetUpperBound()]))
			}
		}
		for _, name := range names(byName) {
			out = append(out, byName[name])
		}
	}
	return out
}

// counts are how many more a histogram has counted, by a key of its series.
func counts(before, now families, metric string, by func(*dto.Metric) string) map[string]float64 {
	then, out := histograms(before[metric]), map[string]float64{}
	for key, m := range histograms(now[metric]) {
		n, old := m.GetHistogram().GetSampleCount(), then[key].GetHistogram().GetSampleCount()
		if old > n {
			old = 0
		}
		out[by(m)] += float64(n - old)
	}
	return out
}

// histograms are the series of a family by their labels.
func histograms(f *dto.MetricFamily) map[string]*dto.Metric {
	out := map[string]*dto.Metric{}
	for _, m := range f.GetMetric() {
		var key strings.Builder
		for _, l := range m.GetLabel() {
			fmt.Fprintf(&key, "%s=%q,", l.GetName(), l.GetValue())
		}
		out[key.String()] = m
	}
	return out
}

func (p *page) print(w io.Writer, operations int) error {
	fmt.Fprintf(w, "souk at %s, %s, the last %.1f s\n\n", p.url, p.at.Format(time.TimeOnly), p.seconds)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(t *traffic) {
		fmt.Fprintf(tw, "%.1f\t%.1f\t%s\t%s\t\t%s\n", t.calls/p.seconds, t.failed/p.seconds, duration(t.quantile(.5)), duration(t.quantile(.99)), t.name)
	}
	fmt.Fprintln(tw, "calls/s\terrors/s\tp50\tp99\t\tpart")
	for _, t := range p.parts {
		row(t)
	}
	if operations > 0 {
		fmt.Fprintln(tw, "\t\t\t\t\t")
		fmt.Fprintln(tw, "calls/s\terrors/s\tp50\tp99\t\toperation")
		for _, t := range p.operations[:min(len(p.operations), operations)] {
			row(t)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var waiting []string
	for _, one := range p.waiting {
		waiting = append(waiting, one[0]+" "+one[1])
	}
	fmt.Fprintf(w, "\norders settled a second  %s\n", list(p.settled, "%.1f", "none"))
	fmt.Fprintf(w, "orders open              %s\n", list(p.open, "%.0f", "none"))
	fmt.Fprintf(w, "events not published     %s\n", list(p.lag, "%.0f", "no part says"))
	fmt.Fprintf(w, "to be told               %s\n", cmp.Or(strings.Join(waiting, " · "), "no part says"))
	if len(p.away) > 0 {
		fmt.Fprintf(w, "\nNo metrics of %s.\n", strings.Join(p.away, ", "))
	}
	return nil
}

// list shows values by name, without those that are zero unless all are.
func list(values map[string]float64, format, none string) string {
	var shown []string
	for _, name := range names(values) {
		if values[name] > 0 {
			shown = append(shown, name+" "+fmt.Sprintf(format, values[name]))
		}
	}
	if len(shown) == 0 && len(values) > 0 {
		return "0"
	}
	return cmp.Or(strings.Join(shown, " · "), none)
}

// duration shows seconds.
func duration(s float64) string {
	switch {
	case math.IsNaN(s):
		return "-"
	case s < 1:
		return fmt.Sprintf("%.1f ms", s*1000)
	}
	return fmt.Sprintf("%.1f s", s)
}
