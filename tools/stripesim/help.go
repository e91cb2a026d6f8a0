package stripesim

import (
	_ "embed" // for the text of the package's documentation
	"strings"
)

//go:embed doc.go
var doc string

// Help is the package's documentation, for a terminal.
func Help() string {
	var out strings.Builder
	for line := range strings.Lines(doc) {
		if text, ok := strings.CutPrefix(line, "//"); ok {
			out.WriteString(strings.TrimPrefix(text, " "))
		}
	}
	return out.String()
}
