package storefront

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/gateway/operators"
)

// firstDashboard is shown where none is named.
const firstDashboard = "overview"

// metricsPage is the view of metrics.html.
type metricsPage struct {
	frame
	Operator    string
	Kept        bool // the shop keeps metrics
	Description string
	Dashboards  []choice
	Services    []choice // nil where the dashboard is of all
	Ranges      []choice
	Again       string   // the page's address
	Until       string   // the time of the newest values
	Times       []string // along the charts: the beginning, the middle, the end
	Rows        []panelRow
	Notes       string
}

// choice is a link to another view of the metrics.
type choice struct {
	URL, Text string
	Current   bool
}

type panelRow struct {
	Title  string
	Panels []panelView
}

// panelView is a panel. It has a chart, numbers or bars; without series, none of them.
type panelView struct {
	ID                 string // for references within the page
	Title, Description string
	Problem, Empty     string // why there is nothing
	Chart              *chart
	Summary            string // of the chart, for who can't see it
	Limit              string // the value from which on an alert judges
	Series             []seriesView
	Numbers, Bars      bool
	LeftOut            string
	Runbooks           []metrics.Runbook
}

// seriesView is a series in the legend, a number or a bar.
type seriesView struct {
	Name, Class, Last, Most string
	Area                    bool
	Width                   string // of a bar, in percent
}

// ranges are how far back a page may reach.
var ranges = []struct {
	of   time.Duration
	text string
}{{5 * time.Minute, "5 min"}, {15 * time.Minute, "15 min"}, {30 * time.Minute, "30 min"}}

// metricsURL is the address of a dashboard.
func metricsURL(id string, q metrics.Query) string {
	u := metricsPath
	if id != firstDashboard {
		u += "/" + url.PathEscape(id)
	}
	v := q.Values()
	if q.Range == metrics.DefaultRange {
		v.Del("range")
	}
	if len(v) > 0 {
		u += "?" + v.Encode()
	}
	return u
}

// serveMetrics draws a dashboard.
func (s *Storefront) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	op, err := s.operator(w, r, operators.Read, "metrics")
	if op == nil {
		return err
	}
	if s.metrics == nil {
		return s.show(w, r, http.StatusOK, "metrics", &metricsPage{frame: frame{Title: "Metrics", Section: "metrics"}, Operator: op.Name})
	}
	id := r.PathValue("dashboard")
	if id == "" {
		id = firstDashboard
	}
	q, err := metrics.ParseQuery(r.URL.Query())
	if err != nil {
		return badRequest("The address is not one of a dashboard: " + err.Error() + ".")
	}
	d, err := s.metrics.Dashboard(r.Context(), id, q)
	if errors.Is(err, metrics.ErrNotFound) {
		return &pageError{status: http.StatusNotFound, title: "There is no such dashboard", detail: "The dashboards are listed at /admin/metrics."}
	}
	if err != nil {
		if r.Context().Err() == nil {
			s.log.WarnContext(r.Context(), "the store of metrics does not answer", "error", err)
		}
		return &pageError{status: http.StatusServiceUnavailable, title: "The metrics can't be read just now", detail: "The store of metrics does not answer. The shop itself is not affected."}
	}
	v := newMetricsPage(d, q)
	v.Operator = op.Name
	return s.show(w, r, http.StatusOK, "metrics", v)
}

func newMetricsPage(d *metrics.Dashboard, q metrics.Query) *metricsPage {
	end := d.Start.Add(time.Duration(max(d.Count-1, 0)) * d.Step)
	v := &metricsPage{
		frame: frame{Title: d.Title, Section: "metrics"}, Kept: true, Description: d.Description, Again: metricsURL(d.ID, q),
		Until: end.UTC().Format("15:04:05 MST"), Notes: notes(d),
	}
	for _, one := range d.All {
		v.Dashboards = append(v.Dashboards, choice{metricsURL(one.ID, metrics.Query{Range: q.Range}), one.Title, one.ID == d.ID})
	}
	if d.Services != nil {
		v.Services = append(v.Services, choice{metricsURL(d.ID, metrics.Query{Range: q.Range}), "All", q.Service == ""})
		for _, name := range d.Services {
			v.Services = append(v.Services, choice{metricsURL(d.ID, metrics.Query{Range: q.Range, Service: name}), name, name == q.Service})
		}
	}
	for _, one := range ranges {
		v.Ranges = append(v.Ranges, choice{metricsURL(d.ID, metrics.Query{Range: one.of, Service: q.Service}), one.text, one.of == q.Range})
	}
	for _, at := range []time.Time{d.Start, d.Start.Add(end.Sub(d.Start) / 2), end} {
		v.Times = append(v.Times, at.UTC().Format("15:04"))
	}
	panels := 0
	for _, row := range d.Rows {
		r := panelRow{Title: row.Title}
		for i := range row.Panels {
			panels++
			r.Panels = append(r.Panels, newPanelView(&row.Panels[i], "panel-"+strconv.Itoa(panels), d.Count, v.Times))
		}
		v.Rows = append(v.Rows, r)
	}
	return v
}

func newPanelView(p *metrics.Panel, id string, points int, times []string) panelView {
	v := panelView{
		ID: id, Title: p.Title, Description: p.Description, Problem: p.Problem, Runbooks: p.Runbooks,
		Numbers: p.Kind == metrics.Number, Bars: p.Kind == metrics.Bars,
	}
	if p.LeftOut > 0 {
		v.LeftOut = some(int64(p.LeftOut), "series with smaller values is", "series with smaller values are") + " not shown."
	}
	if len(p.Series) == 0 {
		if v.Empty = "No data"; p.Rare != "" {
			v.Empty += ": " + p.Rare
		}
		v.Empty += "."
		return v
	}
	most := 0.
	for i := range p.Series {
		last, _ := p.Series[i].Values.Last()
		most = max(most, last)
	}
	for i := range p.Series {
		one := &p.Series[i]
		last, ok := one.Values.Last()
		if !ok {
			last = math.NaN()
		}
		s := seriesView{Name: one.Name, Class: colorOf(i), Area: p.Kind == metrics.Stacked, Last: formatValue(last, p.Unit), Most: formatValue(highest(one.Values), p.Unit), Width: percent(0)}
		if most > 0 && last > 0 {
			s.Width = percent(100 * last / most)
		}
		v.Series = append(v.Series, s)
	}
	if v.Numbers || v.Bars {
		return v
	}
	v.Chart = newChart(p, points)
	if v.Chart.Limit != "" {
		v.Limit = formatValue(p.Limit, p.Unit)
	}
	v.Summary = some(int64(len(p.Series)), "series", "series") + " from " + times[0] + " to " + times[2] + " UTC. The table below has the last and the highest value of each."
	return v
}

// highest is the largest number; NaN without one.
func highest(v metrics.Values) float64 {
	out := math.NaN()
	for _, n := range v {
		if !math.IsNaN(n) && (math.IsNaN(out) || n > out) {
			out = n
		}
	}
	return out
}

// notes say what the store holds and what it could not take, and what follows from it.
func notes(d *metrics.Dashboard) string {
	st := &d.Stats
	text := "Rates are over " + formatSeconds(d.Window.Seconds()) + ". " +
		some(int64(st.Series), "series", "series") + " with " + some(st.Samples, "sample", "samples") + " in memory, one every " + formatSeconds(st.Interval.Seconds()) + ", " +
		strconv.FormatFloat(float64(st.Bytes)/(1<<20), 'f', 1, 64) + " of " + strconv.FormatInt(st.MaxBytes>>20, 10) + " MiB"
	if st.Refused > 0 {
		text += "; " + some(st.Refused, "sample", "samples") + " of further series had no room"
	}
	if st.Failed > 0 {
		text += "; " + some(st.Failed, "scrape", "scrapes") + " failed"
	}
	text += ". They are kept for " + some(int64(st.Retention/time.Minute), "minute", "minutes") + " at most: what a panel says of an hour or of 30 days is true of these."
	return text
}
