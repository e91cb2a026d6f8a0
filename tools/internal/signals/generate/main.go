// Command generate writes docs/telemetry-reference.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/souk-shop/souk/tools/internal/signals"
)

// root of the repository, from the package of the go:generate line.
const root = "../../.."

func main() {
	text, err := signals.Document(root)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, signals.File), []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
