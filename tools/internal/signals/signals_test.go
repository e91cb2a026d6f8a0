package signals

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/semconv"
)

const root = "../../.."

func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := Document(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, File))
	if err != nil || string(got) != want {
		t.Errorf("%s is not current: go generate ./tools/internal/signals (%v)", File, err)
	}
}

// TestDeclarationsAreTheCode: what the code names is declared, and the reverse.
func TestDeclarationsAreTheCode(t *testing.T) {
	t.Parallel()
	c, err := readCode(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.instruments) < 40 || len(c.spans) < 7 || len(c.events) < 4 || len(c.fields) < 80 {
		t.Fatalf("found only %d metrics, %d spans, %d events, %d fields", len(c.instruments), len(c.spans), len(c.events), len(c.fields))
	}
	for _, what := range c.unreadable {
		t.Errorf("%s: want literals, once", what)
	}
	for begin, file := range c.spans {
		if !slices.ContainsFunc(Spans(), func(s Span) bool { return strings.HasPrefix(s.Name, begin) }) {
			t.Errorf("%s makes spans %q, which are not declared", file, begin)
		}
	}
	events := map[string]bool{"exception": true}
	for name, file := range c.events {
		events[name] = true
		if !slices.ContainsFunc(Events(), func(e Event) bool { return e.Name == name }) {
			t.Errorf("%s adds the event %s, which is not declared", file, name)
		}
	}
	of := map[string]bool{"exception": true}
	for _, s := range Spans() {
		regexp.MustCompile(s.Pattern)
		for _, name := range s.Events {
			of[name] = true
		}
		if strings.HasPrefix(s.Name, "souk.") && c.spans[s.Name] == "" {
			t.Errorf("no code makes spans %s", s.Name)
		}
	}
	for _, e := range Events() {
		if !events[e.Name] || !of[e.Name] {
			t.Errorf("no code adds the event %s, or no span has it", e.Name)
		}
	}
	fields := map[string]bool{}
	for i, f := range Fields() {
		fields[f.Name] = true
		if i > 0 && Fields()[i-1].Name >= f.Name {
			t.Errorf("%s is not in its place by name", f.Name)
		}
	}
	for name, file := range c.fields {
		if !fields[name] {
			t.Errorf("%s logs the field %s, which is not declared", file, name)
		}
		delete(fields, name)
	}
	for _, name := range []string{"time", "level", "msg"} { // slog's
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("no code logs the fields %v", fields)
	}
}

// TestAttributesAreWhereTheyMayBe: a metric has no attribute of high cardinality, and Souk's
// attributes are where their list says.
func TestAttributesAreWhereTheyMayBe(t *testing.T) {
	t.Parallel()
	metrics, err := Metrics(root)
	if err != nil {
		t.Fatal(err)
	}
	found := map[semconv.Signal]map[string]bool{semconv.Metric: {}, semconv.Span: {}, semconv.SpanEvent: {}}
	for _, m := range metrics {
		if m.Series < 1 || m.Series > 800 {
			t.Errorf("%s: %d series", m.Name, m.Series)
		}
		if len(m.Attributes) == 0 && m.Series != 1 {
			t.Errorf("%s has no attributes and %d series", m.Name, m.Series)
		}
		for _, a := range m.Attributes {
			found[semconv.Metric][a] = true
		}
	}
	for _, s := range Spans() {
		for _, a := range s.Attributes {
			found[semconv.Span][a] = true
		}
	}
	for _, e := range Events() {
		for _, a := range e.Attributes {
			found[semconv.SpanEvent][a] = true
		}
	}
	ours := map[string]bool{}
	for _, a := range semconv.All() {
		ours[string(a.Key)] = true
		for signal, names := range found {
			if declared := slices.Contains(a.Signals, signal); declared != names[string(a.Key)] {
				t.Errorf("%s is in %s: %v, and its declaration says %v", a.Key, signal, names[string(a.Key)], declared)
			}
		}
	}
	unbounded := []string{
		"url.path", "url.full", "client.address", "user_agent.original", "network.peer.address", "http.request.method_original",
		"db.query.text", "db.query.summary", "exception.message", "messaging.message.id", "http.response.header.request-id",
	}
	for signal, names := range found {
		for name := range names {
			if strings.HasPrefix(name, "souk.") && !ours[name] {
				t.Errorf("%s has %s, which semconv does not declare", signal, name)
			}
			if signal == semconv.Metric && slices.Contains(unbounded, name) {
				t.Errorf("a metric has %s, which has no bound", name)
			}
		}
	}
}

func TestNamesOfPrometheus(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]Metric{
		"souk_order_declines_total":             {Name: "souk.order.declines", Kind: "counter", Unit: "{order}"},
		"http_server_request_duration_seconds":  {Name: "http.server.request.duration", Kind: "histogram", Unit: "s"},
		"souk_postgres_pool_wait_seconds_total": {Name: "souk.postgres.pool.wait", Kind: "counter", Unit: "s"},
		"go_memory_used_bytes":                  {Name: "go.memory.used", Kind: "up-down counter", Unit: "By"},
		"souk_order_open":                       {Name: "souk.order.open", Kind: "gauge", Unit: "{order}"},
	} {
		if got := m.Prometheus(); got != want {
			t.Errorf("%s: %s", m.Name, got)
		}
	}
}
