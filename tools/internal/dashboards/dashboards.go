// Package dashboards declares what operators look at, once: dashboards, their rows and their
// panels, with the queries. Grafana's JSON is made of it, and the page /admin/metrics of the
// shop on a laptop draws it.
package dashboards

//go:generate go run ./generate

import (
	"fmt"
	"strings"
	"time"
)

// Dashboard is a page of panels.
type Dashboard struct {
	// UID is its name in URLs and files.
	UID, Title, Description string
	// ByService reports that Service in its queries is what the reader chooses.
	ByService bool
	Rows      []Row
}

// Row is a part of a dashboard.
type Row struct {
	Title  string
	Panels []Panel
}

// Kind is how a panel shows its series.
type Kind int

// The kinds.
const (
	// Lines are series over time.
	Lines Kind = iota
	// Stacked are series over time that add up to a whole.
	Stacked
	// Number is the newest value of each series.
	Number
	// Bars are the newest values, side by side.
	Bars
)

// Unit is what values are measured in, as Grafana names it.
type Unit string

// The units.
const (
	Seconds   Unit = "s"
	Bytes     Unit = "bytes"
	Share     Unit = "percentunit" // 1 is 100%
	Count     Unit = "short"
	PerSecond Unit = "cps"
	Requests  Unit = "reqps"
	Minor     Unit = "suffix: minor units" // of a currency, such as pence
	Times     Unit = "suffix: x"
	Processor Unit = "suffix: s/s"
	Here      Unit = "bool_yes_no" // 1 is yes
)

// Panel is a picture of one or more queries.
type Panel struct {
	Title, Description string
	Kind               Kind
	Unit               Unit
	Queries            []Query
	// Alerts are those that are judged by what the panel shows; it links to their runbooks.
	Alerts []string
	// Limit is a value that is drawn as a line: where an alert begins. 0 for none.
	Limit float64
}

// Query is PromQL with what its series are called.
type Query struct {
	// Expr has Service for the chosen service and Interval for the window of rates.
	Expr string
	// Legend has labels in double braces, as in {{job}}.
	Legend string
	// Exemplars asks for the traces of single requests.
	Exemplars bool
	// Rare says why there may be no series in a shop that works; "" where there always are
	// some, after orders were paid, declined and cancelled.
	Rare string
}

// What queries contain, and Grafana replaces.
const (
	Service  = "$service"
	Interval = "$__rate_interval"
)

// AnyService is the value of Service for all of them.
const AnyService = ".+"

// Fill returns a query for one service, or AnyService, and a window of rates.
func (q Query) Fill(service string, window time.Duration) string {
	return strings.NewReplacer(Service, service, Interval, fmt.Sprintf("%ds", int(window.Seconds()))).Replace(q.Expr)
}
