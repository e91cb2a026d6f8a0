package storefront

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/gateway/traces"
)

const (
	// tracesShown is how many traces a list has.
	tracesShown = 100
	// spansShown is how many spans a page draws.
	spansShown = 1000
	// deepest is the last level that is drawn further to the right than the one above it.
	deepest = 11
)

// tracesPage is the view of traces.html.
type tracesPage struct {
	frame
	Operator string
	Kept     bool // the shop keeps traces
	// What was searched for.
	Operation, Order, Min string
	Failed, Background    bool
	Searched              bool
	MinError, Problem     string
	Traces                []traceRow
	More                  bool // there may be older ones that fit
	Holds                 string
}

// traceRow is a trace in the list.
type traceRow struct {
	URL, Name, Service, At, Took, Whole, Spans, Order string
	Failed                                            string // how many spans; empty for none
}

// tracePage is the view of trace.html.
type tracePage struct {
	frame
	Operator                       string
	ID, Name, At, Took, Whole      string
	Spans, LeftOut                 string
	Services                       string
	Failed                         string // how many spans; empty for none
	OrderID, Order, OrderTracesURL string
	Rows                           []*spanRow // those without a parent
	Ticks                          []string   // times along the bars: the beginning, the middle, the end
}

// spanRow is a span in the waterfall.
type spanRow struct {
	Name, Service, Kind, At, Took string
	Depth                         int // for the style
	Failed                        bool
	Error                         string
	Orphan                        bool
	X, Width                      string // of the bar, in percent
	Attributes                    []traces.Attribute
	Events                        []spanEvent
	Links                         []traceLink
	Children                      []*spanRow
}

type spanEvent struct {
	At, Name   string
	Attributes []traces.Attribute
}

type traceLink struct{ URL, ID string }

func tracesOf(order string) string { return tracesPath + "?order=" + url.QueryEscape(order) }

func traceURL(id string) string { return tracesPath + "/" + url.PathEscape(id) }

// serveTraces lists traces. One of an order's is shown at once.
func (s *Storefront) serveTraces(w http.ResponseWriter, r *http.Request) error {
	op, err := s.operator(w, r, operators.Orders, "traces")
	if op == nil {
		return err
	}
	asked := r.URL.Query()
	v := &tracesPage{
		frame: frame{Title: "Traces", Section: "traces"}, Operator: op.Name, Kept: s.traces != nil,
		Operation: strings.TrimSpace(asked.Get("operation")), Order: strings.TrimSpace(asked.Get("order")), Min: strings.TrimSpace(asked.Get("min")),
		Failed: asked.Get("failed") != "", Background: asked.Get("background") != "",
	}
	v.Searched = v.Operation != "" || v.Order != "" || v.Min != "" || v.Failed
	if s.traces == nil {
		return s.show(w, r, http.StatusOK, "traces", v)
	}
	q := traces.Query{Operation: v.Operation, Order: v.Order, Failed: v.Failed, Requests: !v.Background && v.Order == "", Limit: tracesShown}
	if v.Min != "" {
		ms, err := strconv.ParseFloat(v.Min, 64)
		if err != nil || ms < 0 || ms > 1e9 {
			v.MinError, v.frame.Failed = "Please give milliseconds as a number, such as 250.", true
			return s.show(w, r, http.StatusUnprocessableEntity, "traces", v)
		}
		q.Min = time.Duration(ms * float64(time.Millisecond))
	}
	list, err := s.traces.List(r.Context(), q)
	if err != nil {
		return s.noTraces(r, err)
	}
	if len(list.Traces) == 1 && v.Order != "" && v.Operation == "" && v.Min == "" && !v.Failed {
		http.Redirect(w, r, traceURL(list.Traces[0].ID), http.StatusSeeOther)
		return nil
	}
	for i := range list.Traces {
		v.Traces = append(v.Traces, newTraceRow(&list.Traces[i]))
	}
	v.More = len(list.Traces) == tracesShown
	v.Holds = held(&list.Stats)
	return s.show(w, r, http.StatusOK, "traces", v)
}

// noTraces is the page for a store that does not answer.
func (s *Storefront) noTraces(r *http.Request, err error) error {
	if r.Context().Err() == nil {
		s.log.WarnContext(r.Context(), "the store of traces does not answer", "error", err)
	}
	return &pageError{status: http.StatusServiceUnavailable, title: "The traces can't be read just now", detail: "The store of traces does not answer. The shop itself is not affected."}
}

// held says what the store holds and what it could not take.
func held(st *traces.Stats) string {
	text := some(int64(st.Traces), "trace", "traces") + " with " + some(int64(st.Spans), "span", "spans") + " in memory, " +
		strconv.FormatFloat(float64(st.Bytes)/(1<<20), 'f', 1, 64) + " of " + strconv.FormatInt(st.MaxBytes>>20, 10) + " MiB"
	if st.Evicted > 0 {
		text += "; " + some(st.Evicted, "older trace has", "older traces have") + " made room"
	}
	if st.Dropped > 0 {
		text += "; " + some(st.Dropped, "span", "spans") + " came too fast and were dropped"
	}
	return text + "."
}

func newTraceRow(t *traces.Summary) traceRow {
	return traceRow{
		URL: traceURL(t.ID), Name: t.Name, Service: t.Service, At: t.Start.UTC().Format("2 Jan 15:04:05.000"), Took: traces.FormatDuration(t.Duration), Whole: traces.FormatDuration(t.Extent),
		Spans: some(int64(t.Count), "span", "spans"), Order: cmp.Or(t.OrderNumber, t.OrderID), Failed: failures(t),
	}
}

// serveTrace draws a trace.
func (s *Storefront) serveTrace(w http.ResponseWriter, r *http.Request) error {
	op, err := s.operator(w, r, operators.Orders, "trace")
	if op == nil {
		return err
	}
	gone := &pageError{status: http.StatusNotFound, title: "There is no such trace, or no longer", detail: "The oldest traces make room for new ones; those of orders, failures and slow requests stay longer."}
	id := r.PathValue("id")
	if s.traces == nil || !traces.IsID(id) {
		return gone
	}
	t, err := s.traces.Trace(r.Context(), id)
	if errors.Is(err, traces.ErrNotFound) {
		return gone
	}
	if err != nil {
		return s.noTraces(r, err)
	}
	v := newTracePage(t)
	v.Operator = op.Name
	return s.show(w, r, http.StatusOK, "trace", v)
}

func newTracePage(t *traces.Trace) *tracePage {
	v := &tracePage{
		frame: frame{Title: "Trace " + t.ID[:8], Section: "traces"}, ID: t.ID, Name: t.Name, At: t.Start.UTC().Format("2 January 2006, 15:04:05.000 MST"),
		Took: traces.FormatDuration(t.Duration), Whole: traces.FormatDuration(t.Extent), Spans: some(int64(t.Count), "span", "spans"),
		Services: strings.Join(t.Services, ", "), Failed: failures(&t.Summary), OrderID: t.OrderID, Order: cmp.Or(t.OrderNumber, t.OrderID),
	}
	if t.OrderID != "" {
		v.OrderTracesURL = tracesOf(t.OrderID)
	}
	rows := t.Tree()
	if missing := len(rows) - spansShown + t.LeftOut; len(rows) > spansShown || t.LeftOut > 0 {
		v.LeftOut = some(int64(max(missing, t.LeftOut)), "span is", "spans are")
	}
	rows = rows[:min(len(rows), spansShown)]
	for _, part := range []time.Duration{0, t.Extent / 2, t.Extent} {
		v.Ticks = append(v.Ticks, traces.FormatDuration(part))
	}
	var open []*spanRow // the spans above the next one
	for i := range rows {
		row := newSpanRow(&rows[i], t)
		open = open[:min(len(open), rows[i].Depth)]
		if len(open) == 0 {
			v.Rows = append(v.Rows, row)
		} else {
			above := open[len(open)-1]
			above.Children = append(above.Children, row)
		}
		open = append(open, row)
	}
	return v
}

func newSpanRow(row *traces.Row, t *traces.Trace) *spanRow {
	whole := float64(max(t.Extent, 1))
	x := min(100*float64(row.Offset)/whole, 99.5)
	width := min(max(100*float64(row.Duration)/whole, .5), 100-x)
	v := &spanRow{
		Name: row.Name, Service: row.Service, Kind: row.Kind, At: traces.FormatDuration(row.Offset), Took: traces.FormatDuration(row.Duration),
		Depth: min(row.Depth, deepest), Failed: row.Failed, Error: row.Error, Orphan: row.Orphan,
		X: percent(x), Width: percent(width), Attributes: row.Attributes,
	}
	for i := range row.Events {
		e := &row.Events[i]
		v.Events = append(v.Events, spanEvent{At: traces.FormatDuration(e.At.Sub(t.Start)), Name: e.Name, Attributes: e.Attributes})
	}
	for _, l := range row.Links {
		v.Links = append(v.Links, traceLink{URL: traceURL(l.TraceID), ID: l.TraceID})
	}
	return v
}

func percent(n float64) string { return strconv.FormatFloat(n, 'f', 2, 64) + "%" }

// some is a number with its word.
func some(n int64, one, many string) string { return count(n) + " " + plural(n, one, many) }

// failures says how many spans failed; nothing for none.
func failures(t *traces.Summary) string {
	if t.Errors == 0 {
		return ""
	}
	return some(int64(t.Errors), "error", "errors")
}
