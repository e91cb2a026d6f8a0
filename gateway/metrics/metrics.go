// Package metrics is how dashboards of recent metrics are asked for: what a store of metrics
// answers, and a client. The gateway's pages at /admin/metrics draw what it gives;
// tools/internal/metricstore is the store of `souk up`. Queries are the store's: who asks gets
// panels with their series.
package metrics

import (
	"encoding/json"
	"math"
	"time"
)

// Dashboard is a dashboard as it was between two times.
type Dashboard struct {
	// ID is its name in URLs.
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// All are the dashboards of the store.
	All []Entry `json:"all"`
	// Services are those of which one can be chosen; nil where the dashboard is of all. Service
	// is the one that was asked for; "" for all.
	Services []string `json:"services,omitempty"`
	Service  string   `json:"service,omitempty"`
	// Start is the time of each series' first value, Step what lies between two, in nanoseconds,
	// and Count how many there are.
	Start time.Time     `json:"start"`
	Step  time.Duration `json:"step_ns"`
	Count int           `json:"count"`
	// Window is what rates are over.
	Window time.Duration `json:"window_ns"`
	Rows   []Row         `json:"rows"`
	Stats  Stats         `json:"stats"`
}

// Entry is a dashboard in a list.
type Entry struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Row is a part of a dashboard.
type Row struct {
	Title  string  `json:"title"`
	Panels []Panel `json:"panels"`
}

// Kind is how a panel shows its series.
type Kind string

// The kinds.
const (
	// Lines are series over time.
	Lines Kind = "lines"
	// Stacked are series over time that add up to a whole.
	Stacked Kind = "stacked"
	// Number is the newest value of each series.
	Number Kind = "number"
	// Bars are the newest values, side by side.
	Bars Kind = "bars"
)

// Panel is a picture of some series.
type Panel struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Kind        Kind   `json:"kind"`
	// Unit is what values are measured in, as Grafana names it: see Format.
	Unit string `json:"unit"`
	// Limit is the value from which on an alert judges; 0 for none.
	Limit float64 `json:"limit,omitempty"`
	// Series are those with a value, MaxSeries at most; LeftOut is how many more there are.
	Series  []Series `json:"series"`
	LeftOut int      `json:"left_out,omitempty"`
	// Rare says why a shop that works may have no series; "" where it has.
	Rare string `json:"rare,omitempty"`
	// Problem says why there is nothing: a query that failed.
	Problem string `json:"problem,omitempty"`
	// Runbooks are those of the alerts that are judged by the panel.
	Runbooks []Runbook `json:"runbooks,omitempty"`
}

// MaxSeries is how many series a panel has at most: those with the largest values.
const MaxSeries = 12

// Runbook is what an operator does about an alert.
type Runbook struct {
	Alert string `json:"alert"`
	URL   string `json:"url"`
}

// Series are values over time, or one value of a Number or of Bars.
type Series struct {
	Name   string `json:"name"`
	Values Values `json:"values"`
}

// Values are numbers, where one that is missing is NaN; in JSON that is null, and so is what
// is infinite.
type Values []float64

// MarshalJSON implements json.Marshaler.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make([]*float64, len(v))
	for i := range v {
		if !math.IsNaN(v[i]) && !math.IsInf(v[i], 0) {
			out[i] = &v[i]
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Values) UnmarshalJSON(text []byte) error {
	var in []*float64
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*v = make(Values, len(in))
	for i, n := range in {
		if (*v)[i] = math.NaN(); n != nil {
			(*v)[i] = *n
		}
	}
	return nil
}

// Last is the newest number; false without one.
func (v Values) Last() (float64, bool) {
	for i := len(v) - 1; i >= 0; i-- {
		if !math.IsNaN(v[i]) {
			return v[i], true
		}
	}
	return 0, false
}

// Stats are what a store holds, and what it could not take.
type Stats struct {
	Series  int   `json:"series"`
	Samples int64 `json:"samples"`
	// Bytes is what they take in memory, and MaxBytes what they may take.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"`
	// Refused is the number of samples of series that there was no room for.
	Refused int64 `json:"refused_samples"`
	// Failed is the number of scrapes that failed.
	Failed int64 `json:"failed_scrapes"`
	// Retention is how long a sample is kept, if there is room, and Interval what lies between two.
	Retention time.Duration `json:"retention_ns"`
	Interval  time.Duration `json:"interval_ns"`
	// Oldest is the time of the oldest sample; zero without any.
	Oldest time.Time `json:"oldest,omitzero"`
}
