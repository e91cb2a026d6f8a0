package dashboards_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"github.com/souk-shop/souk/tools/internal/dashboards"
	"github.com/souk-shop/souk/tools/internal/slo"
)

const root = "../../.."

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	left, err := filepath.Glob(filepath.Join(root, dashboards.Folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dashboards.All() {
		want, err := d.Grafana()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, d.File())
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): run go generate ./tools/internal/dashboards", path, err)
		}
		left = slices.DeleteFunc(left, func(name string) bool { return name == path })
	}
	if len(left) > 0 {
		t.Errorf("no dashboard has the files %q", left)
	}
}

// schema knows the kinds of panels and queries that the dashboards have.
func schema() {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(bargauge.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
}

// TestGrafanaTakesThem: each file is what Grafana's schema allows, and each panel has what
// a reader needs, in the JSON that Grafana reads.
func TestGrafanaTakesThem(t *testing.T) {
	t.Parallel()
	schema()
	uids, panels := map[string]bool{}, 0
	for _, d := range dashboards.All() {
		if uids[d.UID] || len(d.UID) > 40 || d.Title == "" || d.Description == "" {
			t.Errorf("%q: want a UID of its own, a title and a description", d.UID)
		}
		uids[d.UID] = true
		text, err := os.ReadFile(filepath.Join(root, d.File()))
		if err != nil {
			t.Fatal(err)
		}
		// Without errors it returns an empty list of them, which is no nil error; and what
		// contains others takes that for one, and leaves them out.
		var wrong cog.BuildErrors
		var strict, read dashboard.Dashboard //nolint:staticcheck // the schema of files that Grafana provisions
		if err := strict.UnmarshalJSONStrict(text); err != nil && !(errors.As(err, &wrong) && len(wrong) == 0) {
			t.Fatalf("%s: %v", d.UID, err)
		}
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatalf("%s: %v", d.UID, err)
		}
		if err := read.Validate(); err != nil {
			t.Errorf("%s: %v", d.UID, err)
		}
		if v := read.Templating.List; len(v) == 0 || v[0].Name != "datasource" || v[0].Type != dashboard.VariableTypeDatasource {
			t.Errorf("%s has no variable for the data source", d.UID)
		}
		titles, ids := map[string]bool{}, map[uint32]bool{}
		for _, p := range read.Panels {
			if p.Panel == nil {
				continue
			}
			panels++
			checkPanel(t, d.UID, p.Panel)
			if titles[*p.Panel.Title] || ids[*p.Panel.Id] {
				t.Errorf("%s: %s is there twice", d.UID, *p.Panel.Title)
			}
			titles[*p.Panel.Title], ids[*p.Panel.Id] = true, true
		}
	}
	if panels < 50 {
		t.Errorf("%d panels", panels)
	}
}

func checkPanel(t *testing.T, in string, p *dashboard.Panel) {
	t.Helper()
	if p.Title == nil || *p.Title == "" {
		t.Fatalf("%s: a panel without a title", in)
	}
	where := in + ": " + *p.Title
	const source = "${datasource}"
	switch {
	case p.Description == nil || !strings.HasSuffix(*p.Description, "."):
		t.Errorf("%s: want a description, in sentences", where)
	case p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == nil || *p.FieldConfig.Defaults.Unit == "":
		t.Errorf("%s: want a unit", where)
	case p.Datasource == nil || p.Datasource.Uid == nil || *p.Datasource.Uid != source:
		t.Errorf("%s: want the data source of the variable", where)
	case len(p.Targets) == 0:
		t.Errorf("%s: want a query", where)
	}
	for _, target := range p.Targets {
		q, ok := target.(*prometheus.Dataquery)
		if !ok {
			t.Fatalf("%s: the query is a %T", where, target)
		}
		if q.Expr == "" || q.LegendFormat == nil || *q.LegendFormat == "" || q.Datasource == nil || *q.Datasource.Uid != source {
			t.Errorf("%s: %q wants a legend and the data source of the variable", where, q.Expr)
		}
		if quantile := strings.Contains(q.Expr, "histogram_quantile"); quantile != (q.Exemplar != nil && *q.Exemplar) {
			t.Errorf("%s: %q: want exemplars of histograms, and of nothing else", where, q.Expr)
		}
	}
}

// TestAlertsAndPanels: each alert has a panel, which leads to its runbook, and the runbook
// names each dashboard and panel of its alert.
func TestAlertsAndPanels(t *testing.T) {
	t.Parallel()
	known, shown := slo.Alerts(), map[string][]string{}
	for _, d := range dashboards.All() {
		panels := map[string][]string{}
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, alert := range p.Alerts {
					if !slices.Contains(known, alert) {
						t.Errorf("%s: %s: there is no alert %s", d.UID, p.Title, alert)
					}
					panels[alert] = append(panels[alert], p.Title)
				}
			}
		}
		for alert, titles := range panels {
			shown[alert] = append(shown[alert], fmt.Sprintf("Dashboard [%s](../../%s): %s.", d.Title, d.File(), strings.Join(titles, ", ")))
		}
	}
	for _, alert := range known {
		if len(shown[alert]) == 0 {
			t.Errorf("no panel shows %s", alert)
		}
		path := filepath.Join(root, slo.Runbooks, alert+".md")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, see, _ := strings.Cut(string(text), "\n## See\n")
		var want, have []string
		want = shown[alert]
		for line := range strings.Lines(see) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "Dashboard [") {
				have = append(have, line)
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: want under See\n%s", path, strings.Join(want, "\n"))
		}
	}
}

// suffixes are what an exporter adds to a metric's name: its unit, and what kind it is.
var suffixes = regexp.MustCompile(`(_seconds|_bytes)?(_total|_count|_sum|_bucket)?$`)

// TestEveryMetricIsDocumented: queries read metrics that docs/telemetry-reference.md declares, which a
// test compares with the code, and what the rules record.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/telemetry-reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z_]+(?:\\.[a-z_]+)+)`").FindAllStringSubmatch(string(text), -1) {
		declared[strings.ReplaceAll(m[1], ".", "_")] = true
	}
	rules, err := slo.Rules()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, d := range dashboards.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, q := range p.Queries {
					for _, name := range regexp.MustCompile(`\b(?:souk|http|rpc|db|messaging|otel|go)[_:][a-z0-9_:]+\b`).FindAllString(q.Expr, -1) {
						found++
						switch {
						case strings.HasPrefix(name, "go_"), declared[name], declared[suffixes.ReplaceAllString(name, "")]:
						case strings.Contains(name, ":") && strings.Contains(string(rules), "record: "+name+"\n"):
						default:
							t.Errorf("%s: %s: %s is not in docs/telemetry-reference.md", d.UID, p.Title, name)
						}
					}
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("found only %d names", found)
	}
}
