package k8s

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// release pretends a cluster with a release of these values.
func release(t *testing.T, values string, other func(call) *answer) *world {
	t.Helper()
	return pretended(t, func(c call) *answer {
		switch line := c.String(); {
		case line == "kubectl version --request-timeout=10s":
			return &answer{}
		case line == "helm get values souk --output json" && values == "":
			return &answer{Exit: 1, Stderr: "Error: release: not found"}
		case line == "helm get values souk --output json":
			return &answer{Stdout: values}
		}
		return other(c)
	})
}

// readersOf are the peers that an upgrade lets read the shop's metrics.
func readersOf(t *testing.T, c call) (peers []map[string]any) {
	t.Helper()
	i := slices.Index(c.Args, "--set-json")
	if i < 0 {
		t.Fatalf("%s says nothing of who reads the metrics", c)
	}
	text, ok := strings.CutPrefix(c.Args[i+1], "networkPolicy.metricsFrom=")
	if err := json.Unmarshal([]byte(text), &peers); err != nil || !ok || peers == nil {
		t.Errorf("%s: %v", c.Args[i+1], err)
	}
	return peers
}

const others = `{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}`

// The stack is there before the shop is told of it; who else reads its metrics goes on reading
// them, also when the stack is taken away.
func TestObserve(t *testing.T) {
	t.Parallel()
	peer, err := json.Marshal(stackReader())
	if err != nil {
		t.Fatal(err)
	}
	for values, readers := range map[string]int{
		"null": 1, `{"image":{"tag":"v1"}}`: 1, `{"networkPolicy":{"metricsFrom":[` + others + `]}}`: 2,
		`{"telemetry":{"otlpEndpoint":"` + stackEndpoint + `"},"networkPolicy":{"metricsFrom":[` + string(peer) + `]}}`: 1, // again
	} {
		w := release(t, values, func(c call) *answer {
			switch line := c.String(); {
			case strings.HasPrefix(line, "kubectl apply --server-side --field-manager souk --kustomize /"),
				strings.HasPrefix(line, "kubectl rollout status deployment/"), isDashboards(c):
				return &answer{}
			case strings.HasPrefix(line, "helm upgrade souk /"):
				peers := readersOf(t, c)
				if len(peers) != readers || !slices.ContainsFunc(peers, ours) {
					t.Errorf("%s: the metrics are read by %v", values, peers)
				}
				for _, arg := range []string{"--reset-then-reuse-values", "telemetry.otlpEndpoint=" + stackEndpoint, "telemetry.otlpMetrics=false", "--wait"} {
					if !slices.Contains(c.Args, arg) {
						t.Errorf("%s lacks %s", line, arg)
					}
				}
				return &answer{}
			}
			return nil
		})
		var out bytes.Buffer
		if err := Command(t.Context(), []string{"observe", "--context", w.context}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		if last := w.calls[len(w.calls)-1]; !strings.HasPrefix(last, "helm upgrade") || !w.ran("kubectl rollout status deployment/collector") {
			t.Errorf("ran %q", w.calls)
		}
		for _, want := range []string{"port-forward service/grafana 3000\n", "http://localhost:16686 ", "http://localhost:9090 "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("printed %s", out.String())
			}
		}
	}
}

// isDashboards reports whether a call makes the ConfigMap of the dashboards, or applies it.
func isDashboards(c call) bool {
	return strings.HasPrefix(c.String(), "kubectl create configmap grafana-dashboards --dry-run=client ") ||
		c.String() == "kubectl apply --server-side --field-manager souk --filename -"
}

// Every dashboard of the folder, and nothing else of it, is in the ConfigMap that Grafana mounts.
func TestDashboards(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := pretended(t, func(c call) *answer {
		switch {
		case c.String() == "kubectl create configmap grafana-dashboards --dry-run=client --output yaml --from-file="+dir+"/a.json --from-file="+dir+"/b.json":
			return &answer{Stdout: "kind: ConfigMap"}
		case isDashboards(c) && c.Stdin == "kind: ConfigMap":
			return &answer{}
		}
		return nil
	})
	if err := w.cluster().dashboards(t.Context(), dir); err != nil || len(w.calls) != 0 {
		t.Errorf("without dashboards: ran %q, %v", w.calls, err)
	}
	for _, name := range []string{"a.json", "b.json", "README.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.cluster().dashboards(t.Context(), dir); err != nil || !w.ran("kubectl apply") {
		t.Errorf("ran %q, %v", w.calls, err)
	}
}

// Nothing is changed where there is no shop, or one that sends its telemetry elsewhere.
func TestObserveRefuses(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		"": "souk k8s up",
		`{"telemetry":{"otlpEndpoint":"https://vendor.example"}}`: "https://vendor.example",
	} {
		w := release(t, values, func(call) *answer { return nil })
		if err := Command(t.Context(), []string{"observe", "--context", w.context}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", values, err)
		}
	}
}

// A stack whose pods do not come up is told, with the pods, and the shop is left alone.
func TestObserveFails(t *testing.T) {
	t.Parallel()
	w := release(t, "null", func(c call) *answer {
		switch line := c.String(); {
		case strings.HasPrefix(line, "kubectl apply"), isDashboards(c):
			return &answer{}
		case line == "kubectl get pods":
			return &answer{Stdout: "collector-1 0/1 ImagePullBackOff"}
		case strings.HasPrefix(line, "kubectl rollout status"):
			return &answer{Exit: 1, Stderr: "error: timed out waiting for the condition"}
		}
		return nil
	})
	err := Command(t.Context(), []string{"observe", "--context", w.context}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "timed out") || !strings.Contains(err.Error(), "ImagePullBackOff") {
		t.Errorf("the failure is %v", err)
	}
}

func TestObserveRemove(t *testing.T) {
	t.Parallel()
	peer, err := json.Marshal(stackReader())
	if err != nil {
		t.Fatal(err)
	}
	for values, upgrades := range map[string]bool{
		`{"telemetry":{"otlpEndpoint":"` + stackEndpoint + `"},"networkPolicy":{"metricsFrom":[` + string(peer) + `,` + others + `]}}`: true,
		`{"telemetry":{"otlpEndpoint":"https://vendor.example"}}`:                                                                      false, // not ours
		"": false, // the shop is gone
	} {
		w := release(t, values, func(c call) *answer {
			switch line := c.String(); {
			case strings.HasPrefix(line, "helm upgrade souk /"):
				if peers := readersOf(t, c); len(peers) != 1 || ours(peers[0]) {
					t.Errorf("the metrics are read by %v", peers)
				}
				if !slices.Contains(c.Args, "telemetry.otlpEndpoint=") || !slices.Contains(c.Args, "telemetry.otlpMetrics=true") {
					t.Errorf("ran %s", line)
				}
				return &answer{}
			case strings.HasPrefix(line, "kubectl delete namespace souk-observability "),
				strings.HasPrefix(line, "kubectl delete clusterroles,clusterrolebindings --selector app.kubernetes.io/part-of=souk-observability "):
				return &answer{}
			}
			return nil
		})
		if err := Command(t.Context(), []string{"observe", "--context", w.context, "--remove"}, io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
		if w.ran("helm upgrade") != upgrades || !w.ran("kubectl delete namespace") || !w.ran("kubectl delete clusterroles") {
			t.Errorf("%s: ran %q", values, w.calls)
		}
	}
}

// The lines of one trace come in the order of their times, from whichever pod.
func TestLogs(t *testing.T) {
	t.Parallel()
	const id = "0af7651916cd43dd8448eb211c80319c"
	w := release(t, "null", func(c call) *answer {
		if !strings.HasPrefix(c.String(), "kubectl logs --selector app.kubernetes.io/name=souk,app.kubernetes.io/instance=souk ") {
			return nil
		}
		return &answer{Stdout: `{"time":"2026-01-01T00:00:02Z","msg":"paid","service":"payment","trace_id":"` + id + `"}
{"time":"2026-01-01T00:00:02Z","msg":"other","trace_id":"ffffffffffffffffffffffffffffffff","parent":"` + id + `"}
LOG: checkpoint ` + id + `
{"time":"2026-01-01T00:00:01Z","msg":"placed","service":"order","trace_id":"` + id + `"}
`}
	})
	var out bytes.Buffer
	if err := Command(t.Context(), []string{"logs", "--context", w.context, id}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "placed") || !strings.Contains(lines[1], "paid") {
		t.Errorf("printed %s", out.String())
	}
	if err := Command(t.Context(), []string{"logs", "--context", w.context, strings.Repeat("1", 32)}, io.Discard, io.Discard); err == nil {
		t.Error("a trace that no pod has logged is no error")
	}
	for _, args := range [][]string{{"logs"}, {"logs", "S-P37D-SM4M"}, {"logs", id, id}, {"observe", "me"}} {
		if err := Command(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
