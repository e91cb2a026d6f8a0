package k8s

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/souk/internal/images"
)

// What k8s/observability is and has.
const (
	stackNamespace = "souk-observability"
	stackEndpoint  = "http://collector." + stackNamespace + ":4317"
)

// stackParts are its deployments; those with an address are for a browser.
var stackParts = []struct {
	name string
	port int
	what string
}{
	{"collector", 0, ""},
	{"prometheus", 9090, "metrics, rules and alerts"},
	{"alertmanager", 9093, "who would be told"},
	{"jaeger", 16686, "traces"},
	{"grafana", 3000, "dashboards"},
}

// stackReader is who reads the shop's metrics, as a peer of a network policy.
func stackReader() map[string]any {
	labels := func(key, value string) map[string]any {
		return map[string]any{"matchLabels": map[string]any{key: value}}
	}
	return map[string]any{
		"namespaceSelector": labels("kubernetes.io/metadata.name", stackNamespace),
		"podSelector":       labels("app.kubernetes.io/name", "prometheus"),
	}
}

const observeHelp = `usage: souk k8s observe [flags]

Adds what the shop is watched with to its cluster, into the namespace
souk-observability: a collector of traces, Prometheus, Alertmanager, Jaeger and
Grafana. It upgrades the release, with this repository's chart and the values
that it has, so that it sends its traces there and lets Prometheus read its
metrics. --remove takes it all away again, with what it has stored.

`

func observe(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c cluster
	f := c.flags("observe", observeHelp, stderr)
	remove := f.Bool("remove", false, "take it away again")
	timeout := f.Duration("timeout", 10*time.Minute, "how long the pods may take to be ready")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		f.Usage()
		return errors.New("observe takes no arguments")
	}
	if err := c.choose(ctx); err != nil {
		return err
	}
	root, err := images.Repository(ctx)
	if err != nil {
		return err
	}
	if *remove {
		return c.unobserve(ctx, root, *timeout, stdout)
	}
	return c.observe(ctx, root, *timeout, stdout)
}

// telemetryValues are the values of a release that say where its telemetry goes.
type telemetryValues struct {
	Telemetry struct {
		OTLPEndpoint string `json:"otlpEndpoint"`
	} `json:"telemetry"`
	NetworkPolicy struct {
		MetricsFrom []map[string]any `json:"metricsFrom"`
	} `json:"networkPolicy"`
}

// values returns those of the release.
func (c *cluster) values(ctx context.Context) (v telemetryValues, err error) {
	out, err := c.helm(ctx, "get", "values", c.release, "--output", "json")
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		return v, fmt.Errorf("values of release %s: %w", c.release, err)
	}
	return v, nil
}

// wire upgrades the release, so that these peers read its metrics and these values are set, and waits
// for its pods.
func (c *cluster) wire(ctx context.Context, root string, timeout time.Duration, readers []map[string]any, set ...string) error {
	from, err := json.Marshal(slices.Concat([]map[string]any{}, readers)) // [] rather than null
	if err != nil {
		return err
	}
	// What the chart has gained since the install has its default.
	args := []string{
		"upgrade", c.release, chart(root), "--reset-then-reuse-values", "--wait", "--timeout", timeout.String(),
		"--set-json", "networkPolicy.metricsFrom=" + string(from),
	}
	for _, value := range set {
		args = append(args, "--set", value)
	}
	_, err = c.helm(ctx, args...)
	return err
}

// ours reports whether a peer is the stack's Prometheus.
func ours(peer map[string]any) bool { return reflect.DeepEqual(peer, stackReader()) }

func (c *cluster) observe(ctx context.Context, root string, timeout time.Duration, stdout io.Writer) error {
	v, err := c.values(ctx)
	if err != nil {
		return fmt.Errorf("there is no shop to watch: `souk k8s up` installs one: %w", err)
	}
	if at := v.Telemetry.OTLPEndpoint; at != "" && at != stackEndpoint {
		return fmt.Errorf("release %s sends its telemetry to %s already: take telemetry.otlpEndpoint from its values first", c.release, at)
	}
	fmt.Fprintf(stdout, "adding the stack in namespace %s of %s\n", stackNamespace, c.context)
	// By the server: the dashboards are too long for the annotation in which kubectl keeps what it applied.
	if _, err := c.run(ctx, nil, "kubectl", "--context", c.context, "apply", "--server-side", "--field-manager", "souk", "--kustomize", filepath.Join(root, "k8s", "observability")); err != nil {
		return err
	}
	if err := c.dashboards(ctx, filepath.Join(root, "k8s", "observability", "grafana", "dashboards")); err != nil {
		return err
	}
	for _, part := range stackParts {
		if _, err := c.stack(ctx, "rollout", "status", "deployment/"+part.name, "--timeout", timeout.String()); err != nil {
			pods, _ := c.stack(ctx, "get", "pods") // what is known helps
			return fmt.Errorf("%w\n%s", err, pods)
		}
	}
	fmt.Fprintf(stdout, "having release %s send its traces there\n", c.release)
	readers := v.NetworkPolicy.MetricsFrom
	if !slices.ContainsFunc(readers, ours) {
		readers = append(readers, stackReader())
	}
	if err := c.wire(ctx, root, timeout, readers, "telemetry.otlpEndpoint="+stackEndpoint, "telemetry.otlpMetrics=false"); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nto open them, in a terminal each:\n\n")
	for _, part := range stackParts {
		if part.port != 0 {
			fmt.Fprintf(stdout, "  kubectl --context %s --namespace %s port-forward service/%s %d\n", c.context, stackNamespace, part.name, part.port)
		}
	}
	fmt.Fprintln(stdout)
	for _, part := range stackParts {
		if part.port != 0 {
			fmt.Fprintf(stdout, "  %-13s http://localhost:%-6d %s\n", part.name, part.port, part.what)
		}
	}
	fmt.Fprintf(stdout, "\n  go run ./tools/souk k8s logs --context %s TRACE\n", c.context)
	return nil
}

// dashboards gives Grafana those of a folder, all that are there: Kustomize would want a list.
func (c *cluster) dashboards(ctx context.Context, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		return err
	}
	args := []string{"create", "configmap", "grafana-dashboards", "--dry-run=client", "--output", "yaml"}
	for _, file := range files {
		args = append(args, "--from-file="+file)
	}
	manifest, err := c.stack(ctx, args...)
	if err != nil {
		return err
	}
	_, err = c.run(ctx, strings.NewReader(manifest), "kubectl", "--context", c.context, "--namespace", stackNamespace,
		"apply", "--server-side", "--field-manager", "souk", "--filename", "-")
	return err
}

// unobserve takes the stack away, and what the release knows of it first: a shop that sends traces
// nowhere says so in its log.
func (c *cluster) unobserve(ctx context.Context, root string, timeout time.Duration, stdout io.Writer) error {
	v, err := c.values(ctx)
	switch {
	case err != nil && strings.Contains(err.Error(), "not found"): // the shop is gone
	case err != nil:
		return err
	case v.Telemetry.OTLPEndpoint == stackEndpoint || slices.ContainsFunc(v.NetworkPolicy.MetricsFrom, ours):
		fmt.Fprintf(stdout, "having release %s send nothing there\n", c.release)
		var set []string
		if v.Telemetry.OTLPEndpoint == stackEndpoint { // otherwise it has been sent elsewhere since
			set = []string{"telemetry.otlpEndpoint=", "telemetry.otlpMetrics=true"}
		}
		if err := c.wire(ctx, root, timeout, slices.DeleteFunc(v.NetworkPolicy.MetricsFrom, ours), set...); err != nil {
			return err
		}
	}
	if _, err := c.run(ctx, nil, "kubectl", "--context", c.context, "delete", "namespace", stackNamespace, "--ignore-not-found", "--timeout", timeout.String()); err != nil {
		return err
	}
	// What is in no namespace.
	if _, err := c.run(ctx, nil, "kubectl", "--context", c.context, "delete", "clusterroles,clusterrolebindings", "--selector", "app.kubernetes.io/part-of="+stackNamespace, "--ignore-not-found"); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "namespace %s is gone, with what it has stored\n", stackNamespace)
	return nil
}

// stack runs kubectl in the stack's namespace.
func (c *cluster) stack(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, nil, "kubectl", append([]string{"--context", c.context, "--namespace", stackNamespace}, args...)...)
}

const logsHelp = `usage: souk k8s logs [flags] TRACE

Prints the lines that the shop's pods have logged about a trace, in the order of
their times. TRACE is its id, 32 hexadecimal digits, as Jaeger and answers of the
shop have it.

`

var traceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func logs(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c cluster
	f := c.flags("logs", logsHelp, stderr)
	since := f.Duration("since", time.Hour, "how old a line may be")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 || !traceID.MatchString(f.Arg(0)) {
		f.Usage()
		return errors.New("logs takes the id of a trace, 32 hexadecimal digits")
	}
	if err := c.choose(ctx); err != nil {
		return err
	}
	out, err := c.kubectl(ctx, "logs", "--selector", c.selector(""), "--all-containers", "--since", since.String(), "--tail=-1", "--max-log-requests=100", "--ignore-errors")
	if err != nil {
		return err
	}
	type line struct {
		at   time.Time
		text []byte
	}
	var lines []line
	for text := range bytes.Lines([]byte(out)) {
		var l struct {
			Time    time.Time `json:"time"`
			TraceID string    `json:"trace_id"`
		}
		// Databases write no JSON, and know of no trace.
		if bytes.Contains(text, []byte(f.Arg(0))) && json.Unmarshal(text, &l) == nil && l.TraceID == f.Arg(0) {
			lines = append(lines, line{l.Time, bytes.TrimSpace(text)})
		}
	}
	if len(lines) == 0 {
		return fmt.Errorf("no pod of release %s has logged anything about trace %s in the last %s; at the level info requests that succeed are not logged", c.release, f.Arg(0), since)
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	for _, l := range lines {
		fmt.Fprintf(stdout, "%s\n", l.text)
	}
	return nil
}
