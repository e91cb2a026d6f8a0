package gateway

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/souk-shop/souk/gateway/internal/edge/budget"
)

var update = flag.Bool("update", false, "write the tables of docs/limits.md")

// TestEveryOperationHasACost: the table of costs has a row for each operation of
// openapi.yaml and each page, with a reason, and none of what there is not.
func TestEveryOperationHasACost(t *testing.T) {
	t.Parallel()
	routes := map[string]bool{}
	for path, item := range document.Paths.Map() {
		for method := range item.Operations() {
			routes[method+" "+path] = true
		}
	}
	source, err := os.ReadFile("internal/storefront/storefront.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?:s\.page|mux\.Handle)\("([A-Z]+ /[^"]*)"`).FindAllStringSubmatch(string(source), -1) {
		routes[strings.TrimSuffix(m[1], "{$}")] = true
	}
	if len(routes) < 45 {
		t.Fatalf("only %d routes were found", len(routes))
	}
	for i := range budget.Operations {
		op := &budget.Operations[i]
		if !routes[op.String()] {
			t.Errorf("%s has a cost, and there is no such route", op)
		}
		delete(routes, op.String())
		takesBody := op.Method == http.MethodPost || op.Method == http.MethodPut || op.Method == http.MethodPatch
		if op.Cost < 1 || op.Reason == "" || takesBody != (op.Body > 0) || takesBody && op.Held == 0 {
			t.Errorf("%s: %+v", op, op)
		}
	}
	for route := range routes {
		t.Errorf("%s has no row in budget.Operations", route)
	}
}

// TestLimitsAreDocumented: docs/limits.md has the tables as the code has them.
func TestLimitsAreDocumented(t *testing.T) {
	t.Parallel()
	const file, begin, end = "../docs/limits.md", "<!-- costs -->\n", "<!-- /costs -->\n"
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| operation | units | body | why |\n|---|---|---|---|\n")
	for _, op := range append(budget.Operations, budget.Other) {
		name := "`" + op.String() + "`"
		if op.Path == "" {
			name = "anything else"
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", name, units(op), size(op.Body), op.Reason)
	}
	before, rest, ok := strings.Cut(string(was), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no table between %q and %q", file, begin, end)
	}
	if old == table.String() {
		return
	}
	if !*update {
		t.Fatalf("the table of costs in %s is old: go test ./gateway -run %s -update", file, t.Name())
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func units(op budget.Operation) string {
	out := fmt.Sprint(op.Cost)
	if op.Searched > 0 {
		out += fmt.Sprintf(", with a search %g", op.Cost+op.Searched)
	}
	if op.Kilobyte > 0 {
		out += fmt.Sprintf(", and %g for each KiB", op.Kilobyte)
	}
	return out
}

func size(n int64) string {
	switch {
	case n == 0:
		return ""
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
