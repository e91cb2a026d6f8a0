package slo_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/souk-shop/souk/tools/internal/slo"
	"github.com/souk-shop/souk/tools/internal/slo/promtool"
)

const root = "../../.."

// find fails the test where the tools cannot be had: rules that nothing has checked are not
// passed.
func find(t *testing.T) promtool.Tools {
	t.Helper()
	tools, err := promtool.Find(t.Context(), func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	return tools
}

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	for name, render := range map[string]func() ([]byte, error){slo.RulesFile: slo.Rules, slo.AlertmanagerFile: slo.Alertmanager} {
		want, err := render()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): run go generate ./tools/internal/slo", name, err)
		}
	}
}

func TestPrometheusAndAlertmanagerTakeTheFiles(t *testing.T) {
	t.Parallel()
	tools := find(t)
	for _, args := range [][]string{
		{tools.Promtool, "check", "rules", slo.RulesFile},
		{tools.Amtool, "check-config", slo.AlertmanagerFile},
		// Where alerts go.
		{tools.Amtool, "config", "routes", "test", "--config.file=" + slo.AlertmanagerFile, "--verify.receivers=page", "severity=page", "alertname=CheckoutFails"},
		{tools.Amtool, "config", "routes", "test", "--config.file=" + slo.AlertmanagerFile, "--verify.receivers=ticket", "severity=ticket", "alertname=RedisDown"},
		{tools.Amtool, "config", "routes", "test", "--config.file=" + slo.AlertmanagerFile, "--verify.receivers=ticket", "alertname=Unclassified"},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(args[1:], " "), err, out)
		}
	}
}

// TestRunbooks: each alert has a runbook, which says what it means, how to confirm it, what
// to do and where to look; and each runbook has an alert.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, slo.Runbooks, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".md")
		if name == "README" {
			continue
		}
		found[name] = true
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"# " + name + "\n", "\n## Meaning\n", "\n## Confirm\n", "\n## Act\n", "\n## See\n"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s has no %q", f, strings.TrimSpace(part))
			}
		}
	}
	index, err := os.ReadFile(filepath.Join(root, slo.Runbooks, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slo.Alerts() {
		if !found[name] {
			t.Errorf("%s has no runbook in %s", name, slo.Runbooks)
		}
		delete(found, name)
		if !strings.Contains(string(index), "["+name+"]("+name+".md)") {
			t.Errorf("%s is not in %s/README.md", name, slo.Runbooks)
		}
	}
	for _, name := range []string{"DataDamaged"} { // no alert tells it
		delete(found, name)
		if !strings.Contains(string(index), "["+name+"]("+name+".md)") {
			t.Errorf("%s is not in %s/README.md", name, slo.Runbooks)
		}
	}
	if len(found) > 0 {
		t.Errorf("no alert has the runbooks %q", slices.Sorted(maps.Keys(found)))
	}
}

// suffixes are what an exporter adds to a metric's name: its unit, and what kind it is.
var suffixes = regexp.MustCompile(`(_seconds)?(_total|_count|_sum|_bucket)?$`)

// TestEveryMetricIsEmitted: rules read metrics that docs/telemetry-reference.md declares, which a test
// compares with the code.
func TestEveryMetricIsEmitted(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/telemetry-reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{"up": true}
	for _, m := range regexp.MustCompile("`([a-z_]+(?:\\.[a-z_]+)+)`").FindAllStringSubmatch(string(text), -1) {
		declared[strings.ReplaceAll(m[1], ".", "_")] = true
	}
	rules, err := slo.Rules()
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\b(?:souk|http|rpc|db|messaging|otel)_[a-z0-9_]+\b`).FindAllString(string(rules), -1)
	if len(names) < 20 {
		t.Fatalf("found only %q", names)
	}
	for _, name := range names {
		if !declared[name] && !declared[suffixes.ReplaceAllString(name, "")] {
			t.Errorf("%s is in a rule and not in docs/telemetry-reference.md", name)
		}
	}
}

// TestBrowseAndCheckoutAreRoutes: the labels by which the objectives choose requests are
// those of the storefront's and the API's routes.
func TestBrowseAndCheckoutAreRoutes(t *testing.T) {
	t.Parallel()
	for name, routes := range map[string]map[string]bool{
		"browse-availability": {
			"/": true, "/products": true, "/products/{sku}": true, "/categories/{slug}": true,
			"/v1/products": true, "/v1/products/{sku}": true, "/v1/categories": true,
			"/static/{file}": false, "/v1/orders": false, "/checkout": false, "/readyz": false, "": false,
		},
		"checkout-success": {"/checkout": true, "/v1/orders": true, "/v1/orders/{order_id}/cancel": false, "/cart": false},
	} {
		for _, o := range slo.Objectives() {
			if o.Name != name {
				continue
			}
			pattern := regexp.MustCompile(`http_route=~"([^"]*)"`).FindStringSubmatch(o.Total)
			re := regexp.MustCompile("^(?:" + strings.ReplaceAll(pattern[1], `\\`, `\`) + ")$")
			for route, want := range routes {
				if re.MatchString(route) != want {
					t.Errorf("%s: %q is chosen: %v", name, route, !want)
				}
			}
		}
	}
}

// TestDetection: the workbook's table 5-8 for 99.9%, and the time within which a whole
// outage of any objective pages an operator.
func TestDetection(t *testing.T) {
	t.Parallel()
	o := slo.Objective{Target: 0.999}
	for i, want := range []time.Duration{52 * time.Second, 130 * time.Second, 259 * time.Second} {
		if got := o.Detection(slo.Windows()[i]); got != want {
			t.Errorf("window %d: %v, want %v", i, got, want)
		}
	}
	for _, o := range slo.Objectives() {
		if d := o.Detection(slo.Windows()[0]); d > 10*time.Minute {
			t.Errorf("%s pages after %v", o.Name, d)
		}
	}
}

// A series has values as promtool writes them: start+step x times.
type series struct{ Series, Values string }

// A scenario is series, a time, and how many alerts of which labels fire then.
type scenario struct {
	name string
	// evaluate is how often rules are evaluated: less than in a shop where nothing depends
	// on it, because it takes time. Samples are a minute apart, or as far as evaluate.
	evaluate time.Duration
	sampled  time.Duration
	series   []series
	at       time.Duration
	// firing is by selector of ALERTS, as in `alertname="X", severity="page"`.
	firing map[string]int
}

// run has promtool test the scenarios.
func run(t *testing.T, scenarios []scenario) {
	t.Helper()
	tools := find(t)
	rules, err := filepath.Abs(filepath.Join(root, slo.RulesFile))
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	byInterval := map[time.Duration][]object{}
	for _, s := range scenarios {
		var inputs, expressions []object
		for _, in := range s.series {
			inputs = append(inputs, object{"series": in.Series, "values": in.Values})
		}
		for _, selector := range slices.Sorted(maps.Keys(s.firing)) {
			samples := []object{}
			if n := s.firing[selector]; n > 0 {
				samples = append(samples, object{"labels": "{}", "value": n})
			}
			expressions = append(expressions, object{
				"expr":      fmt.Sprintf(`count(ALERTS{alertstate="firing", %s})`, selector),
				"eval_time": s.at.String(), "exp_samples": samples,
			})
		}
		byInterval[s.evaluate] = append(byInterval[s.evaluate], object{
			"name": s.name, "interval": s.sampled.String(), "input_series": inputs, "promql_expr_test": expressions,
		})
	}
	for interval, tests := range byInterval {
		text, err := yaml.Marshal(object{"rule_files": []string{rules}, "evaluation_interval": interval.String(), "tests": tests})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "tests.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), tools.Promtool, "test", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// count is a counter that grows by step per sample.
func count(name string, step int) series { return series{name, fmt.Sprintf("0+%dx200", step)} }

// still is a gauge.
func still(name string, value any) series { return series{name, fmt.Sprintf("%vx200", value)} }

// customers are the series of an objective of which good and bad things happen per sample;
// of one about time, that share of the samples is bad.
func customers(t *testing.T, name string, good, bad int) []series {
	t.Helper()
	const served, settled = `http_server_request_duration_seconds`, `souk_order_settle_duration_seconds`
	share := func(ok, late string) string {
		values := make([]string, 200)
		for i := range values {
			if values[i] = ok; (i*bad)%(good+bad) < bad {
				values[i] = late
			}
		}
		return strings.Join(values, " ")
	}
	switch name {
	case "browse-availability":
		at := `{job="gateway", http_request_method="GET", http_route="/products/{sku}", http_response_status_code="%d"}`
		fast := strings.Replace(fmt.Sprintf(at, 200), "{", `{le="0.5", `, 1)
		return []series{count(served+"_count"+fmt.Sprintf(at, 200), good), count(served+"_bucket"+fast, good), count(served+"_count"+fmt.Sprintf(at, 500), bad)}
	case "browse-latency":
		at := `job="gateway", http_request_method="GET", http_route="/v1/products", http_response_status_code="200"`
		return []series{count(served+"_count{"+at+"}", good+bad), count(served+"_bucket{"+at+`, le="0.5"}`, good)}
	case "checkout-success":
		at := `{job="gateway", http_request_method="POST", http_route="/v1/orders", http_response_status_code="%d"}`
		return []series{count(served+"_count"+fmt.Sprintf(at, 201), good), count(served+"_count"+fmt.Sprintf(at, 503), bad)}
	case "time-to-settled":
		at := `job="order", souk_order_state="paid", souk_order_cancel_reason=""`
		return []series{count(settled+"_count{"+at+"}", good+bad), count(settled+"_bucket{"+at+`, le="10"}`, good)}
	case "event-freshness":
		at := func(instance string) string { return `{job="order", instance="` + instance + `"}` }
		return []series{
			{"souk_events_lag_age_seconds" + at("a"), share("0.1", "60")}, still("souk_events_leading"+at("a"), 1),
			// It led once, when something was old.
			still("souk_events_lag_age_seconds"+at("b"), 90), still("souk_events_leading"+at("b"), 0),
		}
	case "mail-delivered":
		return []series{{`souk_mail_backlog_age_seconds{job="notification"}`, share("0", "900")}}
	}
	t.Fatalf("%s is not tested", name)
	return nil
}

// TestBudgetAlerts: an objective that is met is silent; a whole outage pages within its
// detection time and not before anything has happened; twice the budget is a ticket, and
// no operator is woken.
func TestBudgetAlerts(t *testing.T) {
	t.Parallel()
	met := scenario{name: "all are met", evaluate: 5 * time.Minute, sampled: time.Minute, at: 2 * time.Hour, firing: map[string]int{}}
	idle := scenario{name: "no customer comes", evaluate: 5 * time.Minute, sampled: time.Minute, series: []series{still("up", 1)}, at: time.Hour, firing: map[string]int{}}
	var scenarios []scenario
	for _, o := range slo.Objectives() {
		named := fmt.Sprintf("alertname=%q", o.Alert)
		met.series = append(met.series, customers(t, o.Name, 100, 0)...)
		met.firing[named], idle.firing[named] = 0, 0
		budget := int(1e4*(1-o.Target) + 0.5) // of 10,000
		outage := o.Detection(slo.Windows()[0]) + 3*time.Minute
		scenarios = append(scenarios,
			scenario{
				name: o.Name + " is out", evaluate: time.Minute, sampled: time.Minute, series: customers(t, o.Name, 0, 100), at: outage.Round(time.Minute),
				firing: map[string]int{named + `, severity="page", window="1h"`: 1},
			},
			scenario{
				name: o.Name + " burns slowly", evaluate: 5 * time.Minute, sampled: 5 * time.Minute, series: customers(t, o.Name, 10_000-2*budget, 2*budget), at: 9 * time.Hour,
				firing: map[string]int{named + `, severity="page"`: 0, named + `, severity="ticket"`: 1},
			},
		)
	}
	run(t, append(scenarios, met, idle))
}

// TestCheckoutCountsOrdersThatTheShopFails: orders that are taken and cancelled because of
// the shop itself burn the budget, those of customers and banks do not.
func TestCheckoutCountsOrdersThatTheShopFails(t *testing.T) {
	t.Parallel()
	const named = `alertname="CheckoutFails"`
	with := func(reason string) []series {
		return append(customers(t, "checkout-success", 100, 0),
			count(`souk_order_settle_duration_seconds_count{souk_order_state="cancelled", souk_order_cancel_reason="`+reason+`"}`, 50),
			count(`souk_order_settle_duration_seconds_bucket{souk_order_state="cancelled", le="10", souk_order_cancel_reason="`+reason+`"}`, 50))
	}
	run(t, []scenario{
		{"timed out", time.Minute, time.Minute, with("timed_out"), 30 * time.Minute, map[string]int{named + `, severity="page", window="1h"`: 1}},
		{"declined", time.Minute, time.Minute, with("payment_declined"), 30 * time.Minute, map[string]int{named: 0}},
	})
}

// TestTheFirstPieceOfLogFailsOnce: PostgreSQL tries again after a minute. That a server that was
// stopped, or a standby until now, has archived nothing for a day pages no operator.
func TestTheFirstPieceOfLogFailsOnce(t *testing.T) {
	t.Parallel()
	behind := func(values string) []series {
		return []series{{`souk_postgres_archive_behind_seconds{job="order"}`, values}}
	}
	run(t, []scenario{
		{"archived at the second attempt", time.Minute, time.Minute, behind("0x9 86400+60x2 0x30"), 12 * time.Minute, map[string]int{`alertname="ArchivingFails"`: 0}},
		{"one is archived for two minutes, after a day without any", time.Minute, time.Minute, behind("0x9 86400+60x1 0x30"), 12 * time.Minute, map[string]int{`alertname="ArchivingFails"`: 0}},
		// The attempt hangs: what was archived last is some seconds old when it begins.
		{"an attempt hangs", time.Minute, time.Minute, behind("0x9 20+60x30"), 17 * time.Minute, map[string]int{`alertname="ArchivingFails"`: 1}},
		{"not archived", time.Minute, time.Minute, behind("0x9 86400+60x30"), 16 * time.Minute, map[string]int{`alertname="ArchivingFails"`: 1}},
	})
}

// TestAnEdgeThatIsNotFound: a gateway that looks for an edge in vain counts the time since the first change,
// beside edges that are told.
func TestAnEdgeThatIsNotFound(t *testing.T) {
	t.Parallel()
	told := still(`souk_edge_purge_age_seconds{job="gateway", instance="told"}`, 0)
	run(t, []scenario{
		{"nothing has changed", time.Minute, time.Minute, []series{told, still(`souk_edge_caches{job="gateway", instance="lost"}`, 0), still(`souk_edge_purge_age_seconds{job="gateway", instance="lost"}`, 0)}, 20 * time.Minute, map[string]int{`alertname="EdgeNotTold"`: 0}},
		{"something has", time.Minute, time.Minute, []series{told, still(`souk_edge_caches{job="gateway", instance="lost"}`, 0), {`souk_edge_purge_age_seconds{job="gateway", instance="lost"}`, "0x5 30+60x30"}}, 10 * time.Minute, map[string]int{`alertname="EdgeNotTold"`: 1}},
	})
}

// TestCustomersWhoWaitAndLeave: who goes away after long without an answer was failed by the shop; who
// goes at once was not.
func TestCustomersWhoWaitAndLeave(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ objective, alert, at string }{
		{"checkout-success", "CheckoutFails", `http_request_method="POST", http_route="/v1/orders", http_response_status_code="499"`},
		{"browse-availability", "BrowseFails", `http_request_method="GET", http_route="/products/{sku}", http_response_status_code="499"`},
	} {
		named := fmt.Sprintf("alertname=%q", tc.alert)
		with := func(soon int) []series {
			return append(customers(t, tc.objective, 100, 0),
				count(`http_server_request_duration_seconds_count{`+tc.at+`}`, 50), count(`http_server_request_duration_seconds_bucket{le="5", `+tc.at+`}`, soon))
		}
		run(t, []scenario{
			{tc.alert + ": they waited", time.Minute, time.Minute, with(0), 30 * time.Minute, map[string]int{named + `, severity="page", window="1h"`: 1}},
			{tc.alert + ": they left at once", time.Minute, time.Minute, with(50), 30 * time.Minute, map[string]int{named: 0}},
		})
	}
}

// TestCauseAlerts: each fires on its fault, with the name of the dependency, and is silent
// without it.
func TestCauseAlerts(t *testing.T) {
	t.Parallel()
	const (
		published = `messaging_client_operation_duration_seconds_count{job="order"`
		called    = `http_client_request_duration_seconds_count{job="payment", http_request_method="POST"`
		pool      = `{job="order", instance="a", db_client_connection_pool_name="main"`
	)
	cases := map[string]struct {
		dependency    string
		fires, silent []series
	}{
		"ProcessDown": {"", []series{still(`up{job="cart", instance="a"}`, 0)}, []series{still(`up{job="cart", instance="a"}`, 1)}},
		// A container that is started anew keeps its address.
		"ProcessRestarts": {
			"",
			[]series{{`process_uptime_seconds{job="cart", instance="a"}`, strings.Repeat("5+60x2 ", 60)}},
			[]series{{`process_uptime_seconds{job="cart", instance="a"}`, strings.Repeat("5+60x9 ", 20)}},
		},
		"PostgresDown": {
			"postgres",
			[]series{still(`souk_check_passing{job="order", souk_check_name="postgres"}`, 0)},
			[]series{still(`souk_check_passing{job="order", souk_check_name="postgres"}`, 1), still(`souk_check_passing{job="order", souk_check_name="certificate"}`, 0)},
		},
		"PostgresPoolExhausted": {
			"postgres",
			[]series{still(`db_client_connection_count`+pool+`, db_client_connection_state="used"}`, 10), still(`db_client_connection_max`+pool+`}`, 10)},
			[]series{still(`db_client_connection_count`+pool+`, db_client_connection_state="used"}`, 5), still(`db_client_connection_max`+pool+`}`, 10)},
		},
		"PostgresReplicaDown": {
			"postgres",
			[]series{still(`souk_postgres_replica_answering{job="order"}`, 0)},
			[]series{still(`souk_postgres_replica_answering{job="order"}`, 1)},
		},
		"ArchivingFails": {
			"postgres",
			[]series{{`souk_postgres_archive_behind_seconds{job="order"}`, "0+60x120"}},
			[]series{still(`souk_postgres_archive_behind_seconds{job="order"}`, 0), still(`souk_postgres_archive_behind_seconds{job="cart"}`, 50)},
		},
		"EdgeNotTold": {
			"",
			[]series{{`souk_edge_purge_age_seconds{job="gateway"}`, "0+60x120"}},
			[]series{still(`souk_edge_purge_age_seconds{job="gateway"}`, 50)},
		},
		"RedisDown": {
			"redis",
			[]series{still(`souk_cache_redis_answering{job="catalog", souk_cache_name="catalog"}`, 0)},
			[]series{still(`souk_cache_redis_answering{job="catalog", souk_cache_name="catalog"}`, 1)},
		},
		"BrokerDown": {
			"broker",
			[]series{count(published+`, error_type="publish"}`, 5), still(published+`}`, 100)},
			[]series{count(published+`, error_type="publish"}`, 1), count(published+`}`, 100)},
		},
		"ProviderDown": {
			"provider",
			[]series{count(called+`, error_type="*net.OpError"}`, 10), count(called+`, http_response_status_code="500", error_type="500"}`, 10), count(called+`, http_response_status_code="200"}`, 5)},
			// Declined cards are answers.
			[]series{count(called+`, http_response_status_code="402", error_type="402"}`, 60), count(called+`, http_response_status_code="500"}`, 1), count(called+`, http_response_status_code="200"}`, 5)},
		},
		"MailServerDown": {"mail", []series{still(`souk_mail_backlog_age_seconds`, 400)}, []series{still(`souk_mail_backlog_age_seconds`, 20)}},
		"MailsFailed": {
			"",
			[]series{{`souk_mail_settled_total{souk_mail_state="failed"}`, "_x65 1x120"}},
			[]series{{`souk_mail_settled_total{souk_mail_state="failed"}`, "3x200"}, count(`souk_mail_settled_total{souk_mail_state="sent"}`, 3)},
		},
		"WebhookBacklog": {
			"",
			[]series{still(`souk_webhook_backlog_age_seconds{souk_webhook_state="waiting"}`, 4000)},
			[]series{still(`souk_webhook_backlog_age_seconds{souk_webhook_state="waiting"}`, 40), still(`souk_webhook_backlog_age_seconds{souk_webhook_state="held"}`, 9999)},
		},
		"OrdersStuck": {
			"",
			[]series{still(`souk_order_open_age_seconds{souk_order_state="capturing"}`, 400)},
			[]series{still(`souk_order_open_age_seconds{souk_order_state="capturing"}`, 0), still(`souk_order_open_age_seconds{souk_order_state="pending"}`, 40)},
		},
		"ReconciliationDiffers": {
			"",
			[]series{still(`souk_payment_reconciliation_differences{souk_payment_difference_kind="amount"}`, 2)},
			[]series{still(`souk_payment_reconciliation_differences{souk_payment_difference_kind="amount"}`, 0)},
		},
		"ReconciliationLate": {"", []series{still(`souk_payment_reconciliation_age_seconds`, 110_000)}, []series{still(`souk_payment_reconciliation_age_seconds`, 80_000)}},
		"EventsDeadLettered": {
			"",
			[]series{{`souk_events_dead_letters_total{messaging_consumer_group_name="insight"}`, "_x65 1x120"}},
			[]series{still(`souk_events_dead_letters_total{messaging_consumer_group_name="insight"}`, 1)},
		},
		"ConsumerIsBehind": {
			"",
			[]series{
				still(`souk_events_consumer_lag_age_seconds{job="insight", instance="a", messaging_consumer_group_name="insight", messaging_destination_name="order"}`, 400),
				still(`souk_events_consumer_lag_age_seconds{job="insight", instance="b", messaging_consumer_group_name="insight", messaging_destination_name="order"}`, 0),
			},
			[]series{still(`souk_events_consumer_lag_age_seconds{job="insight", messaging_consumer_group_name="insight", messaging_destination_name="order"}`, 200)},
		},
		"FileBroken": {"", []series{still(`souk_file_broken_seconds{job="gateway", souk_file_name="operators"}`, 30)}, []series{still(`souk_file_broken_seconds{job="gateway", souk_file_name="operators"}`, 0)}},
		"CertificateExpires": {
			"",
			[]series{still(`souk_https_certificate_expiry_seconds`, 86_400)},
			[]series{still(`souk_https_certificate_expiry_seconds`, 5_000_000)},
		},
		"PartCertificateExpires": {
			"",
			[]series{
				still(`souk_tls_certificate_expiry_seconds{job="order", souk_tls_certificate="own"}`, 20_000), still(`souk_tls_certificate_validity_seconds{job="order", souk_tls_certificate="own"}`, 86_400),
				still(`souk_tls_certificate_expiry_seconds{job="order", souk_tls_certificate="authority"}`, 40_000_000), still(`souk_tls_certificate_validity_seconds{job="order", souk_tls_certificate="authority"}`, 315_360_000),
			},
			[]series{
				still(`souk_tls_certificate_expiry_seconds{job="order", souk_tls_certificate="own"}`, 29_000), still(`souk_tls_certificate_validity_seconds{job="order", souk_tls_certificate="own"}`, 86_400),
				still(`souk_tls_certificate_expiry_seconds{job="order", souk_tls_certificate="authority"}`, 40_000_000), still(`souk_tls_certificate_validity_seconds{job="order", souk_tls_certificate="authority"}`, 315_360_000),
			},
		},
		"CacheNotFollowing": {
			"broker",
			[]series{still(`souk_cache_following{job="gateway", instance="a", souk_cache_name="gateway"}`, 0), still(`souk_cache_following{job="gateway", instance="b", souk_cache_name="gateway"}`, 1)},
			[]series{still(`souk_cache_following{job="gateway", instance="b", souk_cache_name="gateway"}`, 1)},
		},
		"SpansLost": {
			"",
			[]series{count(`otel_sdk_processor_span_processed_total{job="order", error_type="queue_full"}`, 5), count(`otel_sdk_processor_span_processed_total{job="order"}`, 50)},
			[]series{count(`otel_sdk_processor_span_processed_total{job="order"}`, 50), still(`otel_sdk_exporter_span_exported_total{job="order", error_type="UNAVAILABLE"}`, 9)},
		},
	}
	var scenarios []scenario
	for _, c := range slo.Causes() {
		test, ok := cases[c.Alert]
		if !ok {
			t.Errorf("%s is not tested", c.Alert)
			continue
		}
		named := fmt.Sprintf("alertname=%q", c.Alert)
		at := 75 * time.Minute
		scenarios = append(scenarios,
			scenario{c.Alert + " fires", 5 * time.Minute, time.Minute, test.fires, at, map[string]int{
				fmt.Sprintf("%s, severity=%q, dependency=%q", named, c.Severity, test.dependency): 1,
			}},
			scenario{c.Alert + " is silent", 5 * time.Minute, time.Minute, test.silent, at, map[string]int{named: 0}},
		)
	}
	run(t, scenarios)
}
