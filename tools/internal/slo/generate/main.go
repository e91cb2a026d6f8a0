// Command generate writes what is made of the objectives: the rules of Prometheus and the
// routes of Alertmanager.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/souk-shop/souk/tools/internal/slo"
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
	for name, render := range map[string]func() ([]byte, error){slo.RulesFile: slo.Rules, slo.AlertmanagerFile: slo.Alertmanager} {
		text, err := render()
		if err != nil {
			return err
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
