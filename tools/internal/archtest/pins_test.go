package archtest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// byTag are the images of others that are named by tag, each with the reason. A tag can be
// moved to other bytes by who may write to the registry; a digest cannot.
var byTag = map[string]string{
	"golang:1.26-bookworm": "no release of Souk records a digest yet: the builder chooses one by --build-arg GO_IMAGE=golang@sha256:...",
	"postgres:17":          "a default that an installation replaces by its own digest (postgres.bundled.image); a tag has the fixes of the minor versions",
	"valkey/valkey:8":      "a default that an installation replaces by its own digest (redis.bundled.image); a tag has the fixes of the minor versions",
	"nats:2.15-alpine":     "a default that an installation replaces by its own digest (events.bundled.image); a tag has the fixes of the minor version",
	"rclone/rclone:1.71.2": "a default that an installation replaces by its own digest (backup.s3.image); only backups to S3 use it",

	"otel/opentelemetry-collector-contrib:0.161.0": ofTheStack,
	"prom/prometheus:v3.14.0":                      ofTheStack,
	"prom/alertmanager:v0.35.0":                    ofTheStack,
	"jaegertracing/jaeger:2.18.0":                  ofTheStack,
	"grafana/grafana:12.2.0":                       ofTheStack,
	"varnish:7.7":                                  "a part of k8s/edge; a kustomization of your own names its digest (images)",
}

const ofTheStack = "a part of k8s/observability, to try; a kustomization of your own names its digest (images)"

var (
	byDigest = regexp.MustCompile(`^[^@\s]+@sha256:[0-9a-f]{64}$`)
	byCommit = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)
)

// root is the workspace's folder.
const root = "../../.."

// TestActionsAreNamedByCommit: a tag of an action can be moved to another commit by who may
// write to its repository.
func TestActionsAreNamedByCommit(t *testing.T) {
	t.Parallel()
	workflows, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.y*ml"))
	if err != nil || len(workflows) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	n := 0
	for _, path := range workflows {
		for _, action := range values(t, path, "uses") {
			n++
			if why := unpinnedAction(action); why != "" {
				t.Errorf("%s: %s %s", path, action, why)
			}
		}
	}
	if n == 0 {
		t.Error("no actions found")
	}
}

// unpinnedAction says what is wrong with how a workflow names an action; "" for nothing.
func unpinnedAction(action string) string {
	switch {
	case strings.HasPrefix(action, "./"): // of this commit
		return ""
	case strings.HasPrefix(action, "docker://"):
		return unpinnedImage(strings.TrimPrefix(action, "docker://"))
	case !byCommit.MatchString(action):
		return "is not named by its commit, as owner/name@ and 40 digits"
	}
	return ""
}

// unpinnedImage says what is wrong with how an image is named; "" for nothing.
func unpinnedImage(image string) string {
	switch {
	case image == "scratch", strings.HasPrefix(image, "souk/"): // nothing, and our own
		return ""
	case byDigest.MatchString(image), byTag[image] != "":
		return ""
	}
	return "is named neither by a digest, name@sha256:..., nor in byTag with a reason"
}

// TestImagesAreNamedByDigest: in Dockerfiles, the chart's values, and what is deployed from
// here. An image that is named by tag is in byTag, and nothing else is.
func TestImagesAreNamedByDigest(t *testing.T) {
	t.Parallel()
	found := map[string]string{} // image to a place
	for _, path := range files(t) {
		base := filepath.Base(path)
		switch ext := filepath.Ext(path); {
		case strings.HasPrefix(base, "Dockerfile"):
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			images, err := ofDockerfile(string(text))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			for _, image := range images {
				found[image] = path
			}
		case base == "Tiltfile":
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// It deploys the chart and builds from Dockerfiles, which are read as such.
			if strings.Contains(string(text), "dockerfile_contents") || strings.Contains(string(text), "FROM ") {
				t.Errorf("%s has images of its own, which this test does not read", path)
			}
		case (ext == ".yaml" || ext == ".yml") && !strings.Contains(filepath.ToSlash(path), "/templates/"):
			for _, image := range values(t, path, "image") {
				found[image] = path
			}
		}
	}
	for image, path := range found {
		if why := unpinnedImage(image); why != "" {
			t.Errorf("%s: %s %s", path, image, why)
		}
	}
	for image := range byTag {
		if found[image] == "" {
			t.Errorf("%s is in byTag, and nothing uses it", image)
		}
	}
	if len(found) < len(byTag)+3 {
		t.Errorf("only %d images found: %v", len(found), slices.Sorted(maps.Keys(found)))
	}
	// A template that names an image itself is not in the values.
	templates, err := filepath.Glob(filepath.Join(root, "helm", "souk", "templates", "*"))
	if err != nil || len(templates) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	literal := regexp.MustCompile(`(?m)^\s*(?:- )?image: *([^{\s].*)$`)
	for _, path := range templates {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			t.Errorf("%s names an image: %s", path, m[1])
		}
	}
}

// TestPins: what is not pinned is found, in each place where it can be.
func TestPins(t *testing.T) {
	t.Parallel()
	digest, commit := strings.Repeat("ab", 32), strings.Repeat("cd", 20)
	for action, pinned := range map[string]bool{
		"actions/checkout@" + commit:               true,
		"owner/name/folder@" + commit:              true,
		"./.github/actions/ours":                   true,
		"docker://alpine@sha256:" + digest:         true,
		"actions/checkout@v5":                      false,
		"actions/checkout@main":                    false,
		"actions/checkout@" + commit[:39]:          false,
		"actions/checkout":                         false,
		"docker://alpine:3":                        false,
		"docker://alpine@sha256:" + digest[:63]:    false,
		"actions/checkout@" + commit + "-modified": false,
	} {
		if got := unpinnedAction(action) == ""; got != pinned {
			t.Errorf("%s: pinned %v", action, got)
		}
	}
	for image, pinned := range map[string]bool{
		"registry.example/team/alpine:3@sha256:" + digest: true, "souk/order:dev": true, "postgres:17": true,
		"postgres:18": false, "postgres": false, "alpine@sha256:" + digest[2:]: false, "docker.io/souk/order": false,
	} {
		if got := unpinnedImage(image) == ""; got != pinned {
			t.Errorf("%s: pinned %v", image, got)
		}
	}
	images, err := ofDockerfile("ARG BASE=alpine:3\nFROM ${BASE} AS build\nFROM --platform=linux/amd64 debian:13\nCOPY --from=build /a /a\nCOPY --from=busybox:1 /b /b\nRUN --mount=type=bind,from=caddy:2,target=/c true\n")
	if want := []string{"alpine:3", "debian:13", "busybox:1", "caddy:2"}; err != nil || !slices.Equal(images, want) {
		t.Errorf("images of a Dockerfile: %v, %v", images, err)
	}
	if _, err := ofDockerfile("ARG BASE\nFROM $BASE\n"); err == nil {
		t.Error("an image without a name is taken")
	}
}

// files are those of the repository that can name images.
func files(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (slices.Contains([]string{".git", ".tilt", "testdata", "node_modules"}, d.Name()) || strings.HasPrefix(d.Name(), ".souk")) {
			return filepath.SkipDir
		}
		if !d.IsDir() {
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// values are the texts that a key has anywhere in the documents of a file.
func values(t *testing.T, path, key string) (found []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key && child.Kind == yaml.ScalarNode && child.Value != "" {
				found = append(found, child.Value)
			}
			walk(child)
		}
	}
	for d := yaml.NewDecoder(f); ; {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		walk(&n)
	}
}

var (
	fromOf = regexp.MustCompile(`(?i)^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)
	argOf  = regexp.MustCompile(`(?i)^ARG\s+(\w+)(?:=(\S*))?`)
	copyOf = regexp.MustCompile(`(?i)(?:^(?:COPY|ADD)\s.*?--from=|--mount=\S*\bfrom=)([^\s,]+)`)
	argUse = regexp.MustCompile(`\$\{?(\w+)\}?`)
)

// ofDockerfile are the images that a Dockerfile begins with or copies from, with the
// defaults of its arguments.
func ofDockerfile(text string) (images []string, err error) {
	args, stages := map[string]string{}, map[string]bool{}
	add := func(name string) {
		name = argUse.ReplaceAllStringFunc(name, func(use string) string { return args[argUse.FindStringSubmatch(use)[1]] })
		switch {
		case name == "":
			err = errors.Join(err, errors.New("an image without a name: an argument has no default"))
		case !stages[name]:
			images = append(images, name)
		}
	}
	for line := range strings.Lines(text) {
		if m := argOf.FindStringSubmatch(line); m != nil {
			args[m[1]] = m[2]
		}
		if m := copyOf.FindStringSubmatch(line); m != nil {
			add(m[1])
		}
		if m := fromOf.FindStringSubmatch(line); m != nil {
			add(m[1])
			stages[m[2]] = true
		}
	}
	return images, err
}
