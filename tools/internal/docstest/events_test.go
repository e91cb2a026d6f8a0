package docstest

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	protoMessage = regexp.MustCompile(`(?m)^message (\w+) \{`)
	protoField   = regexp.MustCompile(`(?m)^ +(?:repeated )?(\w+) \w+ = \d+`)
	protoSubject = regexp.MustCompile(`"([a-z]+\.<[\w ]+>)"`)
	eventRow     = regexp.MustCompile("(?m)^\\| `([A-Z]\\w+)` \\| (?:`([a-z]+\\.<[\\w ]+>)`)? *\\|")
)

// TestEveryEventIsDocumented: each message of an events.proto that is no part of another one
// is a row of the table, under a subject that its file names, and there are no other rows.
func TestEveryEventIsDocumented(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "proto/souk/*/v1/events.proto"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs/events.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented, subject := map[string]string{}, "" // the subject of each message
	for _, row := range eventRow.FindAllStringSubmatch(string(doc), -1) {
		subject = cmp.Or(row[2], subject)
		documented[row[1]] = subject
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		events, named := messages(string(source))
		used := map[string]bool{}
		for _, message := range slices.Sorted(maps.Keys(events)) {
			subject, ok := documented[message]
			if !ok {
				t.Errorf("docs/events.md has no row for %s of %s", message, file)
			} else if !named[subject] {
				t.Errorf("docs/events.md has %s under %q; %s names %v", message, subject, file, slices.Sorted(maps.Keys(named)))
			}
			used[subject] = true
			delete(documented, message)
		}
		for subject := range named {
			if !used[subject] {
				t.Errorf("docs/events.md has no event under %q of %s", subject, file)
			}
		}
	}
	for _, message := range slices.Sorted(maps.Keys(documented)) {
		t.Errorf("docs/events.md has %s, which is no message of an events.proto", message)
	}
}

// messages returns the events of a file and the subjects that its comments name. What is the
// type of a field is a part of an event.
func messages(source string) (events, subjects map[string]bool) {
	events, subjects = map[string]bool{}, map[string]bool{}
	for _, m := range protoMessage.FindAllStringSubmatch(source, -1) {
		events[m[1]] = true
	}
	for _, f := range protoField.FindAllStringSubmatch(source, -1) {
		delete(events, f[1])
	}
	for _, s := range protoSubject.FindAllStringSubmatch(strings.ReplaceAll(source, "\n// ", " "), -1) {
		subjects[s[1]] = true
	}
	return events, subjects
}
