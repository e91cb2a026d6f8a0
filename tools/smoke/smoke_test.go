package smoke_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/smoke"
)

// An empty shop is bought from; one with products is not seeded.
func TestBuyAndSeed(t *testing.T) {
	t.Parallel()
	shop, err := localshop.Start(t.Context(), localshop.Options{Dir: pgtest.Folder(t), Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shop.Stop(context.Background()) })
	cfg := smoke.Config{URL: shop.URL, Wait: time.Minute}
	var out bytes.Buffer
	if err := smoke.Buy(t.Context(), cfg, &out); err == nil || !strings.Contains(err.Error(), "nothing in stock") {
		t.Errorf("bought from an empty shop without a token: %v", err)
	}
	cfg.OperatorToken = config.Secret(shop.OperatorToken)
	for range 2 {
		if err := smoke.Buy(t.Context(), cfg, &out); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), "is paid"); n != 2 {
		t.Errorf("%d orders paid, want 2:\n%s", n, &out)
	}
	out.Reset()
	cfg.Rate, cfg.Duration = 20, 1200*time.Millisecond
	if err := smoke.Load(t.Context(), cfg, &out); err != nil {
		t.Errorf("load: %v\n%s", err, &out)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last smoke.LoadReport
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Done == 0 || last.Checkouts == 0 || last.InFlight != 0 {
		t.Errorf("the load reported %v, %v", lines, err)
	}
	out.Reset()
	if err := smoke.Seed(t.Context(), cfg, &out); err != nil || !strings.Contains(out.String(), "nothing to do") {
		t.Errorf("seeding a shop with a product: %v %q", err, &out)
	}
}
