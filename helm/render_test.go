package helm_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
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
telemetry: {otlpEndpoint: "http://collector.observability:4317", headersSecret: otlp, otlpMetrics: false}
gateway: {secure: true, trustedProxies: [10.0.0.0/8], env: {OTEL_TRACES_SAMPLER: always_on}, autoscaling: {enabled: true}, peers: {enabled: true}}
stripesim: {persistence: {enabled: false}}
redis: {kind: external, external: {address: "redis.example:6379"}}
networkPolicy:
  gatewayFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
ingress: {enabled: true, className: nginx, host: shop.example}
httpRoute: {enabled: true, parentRefs: [{name: front}], hostnames: [shop.example]}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
mail: {host: mail.example, tls: implicit, existingSecret: smtp, from: "Souk <orders@shop.example>", replyTo: help@shop.example, operators: ops@shop.example, shopURL: "https://shop.example"}
image: {repository: registry.example/souk, tag: v1, pullSecrets: [registry]}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: shop, operator: Exists}]
`,
	"backup": `
tls: {kind: certManager}
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
  external: {secret: "%s-db", payment: payment-db}
redis: {kind: external, external: {existingSecret: redis, sentinelPort: 26379}}
`,
	"bare": `
tls: {kind: "off"}
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
	return manifests(files)
}

// manifests joins the rendered files in the order of their installation.
func manifests(files map[string]string) (string, error) {
	delete(files, "souk/templates/NOTES.txt")
	hooks, others, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, h := range hooks {
		fmt.Fprintf(&b, "---\n%s\n", strings.TrimSpace(h.Manifest))
	}
	for _, m := range others {
		fmt.Fprintf(&b, "---\n%s\n", strings.TrimSpace(m.Content))
	}
	return b.String(), nil
}

// objects are rendered manifests, decoded by their types: a field that the API
// does not have is an error.
type objects struct {
	Deployments  []appsv1.Deployment
	StatefulSets []appsv1.StatefulSet
	ConfigMaps   []corev1.ConfigMap
	Jobs         []batchv1.Job
	CronJobs     []batchv1.CronJob
	Pods         []corev1.Pod
	Services     []corev1.Service
	Secrets      []corev1.Secret
	Claims       []corev1.PersistentVolumeClaim
	Policies     []networkingv1.NetworkPolicy
	Namespaces   []corev1.Namespace
	Accounts     []corev1.ServiceAccount
	Roles        []rbacv1.ClusterRole
	Bindings     []rbacv1.ClusterRoleBinding
	Budgets      []policyv1.PodDisruptionBudget
	Scalers      []autoscalingv2.HorizontalPodAutoscaler
	Ingresses    []networkingv1.Ingress
	Others       []metav1.PartialObjectMetadata // of APIs that the cluster may not have
}

// decoded is a variant's objects, rendered once for all tests, which only read them.
func decoded(t *testing.T, variant string, isUpgrade bool) objects {
	t.Helper()
	type release struct {
		once sync.Once
		objects
		whole bool
	}
	kept, _ := releases.LoadOrStore(fmt.Sprint(variant, isUpgrade), &release{})
	r := kept.(*release)
	r.once.Do(func() {
		text, err := render(t, variant, isUpgrade)
		if err != nil {
			t.Fatal(err)
		}
		r.objects, r.whole = decode(t, text), true
	})
	if !r.whole {
		t.Fatalf("%s: another test says why it is not rendered", variant)
	}
	return r.objects
}

// releases are decoded's, by variant and action.
var releases sync.Map

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
		case "v1 ConfigMap":
			err = strict(doc, &o.ConfigMaps)
		case "v1 PersistentVolumeClaim":
			err = strict(doc, &o.Claims)
		case "networking.k8s.io/v1 NetworkPolicy":
			err = strict(doc, &o.Policies)
		case "v1 Namespace":
			err = strict(doc, &o.Namespaces)
		case "v1 ServiceAccount":
			err = strict(doc, &o.Accounts)
		case "rbac.authorization.k8s.io/v1 ClusterRole":
			err = strict(doc, &o.Roles)
		case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
			err = strict(doc, &o.Bindings)
		case "networking.k8s.io/v1 Ingress":
			err = strict(doc, &o.Ingresses)
		case "policy/v1 PodDisruptionBudget":
			err = strict(doc, &o.Budgets)
		case "autoscaling/v2 HorizontalPodAutoscaler":
			err = strict(doc, &o.Scalers)
		case "postgresql.cnpg.io/v1 Cluster", "cert-manager.io/v1 Certificate", "cert-manager.io/v1 Issuer", "gateway.networking.k8s.io/v1 HTTPRoute", "monitoring.coreos.com/v1 ServiceMonitor", "keda.sh/v1alpha1 ScaledObject":
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
