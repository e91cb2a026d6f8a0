package insight

import (
	"log/slog"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
)

// The rate at which a model is made from the logs, and its baseline: a transaction for each
// event.
//
//	go test ./services/insight -run - -bench Apply -benchtime 1x
func BenchmarkApply(b *testing.B) {
	s := newShop(9)
	s.catalog()
	for n := range 10_000 {
		s.order(n, 5)
	}
	var total int
	for _, l := range s.logs {
		total += len(l)
	}
	b.Run("batches", func(b *testing.B) {
		for b.Loop() {
			d := open(b)
			begun := time.Now()
			d.await(b, d.follower(s), time.Time{})
			b.ReportMetric(float64(total)/time.Since(begun).Seconds(), "events/s")
		}
	})
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			d := open(b)
			apply := applier(d.pool, s, slog.New(slog.DiscardHandler))
			const some = 2_000
			begun := time.Now()
			for _, e := range s.logs["order"][:some] {
				if err := apply(b.Context(), 0, []events.Delivery{{Event: e, Attempt: 1}})[0]; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(some/time.Since(begun).Seconds(), "events/s")
		}
	})
}
