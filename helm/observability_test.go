package helm_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

const stackDir = "../k8s/observability"

// kustomization is what the stack's kustomization.yaml uses of Kustomize.
type kustomization struct {
	APIVersion         string   `json:"apiVersion"`
	Kind               string   `json:"kind"`
	Resources          []string `json:"resources"`
	ConfigMapGenerator []struct {
		Name      string   `json:"name"`
		Namespace string   `json:"namespace"`
		Files     []string `json:"files"`
	} `json:"configMapGenerator"`
}

// stack returns the stack's objects, as they are applied, and the files of its ConfigMaps, by name.
func stack(t *testing.T) (objects, map[string][]string) {
	t.Helper()
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(stackDir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var k kustomization
	if err := yaml.UnmarshalStrict(read("kustomization.yaml"), &k); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range k.Resources {
		all.WriteString("---\n")
		all.Write(read(name))
	}
	files := map[string][]string{}
	for _, g := range k.ConfigMapGenerator {
		size := 0
		for _, name := range g.Files {
			text := read(name)
			size += len(text)
			files[g.Name] = append(files[g.Name], filepath.Base(name))
		}
		if size > 1<<20 || g.Namespace != "souk-observability" {
			t.Errorf("ConfigMap %s has %d bytes, in namespace %s", g.Name, size, g.Namespace)
		}
	}
	return decode(t, all.String()), files
}

// TestTelemetry: the values of telemetry reach each of our programs as OpenTelemetry's variables, and
// nothing does where nothing is exported.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]string{
		"telemetry: {headersSecret: otlp, sampling: 0.5, otlpMetrics: false}": {},
		`telemetry: {otlpEndpoint: "http://collector:4317"}`:                  {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"},
		`telemetry: {otlpEndpoint: "https://c.example", headersSecret: otlp, sampling: 0.5, otlpMetrics: false}`: {
			"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example", "OTEL_EXPORTER_OTLP_HEADERS": "otlp/headers",
			"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5",
		},
	} {
		for _, d := range decoded(t, text, install).Deployments {
			if d.Labels["app.kubernetes.io/component"] == "redis" {
				continue // not ours
			}
			got := map[string]string{}
			for _, e := range d.Spec.Template.Spec.Containers[0].Env {
				switch {
				case !strings.HasPrefix(e.Name, "OTEL_") || e.Name == "OTEL_RESOURCE_ATTRIBUTES":
				case e.ValueFrom != nil:
					got[e.Name] = e.ValueFrom.SecretKeyRef.Name + "/" + e.ValueFrom.SecretKeyRef.Key
				default:
					got[e.Name] = e.Value
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s: %s has %v, want %v", text, d.Name, got, want)
			}
		}
	}
}

// TestStackPods: the stack's pods are restricted like the chart's, are probed, need less than 600 MiB
// in all, mount what is there, and only the one that finds pods has a token.
func TestStackPods(t *testing.T) {
	t.Parallel()
	o, made := stack(t)
	var memory, cpu int64
	var tokens []string
	for _, p := range o.pods() {
		restricted(t, p)
		if *p.spec.AutomountServiceAccountToken {
			tokens = append(tokens, p.name)
		}
		for _, v := range p.spec.Volumes {
			if v.ConfigMap == nil {
				if v.EmptyDir.SizeLimit == nil {
					t.Errorf("%s: volume %s has no limit", p.name, v.Name)
				}
				continue
			}
			files := made[v.ConfigMap.Name]
			if len(files) == 0 && v.ConfigMap.Optional == nil {
				t.Errorf("%s mounts %s, which nothing makes", p.name, v.ConfigMap.Name)
			}
			for _, item := range v.ConfigMap.Items {
				if !slices.Contains(files, item.Key) {
					t.Errorf("%s mounts %s, of which %s has %q", p.name, item.Key, v.ConfigMap.Name, files)
				}
			}
		}
		for _, c := range p.spec.Containers {
			memory += c.Resources.Requests.Memory().Value() >> 20
			cpu += c.Resources.Requests.Cpu().MilliValue()
			if c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil {
				t.Errorf("%s is not probed", p.name)
			}
			if _, tag, ok := strings.Cut(c.Image, ":"); !ok || tag == "latest" {
				t.Errorf("%s: image %s", p.name, c.Image)
			}
			for _, arg := range c.Args {
				file, ok := strings.CutPrefix(arg, "--config=")
				if !ok {
					file, ok = strings.CutPrefix(arg, "--config.file=")
				}
				if ok && !slices.Contains(made[p.name], filepath.Base(file)) {
					t.Errorf("%s reads %s, and its ConfigMap has %q", p.name, file, made[p.name])
				}
			}
		}
	}
	t.Logf("%d m CPU, %d MiB", cpu, memory)
	if memory >= 600 || cpu >= 500 {
		t.Errorf("%d m CPU and %d MiB, want less than 500 m and 600 MiB", cpu, memory)
	}
	if len(o.Deployments) != 5 || !slices.Equal(tokens, []string{"prometheus"}) {
		t.Errorf("%d deployments; tokens have %q", len(o.Deployments), tokens)
	}
	for _, r := range o.Roles {
		for _, rule := range r.Rules {
			if !slices.Equal(rule.Resources, []string{"pods"}) || !slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) {
				t.Errorf("role %s: %+v", r.Name, rule)
			}
		}
	}
}

// TestStackArrows: each pod of the stack is under a policy, which lets in and out what its
// configuration says, and each end of an arrow lets it pass.
func TestStackArrows(t *testing.T) {
	t.Parallel()
	o, _ := stack(t)
	policies := map[string]networkingv1.NetworkPolicySpec{}
	for _, p := range o.Policies {
		policies[p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"]] = p.Spec
	}
	if none, ok := policies[""]; !ok || len(none.Ingress) != 0 || len(none.PolicyTypes) != 2 {
		t.Errorf("by default pods may %+v", none)
	}
	services := map[string]corev1.Service{}
	for _, s := range o.Services {
		services[s.Name] = s
	}
	lets := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, label, value string, port int) bool {
		return slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
			return p.PodSelector != nil && p.PodSelector.MatchLabels[label] == value
		}) && slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() == port })
	}
	in := func(of, label, from string, port int) bool {
		return slices.ContainsFunc(policies[of].Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool {
			return lets(r.From, r.Ports, label, from, port)
		})
	}
	out := func(of, label, to string, port int) bool {
		return slices.ContainsFunc(policies[of].Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
			return lets(r.To, r.Ports, label, to, port)
		})
	}
	const part, name = "app.kubernetes.io/part-of", "app.kubernetes.io/name"
	for _, port := range []int{4317, 4318} {
		if !in("collector", part, "souk", port) {
			t.Errorf("the shop does not reach the collector at %d", port)
		}
	}
	if !out("prometheus", part, "souk", 9464) {
		t.Error("Prometheus does not reach the shop")
	}
	for _, arrow := range []struct {
		from, to string
		port     int
	}{
		{"collector", "jaeger", 4317},
		{"prometheus", "collector", 8888}, {"prometheus", "collector", 8889}, {"prometheus", "alertmanager", 9093},
		{"prometheus", "grafana", 3000}, {"prometheus", "jaeger", 8888},
		{"grafana", "prometheus", 9090}, {"grafana", "alertmanager", 9093}, {"grafana", "jaeger", 16686},
	} {
		if !out(arrow.from, name, arrow.to, arrow.port) || !in(arrow.to, name, arrow.from, arrow.port) {
			t.Errorf("%s does not reach %s at %d", arrow.from, arrow.to, arrow.port)
		}
		s := services[arrow.to]
		if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == arrow.port }) {
			t.Errorf("service %s has no port %d", arrow.to, arrow.port)
		}
	}
}
