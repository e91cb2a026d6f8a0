// Command generate writes what is made of the topology: the chart's file, and the
// picture in the docs.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/souk-shop/souk/tools/internal/topology"
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
	if err := os.WriteFile(filepath.Join(root, topology.Chart), topology.YAML(), 0o644); err != nil {
		return err
	}
	for _, name := range topology.Documents {
		name = filepath.Join(root, name)
		old, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if drawn, ok := topology.Draw(string(old)); ok {
			if err := os.WriteFile(name, []byte(drawn), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
