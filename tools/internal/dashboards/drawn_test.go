package dashboards_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/metrics"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/dashboards"
	"github.com/souk-shop/souk/tools/internal/localshop"
)

// TestEveryPanelIsDrawn: the store of a shop on a laptop has series for each panel, once orders
// were paid, declined and cancelled, or says why there are none.
func TestEveryPanelIsDrawn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	shop, err := localshop.Start(ctx, localshop.Options{Dir: pgtest.Folder(t), Redis: localshop.OneRedis, Events: localshop.EmbeddedEvents, Metrics: true, Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	client, err := metrics.NewClient(shop.MetricsURL(), shop.MetricsToken())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id string) *metrics.Dashboard {
		t.Helper()
		d, err := client.Dashboard(ctx, id, metrics.Query{Range: 5 * time.Minute})
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		return d
	}
	// What counts is compared with what there was before.
	eventually(ctx, t, "scrapes of all parts", func() bool {
		read := ask("overview").Rows[0].Panels[3]
		return len(read.Series) == 7 && all(read.Series, 1)
	})
	trade(ctx, t, shop)
	for _, d := range dashboards.All() {
		id := strings.TrimPrefix(d.UID, "souk-")
		missing := ""
		eventually(ctx, t, "a series for each panel of "+id, func() bool {
			missing = ""
			got := ask(id)
			for r, row := range d.Rows {
				for i, want := range row.Panels {
					p := got.Rows[r].Panels[i]
					if p.Title != want.Title || p.Problem != "" {
						t.Fatalf("%s: %q: %+v", id, want.Title, p)
					}
					if len(p.Series) == 0 && p.Rare == "" {
						missing = p.Title
					}
				}
			}
			return missing == ""
		})
		if missing != "" {
			t.Errorf("%s: %s has no series and does not say why", id, missing)
		}
	}
	// The first order counts, too: its counters were made by it.
	eventually(ctx, t, "4 paid orders", func() bool {
		paid := ask("overview").Rows[2].Panels[0].Series
		return len(paid) == 1 && paid[0].Values[0] > 3.9 && paid[0].Values[0] < 4.5
	})
	if st := ask("overview").Stats; st.Refused > 0 || st.Failed > 0 || st.Series < 500 {
		t.Errorf("%+v", st)
	} else {
		t.Logf("%+v", st)
	}
}

// all reports whether all series have a value now.
func all(series []metrics.Series, want float64) bool {
	for i := range series {
		if v, ok := series[i].Values.Last(); !ok || v != want {
			return false
		}
	}
	return true
}
