// Command sheet writes a page of names beside their drawings, to be looked at:
//
//	go run ./gateway/internal/storefront/picture/sheet <names.txt >sheet.html
//
// A line of its input is a name; what stands before a tab is its seed.
package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

func main() {
	if err := write(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "sheet:", err)
		os.Exit(1)
	}
}

func write(to io.Writer, from io.Reader) error {
	out := bufio.NewWriter(to)
	fmt.Fprint(out, `<!DOCTYPE html><meta charset="utf-8"><title>Pictures</title><style>body{margin:8px;font:13px/1.25 sans-serif;display:grid;grid-template-columns:repeat(8,1fr);gap:8px}img{width:100%;display:block;border-radius:8px}</style>`)
	in := bufio.NewScanner(from)
	for in.Scan() {
		seed, name, ok := strings.Cut(in.Text(), "\t")
		if !ok {
			name = seed
		}
		fmt.Fprintf(out, `<div><img alt="" src="data:image/svg+xml;base64,%s">%s (%s)</div>`,
			base64.StdEncoding.EncodeToString(picture.SVG(seed, name)), html.EscapeString(name), picture.Kind(name))
	}
	return errors.Join(in.Err(), out.Flush())
}
