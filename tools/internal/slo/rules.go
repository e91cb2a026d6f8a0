package slo

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Where what is made of the table is, from the root of the repository.
const (
	RulesFile        = "k8s/observability/prometheus/rules.yaml"
	AlertmanagerFile = "k8s/observability/alertmanager.yaml"
	Runbooks         = "docs/runbooks"
)

// RunbookURL is where operators find an alert's runbook.
func RunbookURL(alert string) string {
	return "https://github.com/souk-shop/souk/blob/main/" + Runbooks + "/" + alert + ".md"
}

const (
	header = "# Made by go generate ./tools/internal/slo. Change the tables there.\n"
	// BadNow is the series that objectives about time are made of.
	BadNow = "souk:slo_bad"
	// ratio is the share of what was bad in a window, which is in its name.
	ratio = "souk:slo_errors:ratio_rate"
)

type ruleFile struct {
	Groups []group `yaml:"groups"`
}

type group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"`
	Rules    []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Rules returns Prometheus' rules.
func Rules() ([]byte, error) {
	return encode(ruleFile{[]group{
		{Name: "souk-objectives", Interval: "30s", Rules: ratios(func(w time.Duration) bool { return w < 24*time.Hour })},
		// Three days of raw series are read; the budget changes slowly.
		{Name: "souk-objectives-slow", Interval: "5m", Rules: ratios(func(w time.Duration) bool { return w >= 24*time.Hour })},
		{Name: "souk-budgets", Interval: "30s", Rules: burns()},
		{Name: "souk-causes", Interval: "15s", Rules: causes()},
	}})
}

// Recording is a rule that records a series.
type Recording struct {
	Name, Expr string
	Labels     map[string]string
}

// Recordings are the rules that record series, in an order in which each finds what it reads.
func Recordings() []Recording {
	var out []Recording
	for _, r := range ratios(func(time.Duration) bool { return true }) {
		out = append(out, Recording{Name: r.Record, Expr: r.Expr, Labels: r.Labels})
	}
	return out
}

func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(header)
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

// ratios record what share of each objective was bad, by window.
func ratios(wanted func(time.Duration) bool) []rule {
	var out []rule
	for _, o := range Objectives() {
		of := map[string]string{"slo": o.Name}
		if wanted(0) {
			out = append(out, rule{Record: "souk:slo_target", Expr: fmt.Sprintf("vector(%v)", o.Target), Labels: of})
			if o.BadNow != "" {
				out = append(out, rule{Record: BadNow, Expr: o.BadNow, Labels: of})
			}
		}
		seen := map[time.Duration]bool{}
		for _, w := range Windows() {
			for _, window := range []time.Duration{w.Short, w.Long} {
				if wanted(window) && !seen[window] {
					seen[window] = true
					out = append(out, rule{Record: ratio + prom(window), Expr: o.ratio(window), Labels: of})
				}
			}
		}
	}
	return out
}

// ratio is PromQL for the share that was bad in a window. A window without anything to judge
// has none: not a number would spoil each average over it.
func (o Objective) ratio(window time.Duration) string {
	if o.BadNow != "" {
		return fmt.Sprintf(`avg_over_time(%s{slo=%q}[%s])`, BadNow, o.Name, prom(window))
	}
	return fmt.Sprintf("(%s or vector(0)) / (%s > 0)", fill(o.Bad, window), fill(o.Total, window))
}

func fill(query string, window time.Duration) string {
	return strings.NewReplacer("%[1]s", prom(window), "%s", prom(window)).Replace(query)
}

// burns are the alerts of objectives.
func burns() []rule {
	var out []rule
	for _, o := range Objectives() {
		for _, w := range Windows() {
			limit := fmt.Sprintf("(%v * %v)", w.Burn, o.budget())
			over := func(window time.Duration) string {
				return fmt.Sprintf("%s%s{slo=%q} > %s", ratio, prom(window), o.Name, limit)
			}
			out = append(out, rule{
				Alert: o.Alert, Expr: over(w.Long) + " and " + over(w.Short),
				Labels: map[string]string{"severity": string(w.Severity), "slo": o.Name, "window": prom(w.Long)},
				Annotations: map[string]string{
					"summary": fmt.Sprintf("%s: {{ $value | humanizePercentage }} were bad in %s, where the budget of 30 days allows %v%%",
						o.Title, prom(w.Long), 100*o.budget()),
					"description": o.Promise,
					"runbook_url": RunbookURL(o.Alert),
				},
			})
		}
	}
	return out
}

func causes() []rule {
	var out []rule
	for _, c := range Causes() {
		labels := map[string]string{"severity": string(c.Severity)}
		if c.Dependency != "" {
			labels["dependency"] = c.Dependency
		}
		r := rule{
			Alert: c.Alert, Expr: c.Expr, Labels: labels,
			Annotations: map[string]string{"summary": c.Summary, "runbook_url": RunbookURL(c.Alert)},
		}
		if c.For > 0 {
			r.For = prom(c.For)
		}
		out = append(out, r)
	}
	return out
}

// Alerts are the names of all alerts, each once.
func Alerts() []string {
	var out []string
	for _, o := range Objectives() {
		out = append(out, o.Alert)
	}
	for _, c := range Causes() {
		out = append(out, c.Alert)
	}
	return out
}
