// Command generate writes the dashboards as Grafana reads them.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/souk-shop/souk/tools/internal/dashboards"
)

// root of the repository, from the package of the go:generate line.
const root = "../../.."

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate() error {
	if err := os.MkdirAll(filepath.Join(root, dashboards.Folder), 0o755); err != nil {
		return err
	}
	for _, d := range dashboards.All() {
		text, err := d.Grafana()
		if err != nil {
			return fmt.Errorf("%s: %w", d.UID, err)
		}
		if err := os.WriteFile(filepath.Join(root, d.File()), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
