package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/tools/stripesim/internal/fault"
	"github.com/souk-shop/souk/tools/stripesim/internal/store"
)

// TestHelpNamesEverything: the documentation is where the names of faults are
// looked up.
func TestHelpNamesEverything(t *testing.T) {
	t.Parallel()
	names := slices.Concat(fault.CallKinds, fault.WebhookKinds, []string{"Souk-Sim-Fault", "metadata[souk_sim_fault]"})
	for _, op := range fault.Operations {
		object, verb, _ := strings.Cut(op, ".")
		names = append(names, object+".", "."+verb)
	}
	for _, kind := range store.EventTypes() {
		names = append(names, kind[strings.LastIndex(kind, "."):])
	}
	text := help()
	for _, name := range names {
		if !strings.Contains(text, name) {
			t.Errorf("the help does not say %s", name)
		}
	}
	if strings.Contains(text, "\npackage") || strings.Contains(text, "\n//") {
		t.Errorf("the help is code: %s", text)
	}
}
