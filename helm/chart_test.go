package helm_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

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
			restricted(t, p)
			if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
				t.Errorf("%s has a service account's token", p.name)
			}
		}
	})
}

// restricted checks what is said of each pod but the cluster's token.
func restricted(t *testing.T, p pod) {
	t.Helper()
	s := p.spec.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 ||
		s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: security context %+v", p.name, s)
	}
	if p.spec.HostNetwork || p.spec.HostPID || p.spec.HostIPC {
		t.Errorf("%s shares the host's namespaces", p.name)
	}
	for _, v := range p.spec.Volumes {
		secret := v.Secret != nil && v.Secret.DefaultMode != nil && *v.Secret.DefaultMode&^0o440 == 0 // by the pod's group alone
		if v.EmptyDir == nil && v.PersistentVolumeClaim == nil && v.ConfigMap == nil && !secret {
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
	if cpu >= 1000 || memory >= 900 {
		t.Errorf("%d m CPU and %d MiB, want less than 1000 m and 900 MiB", cpu, memory)
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
				if p.HTTPGet == nil || p.HTTPGet.Path != "/livez" || p.HTTPGet.Port.String() != "metrics" {
					t.Errorf("%s: probe %+v", name, p)
				}
			}
			if p := c.ReadinessProbe; p.HTTPGet == nil || p.HTTPGet.Path != "/readyz" || p.HTTPGet.Port.String() != "metrics" {
				t.Errorf("%s: readiness probe %+v", name, p)
			}
		case name == "gateway":
			if c.StartupProbe.HTTPGet.Path != "/healthz" || c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
				t.Error("gateway: paths of its probes")
			}
		case name == "stripesim":
			if c.LivenessProbe.HTTPGet.Path != "/livez" {
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
	if len(monitored) != len(topology(t, "service", "gateway", "provider")) {
		t.Errorf("%d components are monitored", len(monitored))
	}
}

// A mail server's values reach the notification service alone, the password from its secret.
func TestMailServer(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"default", "everything"} {
		for _, p := range decoded(t, variant, install).pods() {
			got := map[string]string{}
			for _, c := range p.spec.Containers {
				for _, e := range c.Env {
					name, ok := strings.CutPrefix(e.Name, "SOUK_NOTIFICATION_")
					switch {
					case !ok || !strings.HasPrefix(name, "SMTP_") && !strings.HasPrefix(name, "MAIL_") && name != "SHOP_URL":
					case e.ValueFrom != nil:
						got[name] = e.ValueFrom.SecretKeyRef.Name + "/" + e.ValueFrom.SecretKeyRef.Key
					default:
						got[name] = e.Value
					}
				}
			}
			want := map[string]string{}
			if variant == "everything" && component(p.meta.Labels) == "notification" {
				want = map[string]string{
					"SMTP_HOST": "mail.example", "SMTP_PORT": "465", "SMTP_TLS": "implicit", "SMTP_USER": "smtp/user", "SMTP_PASSWORD": "smtp/password",
					"MAIL_FROM": "Souk <orders@shop.example>", "MAIL_REPLY_TO": "help@shop.example", "MAIL_OPERATORS": "ops@shop.example", "SHOP_URL": "https://shop.example",
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s, %s: %v, want %v", variant, p.name, got, want)
			}
		}
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
		var want []string
		for _, p := range topology(t, "service") {
			want = append(want, p.Name+"-migrate")
		}
		if slices.Sort(want); !slices.Equal(migrating, want) {
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
	kept := 0
	for _, s := range o.Secrets {
		if strings.HasSuffix(s.Name, "-tls") {
			continue // the next install signs a certificate anew
		}
		kept++
		if s.Annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("secret %s goes", s.Name)
		}
	}
	for _, c := range o.Claims {
		if c.Annotations["helm.sh/resource-policy"] != "keep" {
			t.Errorf("claim %s goes", c.Name)
		}
	}
	if kept != 5+len(topology(t, "service")) || len(o.Claims) != 1 {
		t.Errorf("%d secrets, %d claims", kept, len(o.Claims))
	}
}

// "order" is a service, and a reserved word of SQL.
func TestSQLQuotesNames(t *testing.T) {
	t.Parallel()
	text, err := render(t, "ha", install)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "ALTER ROLE") {
			continue
		}
		found++
		var statement []string
		if err := yaml.Unmarshal([]byte(strings.TrimSpace(line)), &statement); err != nil {
			t.Fatal(err)
		}
		if words := strings.Fields(statement[0]); words[2][0] != '"' || words[5] != strings.Replace(words[2], "_runtime", "", 1) {
			t.Errorf("names without quotes: %s", statement[0])
		}
	}
	if services := len(topology(t, "service")); found == 0 || found%services != 0 {
		t.Errorf("%d settings of the roles of %d services", found, services)
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
