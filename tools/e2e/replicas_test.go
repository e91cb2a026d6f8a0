package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/pairs"
)

// Who has written reads what was written, through all layers of a shop whose replica stops
// to replay and goes on; who does not bring the token sees stale prices and lacks orders.
// `souk bench replicas` does the same 10,000 times for each client.
func TestReadYourWritesFromReplicas(t *testing.T) {
	t.Parallel()
	shop, err := localshop.Start(t.Context(), localshop.Options{Dir: pgtest.Folder(t), Replica: true, Redis: localshop.OneRedis, Events: localshop.EmbeddedEvents, Disposable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shop.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	cfg := pairs.Config{Clients: 2, Pairs: 160, Paused: 200 * time.Millisecond, Running: 200 * time.Millisecond}
	with, err := pairs.Run(t.Context(), shop, cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Forgetful = true
	without, err := pairs.Run(t.Context(), shop, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("with the token %d of %d are stale, %v; without %d of %d, %v", pairs.Sum(with.Stale), pairs.Sum(with.Pairs), with.Stale, pairs.Sum(without.Stale), pairs.Sum(without.Pairs), without.Stale)
	if n := pairs.Sum(with.Stale); n > 0 {
		t.Errorf("%d reads lack their reader's own write: %v", n, with.Stale)
	}
	if pairs.Sum(without.Stale) == 0 || with.Pauses == 0 {
		t.Errorf("no read without the token was stale: the replica never lagged, which proves nothing")
	}
}
