package metricstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/tools/internal/dashboards"
)

var (
	quiet = slog.New(slog.DiscardHandler)
	// began is when all tests begin, at the beginning of a block.
	began = time.UnixMilli(5_000_000 * block.Milliseconds())
)

// gauge and counter are samples of metrics with a label.
func gauge(name, label string, v float64) sample {
	l := labels.FromStrings(model.MetricNameLabel, name, "job", "order", "label", label)
	return sample{key: l.Hash(), labels: l, value: v}
}

func counter(name, label string, v float64) sample {
	s := gauge(name, label, v)
	s.counter = true
	return s
}

// now is what a query has at a time, by the series' label.
func now(t *testing.T, s *Store, expr string, at time.Time) map[string]float64 {
	t.Helper()
	found, err := instant(t.Context(), newEngine(quiet), s, expr, at)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	out := map[string]float64{}
	for _, one := range found {
		out[one.Metric.Get("label")] = one.F
	}
	return out
}

func wants(t *testing.T, s *Store, expr string, at time.Time, want map[string]float64) {
	t.Helper()
	got := now(t, s, expr, at)
	ok := len(got) == len(want)
	for label, v := range want {
		if g, found := got[label]; !found || math.Abs(g-v) > .005*math.Abs(v) {
			ok = false
		}
	}
	if !ok {
		t.Errorf("%s at %v: %v, want %v", expr, at.Sub(began), got, want)
	}
}

// TestRates: counters are rated across a reset, count what they were made by, and end.
func TestRates(t *testing.T) {
	t.Parallel()
	s, from := New(DefaultBytes, MaxSeries), newSource()
	for i := range 49 { // four minutes
		v := float64(10 * i)
		if i >= 24 {
			v = float64(10 * (i - 24)) // the process began again
		}
		samples := []sample{counter("calls_total", "all", v), gauge("pool", "a", float64(i))}
		if i >= 40 {
			samples = append(samples, counter("calls_total", "refused", 3))
		}
		if i >= 30 && i < 44 {
			samples = append(samples, gauge("pool", "b", 7))
		}
		s.write(from, began.Add(time.Duration(i)*Interval), samples, true)
	}
	end := began.Add(48 * Interval)
	wants(t, s, `rate(calls_total{label="all"}[1m])`, end, map[string]float64{"all": 2})
	// Of 120 s, the five in which the counter was reset have no increase.
	wants(t, s, `increase(calls_total{label="all"}[2m])`, began.Add(36*Interval), map[string]float64{"all": 230})
	// The first sample of a new counter is what it has counted.
	wants(t, s, `increase(calls_total{label="refused"}[1m])`, end, map[string]float64{"refused": 3})
	wants(t, s, `pool`, end, map[string]float64{"a": 48}) // b has ended
	wants(t, s, `pool`, began.Add(43*Interval), map[string]float64{"a": 43, "b": 7})
	wants(t, s, `max_over_time(pool[10m])`, end, map[string]float64{"a": 48, "b": 7})
	wants(t, s, `{__name__=~"po+l", label!="b"}`, end, map[string]float64{"a": 48})
	// After a round that failed, what a new counter began with is unknown.
	s.write(from, end.Add(Interval), []sample{gauge("up", "", 0)}, false)
	s.write(from, end.Add(2*Interval), []sample{counter("calls_total", "late", 5), counter("calls_total", "all", 300)}, true)
	s.write(from, end.Add(3*Interval), []sample{counter("calls_total", "late", 5), counter("calls_total", "all", 310)}, true)
	wants(t, s, `increase(calls_total{label="late"}[1m])`, end.Add(3*Interval), map[string]float64{"late": 0})
	wants(t, s, `calls_total`, end.Add(Interval), map[string]float64{})
	if st := s.Stats(); st.Failed != 1 || st.Refused != 0 || !st.Oldest.Equal(began) {
		t.Errorf("%+v", st)
	}
}

// TestWhatIsKept: samples make room after the retention, and earlier where there are too many
// bytes; series that there is no room for are refused and counted.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	s, from := New(DefaultBytes, 100), newSource()
	var all []sample
	for i := range 120 {
		all = append(all, gauge("pool", fmt.Sprint(i), float64(i)))
	}
	s.write(from, began, all, true)
	if st := s.Stats(); st.Series != 100 || st.Samples != 100 || st.Refused != 20 {
		t.Fatalf("%+v", st)
	}
	end := began.Add(2 * time.Hour)
	for at := began.Add(Interval); !at.After(end); at = at.Add(Interval) {
		s.write(from, at, all[:10], true)
		if st := s.Stats(); at.Sub(st.Oldest) > Retention+block {
			t.Fatalf("%v is kept at %v", st.Oldest, at)
		}
	}
	// 90 series ended, and their room is others'.
	if st := s.Stats(); st.Series != 10 || st.Samples < 10*int64(Retention/Interval) || st.Samples > 10*int64((Retention+block)/Interval+1) {
		t.Errorf("%+v", st)
	}
	wants(t, s, `count_over_time(pool{label="3"}[30m])`, end, map[string]float64{"3": 360})
	// All ends, and nothing is left.
	s.write(from, end.Add(Interval), nil, true)
	other := newSource()
	for at := end.Add(Interval); at.Before(end.Add(Retention + 3*block)); at = at.Add(time.Minute) {
		s.write(other, at, []sample{gauge("up", "", 1)}, true)
	}
	if len(s.byHash) != 1 || len(s.byName) != 1 {
		t.Errorf("%d and %d names are left", len(s.byHash), len(s.byName))
	}
	s.write(other, end.Add(24*time.Hour), []sample{gauge("pool", "1", 1)}, true)
	s.write(other, end.Add(48*time.Hour), nil, true)
	if st := s.Stats(); st.Series != 1 || st.Samples != 1 { // its end is new
		t.Errorf("%+v", st)
	}

	// Little room: older blocks go, however new they are.
	small, from := New(200<<10, MaxSeries), newSource()
	for i := range 1000 {
		for j := range all {
			all[j].value = math.Sin(float64(i * (j + 1))) // hard to compress
		}
		small.write(from, began.Add(time.Duration(i)*Interval), all, true)
		if st := small.Stats(); st.Bytes > st.MaxBytes*3/2 { // one block is always there
			t.Fatalf("%+v", st)
		}
	}
	if st := small.Stats(); st.Refused != 0 || st.Series != 120 || time.Duration(999)*Interval-st.Oldest.Sub(began) > Retention/2 {
		t.Errorf("%+v", st)
	}
	// No room at all for new series.
	full := New(10<<10, MaxSeries)
	full.write(newSource(), began, all, true)
	if st := full.Stats(); st.Refused == 0 || st.Series+int(st.Refused) != 120 || st.Bytes > 11<<10 {
		t.Errorf("%+v", st)
	}
}

// TestMemory: a full store takes what it counts.
func TestMemory(t *testing.T) { //nolint:paralleltest // it measures the heap
	const limit = DefaultBytes / 4
	before := heap()
	s := New(limit, MaxSeries)
	from := newSource()
	var samples []sample
	for i := range 3000 {
		samples = append(samples, counter("http_server_request_duration_seconds_bucket", fmt.Sprintf("/a/route/of/the/shop/%d", i), 0))
	}
	for n := range 12 * 45 { // 45 minutes
		for i := range samples {
			if i%3 == 0 { // most are idle
				samples[i].value += float64((n * i) % 17)
			}
		}
		s.write(from, began.Add(time.Duration(n)*Interval), samples, true)
	}
	used := int64(heap()) - int64(before)
	st := s.Stats()
	t.Logf("%d series, %d samples: counted %.1f MiB, of the heap %.1f MiB", st.Series, st.Samples, float64(st.Bytes)/(1<<20), float64(used)/(1<<20))
	if st.Bytes < limit*8/10 || used > limit*5/4 || used > st.Bytes*5/4 || st.Refused > 0 {
		t.Errorf("the store counts %d bytes, and takes %d: %+v", st.Bytes, used, st)
	}
	runtime.KeepAlive(s)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestCollector: parts are scraped as Prometheus does, and the objectives recorded.
func TestCollector(t *testing.T) {
	t.Parallel()
	var scrapes, broken atomic.Int64
	part := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Header.Get("Accept") != scraped {
			t.Errorf("asked for %s as %s", r.URL, r.Header.Get("Accept"))
		}
		n := scrapes.Add(1)
		switch broken.Load() {
		case 1:
			http.Error(w, "no", http.StatusInternalServerError)
			return
		case 2:
			fmt.Fprint(w, "# TYPE pool gauge\npool 1\npool{ 2\n")
			return
		}
		fmt.Fprintf(w, "# TYPE http_server_request_duration_seconds histogram\n"+
			`http_server_request_duration_seconds_count{http_request_method="GET",http_route="/products",http_response_status_code="200"} %d`+"\n"+
			`http_server_request_duration_seconds_bucket{http_request_method="GET",http_route="/products",http_response_status_code="200",le="0.5"} %d`+"\n"+
			"# TYPE pool gauge\npool{job=\"own\",label=\"x\\\"y\"} NaN\npool 1e300\n", 4*n, 3*n)
	}))
	t.Cleanup(part.Close)
	s := New(DefaultBytes, MaxSeries)
	c := NewCollector(s, map[string]string{"gateway": part.Listener.Addr().String(), "away": "127.0.0.1:1"}, quiet)
	c.interval, c.rules = 10*time.Millisecond, 10*time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	is := func(expr string, want float64) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			found, err := instant(t.Context(), newEngine(quiet), s, expr, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 1 && math.Abs(found[0].F-want) < 1e-9 || len(found) == 0 && math.IsNaN(want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v, want %v", expr, found, want)
			}
			runtime.Gosched()
		}
	}
	is(`up{job="away", instance="127.0.0.1:1"}`, 0)
	is(`up{job="gateway"}`, 1)
	is(`pool{job="gateway", exported_job=""}`, 1e300)
	is(`count(pool{job="gateway", exported_job="own", label="x\"y"} != 0)`, 1)
	is(`souk:slo_errors:ratio_rate5m{slo="browse-latency"}`, .25)
	is(`souk:slo_target{slo="browse-latency"}`, .99)
	for _, kind := range []int64{1, 2} {
		broken.Store(kind)
		is(`up{job="gateway"}`, 0)
		is(`sum(pool{exported_job=""})`, math.NaN())
		broken.Store(0)
		is(`sum(pool{exported_job=""})`, 1e300)
	}
}

// asked is a store's answer.
func asked(t *testing.T, h http.Handler, token, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestServer: who has the token gets dashboards and queries, and is told what is wrong.
func TestServer(t *testing.T) {
	t.Parallel()
	s, from := New(DefaultBytes, MaxSeries), newSource()
	start := time.Now().Add(-10 * time.Minute)
	for i := range 121 {
		samples := []sample{{key: 1, labels: labels.FromStrings(model.MetricNameLabel, "target_info", "job", "order", "service_namespace", "souk"), value: 1}}
		for j := range metrics.MaxSeries + 3 {
			job := fmt.Sprintf("p%02d", j)
			samples = append(samples, sample{key: uint64(j + 10), labels: labels.FromStrings(model.MetricNameLabel, "up", "job", job), value: float64(j)})
		}
		s.write(from, start.Add(time.Duration(i)*Interval), samples, true)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	server := NewServer(s, "secret", quiet)
	go func() { served <- server.Serve(ctx, lis) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	client, err := metrics.NewClient("http://"+lis.Addr().String(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute} {
		d, err := client.Dashboard(t.Context(), "overview", metrics.Query{Range: of})
		if err != nil {
			t.Fatal(err)
		}
		if d.Title != "Shop overview" || len(d.All) != len(dashboards.All()) || d.Services != nil || d.Count > wantedPoints+1 || time.Duration(d.Count-1)*d.Step != of {
			t.Errorf("%+v", d)
		}
		p := d.Rows[0].Panels[3]
		if p.Title != "Processes that are read" || p.Kind != metrics.Lines || len(p.Series) != metrics.MaxSeries || p.LeftOut != 3 || p.Problem != "" {
			t.Fatalf("%+v", p)
		}
		// The largest, by name; nothing before there was something.
		last := p.Series[len(p.Series)-1]
		if v, ok := last.Values.Last(); last.Name != "p14" || !ok || v != 14 || len(last.Values) != d.Count || math.IsNaN(last.Values[0]) == (of == 5*time.Minute) {
			t.Errorf("%+v", last)
		}
		if paid := d.Rows[2].Panels[0]; len(paid.Series) != 0 || paid.Problem != "" || paid.Kind != metrics.Number {
			t.Errorf("%+v", paid)
		}
	}
	if d, err := client.Dashboard(t.Context(), "service", metrics.Query{Service: "order"}); err != nil || len(d.Services) != 1 || d.Services[0] != "order" || d.Service != "order" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := client.Dashboard(t.Context(), "nothing", metrics.Query{}); !errors.Is(err, metrics.ErrNotFound) {
		t.Error(err)
	}
	for path, want := range map[string]string{
		metrics.DashboardPath + "overview?range=31m":                       "range: want 1m0s to 30m0s",
		metrics.DashboardPath + "service?service=" + url.QueryEscape(`"}`): "service: want the name",
		QueryPath + "?query=up&start=1&end=0&step=5":                       "end: want",
		QueryPath + "?query=up&start=soon&end=0&step=5":                    "start: want",
		QueryPath + "?query=up&start=0&end=100000&step=1":                  "2000 points",
		QueryPath + "?query=up&start=0&end=1&step=0":                       "step: want",
		QueryPath + "?start=0&end=1&step=1":                                "query: want",
	} {
		if w := asked(t, server.Handler(), "secret", path); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w := asked(t, server.Handler(), "", path); w.Code != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", path, w.Code)
		}
	}
	query := func(expr string) *httptest.ResponseRecorder {
		return asked(t, server.Handler(), "secret", fmt.Sprintf("%s?query=%s&start=%d&end=%d&step=1m", QueryPath, url.QueryEscape(expr), start.Unix()+60, start.Unix()+120))
	}
	var got struct {
		Status string
		Data   struct {
			ResultType string
			Result     []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if w := query(`up{job="p05"}`); json.Unmarshal(w.Body.Bytes(), &got) != nil || got.Status != "success" || got.Data.ResultType != "matrix" || len(got.Data.Result) != 1 ||
		got.Data.Result[0].Metric["job"] != "p05" || len(got.Data.Result[0].Values) != 2 || got.Data.Result[0].Values[0][1] != "5" {
		t.Errorf("%s: %+v", w.Body, got)
	}
	if w := query(`up{`); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `"errorType":"execution"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestFailingQueries: a panel says what is wrong with it, and the others are there.
func TestFailingQueries(t *testing.T) {
	t.Parallel()
	s := New(DefaultBytes, MaxSeries)
	s.write(newSource(), time.Now(), []sample{gauge("pool", "a", math.Inf(1)), gauge("pool", "b", -1)}, true)
	e := &evaluator{store: s, engine: newEngine(quiet), log: quiet, all: []dashboards.Dashboard{{UID: "souk-x", Title: "Souk: x", Rows: []dashboards.Row{{Title: "r", Panels: []dashboards.Panel{
		{Title: "wrong", Queries: []dashboards.Query{{Expr: "pool{"}}},
		{Title: "right", Kind: dashboards.Number, Queries: []dashboards.Query{{Expr: "pool", Legend: "{{label}} {{none}}"}}},
		{Title: "a number", Kind: dashboards.Bars, Queries: []dashboards.Query{{Expr: "1 + 1", Legend: "{{none}}"}}},
	}}}}}}
	d, err := e.dashboard(t.Context(), "x", metrics.Query{Range: time.Minute}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := d.Rows[0].Panels
	if !strings.Contains(p[0].Problem, "A query failed") || len(p[0].Series) != 0 {
		t.Errorf("%+v", p[0])
	}
	if len(p[1].Series) != 1 || p[1].Series[0].Name != "b" || p[1].Series[0].Values[0] != -1 {
		t.Errorf("%+v", p[1])
	}
	if len(p[2].Series) != 1 || p[2].Series[0].Name != "(none)" || p[2].Series[0].Values[0] != 2 {
		t.Errorf("%+v", p[2])
	}
	// A query that is too large ends, by Prometheus' own bound.
	if _, err := instant(t.Context(), promql.NewEngine(promql.EngineOpts{MaxSamples: 1, Timeout: time.Second, Parser: parse}), s, "pool", time.Now()); err == nil {
		t.Error("a query has more samples than it may")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.dashboard(stopped, "x", metrics.Query{Range: time.Minute}, time.Now()); err == nil {
		t.Error("nobody waits for it, and it is evaluated")
	}
}
