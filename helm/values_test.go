package helm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

// Misspelt, mistyped and impossible values are refused, and the error names
// them.
func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		"gatway: {}":                                                     "gatway",
		"catlog: {replicas: 2}":                                          "catlog",
		"payment: {replica: 2}":                                          "replica",
		"postgres: {external: {catlog: x}}":                              "catlog",
		"postgres: {external: {sslmode: prefer}}":                        "sslmode",
		"redis: {external: {caSecret: 1}}":                               "caSecret",
		"gateway: {replica: 2}":                                          "replica",
		"gateway: {replicas: two}":                                       "replicas",
		"gateway: {replicas: -1}":                                        "replicas",
		"gateway: {rateLimit: 0}":                                        "rateLimit",
		"gateway: {rateLimit: -2}":                                       "rateLimit",
		"gateway: {service: {type: Nodeport}}":                           "type",
		"gateway: {autoscaling: {maxReplica: 2}}":                        "maxReplica",
		"catalog: {resources: {limits: {cpu: 1}, requests: {mem: 1Gi}}}": "mem",
		"order: {env: {1BAD: x}}":                                        "1BAD",
		"postgres: {kind: mysql}":                                        "kind",
		"postgres: {bundled: {pasword: x}}":                              "pasword",
		"redis: {kind: external, external: {adress: x}}":                 "adress",
		"currency: pounds":                                               "currency",
		"maxConnectionAge: 60":                                           "maxConnectionAge",
		"maxConnectionAge: 1 minute":                                     "maxConnectionAge",
		"image: {pullPolicy: Sometimes}":                                 "pullPolicy",
		"log: {level: trace}":                                            "level",
		"telemetry: {otlpEndpoint: 'collector:4317'}":                    "otlpEndpoint",
		"telemetry: {sampling: 1.5}":                                     "sampling",
		"telemetry: {otlpMetrics: 'no'}":                                 "otlpMetrics",
		"networkPolicy: {gatewayFrom: [{namespace: x}]}":                 "gatewayFrom",
		"ingress: {enabled: 'yes'}":                                      "enabled",
		"mail: {tls: ssl}":                                               "tls",
		"mail: {port: 70000}":                                            "port",
		"mail: {password: x}":                                            "password",
		"mail: {shopURL: shop.example}":                                  "shopURL",
		"networkPolicy: {webhooksTo: [10.0.0.0/8]}":                      "webhooksTo",
		// What only the templates know.
		"postgres: {kind: cnpg, cnpg: {readReplicas: true}}":                                              "postgres.cnpg.readReplicas",
		"events: {kind: external}":                                                                        "events.external.secret",
		"events: {kind: bundled, bundled: {replicas: 2}}":                                                 "replicas",
		"events: {kind: bundled, bundled: {size: 5G}}":                                                    "size",
		"events: {kind: rabbit}":                                                                          "kind",
		"mail: {host: mail.example, shopURL: 'https://shop.example'}":                                     "mail.from",
		"mail: {host: mail.example, from: a@b.example}":                                                   "mail.shopURL",
		"mail: {host: m, tls: 'off', existingSecret: x, from: a@b.example, shopURL: 'https://s.example'}": "mail.existingSecret",
		"postgres: {kind: external}":                                                                      "postgres.external.",
		"redis: {kind: external}":                                                                         "redis.external.address",
		"backup: {restore: 20260102-030405}":                                                              "backup.enabled",
		"backup: {enabled: true, to: s3}":                                                                 "backup.s3.url",
		"backup: {enabled: true, restore: yesterday}":                                                     "restore",
		"backup: {enabled: true, schedule: often}":                                                        "schedule",
		"backup: {enabled: true, s3: {bucket: x}}":                                                        "bucket",
		"stripesim: {enabled: false}":                                                                     "secrets.stripeKey",
		"secrets: {gatewaySecret: short}":                                                                 "secrets.gatewaySecret",
		"{httpRoute: {enabled: true}, gateway: {trustedProxies: [10.0.0.0/8]}}":                           "httpRoute.parentRefs",
		// All customers would share the limits of the proxy's address.
		"ingress: {enabled: true}":                            "gateway.trustedProxies",
		"httpRoute: {enabled: true, parentRefs: [{name: x}]}": "gateway.trustedProxies",
		"gateway: {trustedProxies: [everyone]}":               "trustedProxies",
		"gateway: {proxyHeader: X-Real-IP}":                   "proxyHeader",
	} {
		if _, err := render(t, values, install); err == nil {
			t.Errorf("%s: accepted", values)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error does not name %s: %v", values, want, err)
		}
	}
}

// value is a leaf of values.yaml with the comment above it.
type value struct {
	path, comment, def string
}

// documented reads the chart's values in their order.
func documented(t *testing.T) []value {
	t.Helper()
	data, err := os.ReadFile("souk/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var all []value
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		for i := 0; i < len(n.Content); i += 2 {
			key, v := n.Content[i], n.Content[i+1]
			at := strings.TrimPrefix(path+"."+key.Value, ".")
			comment := key.HeadComment
			if i := strings.LastIndex(comment, "\n\n"); i >= 0 { // the file's own comment
				comment = comment[i+2:]
			}
			comment = strings.TrimSpace(strings.ReplaceAll(strings.TrimPrefix(comment, "#"), "\n#", ""))
			if comment == "" && v.Kind == yaml.MappingNode && len(v.Content) > 0 {
				walk(at, v)
				continue
			}
			var plain any
			if err := v.Decode(&plain); err != nil {
				t.Fatal(err)
			}
			def, err := json.Marshal(plain)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value{at, comment, string(def)})
		}
	}
	walk("", doc.Content[0])
	return all
}

// Every value has a comment, and README.md a table of them.
func TestValuesAreDocumented(t *testing.T) {
	t.Parallel()
	const name, begin, end = "souk/README.md", "<!-- values: made of values.yaml by `go test ./helm -update` -->\n", "<!-- end of values -->\n"
	var table strings.Builder
	table.WriteString("| value | default | what it is |\n|---|---|---|\n")
	for _, v := range documented(t) {
		if v.comment == "" {
			t.Errorf("%s has no comment", v.path)
		}
		fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", v.path, strings.ReplaceAll(v.def, "|", `\|`), strings.ReplaceAll(v.comment, "|", `\|`))
	}
	readme, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", name)
	}
	current(t, name, []byte(before+begin+table.String()+end+after))
}

// The schema knows each value that there is, and no others.
func TestSchemaIsComplete(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("souk/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile("souk/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := sigsyaml.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	defs := schema["$defs"].(map[string]any)
	var walk func(path string, s, v map[string]any)
	walk = func(path string, s, v map[string]any) {
		if ref, ok := s["$ref"].(string); ok {
			s = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		}
		properties, ok := s["properties"].(map[string]any)
		if !ok {
			return // a map with any keys
		}
		// Beside its properties an object takes nothing, or services by their names,
		// which a template checks.
		byService := path == "" || path == ".postgres.external"
		if open, ok := s["additionalProperties"].(bool); (!ok || open) && !byService {
			t.Errorf("%s takes any key", path)
		}
		if strings.HasSuffix(path, ".resources") {
			return // not every kind is given
		}
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			if _, ok := v[key]; !ok && path+"."+key != ".global" {
				t.Errorf("%s.%s is in the schema alone", path, key)
			}
		}
		for key, inner := range v {
			m, _ := inner.(map[string]any)
			sub, ok := properties[key].(map[string]any)
			if !ok && byService && isService(t, key) {
				continue
			}
			if !ok {
				t.Errorf("%s.%s is not in the schema", path, key)
				continue
			}
			if m != nil {
				walk(path+"."+key, sub, m)
			}
		}
	}
	walk("", schema, values)
}

// A service has the values of all services, but for what its own block says: 0 and
// false, too.
func TestServiceValues(t *testing.T) {
	t.Parallel()
	out, err := render(t, "service: {replicas: 3, env: {A: x}, autoscaling: {enabled: true}}\ncart: {replicas: 0, autoscaling: {enabled: false}, resources: {requests: {cpu: 1}}}", install)
	if err != nil {
		t.Fatal(err)
	}
	scaled := map[string]bool{}
	for _, text := range strings.Split(out, "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct{ Replicas *int }
		}
		if err := sigsyaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		switch {
		case o.Kind == "HorizontalPodAutoscaler":
			scaled[o.Metadata.Name] = true
		case o.Kind == "Deployment" && strings.HasSuffix(o.Metadata.Name, "-cart"):
			if o.Spec.Replicas == nil || *o.Spec.Replicas != 0 || !strings.Contains(text, "cpu: 1\n") || !strings.Contains(text, "memory: 32Mi") || !strings.Contains(text, "name: A\n") {
				t.Errorf("the cart's own block and that of all services are not merged:\n%s", text)
			}
		}
	}
	if len(scaled) != len(topology(t, "service"))-1 || scaled["souk-cart"] {
		t.Errorf("scaled: %v", scaled)
	}
}

// TestKEDA: the parts that are scaled are by KEDA alone, and those that something waits for by that,
// too; the metrics are some that the shop has.
func TestKEDA(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile("../docs/telemetry-reference.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := render(t, "keda: {prometheus: 'http://prometheus.monitoring:9090', openOrders: 50}\nservice: {autoscaling: {enabled: true, maxReplicas: 8}}\ncart: {autoscaling: {enabled: false}}\nserviceMonitor: {enabled: true}", install)
	if err != nil {
		t.Fatal(err)
	}
	waiting := map[string]string{} // by part; the threshold, too
	for _, text := range strings.Split(out, "\n---\n") {
		var o struct {
			Kind string
			Spec struct {
				JobLabel        string
				ScaleTargetRef  struct{ Name string }
				MinReplicaCount int
				MaxReplicaCount int
				Triggers        []struct {
					Type, MetricType string
					Metadata         map[string]string
				}
			}
		}
		if err := sigsyaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case "HorizontalPodAutoscaler":
			t.Errorf("two scale: %s", text)
		case "ServiceMonitor":
			if o.Spec.JobLabel != "app.kubernetes.io/component" {
				t.Errorf("job is not the part: %q", o.Spec.JobLabel)
			}
		case "ScaledObject":
			part := strings.TrimPrefix(o.Spec.ScaleTargetRef.Name, "souk-")
			waiting[part] = ""
			if o.Spec.MinReplicaCount != 1 || o.Spec.MaxReplicaCount != 8 || o.Spec.Triggers[0].Type != "cpu" || o.Spec.Triggers[0].MetricType != "Utilization" || o.Spec.Triggers[0].Metadata["value"] != "80" {
				t.Errorf("%s: %+v", part, o.Spec)
			}
			for _, trigger := range o.Spec.Triggers[1:] {
				query := trigger.Metadata["query"]
				waiting[part] += trigger.Metadata["threshold"] + " " + query
				if trigger.Type != "prometheus" || trigger.Metadata["serverAddress"] != "http://prometheus.monitoring:9090" || trigger.Metadata["ignoreNullValues"] != "false" {
					t.Errorf("%s: %+v", part, trigger)
				}
				metrics := regexp.MustCompile(`souk_[a-z_]+\{`).FindAllString(query, -1)
				for _, m := range metrics {
					if name := strings.ReplaceAll(strings.TrimSuffix(m, "{"), "_", "."); !strings.Contains(string(reference), "`"+name+"`") {
						t.Errorf("%s: there is no metric %s", part, name)
					}
				}
				if len(metrics) == 0 {
					t.Errorf("%s scales by no metric: %s", part, query)
				}
			}
		}
	}
	delete(waiting, "catalog")
	delete(waiting, "payment")
	want := map[string]string{
		"order":        `50 max(sum by (instance) (souk_order_open{job="order",namespace="default"}))`,
		"notification": `500 sum(souk_events_consumer_lag{job="notification",namespace="default"}) + (max(souk_mail_backlog{job="notification",namespace="default"}) or vector(0)) + (max(souk_webhook_backlog{job="notification",namespace="default",souk_webhook_state="waiting"}) or vector(0))`,
		"insight":      `500 sum(souk_events_consumer_lag{job="insight",namespace="default"})`,
	}
	if !maps.Equal(waiting, want) {
		t.Errorf("by what waits scale %v", waiting)
	}
}

// TestPeers: gateways find each other by a name with all their addresses, by TCP and UDP, before
// they are ready; without certificates they are no peers.
func TestPeers(t *testing.T) {
	t.Parallel()
	const on = "gateway: {peers: {enabled: true}}\n"
	o := decoded(t, on, install)
	i := slices.IndexFunc(o.Services, func(s corev1.Service) bool { return s.Name == "souk-gateway-peers" })
	if i < 0 {
		t.Fatal("no service")
	}
	s := o.Services[i].Spec
	if s.ClusterIP != corev1.ClusterIPNone || !s.PublishNotReadyAddresses || !slices.ContainsFunc(s.Ports, func(p corev1.ServicePort) bool { return p.Port == 7946 && p.Protocol == corev1.ProtocolUDP }) {
		t.Errorf("service %+v", s)
	}
	for _, p := range o.Policies {
		if p.Name != "souk-gateway" {
			continue
		}
		udp := func(ports []networkingv1.NetworkPolicyPort) bool {
			return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
				return p.Port.IntValue() == 7946 && *p.Protocol == corev1.ProtocolUDP
			})
		}
		if !slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool { return udp(r.Ports) && len(r.From) == 1 }) ||
			!slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { return udp(r.Ports) && len(r.To) == 1 }) {
			t.Errorf("gossip by UDP does not pass: %+v", p.Spec)
		}
	}
	if _, err := render(t, on+"tls: {kind: \"off\"}\n", install); err == nil || !strings.Contains(err.Error(), "gateway.peers.enabled") {
		t.Errorf("peers without certificates: %v", err)
	}
	if out, err := render(t, "", install); err != nil || strings.Contains(out, "PEERS") || strings.Contains(out, "7946") {
		t.Errorf("a shop without peers has some: %v", err)
	}
}

// TestEdge: gateways know whom to tell of changes, may reach them, and what leads to the shop leads
// to them.
func TestEdge(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("../k8s/edge/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out, err := render(t, string(own)+"ingress: {enabled: true}\nhttpRoute: {enabled: true, parentRefs: [{name: x}]}\n", install)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, text := range strings.Split(out, "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := sigsyaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		found[o.Kind+" "+o.Metadata.Name] += text
	}
	for object, wants := range map[string][]string{
		"Deployment souk-gateway":    {"name: SOUK_GATEWAY_EDGE_URLS\n              value: \"http://souk-edge-purge:8081\"", "{name: souk-edge, key: edge-secret}", "name: SOUK_GATEWAY_TRUSTED_PROXIES\n              value: \"10.0.0.0/8\""},
		"NetworkPolicy souk-gateway": {"{port: 8081, protocol: TCP}"},
		"Ingress souk-gateway":       {"service: {name: souk-edge, port: {name: http}}"},
		"HTTPRoute souk-gateway":     {"{name: souk-edge, port: 80}"},
	} {
		for _, want := range wants {
			if !strings.Contains(found[object], want) {
				t.Errorf("%s lacks %q:\n%s", object, want, found[object])
			}
		}
	}
	if out, err := render(t, "", install); err != nil || strings.Contains(out, "EDGE") {
		t.Errorf("a shop without an edge has one: %v", err)
	}
}
