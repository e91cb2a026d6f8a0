package problem

import (
	"bytes"
	_ "embed"
	"html/template"
	"maps"
	"slices"
	"strings"
)

//go:embed problem.html
var pageSource string

//go:embed problems.html
var listSource string

var (
	pageTemplate = template.Must(template.New("problem").Parse(pageSource))
	listTemplate = template.Must(template.New("problems").Parse(listSource))
)

// All returns every type, by slug.
func All() []*Type {
	bySlug := map[string]*Type{}
	for _, t := range own {
		bySlug[t.Slug] = t
	}
	for _, t := range reported {
		bySlug[t.Slug] = t
	}
	return slices.SortedFunc(maps.Values(bySlug), func(a, b *Type) int { return strings.Compare(a.Slug, b.Slug) })
}

// Pages returns the HTML pages that explain the types, by path: one for each, and
// the list of all at /problems/.
func Pages() map[string][]byte {
	all := All()
	pages := map[string][]byte{Path: page(listTemplate, all)}
	for _, t := range all {
		pages[t.URI()] = page(pageTemplate, t)
	}
	return pages
}

func page(t *template.Template, view any) []byte {
	var buf bytes.Buffer
	if err := t.Execute(&buf, view); err != nil {
		panic(err) // the templates are ours
	}
	return buf.Bytes()
}
