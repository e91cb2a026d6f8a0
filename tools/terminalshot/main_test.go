package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// What was printed is the picture's text, line by line, whatever characters it has.
func TestDraw(t *testing.T) {
	t.Parallel()
	const printed = "  23.9  <b>&amp; \"x\"\n\n│  └─ 6.9 µs  → next  "
	want := append([]string{"$ souk trace S-1 & more"}, strings.Split(printed, "\n\n")...)
	if got := texts(t, "souk trace S-1 & more", printed+"\n"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// What is cut is said to be.
func TestWhatIsCut(t *testing.T) {
	t.Parallel()
	got := texts(t, "-lines", "2", "-columns", "60", "x", strings.Repeat("µ", 61)+"\nb\nc\nd\n")
	if want := []string{"$ x", strings.Repeat("µ", 59) + "…", "b", "… and 2 lines more"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// texts are those of the picture of what is printed, the last of the arguments.
func texts(t *testing.T, args ...string) (texts []string) {
	t.Helper()
	var out bytes.Buffer
	last := len(args) - 1
	if err := run(args[:last], strings.NewReader(args[last]), &out); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(&out)
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "text" {
			continue
		}
		var text string
		if err := dec.DecodeElement(&text, &start); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
}

// What a terminal takes for commands is refused, and so is a call without a name.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := draw("souk top", "fine\n\x1b[H", size{50, 132}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
	for _, args := range [][]string{nil, {"a", "b"}, {"-lines", "0", "a"}, {"-columns", "3", "a"}} {
		if err := run(args, strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
