package helm_test

import (
	"os"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// part is an entry of the topology; a test of tools/internal/topology keeps the
// file current.
type part struct {
	Name, Kind, Module, Package string
	Port                        int
	Calls                       []string
	Database, Redis, Events     bool
	Replica                     bool
	Tells                       bool
	Takes                       []group
	Follows                     []string
}

// group is one of consumers of events.
type group struct {
	Name    string
	Sources []string
}

// topology reads the parts of the shop, those of the kinds if any is named.
func topology(t *testing.T, kinds ...string) []part {
	t.Helper()
	data, err := os.ReadFile("souk/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Parts []part }
	if err := yaml.UnmarshalStrict(data, &table); err != nil {
		t.Fatal(err)
	}
	if len(kinds) == 0 {
		return table.Parts
	}
	return slices.DeleteFunc(table.Parts, func(p part) bool { return !slices.Contains(kinds, p.Kind) })
}

// isService says whether a name is that of a gRPC service.
func isService(t *testing.T, name string) bool {
	t.Helper()
	return slices.ContainsFunc(topology(t, "service"), func(p part) bool { return p.Name == name })
}
