package helm_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/releaseutil"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the generated files")

const chartDir = "souk"

// variants are the ways to install that are tested: files with values, and
// values on top of the chart's own.
var variants = map[string]string{
	"default": "",
	"dev":     "souk/values-dev.yaml",
	"prod":    "souk/values-prod.yaml",
	"ha":      "souk/values-ha.yaml",
	"tilt":    "souk/values-tilt.yaml",
	"k8s":     "../k8s/values.yaml",
	"everything": `
telemetry: {otlpEndpoint: "http://collector.observability:4317"}
gateway: {secure: true, trustedProxies: [10.0.0.0/8], env: {OTEL_TRACES_SAMPLER: always_on}, autoscaling: {enabled: true}}
stripesim: {persistence: {enabled: false}}
redis: {kind: external, external: {address: "redis.example:6379"}}
networkPolicy:
  gatewayFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
ingress: {enabled: true, className: nginx, host: shop.example}
httpRoute: {enabled: true, parentRefs: [{name: front}], hostnames: [shop.example]}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
image: {repository: registry.example/souk, tag: v1, pullSecrets: [registry]}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: shop, operator: Exists}]
`,
	"backup": `
backup: {enabled: true, keepDays: 7}
`,
	"restore": `
backup: {enabled: true, restore: 20260102-030405}
gateway: {autoscaling: {enabled: true}}
`,
	"offsite": `
backup:
  enabled: true
  restore: 20260102-030405
  to: s3
  s3: {url: "s3://backups/souk/", endpoint: "https://minio.example:9000", existingSecret: souk-backup-s3}
postgres:
  kind: external
  external: {catalog: catalog-db, cart: cart-db, order: order-db, payment: payment-db}
redis: {kind: external, external: {existingSecret: redis}}
`,
	"bare": `
redis: {kind: none}
networkPolicy: {enabled: false}
podDisruptionBudget: {enabled: false}
topologySpread: {enabled: false}
`,
}

// values returns the values of a variant or, if it is none, the text's own.
func values(t *testing.T, variant string) map[string]any {
	t.Helper()
	text, ok := variants[variant]
	if !ok {
		text = variant
	}
	data := []byte(text)
	if strings.HasSuffix(text, ".yaml") {
		var err error
		if data, err = os.ReadFile(text); err != nil {
			t.Fatal(err)
		}
	}
	v := map[string]any{}
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// install and upgrade are the two occasions of rendering.
const (
	install = false
	upgrade = true
)

// render returns the text of every manifest, hooks included, in the order of
// their installation.
func render(t *testing.T, variant string, isUpgrade bool) (string, error) {
	t.Helper()
	return renderRelease(t, values(t, variant), chartutil.ReleaseOptions{
		Name: "souk", Namespace: "default", Revision: 1, IsInstall: !isUpgrade, IsUpgrade: isUpgrade,
	})
}

func renderRelease(t *testing.T, values map[string]any, release chartutil.ReleaseOptions) (string, error) {
	t.Helper()
	c := load(t)
	v, err := chartutil.ToRenderValues(c, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Engine{Strict: true}.Render(c, v)
	if err != nil {
		return "", err
	}
	delete(files, "souk/templates/NOTES.txt")
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, h := range hooks {
		fmt.Fprintf(&b, "---\n%s\n", strings.TrimSpace(h.Manifest))
	}
	for _, m := range manifests {
		fmt.Fprintf(&b, "---\n%s\n", strings.TrimSpace(m.Content))
	}
	return b.String(), nil
}

// objects are rendered manifests, decoded by their types: a field that the API
// does not have is an error.
type objects struct {
	Deployments  []appsv1.Deployment
	StatefulSets []appsv1.StatefulSet
	Jobs         []batchv1.Job
	CronJobs     []batchv1.CronJob
	Pods         []corev1.Pod
	Services     []corev1.Service
	Secrets      []corev1.Secret
	Claims       []corev1.PersistentVolumeClaim
	Policies     []networkingv1.NetworkPolicy
	Budgets      []policyv1.PodDisruptionBudget
	Scalers      []autoscalingv2.HorizontalPodAutoscaler
	Ingresses    []networkingv1.Ingress
	Others       []metav1.PartialObjectMetadata // of APIs that the cluster may not have
}

func decoded(t *testing.T, variant string, isUpgrade bool) objects {
	t.Helper()
	text, err := render(t, variant, isUpgrade)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

func decode(t *testing.T, text string) objects {
	t.Helper()
	var o objects
	seen := map[string]bool{}
	for _, doc := range releaseutil.SplitManifests(text) {
		var head metav1.PartialObjectMetadata
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatalf("%v:\n%s", err, doc)
		}
		id := head.Kind + " " + head.Name
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		if len(head.Name) > 63 {
			t.Errorf("%s is longer than a name may be", id)
		}
		var err error
		switch head.APIVersion + " " + head.Kind {
		case "apps/v1 Deployment":
			err = strict(doc, &o.Deployments)
		case "apps/v1 StatefulSet":
			err = strict(doc, &o.StatefulSets)
		case "batch/v1 Job":
			err = strict(doc, &o.Jobs)
		case "batch/v1 CronJob":
			err = strict(doc, &o.CronJobs)
		case "v1 Pod":
			err = strict(doc, &o.Pods)
		case "v1 Service":
			err = strict(doc, &o.Services)
		case "v1 Secret":
			err = strict(doc, &o.Secrets)
		case "v1 PersistentVolumeClaim":
			err = strict(doc, &o.Claims)
		case "networking.k8s.io/v1 NetworkPolicy":
			err = strict(doc, &o.Policies)
		case "networking.k8s.io/v1 Ingress":
			err = strict(doc, &o.Ingresses)
		case "policy/v1 PodDisruptionBudget":
			err = strict(doc, &o.Budgets)
		case "autoscaling/v2 HorizontalPodAutoscaler":
			err = strict(doc, &o.Scalers)
		case "postgresql.cnpg.io/v1 Cluster", "gateway.networking.k8s.io/v1 HTTPRoute", "monitoring.coreos.com/v1 ServiceMonitor":
			o.Others = append(o.Others, head)
		default:
			t.Errorf("%s %s is not known to the tests", head.APIVersion, head.Kind)
		}
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	return o
}

func strict[T any](doc string, into *[]T) error {
	var object T
	if err := yaml.UnmarshalStrict([]byte(doc), &object); err != nil {
		return err
	}
	*into = append(*into, object)
	return nil
}

// pod is a pod or the template of some.
type pod struct {
	name string
	meta metav1.ObjectMeta
	spec corev1.PodSpec
	runs int32 // how many of them
}

func (o objects) pods() []pod {
	var all []pod
	count := func(n *int32) int32 {
		if n == nil {
			return 1
		}
		return *n
	}
	for _, d := range o.Deployments {
		all = append(all, pod{d.Name, d.Spec.Template.ObjectMeta, d.Spec.Template.Spec, count(d.Spec.Replicas)})
	}
	for _, s := range o.StatefulSets {
		all = append(all, pod{s.Name, s.Spec.Template.ObjectMeta, s.Spec.Template.Spec, count(s.Spec.Replicas)})
	}
	for _, j := range o.Jobs {
		all = append(all, pod{j.Name, j.Spec.Template.ObjectMeta, j.Spec.Template.Spec, 0})
	}
	for _, c := range o.CronJobs {
		template := c.Spec.JobTemplate.Spec.Template
		all = append(all, pod{c.Name, template.ObjectMeta, template.Spec, 0})
	}
	for _, p := range o.Pods {
		all = append(all, pod{p.Name, p.ObjectMeta, p.Spec, 0})
	}
	return all
}

// each runs a test for every variant, on install and on upgrade.
func each(t *testing.T, test func(t *testing.T, variant string, isUpgrade bool)) {
	for variant := range variants {
		for _, isUpgrade := range []bool{install, upgrade} {
			name := variant + "/install"
			if isUpgrade {
				name = variant + "/upgrade"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, variant, isUpgrade)
			})
		}
	}
}

// What `helm lint --strict` says.
func TestLint(t *testing.T) {
	t.Parallel()
	for variant := range variants {
		linter := lint.AllWithKubeVersion(chartDir, values(t, variant), "default", nil)
		for _, m := range linter.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", variant, m)
			}
		}
	}
}

// Pods run under PodSecurity "restricted", cannot write but where they must,
// have no token of the cluster's, and are bounded in memory.
func TestPods(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, variant string, isUpgrade bool) {
		o := decoded(t, variant, isUpgrade)
		for _, p := range o.pods() {
			s := p.spec.SecurityContext
			if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 ||
				s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: security context %+v", p.name, s)
			}
			if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
				t.Errorf("%s has a service account's token", p.name)
			}
			if p.spec.HostNetwork || p.spec.HostPID || p.spec.HostIPC {
				t.Errorf("%s shares the host's namespaces", p.name)
			}
			for _, v := range p.spec.Volumes {
				if v.EmptyDir == nil && v.PersistentVolumeClaim == nil {
					t.Errorf("%s: volume %s", p.name, v.Name)
				}
			}
			for _, c := range slices.Concat(p.spec.InitContainers, p.spec.Containers) {
				s := c.SecurityContext
				if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
					s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
					s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
					t.Errorf("%s: security context %+v", p.name, s)
				}
				if strings.Contains(strings.Join(slices.Concat(c.Command, c.Args), " "), "$$") {
					t.Errorf("%s: Kubernetes makes one $ of two in a command", p.name)
				}
				if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
					t.Errorf("%s: resources %+v", p.name, c.Resources)
				}
				if c.Resources.Requests.Memory().Cmp(*c.Resources.Limits.Memory()) > 0 {
					t.Errorf("%s requests more memory than its limit", p.name)
				}
			}
		}
	})
}

// An upgrade to another image replaces the pods of our programs, and leaves the
// databases and Redis alone.
func TestUpgradeKeepsDatabases(t *testing.T) {
	t.Parallel()
	templates := func(tag string) map[string]string {
		pods := map[string]string{}
		for _, p := range decoded(t, "image: {tag: "+tag+"}\nsecrets: {gatewaySecret: 0123456789abcdef0123456789abcdef}\npostgres: {bundled: {password: p}}", upgrade).pods() {
			b, err := yaml.Marshal([]any{p.meta, p.spec})
			if err != nil {
				t.Fatal(err)
			}
			pods[p.name] = string(b)
		}
		return pods
	}
	one, other := templates("v1"), templates("v2")
	for name, was := range one {
		ours := !strings.HasSuffix(name, "-postgres") && !strings.HasSuffix(name, "-redis")
		if changed := was != other[name]; changed != ours {
			t.Errorf("%s: changed %v", name, changed)
		}
	}
	if len(one) < 11 {
		t.Errorf("there are %d pods", len(one))
	}
}

// The whole default install fits on a laptop's cluster.
func TestRequestsOfTheDefaultInstall(t *testing.T) {
	t.Parallel()
	var cpu, memory int64
	for _, p := range decoded(t, "default", install).pods() {
		for _, c := range p.spec.Containers {
			n := int64(p.runs)
			if n == 0 { // a job runs beside the rest
				n = 1
			}
			cpu += n * c.Resources.Requests.Cpu().MilliValue()
			memory += n * c.Resources.Requests.Memory().Value() >> 20
		}
	}
	t.Logf("%d m CPU, %d MiB", cpu, memory)
	if cpu >= 1000 || memory >= 700 {
		t.Errorf("%d m CPU and %d MiB, want less than 1000 m and 700 MiB", cpu, memory)
	}
}

// A pod's grace is longer than all that its program may do at the end.
func TestGrace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, variant string, isUpgrade bool) {
		for _, d := range decoded(t, variant, isUpgrade).Deployments {
			c := d.Spec.Template.Spec.Containers[0]
			var stop, delay int64
			for _, e := range c.Env {
				if strings.HasSuffix(e.Name, "_DRAIN_DELAY") || strings.HasSuffix(e.Name, "_DRAIN_TIMEOUT") {
					var seconds int64
					if _, err := fmt.Sscanf(e.Value, "%ds", &seconds); err != nil {
						t.Fatal(err)
					}
					stop += seconds
					if strings.HasSuffix(e.Name, "_DRAIN_DELAY") {
						delay = seconds
					}
				}
			}
			switch c.Name {
			case "redis", "stripesim":
				continue
			case "order":
				stop += 10 // the drives under way
			}
			stop += 5 // telemetry
			// Names are kept for 5 s, and the endpoints behind them take a while.
			if delay < 8 && variant != "dev" && variant != "tilt" {
				t.Errorf("%s waits %d s until everybody has noticed", d.Name, delay)
			}
			if grace := *d.Spec.Template.Spec.TerminationGracePeriodSeconds; grace <= stop {
				t.Errorf("%s has %d s of grace, and may take %d s", d.Name, grace, stop)
			}
		}
	})
}

// Liveness asks the process alone, readiness what it needs, and patiently: a
// database that is replaced takes no pod with it.
func TestProbes(t *testing.T) {
	t.Parallel()
	for _, d := range decoded(t, "default", install).Deployments {
		c := d.Spec.Template.Spec.Containers[0]
		if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil {
			t.Fatalf("%s lacks a probe", c.Name)
		}
		if p := c.StartupProbe; p.PeriodSeconds != 1 || p.InitialDelaySeconds != 0 {
			t.Errorf("%s: its start is noticed late", c.Name)
		}
		if p := c.ReadinessProbe; c.Name != "redis" && c.Name != "stripesim" {
			if away := p.PeriodSeconds * p.FailureThreshold; away < 25 || p.SuccessThreshold > 1 {
				t.Errorf("%s leaves when what it needs is away for %d s", c.Name, away)
			}
		}
		switch name := c.Name; {
		case isService(t, name):
			for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe} {
				if p == nil || p.GRPC == nil || p.GRPC.Service == nil || *p.GRPC.Service != "liveness" {
					t.Errorf("%s: probe %+v", name, p)
				}
			}
			if p := c.ReadinessProbe; p == nil || p.GRPC == nil || p.GRPC.Service != nil {
				t.Errorf("%s: readiness probe %+v", name, p)
			}
		case name == "gateway":
			if c.StartupProbe.HTTPGet.Path != "/healthz" || c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
				t.Error("gateway: paths of its probes")
			}
		case name == "stripesim":
			if c.LivenessProbe.HTTPGet.Path != "/healthz" {
				t.Error("stripesim: path of its liveness")
			}
		}
	}
}

// Prometheus finds each of our pods by a service that names the port of its
// metrics, and the service that is open to the world does not have it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	o := decoded(t, "everything", install)
	monitored := map[string]bool{}
	for _, s := range o.Services {
		if slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == "metrics" }) {
			monitored[s.Spec.Selector["app.kubernetes.io/component"]] = true
			if s.Spec.Type != "" && s.Spec.Type != corev1.ServiceTypeClusterIP || s.Name == "souk-gateway" {
				t.Errorf("%s shows metrics to the world", s.Name)
			}
		}
	}
	for _, p := range o.pods() {
		if slices.ContainsFunc(p.spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == "metrics" }) != monitored[component(p.meta.Labels)] {
			t.Errorf("%s: has metrics, and is monitored: one without the other", p.name)
		}
	}
	if len(monitored) != 6 {
		t.Errorf("%d components are monitored", len(monitored))
	}
}

// A name has all replicas' addresses where clients spread their calls, and one
// that outlives its pod where they do not.
func TestServiceAddresses(t *testing.T) {
	t.Parallel()
	for _, s := range decoded(t, "default", install).Services {
		headless := s.Spec.ClusterIP == corev1.ClusterIPNone
		if want := slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == "grpc" }); headless != want {
			t.Errorf("%s: headless %v", s.Name, headless)
		}
	}
}

// Every selector matches the pods of one component and no others; each port of a
// service is one of theirs.
func TestSelectors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, variant string, isUpgrade bool) {
		o := decoded(t, variant, isUpgrade)
		for _, s := range o.Services {
			found := 0
			for _, p := range o.pods() {
				if !matches(s.Spec.Selector, p.meta.Labels) {
					continue
				}
				found++
				for _, port := range s.Spec.Ports {
					if !slices.ContainsFunc(p.spec.Containers[0].Ports, func(c corev1.ContainerPort) bool { return c.Name == port.TargetPort.StrVal }) {
						t.Errorf("%s: %s has no port %s", s.Name, p.name, port.TargetPort.StrVal)
					}
				}
			}
			if found != 1 {
				t.Errorf("service %s selects the pods of %d things", s.Name, found)
			}
		}
		for _, d := range o.Deployments {
			if !matches(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
				t.Errorf("%s does not select its pods", d.Name)
			}
		}
		for _, b := range o.Budgets {
			if b.Spec.MaxUnavailable.IntValue() != 1 {
				t.Errorf("%s blocks drains", b.Name)
			}
		}
		for _, h := range o.Scalers {
			i := slices.IndexFunc(o.Deployments, func(d appsv1.Deployment) bool { return d.Name == h.Spec.ScaleTargetRef.Name })
			if i < 0 || o.Deployments[i].Spec.Replicas != nil {
				t.Errorf("%s scales %s, whose replicas are fixed", h.Name, h.Spec.ScaleTargetRef.Name)
			}
		}
	})
}

func matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// An install on databases of its own migrates beside everything else; all else
// migrates by hooks, before a pod changes.
func TestMigrations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		variant   string
		isUpgrade bool
		hook      string
	}{
		{"default", install, ""},
		{"default", upgrade, "pre-upgrade"},
		{"ha", install, ""},
		{"ha", upgrade, "pre-upgrade"},
		{"prod", install, "pre-install,pre-upgrade"},
		{"prod", upgrade, "pre-install,pre-upgrade"},
	} {
		var migrating []string
		for _, j := range decoded(t, c.variant, c.isUpgrade).Jobs {
			container := j.Spec.Template.Spec.Containers[0]
			if container.Name != "migrate" {
				continue
			}
			migrating = append(migrating, j.Spec.Template.Labels["app.kubernetes.io/component"])
			if got := j.Annotations["helm.sh/hook"]; got != c.hook {
				t.Errorf("%s, upgrade %v: %s has hook %q, want %q", c.variant, c.isUpgrade, j.Name, got, c.hook)
			}
			if !slices.Equal(container.Args, []string{"migrate"}) {
				t.Errorf("%s runs %v", j.Name, container.Args)
			}
		}
		slices.Sort(migrating)
		if want := []string{"cart-migrate", "catalog-migrate", "order-migrate", "payment-migrate"}; !slices.Equal(migrating, want) {
			t.Errorf("%s, upgrade %v: %v migrate", c.variant, c.isUpgrade, migrating)
		}
	}
}

// A restore takes the callers of the databases away first, and all of them.
func TestRestore(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"restore", "offsite"} {
		o := decoded(t, variant, upgrade)
		for _, d := range o.Deployments {
			down := d.Spec.Replicas != nil && *d.Spec.Replicas == 0
			if keeps := d.Name == "souk-stripesim" || d.Name == "souk-redis"; down == keeps {
				t.Errorf("%s: down %v", d.Name, down)
			}
		}
		if len(o.Scalers) > 0 {
			t.Error("a scaler brings pods back")
		}
		if len(o.CronJobs) != 1 || !*o.CronJobs[0].Spec.Suspend {
			t.Error("backups go on")
		}
		if !slices.ContainsFunc(o.Jobs, func(j batchv1.Job) bool { return j.Name == "souk-restore-20260102-030405" }) {
			t.Error("nothing is restored")
		}
	}
	if o := decoded(t, "backup", upgrade); *o.CronJobs[0].Spec.Suspend {
		t.Error("no backups")
	}
}

// What holds data or opens it stays when the chart is uninstalled.
func TestKept(t *testing.T) {
	t.Parallel()
	o := decoded(t, "default", install)
	for _, s := range o.Secrets {
		if s.Annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("secret %s goes", s.Name)
		}
	}
	for _, c := range o.Claims {
		if c.Annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("claim %s goes", c.Name)
		}
	}
	if len(o.Secrets) != 5 || len(o.Claims) != 1 {
		t.Errorf("%d secrets, %d claims", len(o.Secrets), len(o.Claims))
	}
}

// k8s/souk.yaml is what the chart renders.
func TestManifests(t *testing.T) {
	t.Parallel()
	const name = "../k8s/souk.yaml"
	text, err := render(t, "k8s", install)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("# Made from helm/souk with k8s/values.yaml by `go test ./helm -update`.\n")
	for _, doc := range strings.Split(text, "---\n") {
		if doc != "" && !strings.Contains(doc, "helm.sh/hook: test") {
			b.WriteString("---\n" + strings.ReplaceAll(doc, "app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl"))
		}
	}
	current(t, name, b.Bytes())
}

// current compares a generated file with what it should be.
func current(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: run go test ./helm -update", filepath.Base(name))
	}
}
