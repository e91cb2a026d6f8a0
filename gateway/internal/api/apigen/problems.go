package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/problem"
)

// The lines around the list of the types of problems in openapi.yaml.
const (
	typesBegin = "explains it: `/problems/` and one of\n"
	typesEnd   = "New ones may be added.\n"
	typesWidth = 118
)

// listTypes returns the document with the list of the gateway's types of problems.
func listTypes(document []byte) ([]byte, error) {
	before, rest, begins := bytes.Cut(document, []byte(typesBegin))
	old, after, ends := bytes.Cut(rest, []byte(typesEnd))
	if !begins || !ends {
		return nil, fmt.Errorf("no list of the types of problems between %q and %q", typesBegin, typesEnd)
	}
	indent := strings.Repeat(" ", len(old)-len(bytes.TrimLeft(old, " ")))
	var list strings.Builder
	line := indent
	for i, t := range problem.All() {
		word := "`" + t.Slug + "`,"
		if i == len(problem.All())-1 {
			word = "`" + t.Slug + "`."
		}
		if len(line)+len(word) > typesWidth {
			list.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += word + " "
	}
	list.WriteString(strings.TrimRight(line, " ") + "\n" + indent)
	return bytes.Join([][]byte{before, []byte(typesBegin + list.String() + typesEnd), after}, nil), nil
}
