package main

import (
	_ "embed" // for the documentation
	"strings"
)

//go:embed doc.go
var doc string

// help is the command's documentation, for a terminal.
func help() string {
	var out strings.Builder
	for line := range strings.Lines(doc) {
		if text, ok := strings.CutPrefix(line, "//"); ok {
			out.WriteString(strings.TrimPrefix(text, " "))
		}
	}
	return out.String()
}
