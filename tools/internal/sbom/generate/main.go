// Command generate writes, for each program that it is given, PROGRAM.cdx.json and
// PROGRAM.licenses.txt beside it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/souk-shop/souk/tools/internal/sbom"
)

func main() {
	var failed error
	for _, program := range os.Args[1:] {
		failed = errors.Join(failed, sbom.Write(program))
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, failed)
		os.Exit(1)
	}
}
