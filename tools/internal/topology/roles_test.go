package topology_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
)

// A role begins its sessions alike, whatever made it: the chart and the manual say what
// the services ask for.
func TestRoleSettings(t *testing.T) {
	t.Parallel()
	var defaults pg.Config
	if err := config.SetDefaults(&defaults); err != nil {
		t.Fatal(err)
	}
	settings := pg.RoleSettings(defaults)
	if len(settings) != 4 {
		t.Fatalf("%d settings", len(settings))
	}
	var chart, manual strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		fmt.Fprintf(&manual, `ALTER ROLE "catalog" IN DATABASE "catalog" SET %s = '%s';`+"\n", name, value)
		if strings.Trim(value, "0123456789") == "" {
			value = `"` + value + `"` // text in YAML, too
		}
		fmt.Fprintf(&chart, "%s: %s\n", name, value)
	}
	for file, want := range map[string]string{
		"../../../helm/souk/templates/_helpers.tpl": "{{- define \"souk.roleSettings\" -}}\n" + chart.String() + "{{- end }}",
		"../../../docs/configuration.md":            manual.String(),
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not have\n%s", file, want)
		}
	}
}
