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
	"github.com/souk-shop/souk/tools/internal/topology"
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
	var chart strings.Builder
	var manual []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		for _, role := range []string{"catalog", topology.RuntimeRole("catalog")} {
			manual = append(manual, fmt.Sprintf(`ALTER ROLE %q IN DATABASE "catalog" SET %s = '%s';`+"\n", role, name, value))
		}
		if strings.Trim(value, "0123456789") == "" {
			value = `"` + value + `"` // text in YAML, too
		}
		fmt.Fprintf(&chart, "%s: %s\n", name, value)
	}
	for file, wants := range map[string][]string{
		"../../../helm/souk/templates/_helpers.tpl": {"{{- define \"souk.roleSettings\" -}}\n" + chart.String() + "{{- end }}"},
		"../../../docs/configuration.md":            manual,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not have\n%s", file, want)
			}
		}
	}
}
