package signals

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// code is what the code says of what it emits, read from its source.
type code struct {
	instruments map[string]Metric
	// spans are the names, or what literals their names begin with, events those of spans'
	// events, and fields those of log lines; each with a file.
	spans, events, fields map[string]string
	// unreadable are the places where a name is no literal.
	unreadable []string
}

// readCode reads what is shipped, the simulator, and what runs the shop on a laptop.
func readCode(root string) (*code, error) {
	c := &code{instruments: map[string]Metric{}, spans: map[string]string{}, events: map[string]string{}, fields: map[string]string{}}
	for _, folder := range []string{"services", "gateway", "tools/stripesim", "tools/internal/localshop"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && strings.HasSuffix(path, "test") { // packages for tests
				return filepath.SkipDir
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			short, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					c.call(call, filepath.ToSlash(short))
				}
				return true
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

var (
	// creates is a method of metric.Meter that makes an instrument.
	creates = regexp.MustCompile(`^(?:Int64|Float64)(?:Observable)?(Counter|UpDownCounter|Histogram|Gauge)$`)
	// logs are methods of slog.Logger, and of what is like it.
	logs = regexp.MustCompile(`^(?:Debug|Info|Warn|Error)(Context)?$`)
	// fieldOf are functions of slog that make a field.
	fieldOf   = regexp.MustCompile(`^(?:String|Int|Int64|Uint64|Float64|Bool|Time|Duration|Any|Group)$`)
	fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	kinds     = map[string]string{"Counter": "counter", "UpDownCounter": "up-down counter", "Histogram": "histogram", "Gauge": "gauge"}
)

func (c *code) call(call *ast.CallExpr, file string) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	name := method.Sel.Name
	switch {
	case creates.MatchString(name) && len(call.Args) > 1:
		c.instrument(kinds[creates.FindStringSubmatch(name)[1]], call, file)
	case name == "Start" && len(call.Args) >= 2 && strings.HasSuffix(strings.ToLower(last(method.X)), "tracer"):
		// A name that is no literal is that of a request, which the gateway's tests know.
		if begin := beginning(call.Args[1]); begin != "" {
			c.spans[begin] = file
		}
	case name == "AddEvent" && len(call.Args) > 0:
		if event := beginning(call.Args[0]); event != "" {
			c.events[event] = file
		} else {
			c.unreadable = append(c.unreadable, file+": an event of a span")
		}
	case fmt.Sprint(method.X) == "slog":
		if fieldOf.MatchString(name) && len(call.Args) > 0 {
			c.field(call.Args[0], file)
		}
	case logs.MatchString(name):
		first := 1
		if logs.FindStringSubmatch(name)[1] != "" {
			first = 2
		}
		c.pairs(call.Args, first, file)
	case name == "With":
		c.pairs(call.Args, 0, file)
	}
}

// pairs reads the names among names and values; a field made by slog's functions is one argument.
func (c *code) pairs(args []ast.Expr, first int, file string) {
	for i := first; i < len(args); i++ {
		if literal, ok := args[i].(*ast.BasicLit); ok && i+1 < len(args) {
			c.field(literal, file)
			i++
		}
	}
}

func (c *code) field(e ast.Expr, file string) {
	if name := beginning(e); fieldName.MatchString(name) {
		c.fields[name] = file
	}
}

func (c *code) instrument(kind string, call *ast.CallExpr, file string) {
	m := Metric{Name: beginning(call.Args[0]), Kind: kind, Where: filepath.ToSlash(filepath.Dir(file))}
	for _, arg := range call.Args[1:] {
		option, ok := arg.(*ast.CallExpr)
		if !ok || len(option.Args) == 0 {
			continue
		}
		switch last(option.Fun) {
		case "WithUnit":
			m.Unit = beginning(option.Args[0])
		case "WithDescription":
			m.Brief = beginning(option.Args[0])
		}
	}
	if m.Name == "" || m.Unit == "" || m.Brief == "" {
		c.unreadable = append(c.unreadable, fmt.Sprintf("%s: the name, unit and description of %q", file, m.Name))
	}
	if other, twice := c.instruments[m.Name]; twice {
		c.unreadable = append(c.unreadable, fmt.Sprintf("%s is created in %s and in %s", m.Name, other.Where, m.Where))
	}
	c.instruments[m.Name] = m
}

// last is the last name of a.b.c, or of what a call calls.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.CallExpr:
		return last(e.Fun)
	}
	return ""
}

// beginning is a literal, or the literals that a sum begins with.
func beginning(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return text
		}
	case *ast.BinaryExpr:
		left := beginning(e.X)
		if _, whole := e.X.(*ast.BasicLit); whole {
			return left + beginning(e.Y)
		}
		return left
	}
	return ""
}
