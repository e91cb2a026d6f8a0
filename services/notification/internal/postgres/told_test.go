package postgres_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/notification/internal/domain/mail"
	"github.com/souk-shop/souk/services/notification/internal/domain/webhook"
	inbound "github.com/souk-shop/souk/services/notification/internal/events"
	"github.com/souk-shop/souk/services/notification/internal/postgres"
)

// statements counts what a pool sends to the server, the beginnings and ends of transactions
// included.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	s.n.Add(int64(data.Batch.Len()))
	return ctx
}

func (s *statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// during is how many there were in a call.
func (s *statements) during(fn func()) int64 {
	before := s.n.Load()
	fn()
	return s.n.Load() - before
}

// paidOrders are events of as many orders.
func paidOrders(tb testing.TB, n int) []events.Delivery {
	tb.Helper()
	out := make([]events.Delivery, n)
	for i := range out {
		data, err := proto.Marshal(&orderv1.OrderPaid{
			OrderId: id(), Number: "S-1", CustomerId: id(), Total: &moneyv1.Money{Currency: "GBP", MinorUnits: 1299},
		})
		if err != nil {
			tb.Fatal(err)
		}
		out[i] = events.Delivery{Event: events.Event{
			Source: "order", Subject: "order." + id(), Version: 1, Type: paid, Time: time.Now(), Data: data,
		}}
	}
	return out
}

// consumers are those of the service, on the database of a shop.
func (s *shop) consumers() map[string]*consume.Batch {
	mails := postgres.NewMails(s.own, pg.NewReads(s.own, nil))
	all := map[string]*consume.Batch{}
	for _, c := range []consume.Subscription{inbound.Webhooks(s.store), inbound.Mail(mails, mail.Queued, id)} {
		all[c.Name] = &consume.Batch{Name: c.Name, DB: pg.DB{Pool: s.own}, Effect: c.Effect}
	}
	return all
}

// TestToldInFewStatements: what is written of events that are taken together takes as many
// statements as for one event, to however many endpoints it goes, and nothing is lost for that.
func TestToldInFewStatements(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for range 3 {
		s.register("http://127.0.0.1:1/")
	}
	before := 0
	for _, n := range []int{1, 20} {
		for name, c := range s.consumers() {
			ds := paidOrders(t, n)
			used := s.statements.during(func() {
				for i, err := range c.Apply(t.Context(), ds) {
					if err != nil {
						t.Errorf("%s: %s: %v", name, ds[i].ID(), err)
					}
				}
			})
			if most := map[string]int64{"mail": 5, "webhooks": 6}[name]; used > most {
				t.Errorf("%s: %d statements for %d events, not %d", name, used, n, most)
			}
		}
		before += n
		for sql, want := range map[string]int{
			"SELECT count(*) FROM mails": before, "SELECT count(DISTINCT args ->> 'mail_id') FROM river_job": before,
			"SELECT count(*) FROM webhook_messages": before, "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'": 3 * before,
		} {
			var got int
			if err := s.pool.QueryRow(t.Context(), sql).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %d, not %d: %v", sql, got, want, err)
			}
		}
	}
}

// BenchmarkTold takes events and tells them to one endpoint: how many statements of the database
// one event costs its consumers, taken by one and 24 at a time, and one delivery its dispatcher.
func BenchmarkTold(b *testing.B) {
	const n, together = 960, 24
	for name, size := range map[string]int{"one by one": 1, "together": together} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := newShop(b)
				var called atomic.Int64
				receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					called.Add(1)
					w.WriteHeader(http.StatusNoContent)
				}))
				e, _ := s.register(receiver.URL)
				s.exec("UPDATE webhook_endpoints SET reached = true")
				ds := paidOrders(b, n)
				for name, c := range s.consumers() {
					begun := time.Now()
					used := s.statements.during(func() {
						for i := 0; i < n; i += size {
							for _, err := range c.Apply(b.Context(), ds[i:i+size]) {
								if err != nil {
									b.Fatal(err)
								}
							}
						}
					})
					b.ReportMetric(float64(used)/n, name+"-statements/event")
					b.ReportMetric(n/time.Since(begun).Seconds(), name+"-events/s")
				}
				begun := time.Now()
				used := s.statements.during(func() {
					stop := s.dispatch()
					for called.Load() < n {
						s.pause()
					}
					if err := stop(); err != nil {
						b.Fatal(err)
					}
				})
				b.ReportMetric(float64(used)/n, "statements/delivery")
				b.ReportMetric(n/time.Since(begun).Seconds(), "deliveries/s")
				s.await(e.ID, map[webhook.State]int{webhook.Delivered: n})
				receiver.Close()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
