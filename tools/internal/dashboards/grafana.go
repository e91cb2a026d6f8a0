package dashboards

import (
	"bytes"
	"encoding/json"
	"path"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"github.com/souk-shop/souk/tools/internal/slo"
)

// Folder has the dashboards' JSON, from the root of the repository.
const Folder = "k8s/observability/grafana/dashboards"

// File is where a dashboard's JSON is, from the root of the repository.
func (d Dashboard) File() string { return path.Join(Folder, d.UID+".json") }

// tag is what all dashboards have; each links to the others by it.
const tag = "souk"

const (
	source        = "datasource" // the variable with the data source
	serviceChoice = "service"
	prom          = "prometheus"
)

// Grafana returns the dashboard as Grafana reads it.
func (d Dashboard) Grafana() ([]byte, error) {
	// Files that Grafana provisions are in this schema; version 2 is its API's.
	b := dashboard.NewDashboardBuilder(d.Title).Uid(d.UID).Description(d.Description). //nolint:staticcheck // see above
												Tags([]string{tag}).Timezone(common.TimeZoneBrowser).Readonly().
												Time("now-1h", "now").Refresh("30s").
		// What is pointed at in one panel is shown in all.
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Souk").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).KeepTime(true).AsDropdown(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder(source).Label("Data source").Type(prom))
	if d.ByService {
		b.WithVariable(dashboard.NewQueryVariableBuilder(serviceChoice).Label("Service").
			Datasource(dataSource()).
			Query(dashboard.StringOrMap{String: cog.ToPtr(`label_values(target_info{service_namespace="souk"}, job)`)}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			IncludeAll(true).AllValue(AnyService))
	}
	id := uint32(0)
	for _, row := range d.Rows {
		id++
		b.WithRow(dashboard.NewRowBuilder(row.Title).Id(id))
		for _, p := range row.Panels {
			id++
			b.WithPanel(p.grafana(id))
		}
	}
	built, err := b.Build()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(built); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func dataSource() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr(prom), Uid: cog.ToPtr("${" + source + "}")}
}

// grafana returns the panel, half the width of the page, or a quarter for numbers.
func (p Panel) grafana(id uint32) cog.Builder[dashboard.Panel] {
	const wide, high, low = 12, 8, 5
	switch p.Kind {
	case Number:
		return stat.NewPanelBuilder().Id(id).Title(p.Title).Description(p.Description).Unit(string(p.Unit)).
			Datasource(dataSource()).Targets(p.targets()).Links(p.links()).Thresholds(p.thresholds()).
			ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeNone).
			TextMode(common.BigValueTextModeValueAndName).ReduceOptions(last()).
			Span(wide).Height(low)
	case Bars:
		return bargauge.NewPanelBuilder().Id(id).Title(p.Title).Description(p.Description).Unit(string(p.Unit)).
			Datasource(dataSource()).Targets(p.targets()).Links(p.links()).Thresholds(p.thresholds()).
			DisplayMode(common.BarGaugeDisplayModeBasic).Orientation(common.VizOrientationHorizontal).ReduceOptions(last()).Min(0).
			Span(wide).Height(high)
	}
	b := timeseries.NewPanelBuilder().Id(id).Title(p.Title).Description(p.Description).Unit(string(p.Unit)).
		Datasource(dataSource()).Targets(p.targets()).Links(p.links()).Thresholds(p.thresholds()).
		Min(0).ShowPoints(common.VisibilityModeNever).LineWidth(1).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Span(wide).Height(high)
	if p.Limit != 0 {
		b.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.Kind == Stacked {
		b.FillOpacity(60).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	return b
}

func last() *common.ReduceDataOptionsBuilder {
	return common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}).Values(false)
}

// thresholds draw the limit.
func (p Panel) thresholds() *dashboard.ThresholdsConfigBuilder {
	steps := []dashboard.Threshold{{Color: "green"}}
	if p.Limit != 0 {
		steps = append(steps, dashboard.Threshold{Value: cog.ToPtr(p.Limit), Color: "red"})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (p Panel) targets() []cog.Builder[variants.Dataquery] {
	var out []cog.Builder[variants.Dataquery]
	for i, q := range p.Queries {
		b := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Expr(q.Expr).LegendFormat(q.Legend).
			Datasource(dataSource()).EditorMode(prometheus.QueryEditorModeCode)
		switch {
		case p.Kind == Number || p.Kind == Bars:
			b.Instant()
		case q.Exemplars:
			b.Range().Exemplar(true)
		default:
			b.Range()
		}
		out = append(out, b)
	}
	return out
}

func (p Panel) links() []cog.Builder[dashboard.DashboardLink] {
	out := []cog.Builder[dashboard.DashboardLink]{}
	for _, alert := range p.Alerts {
		out = append(out, dashboard.NewDashboardLinkBuilder("Runbook: "+alert).Type(dashboard.DashboardLinkTypeLink).Url(slo.RunbookURL(alert)).TargetBlank(true))
	}
	return out
}
