// Command apigen makes what is generated from openapi.yaml, so that the gateway
// needs no parser for it when it runs: the types of its documents with the code
// that reads requests by its rules, and the page that explains it to people.
//
//	apigen openapi.yaml openapi.gen.go docs.gen.html
package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: apigen openapi.yaml openapi.gen.go docs.gen.html")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "apigen:", err)
		os.Exit(1)
	}
}

func generate(document, codeFile, docsFile string) error {
	source, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	listed, err := listTypes(source)
	if err != nil {
		return err
	}
	if !bytes.Equal(listed, source) {
		if err := os.WriteFile(document, listed, 0o644); err != nil {
			return err
		}
	}
	marked, err := mark(listed)
	if err != nil {
		return err
	}
	doc, err := openapi3.NewLoader().LoadFromData(marked)
	if err != nil {
		return err
	}
	source, err = code(doc)
	if err != nil {
		return err
	}
	page, err := docs(doc)
	if err != nil {
		return err
	}
	if err := os.WriteFile(codeFile, source, 0o644); err != nil {
		return err
	}
	return os.WriteFile(docsFile, page, 0o644)
}

// parameters are those of an operation: the path's, unless it has its own of the
// same name, then its own.
func parameters(item *openapi3.PathItem, op *openapi3.Operation) openapi3.Parameters {
	var all openapi3.Parameters
	for _, p := range item.Parameters {
		if op.Parameters.GetByInAndName(p.Value.In, p.Value.Name) == nil {
			all = append(all, p)
		}
	}
	return slices.Concat(all, op.Parameters)
}
