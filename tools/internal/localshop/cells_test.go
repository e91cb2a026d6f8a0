package localshop

import (
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// A data folder keeps its number of cells: another would look for orders where they are not.
func TestAFolderKeepsItsCells(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, then int }{{1, 2}, {2, 1}, {2, 4}} {
		f, err := openFolder(t.TempDir(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer f.close()
		if err := f.keepCells(c.first); err != nil {
			t.Fatal(err)
		}
		if _, err := f.secrets(topology.Databases()); err != nil {
			t.Fatal(err)
		}
		if err := f.keepCells(c.first); err != nil {
			t.Errorf("%d cells again: %v", c.first, err)
		}
		if err := f.keepCells(c.then); err == nil || !strings.Contains(err.Error(), "cells") {
			t.Errorf("%d cells and then %d: %v", c.first, c.then, err)
		}
	}
	for _, opts := range []Options{{Cells: 2, Replica: true}, {Cells: 2, Postgres: HAPostgres}, {Cells: 2, Backups: "/backups"}, {Cells: -1}, {Cells: maxCells + 1}} {
		if err := checkCells(opts); err == nil {
			t.Errorf("%+v is taken", opts)
		}
	}
	for _, opts := range []Options{{}, {Cells: 1, Replica: true}, {Cells: 4, Backups: NoBackups}} {
		if err := checkCells(opts); err != nil {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}

// Each caller of a service in cells is told of all of them; a part of a cell calls those of its own.
func TestPartsOfCells(t *testing.T) {
	t.Parallel()
	parts := topology.InCells(topology.Processes(), 3)
	reached := map[string][]cell.Cell{}
	for _, l := range linksOf(parts) {
		for name := range l.variables {
			if l.cell.Name != "" {
				c := l.cell
				c.Target = l.To
				reached[name] = append(reached[name], c)
			}
		}
	}
	for _, variable := range []string{"SOUK_GATEWAY_ORDER_TARGET", "SOUK_GATEWAY_CART_TARGET", "SOUK_CATALOG_PAYMENT_TARGET", "SOUK_INSIGHT_ORDER_TARGET", "SOUK_NOTIFICATION_PAYMENT_TARGET"} {
		if _, err := cell.NewMap(reached[variable]); err != nil || len(reached[variable]) != 3 {
			t.Errorf("%s has %v, %v", variable, reached[variable], err)
		}
	}
	for _, p := range parts {
		for _, c := range p.Calls {
			if to, ok := topology.Find(c.To); p.Cell != "" && (ok && to.Cells || !ok && !strings.HasSuffix(c.To, "_"+p.Cell)) {
				t.Errorf("%s calls %s", p.Name, c.To)
			}
		}
		if strings.Contains(p.Name, "_c2") && (p.ServicePrefix() != "SOUK_"+strings.ToUpper(p.Service)+"_" || p.Identity() != p.Service || p.Buckets != cell.Split(3)[1]) {
			t.Errorf("%+v", p)
		}
	}
	if got := topology.InCells(topology.Processes(), 1); len(got) != len(topology.Processes()) {
		t.Errorf("a shop of one cell has %d parts", len(got))
	}
}
