package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/souk-shop/souk/services/chassis/semconv"
)

// TestOurAttributesAreOneList: no code but the list names an attribute of Souk's, and nothing in
// the list is unused.
func TestOurAttributesAreOneList(t *testing.T) {
	t.Parallel()
	const list = "services/chassis/semconv"
	used, files := map[string]bool{}, 0
	for _, module := range []string{"proto", "services", "gateway", "tools", "helm"} {
		err := filepath.WalkDir(filepath.Join(root, module), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/proto/gen/") {
				return err
			}
			files++
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			if !strings.Contains(path, list) {
				for _, name := range namedAttributes(file) {
					t.Errorf("%s names the attribute %s: declare it in %s, and use that", path, name, list)
				}
				for _, constant := range semconvUses(file) {
					used[constant] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 200 {
		t.Fatalf("only %d files", files)
	}
	declared, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, list, "semconv.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	keys := declaredKeys(declared)
	all := semconv.All()
	if len(keys) != len(all) || len(all) < 20 {
		t.Errorf("%d constants, %d declarations", len(keys), len(all))
	}
	for i, a := range all {
		switch {
		case keys[string(a.Key)] == "":
			t.Errorf("%s has no constant", a.Key)
		case !used[keys[string(a.Key)]]:
			t.Errorf("nothing uses semconv.%s", keys[string(a.Key)])
		case a.Brief == "" || len(a.Signals) == 0 || a.Bound == "":
			t.Errorf("%s: want what it says, where it is emitted, and its bound", a.Key)
		case a.Bound == semconv.Unbounded && slices.Contains(a.Signals, semconv.Metric):
			t.Errorf("%s is in metrics and has no bound", a.Key)
		case i > 0 && all[i-1].Key >= a.Key:
			t.Errorf("%s is not in its place by name", a.Key)
		}
	}
}

// TestNamedAttributes: the check above finds what it looks for.
func TestNamedAttributes(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		`attribute.String("souk.order.id", id)`:        true,
		`attribute.Key("souk.parcel.id").String(id)`:   true, // not in the list
		`attribute.Int64("souk.parcel.weight", 1)`:     true,
		`values["souk.order.id"]`:                      true,
		`attribute.String("server.address", host)`:     false,
		`semconv.OrderID.String(id)`:                   false,
		`tracer.Start(ctx, "souk.order.drive")`:        false,
		`meter.Int64Counter("souk.order.declines")`:    false,
		`attribute.KeyValue{Key: "souk.parcel.id"}`:    true,
		`span.AddEvent("souk.order.transition", more)`: false,
	} {
		expr, err := parser.ParseExpr(code)
		if err != nil {
			t.Fatal(err)
		}
		if got := namedAttributes(expr); (len(got) > 0) != want {
			t.Errorf("%s: %q", code, got)
		}
	}
}

// namedAttributes are the names of Souk's attributes, declared or not, that code spells out.
func namedAttributes(code ast.Node) (names []string) {
	ours := func(n ast.Expr) (name string) {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			name, _ = strconv.Unquote(l.Value)
		}
		if strings.HasPrefix(name, "souk.") {
			return name
		}
		return ""
	}
	declared := func(name string) bool {
		return slices.ContainsFunc(semconv.All(), func(a semconv.Attribute) bool { return a.Key == attribute.Key(name) })
	}
	ast.Inspect(code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if name := ours(n); declared(name) {
				names = append(names, name)
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 && fmt.Sprint(s.X) == "attribute" {
				if name := ours(n.Args[0]); name != "" && !declared(name) {
					names = append(names, name)
				}
			}
		case *ast.KeyValueExpr:
			if name := ours(n.Value); name != "" && !declared(name) && fmt.Sprint(n.Key) == "Key" {
				names = append(names, name)
			}
		}
		return true
	})
	return names
}

// semconvUses are the constants of the list that code uses.
func semconvUses(code ast.Node) (constants []string) {
	ast.Inspect(code, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "semconv" {
			constants = append(constants, s.Sel.Name)
		}
		return true
	})
	return constants
}

// declaredKeys are the list's constants by the attribute's name.
func declaredKeys(list *ast.File) map[string]string {
	keys := map[string]string{}
	ast.Inspect(list, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if call, ok := spec.Values[0].(*ast.CallExpr); ok && len(call.Args) == 1 {
			if literal, ok := call.Args[0].(*ast.BasicLit); ok {
				name, _ := strconv.Unquote(literal.Value)
				keys[name] = spec.Names[0].Name
			}
		}
		return true
	})
	return keys
}
