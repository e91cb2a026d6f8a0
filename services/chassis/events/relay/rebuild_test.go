package relay_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/events/nats"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/events/relay"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// singly gives a broker events in pieces that it does not take as one.
type singly struct{ events.Publisher }

func (s singly) Publish(ctx context.Context, all ...events.Event) error {
	const few = 31
	for from := 0; from < len(all); from += few {
		if err := s.Publisher.Publish(ctx, all[from:min(from+few, len(all))]...); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkRebuild publishes a whole log anew to a NATS that syncs to the disk before it
// acknowledges, as `souk events rebuild` has a relay do: in batches, and event by event, which is
// the baseline.
func BenchmarkRebuild(b *testing.B) {
	const subjects, versions = 4000, 5
	dsn := pgtest.New(b, migrate)
	pool, err := pgxpool.New(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	for range versions {
		if _, err := pool.Exec(b.Context(), `
			SELECT souk_event_append('order.' || md5(n::text), NULL, 'souk.money.v1.Money', now(), '', '{"currency": "GBP", "minor_units": "1299"}')
			FROM generate_series(1, $1::int) AS n`, subjects); err != nil {
			b.Fatal(err)
		}
	}
	l := log.New(pool, "order")
	for name, wrap := range map[string]func(events.Publisher) events.Publisher{
		"batches":    func(p events.Publisher) events.Publisher { return p },
		"one by one": func(p events.Publisher) events.Publisher { return singly{p} },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				server, err := natsserver.Start(b.Context(), natsserver.Config{Dir: b.TempDir(), Address: "127.0.0.1:0"})
				if err != nil {
					b.Fatal(err)
				}
				broker, err := nats.Open(events.Config{URL: config.Secret("nats://" + server.Address())}, telemetry.Discard())
				if err != nil {
					b.Fatal(err)
				}
				if err := log.Rewind(b.Context(), pool); err != nil {
					b.Fatal(err)
				}
				r, err := relay.New(l, wrap(broker), telemetry.Discard())
				if err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				begun := time.Now()
				go func() { ended <- r.Run(ctx) }()
				for {
					p, err := l.Progress(ctx)
					if err != nil {
						b.Fatal(err)
					}
					if p.Led && p.Lag.Events == 0 {
						break
					}
					if err := retry.Sleep(ctx, 20*time.Millisecond); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(subjects*versions/time.Since(begun).Seconds(), "events/s")
				stop()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
				if err := broker.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
				server.Stop()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
