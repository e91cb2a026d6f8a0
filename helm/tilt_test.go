package helm_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// tiltfile is what the Tiltfile declares.
type tiltfile struct {
	k8s    []call // k8s_resource
	local  []call // local_resource
	images []call // docker_build
	text   string // of the manifests
	objects
}

func tilted(t *testing.T, subcommand string, settings map[string]starlark.Value) tiltfile {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, "Tiltfile"))
	if err != nil {
		t.Fatal(err)
	}
	f := tilt{t: t, subcommand: subcommand, settings: settings}
	if err := f.run(string(source)); err != nil {
		t.Fatal(err)
	}
	var all tiltfile
	for _, c := range f.calls {
		switch c.function {
		case "k8s_resource":
			all.k8s = append(all.k8s, c)
		case "local_resource":
			all.local = append(all.local, c)
		case "docker_build":
			all.images = append(all.images, c)
		case "k8s_yaml":
			all.text += c.args["yaml"].String() + "\n---\n"
		}
	}
	all.objects = decode(t, all.text)
	return all
}

// resources are the resources by name.
func (f tiltfile) resources(t *testing.T) map[string]call {
	t.Helper()
	all := map[string]call{}
	for _, c := range slices.Concat(f.k8s, f.local) {
		name := c.text("name")
		if c.function == "k8s_resource" {
			name = c.text("new_name")
		}
		if _, twice := all[name]; twice || name == "" {
			t.Errorf("resource %q is there twice, or has no name", name)
		}
		all[name] = c
	}
	return all
}

// of returns the resource of a workload.
func (f tiltfile) of(t *testing.T, workload string) call {
	t.Helper()
	i := slices.IndexFunc(f.k8s, func(c call) bool { return c.text("workload") == workload })
	if i < 0 {
		t.Fatalf("%s has no resource", workload)
	}
	return f.k8s[i]
}

func (f tiltfile) named(t *testing.T, name string) call {
	t.Helper()
	c, ok := f.resources(t)[name]
	if !ok {
		t.Fatalf("there is no resource %s", name)
	}
	return c
}

// program is the name of ours that a container runs, empty if it is not ours.
func program(c corev1.Container) string {
	image, ok := strings.CutPrefix(c.Image, "souk/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(image, ":")
	return name
}

// What Tilt would refuse is refused here.
func TestTiltRefuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`docker_build('souk/cart', '.', live_updates=[])`:               "unexpected keyword argument",
		`docker_build('souk/cart')`:                                     "missing argument for context",
		`docker_build('souk/cart', '.', only=[1])`:                      "want strings",
		`k8s_resource('souk-cart', labels={})`:                          "want strings",
		`k8s_resource('souk-cart', trigger_mode='TRIGGER_MODE_MANUAL')`: "want trigger",
		`local_resource('a', 'b', readiness_probe=exec_action(['c']))`:  "want probe",
		`local(['rm', '-rf', '/'])`:                                     "not known to the test",
		`x = 'a' + local(['mkdir', 'b'])`:                               "unknown binary op",
		`custom_build('souk/cart', 'make', ['.'])`:                      "undefined: custom_build",
		`load('ext://restart_process', 'docker_build_with_restart')`:    "load not implemented",
	} {
		f := tilt{t: t}
		if err := f.run(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}

// Every object of the chart belongs to one resource, and every resource to a
// group. Tilt puts services beside the pods that they select.
func TestTiltResources(t *testing.T) {
	t.Parallel()
	f := tilted(t, "up", nil)
	var workloads, others []string
	for _, doc := range split(f.text) {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case "Deployment", "StatefulSet", "Job":
			workloads = append(workloads, o.Metadata.Name)
		case "Service":
		case "Pod":
			t.Errorf("pod %s would run at once and once: it is helm's test", o.Metadata.Name)
		default:
			others = append(others, strings.ToLower(o.Metadata.Name+":"+o.Kind))
		}
	}
	var declared, grouped []string
	for _, c := range f.k8s {
		if w := c.text("workload"); w != "" {
			declared = append(declared, w)
		}
		grouped = append(grouped, c.texts("objects")...)
	}
	for _, lists := range [][2][]string{{workloads, declared}, {others, grouped}} {
		slices.Sort(lists[0])
		slices.Sort(lists[1])
		if !slices.Equal(lists[0], lists[1]) {
			t.Errorf("the chart has   %v\nresources are of %v", lists[0], lists[1])
		}
	}
	if len(workloads) < 16 {
		t.Errorf("there are %d workloads", len(workloads))
	}
	resources := f.resources(t)
	for name, c := range resources {
		if len(c.texts("labels")) == 0 {
			t.Errorf("%s has no label", name)
		}
		for _, needed := range c.texts("resource_deps") {
			if _, ok := resources[needed]; !ok {
				t.Errorf("%s waits for %s, which is not there", name, needed)
			}
		}
		if slices.Contains(needs(resources, name), name) {
			t.Errorf("%s waits for itself", name)
		}
	}
}

// needs are all resources that one waits for, directly or not.
func needs(resources map[string]call, name string) []string {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		for _, needed := range resources[name].texts("resource_deps") {
			if !seen[needed] {
				seen[needed] = true
				visit(needed)
			}
		}
	}
	visit(name)
	return slices.Sorted(maps.Keys(seen))
}

// A program starts when it is compiled and what it asks at its start is there:
// the database with its tables, the secrets, Redis.
func TestTiltOrder(t *testing.T) {
	t.Parallel()
	f := tilted(t, "up", nil)
	resources := f.resources(t)
	for _, p := range f.pods() {
		c := p.spec.Containers[0]
		var want []string
		if name := program(c); name != "" {
			want = append(want, "compile-"+name, "compile-devloop")
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				want = append(want, map[bool]string{false: "secrets", true: "operator"}[e.ValueFrom.SecretKeyRef.Name == "souk-operator"])
			}
			service, ok := strings.CutSuffix(e.Name, "_POSTGRES_DSN")
			if service = strings.ToLower(strings.TrimPrefix(service, "SOUK_")); ok {
				want = append(want, f.of(t, "souk-"+service+"-postgres").text("new_name"))
				if c.Name != "migrate" {
					want = append(want, f.of(t, "souk-"+service+"-migrate-install").text("new_name"))
				}
			}
			if strings.HasSuffix(e.Name, "_REDIS_ADDR") {
				want = append(want, f.of(t, "souk-redis").text("new_name"))
			}
		}
		name := f.of(t, p.name).text("new_name")
		for _, needed := range want {
			if !slices.Contains(needs(resources, name), needed) {
				t.Errorf("%s does not wait for %s", name, needed)
			}
		}
	}
}

// The buttons wait to be pressed, and what they run exists.
func TestTiltButtons(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator), "./souk", "./smoke/cmd/smoke")
	build.Dir = filepath.Join(root, "tools")
	build.Stderr = t.Output()
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	for _, subcommand := range []string{"up", "ci"} {
		f := tilted(t, subcommand, nil)
		connect := f.named(t, "connect")
		if connect.flag("auto_init", true) != (subcommand == "up") {
			t.Errorf("tilt %s: connect is run %v", subcommand, connect.flag("auto_init", true))
		}
		commands := map[string][]string{"connect": connect.texts("serve_cmd"), "buy": f.named(t, "buy").texts("cmd")}
		for _, name := range []string{"seed", "replay", "load", "verify"} {
			button := f.named(t, name)
			if button.flag("auto_init", true) || !button.manual() || len(button.texts("deps")) > 0 {
				t.Errorf("%s runs without being told to", name)
			}
			commands[name] = button.texts("cmd")
			if !slices.Contains(button.texts("resource_deps"), "connect") {
				t.Errorf("%s does not wait for connect", name)
			}
		}
		shop := argument(commands["connect"], "--data")
		for name, command := range commands {
			if len(command) < 4 || command[0] != "go" || command[1] != "run" {
				t.Fatalf("%s runs %v", name, command)
			}
			program := filepath.Join(bin, path.Base(command[2]))
			if name == "buy" {
				out, _ := exec.CommandContext(t.Context(), program, "help").CombinedOutput()
				if usage := strings.FieldsFunc(string(out), func(r rune) bool { return strings.ContainsRune(" |\n", r) }); !slices.Contains(usage, command[3]) {
					t.Errorf("%s runs %v:\n%s", name, command, out)
				}
				continue
			}
			verb := command[3:slices.IndexFunc(command, func(s string) bool { return strings.HasPrefix(s, "-") })]
			out, _ := exec.CommandContext(t.Context(), program, append(slices.Clone(verb), "-h")...).CombinedOutput()
			help := string(out)
			if !strings.HasPrefix(help, "usage: souk "+strings.Join(verb, " ")+" ") {
				t.Errorf("%s runs %v:\n%s", name, command, help)
			}
			for _, word := range command {
				if flag, ok := strings.CutPrefix(word, "--"); ok && !strings.Contains(help, "\n  -"+flag+" ") {
					t.Errorf("%s: `souk %s` has no --%s", name, strings.Join(verb, " "), flag)
				}
			}
			if data := argument(command, "--data"); data == "" || data != shop {
				t.Errorf("%s looks for the shop in %q, and it is in %q", name, data, shop)
			}
		}
		if _, err := os.Stat(filepath.Join(root, commands["replay"][len(commands["replay"])-1])); err != nil {
			t.Error(err)
		}
		buy := f.named(t, "buy")
		if buy.flag("auto_init", true) != (subcommand == "ci") || !buy.manual() {
			t.Errorf("tilt %s: somebody buys %v", subcommand, buy.flag("auto_init", true))
		}
		operator := f.named(t, "operator").texts("cmd")
		file := ".tilt/operator-token"
		if !strings.Contains(operator[2], "--token-file "+file) || !strings.Contains(buy.args["env"].String(), strconv.Quote(file)) {
			t.Errorf("buy has %v, and the operator's token is made by %s", buy.args["env"], operator[2])
		}
		for _, secret := range []string{"souk-operators", "souk-operator"} {
			if !strings.Contains(operator[2], " "+secret+" ") {
				t.Errorf("no resource makes %s", secret)
			}
		}
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "souk"), "operator", "-h").CombinedOutput()
		if err == nil {
			for flag := range strings.FieldsSeq(operator[2]) {
				if name, ok := strings.CutPrefix(flag, "--"); ok && slices.Contains([]string{"scopes", "expires", "file", "token-file"}, name) && !strings.Contains(string(out), "\n  -"+name+" ") {
					t.Errorf("`souk operator` has no %s", flag)
				}
			}
		}
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil || !strings.Contains(string(ignored), "\n/.tilt/\n") {
		t.Errorf(".tilt is not ignored: %v", err)
	}
}

// argument is what follows a flag.
func argument(command []string, flag string) string {
	i := slices.Index(command, flag)
	if i < 0 || i+1 == len(command) {
		return ""
	}
	return command[i+1]
}

// The links lead to what listens, and to traces where there are any.
func TestTiltLinks(t *testing.T) {
	t.Parallel()
	f := tilted(t, "up", map[string]starlark.Value{
		"otlp": starlark.String("http://collector.observability:4317"), "traces": starlark.String("http://localhost:16686"),
	})
	taken := map[string]string{}
	for _, p := range f.pods() {
		for _, forward := range f.of(t, p.name).list("port_forwards") {
			from, to, _ := strings.Cut(strings.Trim(forward.String(), `"`), ":")
			if s, ok := forward.(*starlarkstruct.Struct); ok {
				local, _ := s.Attr("local_port")
				container, _ := s.Attr("container_port")
				from, to = local.String(), container.String()
			}
			if taken[from] != "" {
				t.Errorf("%s and %s want port %s", p.name, taken[from], from)
			}
			taken[from] = p.name
			if !slices.ContainsFunc(p.spec.Containers[0].Ports, func(c corev1.ContainerPort) bool { return fmt.Sprint(c.ContainerPort) == to }) {
				t.Errorf("%s has no port %s", p.name, to)
			}
		}
	}
	if taken["8080"] != "souk-gateway" || len(taken) != 2+len(topology(t, "service")) { // and the provider's
		t.Errorf("ways: %v", taken)
	}
	links := map[string]string{}
	for _, l := range f.named(t, "gateway").list("links") {
		links[attr(t, l, "name")] = attr(t, l, "url")
	}
	if want := map[string]string{"REST API": "http://localhost:8080/docs", "traces": "http://localhost:16686"}; !maps.Equal(links, want) {
		t.Errorf("links %v, want %v", links, want)
	}
	pages, err := os.ReadFile(filepath.Join(root, "gateway/internal/api/pages.go"))
	if err != nil || !strings.Contains(string(pages), `static("/docs",`) {
		t.Errorf("the gateway has no /docs: %v", err)
	}
	if !strings.Contains(f.text, "value: \"http://collector.observability:4317\"") {
		t.Error("the pods send no traces")
	}
	if plain := tilted(t, "up", nil); len(plain.named(t, "gateway").list("links")) != 1 || strings.Contains(plain.text, "OTEL_EXPORTER") {
		t.Error("there are traces without anybody to take them")
	}
}

// Two renderings are the same: a difference would replace pods each time that the
// Tiltfile is read. And a program that is replaced stops without a drain.
func TestTiltValues(t *testing.T) {
	t.Parallel()
	one, other := tilted(t, "up", nil), tilted(t, "up", nil)
	if one.text != other.text {
		t.Error("two renderings differ")
	}
	if !strings.Contains(one.text, "tilt.dev/down-policy: keep") {
		t.Error("the provider's journal goes with `tilt down`, and the databases stay")
	}
	if len(one.Scalers)+len(one.Budgets) > 0 {
		t.Error("scalers and budgets are in the way")
	}
	for _, d := range one.Deployments {
		if *d.Spec.Replicas != 1 {
			t.Errorf("%s has %d replicas", d.Name, *d.Spec.Replicas)
		}
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			if strings.HasSuffix(e.Name, "_DRAIN_DELAY") && e.Value != "0s" {
				t.Errorf("%s waits %s before it stops", d.Name, e.Value)
			}
		}
	}
}
