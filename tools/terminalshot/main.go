// Command terminalshot draws what a program prints as the picture of a terminal, an SVG: its text stays
// text, which can be read aloud, searched and compared.
//
//	go run ./tools/souk top --once | go run ./tools/terminalshot 'souk top' >docs/top.svg
//
// What does not fit into -lines and -columns is cut, as a terminal of that size would, and the picture
// says so.
package main

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "terminalshot:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("terminalshot", flag.ContinueOnError)
	most := size{}
	flags.IntVar(&most.lines, "lines", 50, "how many lines of the output are drawn at most")
	flags.IntVar(&most.columns, "columns", 132, "how many characters of a line are drawn at most")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || most.lines < 1 || most.columns < minColumns {
		return fmt.Errorf("usage: terminalshot [-lines N] [-columns N] COMMAND: draws its output, which comes on the standard input, in 1 line and %d columns or more", minColumns)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	picture, err := draw(flags.Arg(0), string(text), most)
	if err != nil {
		return err
	}
	_, err = out.Write(picture)
	return err
}

// Sizes in pixels. A column is as wide as a character of the usual monospaced fonts at that size; each
// line is stretched to its columns, so that they stay below each other in any font.
const (
	fontSize = 13
	column   = 7.8
	line     = 17
	margin   = 16
	// minColumns keeps a short output from looking like a label.
	minColumns = 60
)

// size is that of a terminal, in characters.
type size struct{ lines, columns int }

// draw returns the picture of a terminal in which a command has printed a text, as much of it as fits.
func draw(command, text string, most size) ([]byte, error) {
	printed := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if more := len(printed) - most.lines; more > 0 {
		printed = append(printed[:most.lines:most.lines], fmt.Sprintf("… and %d lines more", more))
	}
	lines := append([]string{"$ " + command}, printed...)
	columns := minColumns
	for i, l := range lines {
		if at := strings.IndexFunc(l, unicode.IsControl); at >= 0 {
			return nil, fmt.Errorf("line %d has a control character, %q: print to a pipe", i, l[at:])
		}
		if all := []rune(l); len(all) > most.columns {
			lines[i] = string(all[:most.columns-1]) + "…"
		}
		columns = max(columns, utf8.RuneCountInString(lines[i]))
	}
	width, height := 2*margin+float64(columns)*column, 2*margin+len(lines)*line
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, escaped("What "+command+" prints"))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#16181d"/>`+"\n"+
		`<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="%d" fill="#e6e6e6">`+"\n", fontSize)
	for i, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		color := ""
		if i == 0 {
			color = ` fill="#8fd18f"`
		}
		fmt.Fprintf(&b, `<text xml:space="preserve" x="%d" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs"%s>%s</text>`+"\n",
			margin, margin+i*line+fontSize, float64(utf8.RuneCountInString(l))*column, color, escaped(l))
	}
	b.WriteString("</g>\n</svg>\n")
	return b.Bytes(), nil
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes all
	return b.String()
}
