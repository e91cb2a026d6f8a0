package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestModulesShareVersions: what two modules of the workspace require, they require in one
// version. Else an image is built with another version than the tests ran with, and
// everything above it is compiled once more for each.
func TestModulesShareVersions(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.GoMod}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?m)^(?:require)?\s+([\w./~-]+\.[\w./~-]+) (v\S+)`)
	type by struct{ version, module string }
	first := map[string]by{}
	shared := 0
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		module := filepath.Base(filepath.Dir(path))
		for _, m := range required.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "github.com/souk-shop/souk/") { // replaced by a folder
				continue
			}
			other, seen := first[m[1]]
			if !seen {
				first[m[1]] = by{m[2], module}
				continue
			}
			shared++
			if other.version != m[2] {
				t.Errorf("%s: %s requires %s, %s requires %s; run go work sync, then go mod tidy in each module", m[1], other.module, other.version, module, m[2])
			}
		}
	}
	if shared == 0 {
		t.Error("the modules share nothing")
	}
}
