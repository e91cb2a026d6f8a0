package helm_test

import (
	"debug/elf"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	corev1 "k8s.io/api/core/v1"
)

// The images are those of the pods, and what Tilt compiles gets to where the
// entry point of their containers looks.
func TestTiltImages(t *testing.T) {
	t.Parallel()
	f := tilted(t, "up", nil)
	used := map[string]bool{}
	for _, p := range f.pods() {
		for _, c := range p.spec.Containers {
			name := program(c)
			if name == "" {
				continue
			}
			used[name] = true
			i := slices.IndexFunc(f.images, func(c call) bool { return c.text("ref") == "souk/"+name })
			if i < 0 {
				t.Errorf("%s: nobody builds %s", p.name, c.Image)
				continue
			}
			image := f.images[i]
			live, own := f.entryPoint(t, image)
			if len(c.Command) != 0 {
				t.Errorf("%s runs %v instead of the image's entry point", p.name, c.Command)
			}
			syncs := image.list("live_update")
			if p.runs == 0 { // a job, over before it could change
				if !f.of(t, p.name).manual() {
					t.Errorf("%s would be run again, with a new image, at each change of %s", p.name, name)
				}
				continue
			}
			if len(syncs) != 1 {
				t.Errorf("%s: %d steps of a live update", name, len(syncs))
				continue
			}
			from, to := attr(t, syncs[0], "local_path"), attr(t, syncs[0], "remote_path")
			if out := output(t, f.named(t, "compile-"+name)); from != out {
				t.Errorf("%s: %s is put into the pod, and %s compiled", name, from, out)
			}
			if to != live || to == own {
				t.Errorf("%s is put at %s, and %s looked at, besides %s", name, to, live, own)
			}
			mounted := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path.Dir(to) && !m.ReadOnly })
			if mounted < 0 || !slices.ContainsFunc(p.spec.Volumes, func(v corev1.Volume) bool {
				return v.Name == c.VolumeMounts[mounted].Name && v.EmptyDir != nil
			}) {
				t.Errorf("%s: %s is not on a volume that is empty at the start", p.name, to)
			}
		}
	}
	for _, image := range f.images {
		if !used[strings.TrimPrefix(image.text("ref"), "souk/")] {
			t.Errorf("nobody runs %s", image.text("ref"))
		}
	}
	if len(f.images) != len(topology(t, "provider", "service", "gateway", "tool")) {
		t.Errorf("%d images", len(f.images))
	}
}

func attr(t *testing.T, v starlark.Value, name string) string {
	t.Helper()
	a, err := v.(*starlarkstruct.Struct).Attr(name)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := starlark.AsString(a)
	return s
}

// entryPoint reads the Dockerfile of an image: where a newer program is looked
// for, and where the image's own is. It checks that what is copied is in the
// image's context, which Tilt watches, and nothing else.
func (f tiltfile) entryPoint(t *testing.T, image call) (live, own string) {
	t.Helper()
	dockerfile, err := os.ReadFile(filepath.Join(root, image.text("dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	var args struct{ PROGRAM string }
	if err := json.Unmarshal([]byte(image.args["build_args"].String()), &args); err != nil {
		t.Fatal(err)
	}
	copied := map[string]string{} // by where to
	var entry []string
	for line := range strings.Lines(string(dockerfile)) {
		words := strings.Fields(strings.ReplaceAll(line, "${PROGRAM}", args.PROGRAM))
		switch {
		case len(words) == 3 && words[0] == "COPY":
			copied[words[2]] = words[1]
		case len(words) > 1 && words[0] == "ENTRYPOINT":
			if err := json.Unmarshal([]byte(strings.Join(words[1:], " ")), &entry); err != nil {
				t.Fatal(err)
			}
		case len(words) > 0 && words[0] == "RUN":
			t.Error("there is no shell in the image")
		}
	}
	watched := image.texts("only")
	from := slices.Compact(slices.Sorted(maps.Values(copied)))
	if slices.Sort(watched); !slices.Equal(watched, from) {
		t.Errorf("%s: %v is watched, %v copied", image.text("ref"), watched, from)
	}
	if len(entry) != 3 || copied[entry[0]] != "devloop" || copied[entry[2]] != args.PROGRAM || "souk/"+args.PROGRAM != image.text("ref") {
		t.Fatalf("%s: entry point %v of %v", image.text("ref"), entry, copied)
	}
	for _, command := range []string{"tar", "rm"} { // what Tilt runs in the container
		if copied["/bin/"+command] != "devloop" {
			t.Errorf("the image has no %s", command)
		}
	}
	for _, name := range watched {
		if !slices.ContainsFunc(f.local, func(c call) bool {
			return strings.HasPrefix(c.text("name"), "compile-") && output(t, c) == path.Join(image.text("context"), name)
		}) {
			t.Errorf("%s: nobody compiles %s", image.text("ref"), name)
		}
	}
	return entry[1], entry[2]
}

var moved = regexp.MustCompile(`mv -f \S+ ([^\s)]+)`)

// output is the file that a compilation ends with.
func output(t *testing.T, c call) string {
	t.Helper()
	m := moved.FindStringSubmatch(c.text("cmd"))
	if m == nil {
		t.Fatalf("%s: %s", c.text("name"), c.text("cmd"))
	}
	return path.Join(c.text("dir"), m[1])
}

// A program is compiled when one of its sources changes, and when no others do:
// not another service's.
func TestTiltSources(t *testing.T) {
	t.Parallel()
	f := tilted(t, "up", nil)
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.local {
		name, ok := strings.CutPrefix(c.text("name"), "compile-")
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words := strings.Fields(c.text("cmd"))
			module := c.text("dir")
			list := exec.CommandContext(t.Context(), "go", "list", "-buildvcs=false", "-deps", "-f", "{{if not .Standard}}{{.Dir}}{{end}}", packageOf(words))
			list.Dir = filepath.Join(root, module)
			list.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0", "GOOS=linux")
			list.Stderr = t.Output()
			out, err := list.Output()
			if err != nil {
				t.Fatal(err)
			}
			deps := c.texts("deps")
			missed := map[string]bool{}
			for _, dep := range deps {
				if _, err := os.Stat(filepath.Join(root, dep)); err != nil {
					t.Error(err)
				}
				missed[dep] = true
			}
			packages := 0
			for _, dir := range strings.Fields(string(out)) {
				source, err := filepath.Rel(repository, dir)
				if err != nil || strings.HasPrefix(source, "..") {
					continue // of a dependency
				}
				packages++
				i := slices.IndexFunc(deps, func(dep string) bool { return strings.HasPrefix(filepath.ToSlash(source)+"/", dep+"/") })
				if i < 0 {
					t.Errorf("%s is not watched", source)
					continue
				}
				delete(missed, deps[i])
			}
			if packages == 0 {
				t.Errorf("no packages in:\n%s", out)
			}
			for _, file := range []string{"go.mod", "go.sum"} {
				if !missed[module+"/"+file] {
					t.Errorf("%s/%s is not watched", module, file)
				}
				delete(missed, module+"/"+file)
			}
			if len(missed) > 0 {
				t.Errorf("%v is watched for nothing", slices.Sorted(maps.Keys(missed)))
			}
		})
	}
}

// packageOf is the package in a compilation's words: what follows -o OUTPUT.
func packageOf(words []string) string { return words[slices.Index(words, "-o")+2] }

// Tilt compiles the programs of `souk images`, and as it does.
func TestTiltCompilesAsImages(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(root, "tools/souk/internal/images/images.go"))
	if err != nil {
		t.Fatal(err)
	}
	images := string(source)
	programs, compiled := topology(t, "provider", "service", "gateway", "tool"), 0
	for _, c := range tilted(t, "up", nil).local {
		name, ok := strings.CutPrefix(c.text("name"), "compile-")
		if !ok {
			continue
		}
		command := c.text("cmd")
		words := strings.Fields(command)
		if name != "devloop" {
			compiled++
			if !slices.ContainsFunc(programs, func(p part) bool { return p.Name == name && p.Module == c.text("dir") && p.Package == packageOf(words) }) {
				t.Errorf("the topology has no %s of %s in %s", name, packageOf(words), c.text("dir"))
			}
		}
		for _, flag := range []string{"-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="} {
			if !strings.Contains(images, strconv.Quote(flag)) || !strings.Contains(strings.ReplaceAll(command, "'", ""), flag) {
				t.Errorf("%s: %s is not in both", name, flag)
			}
		}
		var env map[string]string
		if err := json.Unmarshal([]byte(c.args["env"].String()), &env); err != nil {
			t.Fatal(err)
		}
		if env["GOARCH"] != "arm64" { // of the cluster's nodes
			t.Errorf("%s is compiled for %s", name, env["GOARCH"])
		}
		delete(env, "GOARCH")
		for key, v := range env {
			if !strings.Contains(images, strconv.Quote(key+"="+v)) {
				t.Errorf("%s: images.go has no %s=%s", name, key, v)
			}
		}
		if len(env) != 7 {
			t.Errorf("%s: %v", name, env)
		}
	}
	if compiled != len(programs) {
		t.Errorf("%d programs, and the topology has %d", compiled, len(programs))
	}
}

// The command that compiles, run: a static program at its place, which stays
// untouched as long as it comes out the same.
func TestTiltCompiles(t *testing.T) {
	t.Parallel()
	c := tilted(t, "up", nil).named(t, "compile-devloop")
	dir := t.TempDir()
	module := filepath.Join(dir, c.text("dir"))
	for _, name := range c.texts("deps") {
		from, to := filepath.Join(root, name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else {
			var content []byte
			if content, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(to, content, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var env map[string]string
	if err := json.Unmarshal([]byte(c.args["env"].String()), &env); err != nil {
		t.Fatal(err)
	}
	compile := func() os.FileInfo {
		t.Helper()
		sh := exec.CommandContext(t.Context(), "sh", "-c", c.text("cmd"))
		sh.Dir, sh.Env = module, os.Environ()
		for key, v := range env {
			sh.Env = append(sh.Env, key+"="+v)
		}
		sh.Stdout, sh.Stderr = t.Output(), t.Output()
		if err := sh.Run(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, output(t, c)))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := compile()
	program, err := elf.Open(filepath.Join(dir, output(t, c)))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if program.Machine != elf.EM_AARCH64 || slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Errorf("it is for %v, or not static", program.Machine)
	}
	if first.Mode().Perm()&0o555 != 0o555 {
		t.Errorf("mode %v", first.Mode())
	}
	if again := compile(); !os.SameFile(first, again) || !first.ModTime().Equal(again.ModTime()) {
		t.Error("the same program is put in its own place")
	}
	main := filepath.Join(module, "devloop", "main.go")
	content, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(main, []byte(strings.ReplaceAll(string(content), "usage: ", "changed: ")), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed := compile(); os.SameFile(first, changed) {
		t.Error("a changed program is not put in its place")
	}
}
