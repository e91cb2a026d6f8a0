// Package fieldorder keeps the order in which an OpenAPI document names the
// properties of its schemas: that is the order of the JSON that is sent, and of
// the tables that explain it. Parsers of OpenAPI forget it, and sort by name.
package fieldorder

import (
	"slices"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// extension numbers a property. oapi-codegen goes by it, too.
const extension = "x-order"

// Mark returns the document with a number on every property.
func Mark(document []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	mark(&doc)
	return yaml.Marshal(&doc)
}

// mark numbers the properties of every schema under a node.
func mark(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "properties" {
				number(n.Content[i+1])
			}
		}
	}
	for _, child := range n.Content {
		mark(child)
	}
}

func number(properties *yaml.Node) {
	for i := 1; i < len(properties.Content); i += 2 {
		if p := properties.Content[i]; p.Kind == yaml.MappingNode {
			p.Content = append(p.Content,
				&yaml.Node{Kind: yaml.ScalarNode, Value: extension},
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(i/2 + 1)})
		}
	}
}

// Names are the names of a schema's properties in the order of a marked document.
func Names(properties openapi3.Schemas) []string {
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return position(properties[a]) - position(properties[b]) })
	return names
}

// position is on the reference where there is one: what it refers to has its
// place elsewhere.
func position(ref *openapi3.SchemaRef) int {
	n, ok := ref.Extensions[extension].(float64)
	if !ok && ref.Ref == "" {
		n, _ = ref.Value.Extensions[extension].(float64)
	}
	return int(n)
}
