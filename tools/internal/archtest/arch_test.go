package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/souk-shop/souk/"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// TestImports compares the workspace's imports with the rules. go test does not
// notice what changed in another module: run it with -count=1.
func TestImports(t *testing.T) {
	t.Parallel()
	packages := workspace(t)
	if len(packages) < 50 {
		t.Fatalf("only %d packages", len(packages))
	}
	for _, p := range packages {
		from := name(p.ImportPath)
		for _, imports := range []struct {
			paths []string
			test  bool
		}{{p.Imports, false}, {p.TestImports, true}, {p.XTestImports, true}} {
			for _, path := range imports.paths {
				to := name(path)
				for _, r := range rules {
					if (r.tests || !imports.test) && r.breaks(from, to) {
						t.Errorf("%s imports %s: %s", from, to, r.name)
					}
				}
			}
		}
	}
}

// TestRules: each rule finds the import that breaks it.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		if !r.breaks(r.broken[0], r.broken[1]) {
			t.Errorf("%s: %s may import %s", r.name, r.broken[0], r.broken[1])
		}
	}
}

// breaks reports whether an import breaks the rule.
func (r rule) breaks(from, to string) bool {
	whole := func(pattern string) *regexp.Regexp { return regexp.MustCompile("^(?:" + pattern + ")$") }
	in := whole(r.from)
	groups := in.FindStringSubmatch(from)
	if groups == nil || slices.ContainsFunc(r.but, func(p string) bool { return whole(p).MatchString(from) }) {
		return false
	}
	matches := func(pattern string) bool {
		for i, group := range in.SubexpNames() {
			if group != "" {
				pattern = strings.ReplaceAll(pattern, "{"+group+"}", regexp.QuoteMeta(groups[i]))
			}
		}
		return whole(pattern).MatchString(to)
	}
	return slices.ContainsFunc(r.not, matches) || len(r.only) > 0 && !slices.ContainsFunc(r.only, matches)
}

// name is a package's name in the table.
func name(path string) string {
	if short, ok := strings.CutPrefix(path, module); ok {
		return short
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return "std:" + path
	}
	return path
}

// workspace lists all packages of all modules.
func workspace(t *testing.T) []pkg {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "work")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"))
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
