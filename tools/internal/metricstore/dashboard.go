package metricstore

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/tools/internal/dashboards"
	"github.com/souk-shop/souk/tools/internal/slo"
)

const (
	// rateWindow is what rates are over: on a laptop, calls are few.
	rateWindow = time.Minute
	// wantedPoints is how many points a line has at most, but for one.
	wantedPoints = 120
)

var kinds = map[dashboards.Kind]metrics.Kind{
	dashboards.Lines: metrics.Lines, dashboards.Stacked: metrics.Stacked, dashboards.Number: metrics.Number, dashboards.Bars: metrics.Bars,
}

// evaluator evaluates dashboards.
type evaluator struct {
	store  *Store
	engine *promql.Engine
	log    *slog.Logger
	all    []dashboards.Dashboard
}

// dashboard evaluates a dashboard up to a time; nil without one of this id.
func (e *evaluator) dashboard(ctx context.Context, id string, q metrics.Query, now time.Time) (*metrics.Dashboard, error) {
	at := slices.IndexFunc(e.all, func(d dashboards.Dashboard) bool { return pageID(d) == id })
	if at < 0 {
		return nil, nil
	}
	d := e.all[at]
	step := stepOf(q.Range)
	// Between two steps the picture stays the same.
	end := now.Truncate(step)
	p := &period{start: end.Add(-q.Range.Truncate(step)), end: end, step: step, now: now, service: cmp.Or(q.Service, dashboards.AnyService)}
	out := &metrics.Dashboard{
		ID: id, Title: title(d), Description: d.Description, Start: p.start.UTC(), Step: step, Count: p.count(), Window: rateWindow,
		Stats: e.store.Stats(),
	}
	for _, one := range e.all {
		out.All = append(out.All, metrics.Entry{ID: pageID(one), Title: title(one)})
	}
	if d.ByService {
		services, err := e.services(ctx)
		if err != nil {
			return nil, err
		}
		out.Services, out.Service = services, q.Service
	}
	for _, row := range d.Rows {
		r := metrics.Row{Title: row.Title}
		for i := range row.Panels {
			r.Panels = append(r.Panels, e.panel(ctx, &row.Panels[i], p))
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		out.Rows = append(out.Rows, r)
	}
	return out, nil
}

// pageID is a dashboard's name in URLs: without the word that all have in Grafana.
func pageID(d dashboards.Dashboard) string { return strings.TrimPrefix(d.UID, "souk-") }

func title(d dashboards.Dashboard) string {
	_, text, ok := strings.Cut(d.Title, ": ")
	if !ok {
		return d.Title
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// stepOf is what lies between two points of lines.
func stepOf(of time.Duration) time.Duration {
	step := (of + wantedPoints - 1) / wantedPoints
	return max(Interval, (step + Interval - 1).Truncate(Interval))
}

// period is what lines are drawn over.
type period struct {
	start, end, now time.Time
	step            time.Duration
	service         string
}

func (p *period) count() int { return int(p.end.Sub(p.start)/p.step) + 1 }

// services are the jobs that say that they are of Souk.
func (e *evaluator) services(ctx context.Context) ([]string, error) {
	q, err := e.store.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	names, _, err := q.LabelValues(ctx, "job", nil,
		labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "target_info"), labels.MustNewMatcher(labels.MatchEqual, "service_namespace", "souk"))
	return names, err
}

func (e *evaluator) panel(ctx context.Context, p *dashboards.Panel, of *period) metrics.Panel {
	out := metrics.Panel{Title: p.Title, Description: p.Description, Kind: kinds[p.Kind], Unit: string(p.Unit), Limit: p.Limit, Series: []metrics.Series{}}
	for _, alert := range p.Alerts {
		out.Runbooks = append(out.Runbooks, metrics.Runbook{Alert: alert, URL: slo.RunbookURL(alert)})
	}
	for _, q := range p.Queries {
		out.Rare = cmp.Or(out.Rare, q.Rare)
		found, err := e.series(ctx, p.Kind, q, of)
		if err != nil {
			if ctx.Err() == nil {
				e.log.WarnContext(ctx, "a panel can't be evaluated", "panel", p.Title, "error", err)
			}
			out.Problem = "A query failed: " + err.Error()
			continue
		}
		out.Series = append(out.Series, found...)
	}
	out.Series, out.LeftOut = largest(out.Series)
	return out
}

// series are those of a query that have a number.
func (e *evaluator) series(ctx context.Context, kind dashboards.Kind, q dashboards.Query, of *period) ([]metrics.Series, error) {
	expr := q.Fill(of.service, rateWindow)
	var out []metrics.Series
	add := func(l labels.Labels, v metrics.Values) {
		if _, ok := v.Last(); ok {
			out = append(out, metrics.Series{Name: legend(q.Legend, l), Values: v})
		}
	}
	if kind == dashboards.Number || kind == dashboards.Bars {
		found, err := instant(ctx, e.engine, e.store, expr, of.now)
		for _, one := range found {
			add(one.Metric, metrics.Values{finite(one.F)})
		}
		return out, err
	}
	err := ranged(ctx, e.engine, e.store, expr, of.start, of.end, of.step, func(found promql.Matrix) {
		for _, one := range found {
			v := make(metrics.Values, of.count())
			for i := range v {
				v[i] = math.NaN()
			}
			for _, point := range one.Floats {
				if i := (point.T - of.start.UnixMilli()) / of.step.Milliseconds(); i >= 0 && i < int64(len(v)) {
					v[i] = finite(point.F)
				}
			}
			add(one.Metric, v)
		}
	})
	return out, err
}

// finite is NaN for what can't be drawn.
func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// inBraces is a label in a legend.
var inBraces = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// legend names a series as Grafana does.
func legend(format string, l labels.Labels) string {
	text := inBraces.ReplaceAllStringFunc(format, func(m string) string { return l.Get(inBraces.FindStringSubmatch(m)[1]) })
	return cmp.Or(strings.Join(strings.Fields(text), " "), "(none)")
}

// largest are the series with the largest values, by name.
func largest(all []metrics.Series) (_ []metrics.Series, leftOut int) {
	byName := func(a, b metrics.Series) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortStableFunc(all, byName)
	if leftOut = len(all) - metrics.MaxSeries; leftOut <= 0 {
		return all, 0
	}
	slices.SortStableFunc(all, func(a, b metrics.Series) int { return cmp.Compare(peak(b.Values), peak(a.Values)) })
	all = all[:metrics.MaxSeries]
	slices.SortStableFunc(all, byName)
	return all, leftOut
}

func peak(v metrics.Values) float64 {
	out := math.Inf(-1)
	for _, n := range v {
		if n > out { // also false for NaN
			out = n
		}
	}
	return out
}
