package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"log"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed docs.html
var docsSource string

type group struct {
	Name, Description string
	Operations        []operation
}

type operation struct {
	ID, Method, Path, Summary, Description, Who string
	Params                                      []param
	Body                                        string // schema's name, or media type
	BodyExample                                 string
	Responses                                   []response
}

type param struct {
	Name, In, Type, Description string
	Required                    bool
}

type response struct {
	Status, Description, Schema string
	Headers                     []string
}

type schema struct {
	Name, Description, Example string
	Values                     string
	Fields                     []param
}

// docs renders the page that people read.
func docs(doc *openapi3.T) ([]byte, error) {
	var groups []group
	for _, tag := range doc.Tags {
		g := group{Name: tag.Name, Description: tag.Description}
		for _, path := range doc.Paths.InMatchingOrder() {
			item := doc.Paths.Value(path)
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
				op := item.GetOperation(method)
				if op == nil || op.Tags[0] != tag.Name {
					continue
				}
				g.Operations = append(g.Operations, newOperation(item, op, method, path))
			}
		}
		slices.SortStableFunc(g.Operations, func(a, b operation) int { return strings.Compare(a.Path, b.Path) })
		groups = append(groups, g)
	}
	var schemas []schema
	for name, ref := range doc.Components.Schemas {
		schemas = append(schemas, newSchema(name, ref.Value))
	}
	slices.SortFunc(schemas, func(a, b schema) int { return strings.Compare(a.Name, b.Name) })
	page := template.Must(template.New("docs").Funcs(template.FuncMap{"text": text}).Parse(docsSource))
	var buf bytes.Buffer
	err := page.Execute(&buf, map[string]any{"Info": doc.Info, "Groups": groups, "Schemas": schemas})
	return buf.Bytes(), err
}

func newOperation(item *openapi3.PathItem, op *openapi3.Operation, method, path string) operation {
	out := operation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description}
	if op.Security != nil {
		var who []string
		for _, need := range *op.Security {
			if len(need) == 0 {
				who = append(who, "anyone")
			}
			for scheme := range need {
				who = append(who, scheme)
			}
		}
		out.Who = strings.Join(who, " or ")
		if scope, ok := op.Extensions["x-scope"].(string); ok {
			out.Who += " with the scope " + scope
		}
	}
	for _, p := range parameters(item, op) {
		out.Params = append(out.Params, param{p.Value.Name, p.Value.In, typeOf(p.Value.Schema), p.Value.Description, p.Value.Required})
	}
	if op.RequestBody != nil {
		for media, content := range op.RequestBody.Value.Content {
			out.Body = media
			if name := refName(content.Schema.Ref); name != "" {
				out.Body = name
			}
			if s, ok := content.Example.(string); ok {
				out.BodyExample = s
			}
		}
	}
	for _, status := range op.Responses.Keys() {
		ref := op.Responses.Value(status)
		r := response{Status: status, Description: *ref.Value.Description}
		for name := range ref.Value.Headers {
			if !strings.HasPrefix(name, "RateLimit-") { // every answer has these
				r.Headers = append(r.Headers, name)
			}
		}
		slices.Sort(r.Headers)
		for _, content := range ref.Value.Content {
			r.Schema = refName(content.Schema.Ref)
		}
		out.Responses = append(out.Responses, r)
	}
	slices.SortFunc(out.Responses, func(a, b response) int { return strings.Compare(a.Status, b.Status) })
	return out
}

func newSchema(name string, s *openapi3.Schema) schema {
	out := schema{Name: name, Description: s.Description}
	if len(s.Enum) > 0 {
		out.Values = strings.Trim(fmt.Sprint(s.Enum), "[]")
	}
	if s.Example != nil {
		out.Example = indented(s.Example, s)
	}
	for _, field := range names(s.Properties) {
		ref := s.Properties[field]
		out.Fields = append(out.Fields, param{
			Name: field, Type: typeOf(ref), Description: ref.Value.Description, Required: slices.Contains(s.Required, field),
		})
	}
	return out
}

// indented writes an example with the fields in the schema's order.
func indented(example any, s *openapi3.Schema) string {
	var out bytes.Buffer
	if err := json.Indent(&out, ordered(example, s), "", "  "); err != nil {
		log.Fatal(err)
	}
	return out.String()
}

func ordered(v any, s *openapi3.Schema) []byte {
	var out bytes.Buffer
	switch v := v.(type) {
	case map[string]any:
		sep := "{"
		for _, name := range names(s.Properties) {
			if field, ok := v[name]; ok {
				fmt.Fprintf(&out, "%s%q:%s", sep, name, ordered(field, s.Properties[name].Value))
				sep = ","
			}
		}
		out.WriteByte('}')
	case []any:
		sep := "["
		for _, item := range v {
			fmt.Fprintf(&out, "%s%s", sep, ordered(item, s.Items.Value))
			sep = ","
		}
		out.WriteByte(']')
	default:
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			log.Fatal(err)
		}
	}
	return out.Bytes()
}

func refName(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

// typeOf says a type and its limits in a few words.
func typeOf(ref *openapi3.SchemaRef) string {
	if name := refName(ref.Ref); name != "" {
		return name
	}
	s := ref.Value
	t := strings.Join(s.Type.Slice(), " or ")
	if t == "array" {
		return "list of " + typeOf(s.Items)
	}
	if s.Format == "uuid" || s.Format == "date-time" {
		t = s.Format
	}
	if len(s.Enum) > 0 {
		t = strings.Trim(fmt.Sprint(s.Enum), "[]")
	}
	if s.Min != nil {
		t += fmt.Sprintf(", from %.0f", *s.Min)
	}
	if s.Max != nil {
		t += fmt.Sprintf(", to %.0f", *s.Max)
	}
	if s.MaxLength != nil {
		t += fmt.Sprintf(", at most %d characters", *s.MaxLength)
	}
	if s.Default != nil {
		t += fmt.Sprintf(", default %v", s.Default)
	}
	return t
}

var (
	bold = regexp.MustCompile(`\*\*(.+?)\*\*`)
	tick = regexp.MustCompile("`(.+?)`")
	em   = regexp.MustCompile(`\*(\w+)\*`)
)

// text shows the little Markdown that descriptions use: paragraphs, bold,
// emphasis, code, and blocks of code, indented by four spaces.
func text(s string) template.HTML {
	var out strings.Builder
	for p := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
		h := template.HTMLEscapeString(p)
		if strings.HasPrefix(p, "    ") {
			out.WriteString(`<pre tabindex="0">` + strings.TrimPrefix(strings.ReplaceAll(h, "\n    ", "\n"), "    ") + "</pre>\n")
			continue
		}
		h = bold.ReplaceAllString(h, "<strong>$1</strong>")
		h = tick.ReplaceAllString(h, "<code>$1</code>")
		h = em.ReplaceAllString(h, "<em>$1</em>")
		out.WriteString("<p>" + h + "</p>\n")
	}
	return template.HTML(out.String())
}
