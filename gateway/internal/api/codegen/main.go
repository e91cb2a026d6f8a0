// Command codegen writes the Go code of openapi.yaml with the fields of each
// type in the document's order. oapi-codegen alone sorts them by name.
//
//	codegen generator config.yaml openapi.yaml
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/souk-shop/souk/gateway/internal/api/fieldorder"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: codegen generator config.yaml openapi.yaml")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "codegen:", err)
		os.Exit(1)
	}
}

// generate runs the generator, a package at a version, on the marked document.
func generate(generator, config, document string) error {
	source, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	marked, err := fieldorder.Mark(source)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "codegen")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, filepath.Base(document))
	if err := os.WriteFile(file, marked, 0o600); err != nil {
		return err
	}
	cmd := exec.Command("go", "run", generator, "-config", config, file)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", generator, err)
	}
	return nil
}
