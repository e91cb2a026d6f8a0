package consume_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/events/nats"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// BenchmarkConsume has a consumer that writes a row for each event take a stream that waits for
// it, as after `souk events rebuild`, from a NATS that syncs to the disk. The baseline has one
// event of a partition in hand at a time, which was the only way before.
func BenchmarkConsume(b *testing.B) {
	const subjects, versions = 4000, 5
	s := events.Subscription{Group: "g", Sources: []string{"order"}}
	for name, subscribe := range map[string]func(context.Context, events.Broker, events.Taker) error{
		"all of a subject": func(ctx context.Context, from events.Broker, take events.Taker) error {
			return from.SubscribeAhead(ctx, s, take)
		},
		"one of a subject at once": func(ctx context.Context, from events.Broker, take events.Taker) error {
			return from.Subscribe(ctx, s, oneByOne(take))
		},
		"one of a partition at once": func(ctx context.Context, from events.Broker, take events.Taker) error {
			return from.Subscribe(ctx, s, oneOfAPartition(oneByOne(take)))
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				pool := synced(b)
				server, err := natsserver.Start(b.Context(), natsserver.Config{Dir: b.TempDir(), Address: "127.0.0.1:0"})
				if err != nil {
					b.Fatal(err)
				}
				broker, err := nats.Open(events.Config{URL: config.Secret("nats://" + server.Address())}, telemetry.Discard())
				if err != nil {
					b.Fatal(err)
				}
				// An order's events are near each other, as a shop tells them.
				var batch []events.Event
				for at := range subjects * versions {
					subject, version := at/(20*versions)*20+at%20, at/20%versions+1
					e := event(fmt.Sprintf("order.%d", subject), int64(version))
					e.Data = make([]byte, 100)
					if batch = append(batch, e); len(batch) == 1000 {
						if err := broker.Publish(b.Context(), batch...); err != nil {
							b.Fatal(err)
						}
						batch = nil
					}
				}
				missing, transactions := subjects*versions, 0
				done := make(chan struct{})
				into := &consume.Batch{Name: "g", DB: pool, Owner: &owner{}, Effect: func(ctx context.Context, tx pgx.Tx, es []events.Event) error {
					var of, at = make([]string, len(es)), make([]int64, len(es))
					for i, e := range es {
						of[i], at[i] = e.Subject, e.Version
					}
					_, err := tx.Exec(ctx, "INSERT INTO effects (consumer, subject, version) SELECT 'g', * FROM unnest($1::text[], $2::bigint[])", of, at)
					return err
				}}
				// One batch is under way at a time.
				c := &consume.Collector{Apply: func(ctx context.Context, ds []events.Delivery) []error {
					errs := into.Apply(ctx, ds)
					transactions++
					for _, err := range errs {
						if err == nil {
							missing--
						}
					}
					if missing == 0 {
						close(done)
					}
					return errs
				}}
				ctx, stop := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				begun := time.Now()
				go func() {
					ended <- subscribe(ctx, broker, c.Take)
				}()
				<-done
				b.ReportMetric(subjects*versions/time.Since(begun).Seconds(), "events/s")
				b.ReportMetric(subjects*versions/float64(transactions), "events/tx")
				stop()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
				if err := broker.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
				server.Stop()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// synced is open on a server that syncs each commit to the disk, as a shop's does.
func synced(b *testing.B) *pgxpool.Pool {
	b.Helper()
	s, err := pgserver.Start(b.Context(), pgserver.Options{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	dsn := s.SuperuserDSN("postgres")
	if err := consume.Migrate(b.Context(), pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	return connect(b, dsn)
}

// oneByOne waits for what comes of a delivery.
func oneByOne(take events.Taker) events.Handler {
	return func(ctx context.Context, d events.Delivery) error { return take(ctx, d)() }
}

// oneOfAPartition has a handler take one event of a partition at a time, whatever is in hand.
func oneOfAPartition(handle events.Handler) events.Handler {
	var partitions [nats.Partitions]sync.Mutex
	return func(ctx context.Context, d events.Delivery) error {
		h := fnv.New32a()
		_, _ = h.Write([]byte(d.Subject))
		p := &partitions[h.Sum32()%nats.Partitions]
		p.Lock()
		defer p.Unlock()
		return handle(ctx, d)
	}
}
