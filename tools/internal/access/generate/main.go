// Command generate writes docs/access.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/souk-shop/souk/tools/internal/access"
)

// root of the repository, from the package of the go:generate line.
const root = "../../.."

func main() {
	text, err := access.Document(root)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, access.File), []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
