package api

import (
	"errors"
	"maps"
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

// The table of operations says what openapi.yaml says.
func TestOperationsMatchDocument(t *testing.T) {
	t.Parallel()
	doc := loadDocument(t)
	seen := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + path
			seen[name] = true
			have := operations[name]
			if have == nil {
				t.Errorf("%s is not in the table", name)
				continue
			}
			var query []string
			for _, p := range append(slices.Clone(item.Parameters), op.Parameters...) {
				if p.Value.In == "query" {
					query = append(query, p.Value.Name)
				}
			}
			if !slices.Equal(query, have.query) {
				t.Errorf("%s: query %v, the table has %v", name, query, have.query)
			}
			json, csv, optional := false, false, false
			if op.RequestBody != nil {
				json, csv = op.RequestBody.Value.Content["application/json"] != nil, op.RequestBody.Value.Content["text/csv"] != nil
				optional = !op.RequestBody.Value.Required
			}
			if json != (have.body != nil) || csv != have.csv || optional != have.optional {
				t.Errorf("%s: the table has another body", name)
			}
			if got := accessOf(op.Security); got != have.access {
				t.Errorf("%s: access %d, the table has %d", name, got, have.access)
			}
			if op.Summary == "" || op.Description == "" || op.OperationID == "" {
				t.Errorf("%s is not described", name)
			}
		}
	}
	for name := range operations {
		if !seen[name] {
			t.Errorf("%s is not in the document", name)
		}
	}
}

func accessOf(security *openapi3.SecurityRequirements) access {
	if security == nil {
		return anyone
	}
	var schemes []string
	for _, need := range *security {
		schemes = append(schemes, strings.Join(slices.Collect(maps.Keys(need)), "+"))
	}
	switch strings.Join(schemes, ",") {
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
	out := filepath.Join(t.TempDir(), "docs.html")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./docgen", "openapi.yaml", out)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docgen: %v\n%s", err, msg)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(docsPage) {
		t.Error("docs.gen.html is not current: go generate ./internal/api")
	}
}

// Names of fields are such that equal but for case means equal, on which
// checkNames rests.
func TestFieldNames(t *testing.T) {
	t.Parallel()
	for name, ref := range loadDocument(t).Components.Schemas {
		for field := range ref.Value.Properties {
			if !plainName(field) {
				t.Errorf("%s.%s is not in small letters", name, field)
			}
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
	if got, want := string(doc.body), `{"type":"a","title":"b","status":1,"detail":"c"}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"sku":"A","quantity":1}`, `{"sku":"A","quantity":1e400}`, `{"sku":"\u0000"}`, `{"sku":"\\u0000","quantity":1}`,
		`{"lines":[{"sku":"A","quantity":1}]}`, `[`, `{}x`, "\xff", `{"a":{"b":[1,2,{"c":null}]}}`, `{"cart_id":"x","shipping_address":{}}`,
		`{"sku":"A","sku":"B","quantity":1}`, `{"SKU":"A","quantity":1}`, `{"lines":[{"\\u0073ku":"A","sku":"A","quantity":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	bodies := []func() checker{
		func() checker { return new(Line) }, func() checker { return new(Lines) }, func() checker { return new(NewCart) },
		func() checker { return new(Checkout) }, func() checker { return new(RefundInput) }, func() checker { return new(ProductInput) },
		func() checker { return new(StockAdjustment) }, func() checker { return new(PriceChanges) }, func() checker { return new(Quantity) },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, body := range bodies {
			err := decodeJSON(data, body())
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
			if fields := catalog.CheckProduct("", p); len(fields) > 0 || codes[p.Code] {
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
