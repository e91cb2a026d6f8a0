package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/sbom"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// The same sources give the same bytes, wherever they are: the program, and the
// archive with its image.
func TestReproducible(t *testing.T) {
	t.Parallel()
	root, err := Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	for _, module := range []string{"proto", "services", "gateway", "tools"} {
		if err := os.CopyFS(filepath.Join(elsewhere, module), os.DirFS(filepath.Join(root, module))); err != nil {
			t.Fatal(err)
		}
	}
	program, err := choose([]string{"smoke"})
	if err != nil {
		t.Fatal(err)
	}
	base, err := baseFiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var archives [][]byte
	for _, from := range []string{root, elsewhere} {
		dir := t.TempDir()
		if err := Compile(t.Context(), from, dir, runtime.GOARCH, program, t.Output()); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "souk.tar")
		if _, err := writeArchive(name, base, dir, "souk", "dev", runtime.GOARCH, map[string]string{"a": "b"}, program); err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds of the same sources differ")
	}
}

// Each digest is that of its blob, both kinds of readers find the image, and
// what a program needs is in its layers.
func TestArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"cart", "order"} {
		for _, ending := range []string{"", sbom.BOMFile, sbom.LicensesFile} {
			if err := os.WriteFile(filepath.Join(dir, name+ending), []byte("program "+name+ending), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	programs, err := choose([]string{"cart", "order"})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "souk.tar")
	base := []file{{rootsPath, 0o644, []byte("roots")}, {zonesPath, 0o644, []byte("zones")}}
	infos, err := writeArchive(name, base, dir, "registry.example/souk", "v1", "arm64", map[string]string{"l": "v"}, programs)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := untar(t, f)
	for path, data := range files {
		sum := sha256.Sum256(data)
		if digest, ok := strings.CutPrefix(path, "blobs/sha256/"); ok && digest != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is not the digest of its blob", path)
		}
	}
	var top index
	decode(t, files["index.json"], &top)
	var docker []dockerImage
	decode(t, files["manifest.json"], &docker)
	if len(top.Manifests) != 2 || len(docker) != 2 || len(infos) != 2 {
		t.Fatalf("%d manifests, %d entries, %d infos, want 2 of each", len(top.Manifests), len(docker), len(infos))
	}
	var bases []string
	for i, program := range []string{"cart", "order"} {
		full := "registry.example/souk/" + program + ":v1"
		if got := top.Manifests[i].Annotations["io.containerd.image.name"]; got != full {
			t.Errorf("containerd's name is %q", got)
		}
		if !slices.Equal(docker[i].RepoTags, []string{full}) || infos[i].Name != full || infos[i].Digest != top.Manifests[i].Digest {
			t.Errorf("names: %v %+v", docker[i].RepoTags, infos[i])
		}
		var m manifest
		decode(t, files[blob(top.Manifests[i])], &m)
		var c imageConfig
		decode(t, files[blob(m.Config)], &c)
		if docker[i].Config != blob(m.Config) || c.Config.User != "65532:65532" || c.Architecture != "arm64" ||
			c.Config.Labels["l"] != "v" || c.Config.Labels["org.opencontainers.image.title"] != "souk-"+program {
			t.Errorf("config: %+v", c)
		}
		content := map[string][]byte{}
		for j, l := range m.Layers {
			if docker[i].Layers[j] != blob(l) || c.RootFS.DiffIDs[j] != l.Digest {
				t.Errorf("layer %d: %s", j, l.Digest)
			}
			for path, data := range untar(t, bytes.NewReader(files[blob(l)])) {
				content[path] = data
			}
		}
		bases = append(bases, m.Layers[0].Digest)
		if string(content["souk"]) != "program "+program || string(content[rootsPath]) != "roots" || string(content[zonesPath]) != "zones" ||
			string(content[bomPath]) != "program "+program+".cdx.json" || string(content[licensesPath]) != "program "+program+".licenses.txt" {
			t.Errorf("%s holds %v", program, content)
		}
	}
	if bases[0] != bases[1] {
		t.Error("the images share no layer")
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"gateway:dev":                  "docker.io/library/gateway:dev",
		"souk/gateway:dev":             "docker.io/souk/gateway:dev",
		"ghcr.io/souk-shop/gateway:v1": "ghcr.io/souk-shop/gateway:v1",
		"localhost/gateway:v1":         "localhost/gateway:v1",
		"registry:5000/gateway:v1":     "registry:5000/gateway:v1",
	} {
		if got := reference(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// The Dockerfile makes the same images.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	root, err := Repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := string(b)
	for _, p := range topology.Programs() {
		if p.Kind == topology.Service {
			continue // found by their folders
		}
		if !strings.Contains(dockerfile, " "+p.Package+" ") && !strings.Contains(dockerfile, " "+p.Package+"\n") {
			t.Errorf("it does not compile %s", p.Package)
		}
	}
	for _, want := range []string{
		"USER " + user, `ENTRYPOINT ["/` + programPath + `"]`, "/" + rootsPath, "/" + zonesPath, "/" + bomPath, "/" + licensesPath,
		"-trimpath -buildvcs=false -ldflags='-s -w -buildid='", "GOWORK=off", "CGO_ENABLED=0",
	} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	if strings.Contains(dockerfile, "--mount") || strings.Contains(dockerfile, "# syntax=") {
		t.Error("it needs BuildKit")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"nosuch"}, {"--load", "nosuch"}} {
		if err := Command(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}
