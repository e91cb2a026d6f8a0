package api

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(specification)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// What is served is what openapi.yaml says, for whom it says.
func TestOperationsMatchDocument(t *testing.T) {
	t.Parallel()
	doc := loadDocument(t)
	served := map[string]operation{}
	for _, op := range new(API).operations() {
		served[op.method+" "+op.path] = op
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + path
			have, ok := served[name]
			if !ok {
				t.Errorf("%s is not served", name)
			}
			delete(served, name)
			scope, _ := op.Extensions["x-scope"].(string)
			if got := accessOf(op.Security); got != have.access || scope != have.scope.String() || op.OperationID != have.id {
				t.Errorf("%s: %s, access %d, scope %q, served as %s with %d, %q", name, op.OperationID, got, scope, have.id, have.access, have.scope)
			}
			if op.Summary == "" || op.Description == "" || op.OperationID == "" {
				t.Errorf("%s is not described", name)
			}
		}
	}
	for name := range served {
		t.Errorf("%s is not in the document", name)
	}
}

// Generators of clients in other languages take the document: no hints for one of
// them, no two components of one name, ids and amounts of one kind.
func TestDocumentIsClean(t *testing.T) {
	t.Parallel()
	for _, line := range strings.Split(string(specification), "\n") {
		for _, hint := range []string{"x-go", "x-order", "x-enum", "x-oapi"} {
			if strings.Contains(line, hint) {
				t.Errorf("a hint for a generator: %s", line)
			}
		}
	}
	doc := loadDocument(t)
	for name := range doc.Components.Responses {
		if doc.Components.Schemas[name] != nil {
			t.Errorf("a response and a schema are both called %s", name)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security == nil {
				t.Errorf("%s %s says nothing of security", method, path)
			}
			for status, ref := range op.Responses.Map() {
				if ref.Value.Headers["RateLimit-Remaining"] == nil {
					t.Errorf("%s %s: %s has no RateLimit headers", method, path, status)
				}
			}
		}
	}
	for schema, ref := range doc.Components.Schemas {
		for name, property := range ref.Value.Properties {
			p := property.Value
			if id := name == "id" || strings.HasSuffix(name, "_id") && name != "trace_id" && name != "message_id" && name != "webhook_id"; id && p.Format != "uuid" {
				t.Errorf("%s.%s is no uuid", schema, name)
			}
			if name == "amount" && (p.Max == nil || *p.Max != 1<<53-1) && !p.Type.Is("object") && property.Ref == "" {
				t.Errorf("%s.%s may be more than JavaScript can count", schema, name)
			}
			if name == "email" && p.Format != "email" {
				t.Errorf("%s.%s is no e-mail address", schema, name)
			}
		}
	}
}

func accessOf(security *openapi3.SecurityRequirements) access {
	if security == nil {
		return 255
	}
	if len(*security) == 0 {
		return anyone
	}
	var schemes []string
	for _, need := range *security {
		schemes = append(schemes, strings.Join(slices.Collect(maps.Keys(need)), "+"))
	}
	switch strings.Join(schemes, ",") {
	case ",operator":
		return anyone
	case ",shopper":
		return guest
	case "shopper":
		return shopper
	case "shopper,operator":
		return owner
	case "operator":
		return operatorly
	}
	return 255
}

// Examples in the document are valid.
func TestDocumentExamples(t *testing.T) {
	t.Parallel()
	doc := loadDocument(t)
	all := map[string]*problem.Type{}
	for _, t := range problem.All() {
		all[t.URI()] = t
	}
	for name, ref := range doc.Components.Responses {
		for _, media := range ref.Value.Content {
			if media.Example == nil {
				continue
			}
			if err := media.Schema.Value.VisitJSON(media.Example); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			p := media.Example.(map[string]any)
			k := all[p["type"].(string)]
			if k == nil || float64(k.Status) != p["status"] || k.Title != p["title"] {
				t.Errorf("%s: the example %v is not a problem of ours: %+v", name, p, k)
			}
		}
	}
	for name, ref := range doc.Components.Schemas {
		if ref.Value.Example != nil {
			if err := ref.Value.VisitJSON(ref.Value.Example); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The document lists the types of problems that there are.
func TestProblemTypesMatchDocument(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, p := range problem.All() {
		want = append(want, p.Slug)
	}
	text := loadDocument(t).Components.Schemas["Problem"].Value.Properties["type"].Value.Description
	_, list, _ := strings.Cut(text, "one of")
	for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(list, -1) {
		got = append(got, quoted[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("the document has the types %v, want %v", got, want)
	}
}

// The generated files are those of the document.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := []string{"openapi.yaml", "openapi.gen.go", "docs.gen.html"}
	document, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, files[0]), document, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./apigen", filepath.Join(dir, files[0]), filepath.Join(dir, files[1]), filepath.Join(dir, files[2]))
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("apigen: %v\n%s", err, msg)
	}
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != string(want) {
			t.Errorf("%s is not current: go generate ./internal/api (%v)", file, err)
		}
	}
}

// JSON is sent in the order that the document has.
func TestFieldOrder(t *testing.T) {
	t.Parallel()
	doc, err := encode(Problem{Type: "a", Title: "b", Status: 1, Detail: "c"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(doc.Plain.Bytes), `{"type":"a","title":"b","status":1,"detail":"c"}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		`{"sku":"A","quantity":1}`, `{"sku":"A","quantity":1e400}`, `{"sku":"\u0000"}`, `{"sku":"\\u0000","quantity":1}`,
		`{"lines":[{"sku":"A","quantity":1}]}`, `[`, `{}x`, "\xff", `{"a":{"b":[1,2,{"c":null}]}}`, `{"cart_id":"x","shipping_address":{}}`,
		`{"sku":"A","sku":"B","quantity":1}`, `{"SKU":"A","quantity":1}`, `{"lines":[{"\\u0073ku":"A","sku":"A","quantity":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	bodies := []func(*reader){
		new(Line).read, new(Lines).read, new(NewCart).read, new(Checkout).read, new(RefundInput).read, new(ProductInput).read,
		new(StockAdjustment).read, new(PriceChanges).read, new(Quantity).read, new(ReconciliationWindow).read,
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range bodies {
			err := readJSON(data, read)
			if err == nil {
				continue
			}
			var own *problem.Error
			if !errors.As(err, &own) {
				t.Errorf("error of another kind: %v", err)
			}
			if status := problem.As(err).Type.Status; status != 400 {
				t.Errorf("status %d: %v", status, err)
			}
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	const header = "code,sku,name,category,price,currency\n"
	for _, seed := range []string{header + "A,A,N,c,1.00,GBP\n", header, "", "\"", header + "A,A,\"N,c,1.00,GBP\n", "\xef\xbb\xbf" + header, header + "A,A,\xff,c,1,GBP\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		products, err := catalog.ReadCSV(strings.NewReader(data))
		if err != nil {
			if !problem.Is(err, problem.InvalidCSV) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		codes, skus := map[string]bool{}, map[string]bool{}
		for i := range products {
			p := &products[i]
			if fields := catalog.CheckProduct(p); len(fields) > 0 || codes[p.Code] {
				t.Errorf("a wrong product got through: %v, %v", p, fields)
			}
			codes[p.Code] = true
			for _, v := range p.Variants {
				if skus[v.SKU] || v.Price.Units <= 0 {
					t.Errorf("a wrong variant got through: %v", v)
				}
				skus[v.SKU] = true
			}
		}
		if len(products) == 0 {
			t.Error("a file without products is taken")
		}
	})
}

// A deprecated operation says so by itself.
func TestDeprecation(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	(&deprecation{1796083200, 1811808000}).announce(h)
	h.Add("Link", `</next>; rel="next"`)
	if h.Get("Deprecation") != "@1796083200" || h.Get("Sunset") != "Tue, 01 Jun 2027 00:00:00 GMT" || len(h.Values("Link")) != 2 {
		t.Errorf("%v", h)
	}
	var none *deprecation
	none.announce(h)
	for cell, want := range map[string]string{"": "", "=1+1": "'=1+1", "@a": "'@a", "-1": "'-1", "\tx": "'\tx", "Ada": "Ada", "12 High St": "12 High St"} {
		if got := unformula(cell); got != want {
			t.Errorf("%q is %q", cell, got)
		}
	}
}
