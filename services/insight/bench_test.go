package insight

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	eventv1 "github.com/souk-shop/souk/proto/gen/souk/event/v1"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	eventlog "github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/events/owner"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/insight/internal/app"
)

// benchShop has the events of 10,000 orders of five lines.
func benchShop() (s *shop, total int) {
	s = newShop(9)
	s.catalog()
	for n := range 10_000 {
		s.order(n, 5)
	}
	for _, l := range s.logs {
		total += len(l)
	}
	return s, total
}

// The rate at which a model is made from the logs, and its baseline: a transaction for each
// event.
//
//	go test ./services/insight -run - -bench Apply -benchtime 1x
func BenchmarkApply(b *testing.B) {
	s, total := benchShop()
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

// The rate at which a model is made anew beside one that answers, over the whole path: from
// logs in databases of their own, by EventService over TCP, as often as a service looks, until
// the new one answers. The baseline is BenchmarkApply's: what is written alone, from logs in
// memory.
//
//	go test ./services/insight -run - -bench Rebuild -benchtime 1x
func BenchmarkRebuild(b *testing.B) {
	s, total := benchShop()
	remote := logs{owner.New("insight", serve(b, s))}
	for _, side := range []struct {
		name string
		logs app.Logs
	}{{"from the logs", remote}, {"from memory", s}} {
		b.Run(side.name, func(b *testing.B) {
			for b.Loop() {
				d := open(b)
				f := app.NewFollower(app.FollowerConfig{
					Logs: side.logs, Models: d.store, Apply: applier(d.pool, s, slog.New(slog.DiscardHandler)), Every: time.Second,
					Now: time.Now, Log: slog.New(slog.DiscardHandler),
				})
				d.await(b, f, time.Time{})
				begun := time.Now()
				if _, err := d.store.Begin(b.Context()); err != nil {
					b.Fatal(err)
				}
				d.await(b, f, begun)
				b.ReportMetric(float64(total)/time.Since(begun).Seconds(), "events/s")
			}
		})
	}
}

// serve has each log in a database, as its owner's triggers write it, and answers from it.
func serve(b *testing.B, s *shop) map[string]grpc.ClientConnInterface {
	b.Helper()
	migrate := func(ctx context.Context, dsn string) error {
		return eventlog.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
	}
	conns := map[string]grpc.ClientConnInterface{}
	for source, es := range s.logs {
		pool, err := pgxpool.New(b.Context(), pgtest.New(b, migrate))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(pool.Close)
		const together = 100 // events with one transaction's id
		for n := 0; n < len(es); n += together {
			write(b, pool, es[n:min(n+together, len(es))])
		}
		if _, err := pool.Exec(b.Context(), "ANALYZE souk_events"); err != nil {
			b.Fatal(err)
		}
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		server := grpc.NewServer()
		eventv1.RegisterEventServiceServer(server, eventlog.NewServer(eventlog.New(pool, source)))
		go server.Serve(lis)
		b.Cleanup(server.Stop)
		conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		conns[source] = conn
	}
	return conns
}

func write(b *testing.B, pool *pgxpool.Pool, es []events.Event) {
	b.Helper()
	err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error {
		rows := &pgx.Batch{}
		for _, e := range es {
			found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
			if err != nil {
				return err
			}
			m := found.New().Interface()
			if err := proto.Unmarshal(e.Data, m); err != nil {
				return err
			}
			data, err := protojson.Marshal(m)
			if err != nil {
				return err
			}
			rows.Queue("INSERT INTO souk_events (subject, version, type, at, traceparent, data) VALUES ($1, $2, $3, $4, '', $5)", e.Subject, e.Version, e.Type, e.Time, data)
		}
		return tx.SendBatch(b.Context(), rows).Close()
	})
	if err != nil {
		b.Fatal(err)
	}
}
