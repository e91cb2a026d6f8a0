package main

import (
	"slices"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// The order in which the document names the properties of a schema is that of the
// JSON that is sent, and of the tables that explain it. Parsers of OpenAPI forget
// it: extension numbers the properties before one reads the document.
const extension = "x-order"

// mark returns the document with a number on every property.
func mark(document []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	markNode(&doc)
	return yaml.Marshal(&doc)
}

// markNode numbers the properties of every schema under a node.
func markNode(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "properties" {
				number(n.Content[i+1])
			}
		}
	}
	for _, child := range n.Content {
		markNode(child)
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

// names are the names of a schema's properties in the order of a marked document.
func names(properties openapi3.Schemas) []string {
	all := make([]string, 0, len(properties))
	for name := range properties {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b string) int { return position(properties[a]) - position(properties[b]) })
	return all
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
