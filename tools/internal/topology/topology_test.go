package topology

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// Every call leads to a part, and every program is where the table says.
func TestTheTableIsWhole(t *testing.T) {
	t.Parallel()
	var names []string
	for _, p := range Parts {
		if slices.Contains(names, p.Name) {
			t.Errorf("two parts are called %s", p.Name)
		}
		for _, c := range p.Calls {
			if to, ok := Find(c.To); !ok || to.Port == 0 {
				t.Errorf("%s calls %s, which is no part with a port", p.Name, c.To)
			}
			// A part starts after those that it needs; the provider's webhooks can wait.
			if p.Kind != Provider && !slices.Contains(names, c.To) {
				t.Errorf("%s starts before %s", p.Name, c.To)
			}
		}
		names = append(names, p.Name)
		if p.Events != (p.Tells || len(p.Takes)+len(p.Follows) > 0) {
			t.Errorf("%s: events %v, but it tells %v, takes %v and follows %v", p.Name, p.Events, p.Tells, p.Takes, p.Follows)
		}
		sources := slices.Clone(p.Follows)
		for _, g := range p.Takes {
			sources = append(sources, g.Sources...)
		}
		for _, source := range sources {
			if from, _ := Find(source); !from.Tells {
				t.Errorf("%s takes events of %s, which tells none", p.Name, source)
			}
		}
		if p.Kind == Store {
			continue
		}
		if info, err := os.Stat(filepath.Join(root, p.Module, p.Package)); err != nil || !info.IsDir() {
			t.Errorf("%s: no package %s in %s", p.Name, p.Package, p.Module)
		}
		if (p.run == nil) != (p.Kind == Tool || p.Kind == Function) {
			t.Errorf("%s: only a tool and a function have nothing to run in a shop", p.Name)
		}
	}
}

// A service's folder without an entry in the table would never start.
func TestEveryServiceIsInTheTable(t *testing.T) {
	t.Parallel()
	commands, err := filepath.Glob(filepath.Join(root, "services/*/cmd/*"))
	if err != nil || len(commands) < 4 {
		t.Fatalf("%d commands, %v", len(commands), err)
	}
	for _, c := range commands {
		if p, ok := Find(filepath.Base(c)); !ok || p.Kind != Service {
			t.Errorf("%s is not in the table", c)
		}
	}
}

// What is made from the table is current.
func TestGenerated(t *testing.T) {
	t.Parallel()
	chart, err := os.ReadFile(filepath.Join(root, Chart))
	if err != nil {
		t.Fatal(err)
	}
	if string(chart) != string(YAML()) {
		t.Errorf("%s is not what the table gives: run go generate ./tools/internal/topology", Chart)
	}
	pictures := 0
	for _, name := range Documents {
		doc, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		drawn, ok := Draw(string(doc))
		if ok {
			pictures++
		}
		if drawn != string(doc) {
			t.Errorf("%s: the picture is not what the table gives: run go generate ./tools/internal/topology", name)
		}
	}
	if pictures == 0 {
		t.Errorf("none of %s has the picture", strings.Join(Documents, ", "))
	}
}
