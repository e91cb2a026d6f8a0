// Package docstest compares the documents with the code: the names of metrics and
// spans, the tests that promises name, and the files that links lead to.
package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../../.."

// metric is a method of metric.Meter that makes an instrument.
var metric = regexp.MustCompile(`^(Int64|Float64)(Observable)?(Counter|UpDownCounter|Histogram|Gauge)$`)

// TestEveryNameIsDocumented: a metric, or a span of ours, that the code names as a
// literal is a row of the document, and the reverse.
func TestEveryNameIsDocumented(t *testing.T) {
	t.Parallel()
	code := inCode(t)
	if len(code) < 5 {
		t.Fatalf("found only %v", code)
	}
	source, err := os.ReadFile(filepath.Join(root, "docs/telemetry.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_.]+)` \\|").FindAllStringSubmatch(string(source), -1) {
		documented[row[1]] = true
	}
	for _, name := range slices.Sorted(maps.Keys(code)) {
		if !documented[name] {
			t.Errorf("%s, of %s, has no row in docs/telemetry.md", name, code[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if code[name] == "" {
			t.Errorf("docs/telemetry.md has %s, and the code does not", name)
		}
	}
}

// inCode returns the names that the code gives to metrics and spans, with a file of
// each.
func inCode(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	for _, module := range []string{"services", "gateway", "tools"} {
		err := filepath.WalkDir(filepath.Join(root, module), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if name := named(n); name != "" {
					names[name] = path
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// named returns the name of the metric or span that a call makes, if it is a
// literal: meter.Int64Counter("name", ...), tracer.Start(ctx, "name", ...).
func named(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	at := -1
	switch {
	case metric.MatchString(method.Sel.Name):
		at = 0
	case method.Sel.Name == "Start" && len(call.Args) >= 2:
		at = 1
	}
	if at < 0 || at >= len(call.Args) {
		return ""
	}
	literal, ok := call.Args[at].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	name, _ := strconv.Unquote(literal.Value)
	if !strings.Contains(name, ".") {
		return ""
	}
	return name
}
