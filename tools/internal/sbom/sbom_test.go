package sbom

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/internal/topology"
)

// TestLicensesAreAllowed: each module that a program of the shop needs has a license
// that the shop may be shipped with.
func TestLicensesAreAllowed(t *testing.T) {
	t.Parallel()
	packages := map[string][]string{"tools": {"./souk"}}
	for _, p := range topology.Programs() {
		packages[p.Module] = append(packages[p.Module], p.Package)
	}
	for module, programs := range packages {
		args := append([]string{"list", "-deps", "-f", "{{with .Module}}{{if not .Replace}}{{.Path}} {{.Version}}{{end}}{{end}}"}, programs...)
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = filepath.Join("..", "..", "..", module), append(os.Environ(), "GOWORK=off")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v", module, err)
		}
		checked := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			path, version, found := strings.Cut(strings.TrimSpace(line), " ")
			if !found || version == "" || checked[path] {
				continue
			}
			checked[path] = true
			if _, err := legalOf(path, version); err != nil {
				t.Error(err)
			}
		}
		if len(checked) < 20 {
			t.Errorf("%s: %d modules were checked", module, len(checked))
		}
	}
}

// TestDocument: the document of a program names its modules, and is the same each time.
func TestDocument(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "generate")
	if out, err := exec.Command("go", "build", "-o", program, "./generate").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	doc, err := Of(program)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion string
		Components             []struct {
			Name, Version, Purl string
			Licenses            []struct{ License struct{ ID string } }
			Hashes              []struct{ Alg, Content string }
		}
	}
	if err := json.Unmarshal(doc.BOM, &bom); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range bom.Components {
		if len(c.Licenses) == 0 || c.Purl == "" {
			t.Errorf("%s has no license or no address", c.Name)
		}
		if c.Name == "github.com/google/licensecheck" {
			if c.Version != "v0.3.1" || c.Licenses[0].License.ID != "BSD-3-Clause" || len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64 {
				t.Errorf("%+v", c)
			}
		}
		seen[c.Name] = true
	}
	for _, want := range []string{"std", "github.com/google/licensecheck", "github.com/CycloneDX/cyclonedx-go"} {
		if !seen[want] {
			t.Errorf("%s is missing among %d components", want, len(seen))
		}
	}
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.6" || !strings.Contains(string(doc.Licenses), "Copyright (c) 2019 The Go Authors") {
		t.Errorf("format %s %s, %d bytes of licenses", bom.BOMFormat, bom.SpecVersion, len(doc.Licenses))
	}
	again, err := Of(program)
	if err != nil || string(again.BOM) != string(doc.BOM) || string(again.Licenses) != string(doc.Licenses) {
		t.Errorf("the second document differs: %v", err)
	}
}

func TestForeignLicenseIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := legalOf("github.com/souk-shop/nothing", "v0.0.0"); err == nil {
		t.Error("a module that is nowhere has a license")
	}
	for file, want := range map[string]bool{"LICENSE": true, "license.md": true, "LICENSE-MIT": true, "COPYING.txt": true, "license.go": false, "LICENSES": false} {
		if named(file, "LICENSE", "COPYING") != want {
			t.Errorf("%s counts as a license: %v", file, !want)
		}
	}
}
