package app_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/app"
	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// rounds is a catalog whose popularity takes three batches; it keeps when each was counted.
type rounds struct {
	app.Maintenance
	start time.Time
	at    []time.Duration
}

func (*rounds) CountPairs(context.Context) (int, error) { return 0, nil }

func (r *rounds) RefreshPopularity(context.Context) (domain.Touched, bool, error) {
	r.at = append(r.at, time.Since(r.start))
	return nil, len(r.at)%3 == 0, nil
}

// TestPopularityIsCountedInRounds: the batches of a round come one after the other, and the
// next round begins when PopularityEvery is over.
func TestPopularityIsCountedInRounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 75*time.Second)
		defer cancel()
		store := &rounds{start: time.Now()}
		background := app.Background{Store: store, LearnEvery: 5 * time.Second, PopularityEvery: time.Minute, Log: slog.New(slog.DiscardHandler)}
		if err := background.Learn(ctx); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{0, 5 * time.Second, 10 * time.Second, 60 * time.Second, 65 * time.Second, 70 * time.Second}
		if !slices.Equal(store.at[:min(len(store.at), len(want))], want) {
			t.Errorf("counted at %v, want %v", store.at, want)
		}
	})
}
