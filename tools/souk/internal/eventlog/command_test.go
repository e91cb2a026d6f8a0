package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	_ "github.com/souk-shop/souk/proto/gen/souk/money/v1" // the message of the events
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/events/consume"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/events/relay"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/souk/internal/eventlog"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func migrateLog(ctx context.Context, dsn string) error {
	return log.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
}

// migrateEffects makes a consumer's database, in which an effect that happens twice fails.
func migrateEffects(ctx context.Context, dsn string) error {
	if err := consume.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "CREATE TABLE effects (id text PRIMARY KEY)")
	return err
}

// orders is a source with its log, a relay, a broker and one consumer, "clerk".
type orders struct {
	t            *testing.T
	dir          string
	log, effects *pgxpool.Pool
	url          string
	refuse       atomic.Value // the id of the event that is poison
}

func start(t *testing.T) *orders {
	t.Helper()
	o := &orders{t: t, dir: t.TempDir()}
	o.refuse.Store("")
	logDSN, effectsDSN := pgtest.New(t, migrateLog), pgtest.New(t, migrateEffects)
	o.log, o.effects = pool(t, logDSN), pool(t, effectsDSN)
	server, err := natsserver.Start(t.Context(), natsserver.Config{Dir: filepath.Join(t.TempDir(), "nats"), Address: "127.0.0.1:0", User: "souk", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	o.url = "nats://souk:secret@" + server.Address()
	err = state.Write(o.dir, &state.State{EventsURL: o.url, Postgres: map[string]string{"order": logDSN, "notification": effectsDSN}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(log.New(o.log, "order"), o.connect(), telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	clerk := &consume.Consumer{Name: "clerk", DB: o.effects, Owner: owner{log.New(o.log, "order")}, Effect: func(ctx context.Context, tx pgx.Tx, e events.Event) error {
		if e.ID() == o.refuse.Load() {
			return events.Poison(errors.New("it is poison"))
		}
		_, err := tx.Exec(ctx, "INSERT INTO effects VALUES ($1)", e.ID())
		return err
	}}
	o.background(r.Run)
	o.background(func(ctx context.Context) error {
		return o.connect().Subscribe(ctx, events.Subscription{Group: "clerk", Sources: []string{"order"}}, clerk.Handle)
	})
	return o
}

func pool(t *testing.T, dsn string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

type owner struct{ log *log.Log }

func (o owner) ListEvents(ctx context.Context, _, subject string, after int64, limit int) ([]events.Event, error) {
	entries, _, err := o.log.List(ctx, subject, after, limit)
	out := make([]events.Event, len(entries))
	for i, e := range entries {
		out[i] = e.Event
	}
	return out, err
}

func (o *orders) connect() events.Broker {
	o.t.Helper()
	b, err := broker.Open(events.Config{URL: config.Secret(o.url)}, telemetry.Discard())
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = b.Close(context.WithoutCancel(o.t.Context())) })
	return b
}

// background runs fn until the test ends.
func (o *orders) background(fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(o.t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := fn(ctx); err != nil {
			o.t.Error(err)
		}
	})
	o.t.Cleanup(func() { cancel(); running.Wait() })
}

func (o *orders) add(subject string) error {
	_, err := o.log.Exec(o.t.Context(), "SELECT souk_event_append($1, NULL, 'souk.money.v1.Money', now(), '', '{}')", subject)
	return err
}

// exact reports whether each event of the log took effect. That none did twice is a constraint.
func (o *orders) exact() bool {
	o.t.Helper()
	var written, taken int
	err := errors.Join(o.log.QueryRow(o.t.Context(), "SELECT count(*) FROM souk_events").Scan(&written),
		o.effects.QueryRow(o.t.Context(), "SELECT count(*) FROM effects").Scan(&taken))
	if err != nil {
		o.t.Fatal(err)
	}
	return written == taken
}

func (o *orders) souk(args ...string) (string, error) {
	var out strings.Builder
	err := eventlog.Command(o.t.Context(), append(args, "--data", o.dir), &out, io.Discard)
	return out.String(), err
}

// says fails the test unless a command succeeds and its output has each of the texts.
func (o *orders) says(args []string, texts ...string) {
	o.t.Helper()
	out, err := o.souk(args...)
	for _, text := range texts {
		if err != nil || !strings.Contains(out, text) {
			o.t.Errorf("souk events %v: %v, want %q in\n%s", args, err, text, out)
		}
	}
}

func (o *orders) eventually(what string, holds func() bool) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		if retry.Sleep(ctx, 5*time.Millisecond) != nil {
			o.t.Fatalf("not in a minute: %s", what)
		}
	}
}

// A poison event is listed with its reason, and takes effect once it is replayed.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.says([]string{"dead"}, "no dead letters")
	o.refuse.Store("order.b:1")
	for _, subject := range []string{"order.a", "order.b", "order.b"} {
		if err := o.add(subject); err != nil {
			t.Fatal(err)
		}
	}
	o.eventually("a dead letter", func() bool {
		out, err := o.souk("dead", "--group", "clerk")
		return err == nil && strings.Contains(out, "order.b:1") && strings.Contains(out, "it is poison")
	})
	o.eventually("all is taken or passed over", func() bool {
		out, err := o.souk("lag")
		return err == nil && strings.Contains(strings.Join(strings.Fields(out), " "), "clerk order 0 0.0 s 1")
	})
	if out, err := o.souk("dead", "replay", "--event", "order.a:1"); err == nil || !strings.Contains(err.Error(), "order.a:1") {
		t.Errorf("replay of what is no dead letter: %q, %v", out, err)
	}
	o.refuse.Store("")
	o.says([]string{"dead", "replay"}, "clerk: 1 of its dead letters")
	o.eventually("it took effect", o.exact)
	o.says([]string{"dead"}, "no dead letters")
}

// The broker loses everything while events are written; afterwards every event has taken
// effect once, also the last one of a subject that nothing follows.
func TestRebuild(t *testing.T) {
	t.Parallel()
	o := start(t)
	writing, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; writing.Err() == nil; i++ {
			if err := o.add(fmt.Sprintf("order.%d", i%50)); err != nil {
				t.Error(err)
			}
			_ = retry.Sleep(writing, 5*time.Millisecond)
		}
	})
	defer func() { stop(); writer.Wait() }()
	o.eventually("events are taken", func() bool {
		var n int
		return o.effects.QueryRow(t.Context(), "SELECT count(*) FROM effects").Scan(&n) == nil && n > 50
	})
	o.lose()
	o.says([]string{"rebuild"}, "the logs are published again", "1 consumers have taken all")
	stop()
	writer.Wait()
	o.eventually("all is taken", o.exact)
	o.eventually("the lag is zero", func() bool {
		out, err := o.souk("lag")
		return err == nil && strings.Contains(strings.Join(strings.Fields(out), " "), "clerk order 0 0.0 s 0")
	})
	// The relay goes on at the end of the log, and nothing happens twice.
	if err := o.add("order.0"); err != nil {
		t.Fatal(err)
	}
	o.eventually("the next is taken", o.exact)
}

// An event that the broker lost, and that nothing follows, is missing until the stream is
// made anew.
func TestALostEventIsFound(t *testing.T) {
	t.Parallel()
	o := start(t)
	if err := o.add("order.a"); err != nil {
		t.Fatal(err)
	}
	o.eventually("it is taken", o.exact)
	// As if the broker had acknowledged it and lost it.
	if err := o.add("order.b"); err != nil {
		t.Fatal(err)
	}
	o.eventually("it is taken", o.exact)
	if _, err := o.effects.Exec(t.Context(), "DELETE FROM effects WHERE id = 'order.b:1'; DELETE FROM souk_consumed WHERE subject = 'order.b'"); err != nil {
		t.Fatal(err)
	}
	if out, _ := o.souk("lag"); !strings.Contains(strings.Join(strings.Fields(out), " "), "clerk order 1 ") {
		t.Errorf("the lost event is not counted:\n%s", out)
	}
	o.says([]string{"rebuild"}, "1 consumers have taken all of 2 events")
	if !o.exact() {
		t.Error("the lost event did not take effect")
	}
}

// lose removes all that the broker has.
func (o *orders) lose() {
	o.t.Helper()
	conn, err := nats.Connect(o.url)
	if err != nil {
		o.t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		o.t.Fatal(err)
	}
	names := js.StreamNames(o.t.Context())
	for name := range names.Name() {
		if err := js.DeleteStream(o.t.Context(), name); err != nil {
			o.t.Fatal(err)
		}
	}
	if err := names.Err(); err != nil {
		o.t.Fatal(err)
	}
}

func TestWithoutABroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := state.Write(dir, &state.State{Postgres: map[string]string{"order": pgtest.New(t, migrateLog)}}); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"dead": "no broker is configured", "dead replay": "no broker is configured", "rebuild": "no broker is configured",
		"gossip": "say lag, dead, dead replay or rebuild", "": "say lag", "lag now": `takes no argument "now"`,
	} {
		err := eventlog.Command(t.Context(), append(strings.Fields(args), "--data="+dir), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("souk events %s: %v, want %q", args, err, want)
		}
	}
	var out strings.Builder
	if err := eventlog.Command(t.Context(), []string{"lag", "--data", dir}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "no relay runs") {
		t.Errorf("lag: %v\n%s", err, out.String())
	}
}
