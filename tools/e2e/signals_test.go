package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/signals"
)

const repository = "../.."

// unlisted are what a run emitted and the reference does not have, each once, with an example.
type unlisted map[string]string

func (u unlisted) add(what, example string) {
	if _, known := u[what]; !known {
		u[what] = example
	}
}

func (u unlisted) report(t *testing.T) {
	t.Helper()
	for _, what := range slices.Sorted(maps.Keys(u)) {
		t.Errorf("%s is not in %s: %s", what, signals.File, u[what])
	}
}

// testSignals: all that the run emitted is in the telemetry reference, and the core of the
// reference was emitted.
func (o *observed) testSignals(t *testing.T) {
	o.testSpans(t)
	o.testMetrics(t)
	o.testFields(t)
}

func (o *observed) testSpans(t *testing.T) {
	wrong, seen, events := unlisted{}, map[string]bool{}, map[string]bool{}
	declared := signals.Spans()
	eventAttributes := map[string][]string{}
	for _, e := range signals.Events() {
		eventAttributes[e.Name] = e.Attributes
	}
	resource := map[string]bool{}
	for _, f := range signals.Resource() {
		resource[f.Name] = true
	}
	spans, _ := o.spans.all(trace.TraceID{})
	for _, s := range spans {
		kind, by := s.SpanKind().String(), service(s)
		example := fmt.Sprintf("%s of %s, %s", s.Name(), by, kind)
		for _, a := range s.Resource().Attributes() {
			if !resource[string(a.Key)] {
				wrong.add("the resource's attribute "+string(a.Key), example)
			}
		}
		var missing []string
		found := false
		for i, d := range declared {
			if !d.Is(s.Name(), kind, by) {
				continue
			}
			var more []string
			for _, a := range s.Attributes() {
				if !slices.Contains(d.Attributes, string(a.Key)) {
					more = append(more, "the attribute "+string(a.Key)+" of spans "+d.Name)
				}
			}
			for _, e := range s.Events() {
				if e.Name != "exception" && !slices.Contains(d.Events, e.Name) {
					more = append(more, "the event "+e.Name+" of spans "+d.Name)
				}
			}
			if len(more) == 0 {
				found = true
				seen[fmt.Sprint(i, " ", d.Name, " ", d.Kind)] = true
				break
			}
			missing = append(missing, more...)
		}
		if !found && len(missing) == 0 {
			wrong.add("the span "+s.Name()+" of "+by, kind)
		} else if !found {
			for _, what := range missing {
				wrong.add(what, example)
			}
		}
		for _, e := range s.Events() {
			events[e.Name] = true
			for _, a := range e.Attributes {
				if !slices.Contains(eventAttributes[e.Name], string(a.Key)) {
					wrong.add("the attribute "+string(a.Key)+" of the event "+e.Name, example)
				}
			}
		}
	}
	wrong.report(t)
	rare := 0
	for i, d := range declared {
		if !seen[fmt.Sprint(i, " ", d.Name, " ", d.Kind)] {
			rare++
			if d.Core {
				t.Errorf("no span %s, %s, made by %s", d.Name, d.Kind, d.Where)
			}
		}
	}
	for _, core := range []string{"souk.order.transition", "souk.order.step_unknown", "exception"} {
		if !events[core] {
			t.Errorf("no event %s", core)
		}
	}
	t.Logf("%d spans; %d of %d kinds, and %d of %d events, were not emitted", len(spans), rare, len(declared), len(eventAttributes)-len(events), len(eventAttributes))
}

// series are the sets of labels by part and metric.
type series map[string]map[string]map[string]bool

// families reads what Prometheus is served by each part.
func (o *observed) families(t *testing.T) map[string]map[string]*dto.MetricFamily {
	t.Helper()
	out := map[string]map[string]*dto.MetricFamily{}
	for part, text := range o.metrics(t) {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatalf("the metrics of %s: %v", part, err)
		}
		out[part] = families
	}
	return out
}

func (o *observed) series(t *testing.T) series {
	t.Helper()
	out := series{}
	for part, families := range o.families(t) {
		out[part] = map[string]map[string]bool{}
		for name, family := range families {
			out[part][name] = map[string]bool{}
			for _, m := range family.GetMetric() {
				out[part][name][fmt.Sprint(m.GetLabel())] = true
			}
		}
	}
	return out
}

// label is an attribute's name as Prometheus has it.
func label(attribute string) string {
	return strings.NewReplacer(".", "_", "-", "_").Replace(attribute)
}

func (o *observed) testMetrics(t *testing.T) {
	all, err := signals.Metrics(repository)
	if err != nil {
		t.Fatal(err)
	}
	declared, seen := map[string]signals.Metric{}, map[string]bool{}
	for _, m := range all {
		declared[m.Prometheus()] = m
	}
	scope := map[string]bool{"otel_scope_name": true, "otel_scope_version": true, "otel_scope_schema_url": true}
	resource := map[string]bool{}
	for _, f := range signals.Resource() {
		resource[label(f.Name)] = true
	}
	wrong := unlisted{}
	for part, families := range o.families(t) {
		for name, family := range families {
			m, ok := declared[name]
			if !ok && name != "target_info" {
				wrong.add("the metric "+name, part)
				continue
			}
			seen[name] = true
			for _, series := range family.GetMetric() {
				for _, l := range series.GetLabel() {
					known := name == "target_info" && resource[l.GetName()] || ok && scope[l.GetName()] ||
						slices.ContainsFunc(m.Attributes, func(a string) bool { return label(a) == l.GetName() })
					if !known {
						wrong.add("the label "+l.GetName()+" of "+name, part)
					}
				}
			}
			if kind := family.GetType(); ok && (kind == dto.MetricType_HISTOGRAM) != (m.Kind == "histogram") || ok && (kind == dto.MetricType_COUNTER) != (m.Kind == "counter") {
				wrong.add("a "+strings.ToLower(kind.String())+" "+name, part)
			}
		}
	}
	wrong.report(t)
	for _, core := range []string{
		"http.server.request.duration", "rpc.server.call.duration", "db.client.connection.count", "db.client.operation.duration", "http.client.request.duration",
		"souk.cache.lookups", "souk.cache.following", "souk.check.passing", "souk.events.published", "souk.events.lag.age", "souk.events.consumer.lag", "souk.events.consumer.lag.age", "souk.events.age", "souk.insight.age",
		"messaging.process.duration", "souk.mail.settled", "souk.webhook.attempts", "souk.order.declines", "souk.order.open", "souk.order.revenue",
		"souk.order.settle.duration", "souk.security.events", "go.memory.used", "go.goroutine.count",
	} {
		i := slices.IndexFunc(all, func(m signals.Metric) bool { return m.Name == core })
		if i < 0 || !seen[all[i].Prometheus()] {
			t.Errorf("no metric %s", core)
		}
	}
	rare := 0
	for name := range declared {
		if !seen[name] {
			rare++
		}
	}
	t.Logf("%d of %d metrics were not emitted", rare, len(declared))
}

func (o *observed) testFields(t *testing.T) {
	declared, seen, wrong, lines := map[string]bool{}, map[string]bool{}, unlisted{}, 0
	for _, f := range signals.Fields() {
		declared[f.Name] = true
	}
	eachLine(t, o.dir, func(file, line string) {
		fields := map[string]any{}
		if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &fields) != nil {
			return // PostgreSQL's and Redis' logs are theirs
		}
		if msg, _ := fields["msg"].(string); signals.OfRiver(msg) {
			return
		}
		lines++
		for name := range fields {
			if !declared[name] {
				wrong.add("the field "+name+" of log lines", file+": "+line)
			}
			seen[name] = true
		}
	})
	wrong.report(t)
	for _, core := range []string{"time", "level", "msg", "service", "trace_id", "span_id", "error", "method", "path", "route", "status", "took", "request_id", "order_id", "log", "subject", "client"} {
		if !seen[core] {
			t.Errorf("no log line has %s", core)
		}
	}
	if lines < 100 {
		t.Errorf("only %d lines", lines)
	}
	t.Logf("%d lines; %d of %d fields were not logged", lines, len(declared)-len(seen), len(declared))
}

// mark is in all that testSeries invents.
const mark = "xjunkx"

// invent is a word that was not there before.
func invent() string { return mark + strings.ReplaceAll(uuid.NewString(), "-", "") }

// testSeries: neither more customers, products and orders nor what clients invent make more
// series, or names of spans.
func (o *observed) testSeries(t *testing.T) {
	all, err := signals.Metrics(repository)
	if err != nil {
		t.Fatal(err)
	}
	o.useMuch(t, 6)
	o.sendJunk(t, 8)
	before := o.series(t)
	o.useMuch(t, 6)
	o.sendJunk(t, 16)
	after := o.series(t)
	bounds, count := map[string]int{"target_info": 1}, 0
	for _, m := range all {
		bounds[m.Prometheus()] = m.Series
	}
	for part, metrics := range after {
		for name, sets := range metrics {
			count += len(sets)
			if len(sets) > bounds[name] {
				t.Errorf("%s has %d series of %s, at most %d are declared", part, len(sets), name, bounds[name])
			}
			// Answers of a kind that a first round had by chance alone: a limit that was exceeded.
			if grown := len(sets) - len(before[part][name]); grown > 4 {
				t.Errorf("%s: %d more series of %s came with more of the same requests", part, grown, name)
			}
			for set := range sets {
				if strings.Contains(strings.ToLower(set), mark) {
					t.Errorf("%s: a client's invention is in %s%s", part, name, set)
				}
			}
		}
	}
	spans, _ := o.spans.all(trace.TraceID{})
	for _, s := range spans {
		if strings.Contains(strings.ToLower(s.Name()), mark) {
			t.Errorf("%s: a client's invention is the name of a span: %s", service(s), s.Name())
		}
	}
	t.Logf("%d series", count)
}

// useMuch has new products, guests, customers and orders.
func (o *observed) useMuch(t *testing.T, n int) {
	t.Helper()
	var csv strings.Builder
	csv.WriteString("code,sku,name,category,price,currency,stock\n")
	name := strings.ToUpper(invent())
	for i := range 4 * n {
		fmt.Fprintf(&csv, "%s-%d,%s-%d,Thing %s %d,%s-%d,2.50,GBP,9\n", name, i, name, i, name, i, strings.ToLower(name), i%5)
	}
	operator := shopclient.New(o.shop.URL).WithToken(o.shop.OperatorToken)
	if _, err := operator.ImportProducts(t.Context(), strings.NewReader(csv.String())); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		cart, err := shopclient.New(o.shop.URL).NewCart(t.Context(), []shopclient.Line{line(fmt.Sprintf("%s-%d", name, i), 1)})
		if err != nil {
			t.Fatal(err)
		}
		checkout := checkoutOf(cart.ID, []string{goodCard, declinedCard}[i%2])
		checkout.Email, checkout.ShippingAddress.Line1 = fmt.Sprintf("%s-%d@example.com", strings.ToLower(name), i), name
		guest := shopclient.New(o.shop.URL).WithToken(cart.Token)
		placed, err := guest.PlaceOrder(t.Context(), uuid.NewString(), wait, checkout)
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			settled(t, guest, placed)
		}
	}
}

// sendJunk sends the gateway and the simulator what no client should.
func (o *observed) sendJunk(t *testing.T, n int) {
	t.Helper()
	send := func(base, method, path, body string) {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = invent() + ".example"
		for name, value := range map[string]string{
			"User-Agent": invent(), "Content-Type": invent() + "/" + invent(), "Accept": invent(), "Accept-Language": invent(), "Origin": "https://" + invent(),
			"Authorization": invent() + " " + invent(), "Idempotency-Key": invent(), "Request-Id": invent(), "Prefer": invent(), "Cookie": invent() + "=" + invent(),
			"X-Forwarded-For": "192.0.2." + fmt.Sprint(n), "X-Forwarded-Proto": invent(), "Forwarded": "proto=" + invent(), invent(): invent(),
		} {
			req.Header.Set(name, value)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if err := res.Body.Close(); err != nil || res.StatusCode >= 500 && res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusNotImplemented {
			t.Errorf("%s %s: %s, %v", method, path, res.Status, err)
		}
	}
	for range n {
		for _, method := range []string{http.MethodGet, http.MethodPost, strings.ToUpper(invent())} {
			for _, path := range []string{
				"/" + invent(), "/" + invent() + "/" + invent(), "/v1/" + invent(), "/v1/products/" + invent(), "/v1/orders/" + invent(), "/v1/carts/" + invent() + "/lines/" + invent(),
				"/products/" + invent(), "/categories/" + invent(), "/static/" + invent(), "/problems/" + invent(), "/products?" + invent() + "=" + url.QueryEscape(invent()),
				"/v1/products?category=" + invent() + "&currency=" + invent() + "&sort=" + invent(), "/admin/" + invent(), "/webhooks/" + invent(), "/webhooks/stripe",
			} {
				send(o.shop.URL, method, path, invent())
			}
		}
		send(o.shop.StripesimURL, strings.ToUpper(invent()), "/v1/payment_intents", invent())
		send(o.shop.StripesimURL, http.MethodGet, "/v1/payment_intents/"+invent(), "")
		send(o.shop.StripesimURL, http.MethodGet, "/"+invent(), "")
	}
}
