package stripesim

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestHelpNamesEverything: the documentation is where the faults' names are
// looked up.
func TestHelpNamesEverything(t *testing.T) {
	t.Parallel()
	help := Help()
	names := slices.Concat(callFaults, webhookFaults, []string{faultHeader, faultMetadata})
	for _, op := range operations {
		object, verb, _ := strings.Cut(op, ".")
		names = append(names, object+".", "."+verb)
	}
	for kind := range maps.Values(noticeTypes) {
		names = append(names, kind[strings.LastIndex(kind, "."):])
	}
	for _, name := range names {
		if !strings.Contains(help, name) {
			t.Errorf("the help does not say %s", name)
		}
	}
	if strings.Contains(help, "\npackage") || strings.Contains(help, "\n//") {
		t.Errorf("the help is code: %s", help)
	}
}
