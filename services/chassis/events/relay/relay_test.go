package relay_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	_ "github.com/souk-shop/souk/proto/gen/souk/money/v1" // the message of the events
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/events/relay"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// replicaOf has the DSN of the database whose log a child process relays to its standard output.
const replicaOf = "SOUK_TEST_REPLICA_OF"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(replicaOf); dsn != "" {
		if err := replica(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pgtest.Main(m)
}

// stdout is a broker whose acknowledgement is that the line was written.
type stdout struct{}

func (stdout) Publish(_ context.Context, published ...events.Event) error {
	for _, e := range published {
		if _, err := fmt.Println(e.ID()); err != nil {
			return err
		}
	}
	return nil
}

func replica(dsn string) error {
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		return err
	}
	r, err := relay.New(log.New(pool, "test"), stdout{}, telemetry.Discard())
	if err != nil {
		return err
	}
	return r.Run(context.Background())
}

func migrate(ctx context.Context, dsn string) error {
	return log.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
}

func open(t *testing.T) (dsn string, pool *pgxpool.Pool) {
	t.Helper()
	dsn = pgtest.New(t, migrate)
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return dsn, pool
}

func appendTo(t *testing.T, pool *pgxpool.Pool, subject, traceparent string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), "SELECT souk_event_append($1, NULL, 'souk.money.v1.Money', now(), $2, '{}')", subject, traceparent)
	if err != nil {
		t.Error(err)
	}
}

// memory is a broker in memory, which may be away.
type memory struct {
	mu     sync.Mutex
	got    []events.Event
	away   atomic.Bool
	failed atomic.Int64
}

func (m *memory) Publish(_ context.Context, published ...events.Event) error {
	for _, e := range published { // as the drivers do
		if err := e.Validate(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away.Load() {
		m.got = append(m.got, published[:len(published)/2]...) // some may have been published
		m.failed.Add(1)
		return errors.New("away")
	}
	m.got = append(m.got, published...)
	return nil
}

func (m *memory) events() []events.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]events.Event{}, m.got...)
}

func (m *memory) ids() (ids []string) {
	for _, e := range m.events() {
		ids = append(ids, e.ID())
	}
	return ids
}

// start runs a relay, and stop has it stop in good order.
func start(t *testing.T, pool *pgxpool.Pool, broker events.Publisher, tel *telemetry.Telemetry) (stop func()) {
	t.Helper()
	r, err := relay.New(log.New(pool, "test"), broker, tel)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("relay: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !holds() {
		if retry.Sleep(ctx, 2*time.Millisecond) != nil {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

// check fails for a subject of which an event is missing, or came before an earlier one.
func check(t *testing.T, ids []string, subjects map[string]int) {
	t.Helper()
	last := map[string]int{}
	for _, id := range ids {
		subject, number, _ := strings.Cut(id, ":")
		var version int
		if _, err := fmt.Sscan(number, &version); err != nil {
			t.Fatal(err)
		}
		if version > last[subject]+1 {
			t.Errorf("%s came after version %d", id, last[subject])
		}
		last[subject] = max(last[subject], version)
	}
	for subject, n := range subjects {
		if last[subject] != n {
			t.Errorf("%s: %d of %d events", subject, last[subject], n)
		}
	}
}

func TestABrokerThatWasAwayGetsEverythingInOrder(t *testing.T) {
	t.Parallel()
	_, pool := open(t)
	broker := &memory{}
	broker.away.Store(true)
	start(t, pool, broker, telemetry.Discard())
	written := map[string]int{}
	for i := range 60 {
		subject := fmt.Sprintf("thing.%d", i%7)
		appendTo(t, pool, subject, "")
		written[subject]++
	}
	eventually(t, "three attempts", func() bool { return broker.failed.Load() >= 3 })
	var moved bool
	if err := pool.QueryRow(t.Context(), "SELECT version > 0 FROM souk_events_relay").Scan(&moved); err != nil || moved {
		t.Errorf("the cursor moved before anything was acknowledged: %v, %v", moved, err)
	}
	broker.away.Store(false)
	eventually(t, "all published", func() bool { return len(broker.ids()) >= 60 && settled(t, pool) })
	check(t, broker.ids(), written)
}

// TestAnEventThatNoBrokerTakesHoldsUpNoOther: the log has it, for those who ask.
func TestAnEventThatNoBrokerTakesHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	_, pool := open(t)
	appendTo(t, pool, "thing.before", "")
	if _, err := pool.Exec(t.Context(), `SELECT souk_event_append('thing.large', NULL, 'souk.money.v1.Money', now(), '',
		json_build_object('currency', repeat('x', $1::int)))`, events.MaxData); err != nil {
		t.Fatal(err)
	}
	appendTo(t, pool, "thing.after", "")
	broker := &memory{}
	start(t, pool, broker, telemetry.Discard())
	eventually(t, "the others are published", func() bool { return len(broker.ids()) >= 2 && settled(t, pool) })
	check(t, broker.ids(), map[string]int{"thing.before": 1, "thing.after": 1})
}

// slow is a broker that acknowledges three events, and then takes longer than is waited for.
type slow struct{ memory }

func (s *slow) Publish(ctx context.Context, published ...events.Event) error {
	if len(published) <= 3 {
		return s.memory.Publish(ctx, published...)
	}
	if err := s.memory.Publish(ctx, published[:3]...); err != nil {
		return err
	}
	return &events.PartialError{Acknowledged: 3, Err: context.DeadlineExceeded}
}

// TestASlowBrokerIsNotAskedTwice: what it has acknowledged is not repeated, so that a batch
// which it does not finish in time ends all the same.
func TestASlowBrokerIsNotAskedTwice(t *testing.T) {
	t.Parallel()
	_, pool := open(t)
	appendTo(t, pool, "=", "") // is left out
	for range 10 {
		appendTo(t, pool, "thing.a", "")
	}
	broker := &slow{}
	start(t, pool, broker, telemetry.Discard())
	eventually(t, "all published", func() bool { return len(broker.ids()) >= 10 && settled(t, pool) })
	check(t, broker.ids(), map[string]int{"thing.a": 10})
	if n := len(broker.ids()); n != 10 {
		t.Errorf("%d publications of 10 events", n)
	}
}

// TestTheCursorIsSetBackWhileTheRelayRuns: as an operator does.
func TestTheCursorIsSetBackWhileTheRelayRuns(t *testing.T) {
	t.Parallel()
	_, pool := open(t)
	broker := &memory{}
	start(t, pool, broker, telemetry.Discard())
	appendTo(t, pool, "thing.a", "")
	eventually(t, "published", func() bool { return len(broker.ids()) == 1 && settled(t, pool) })
	if _, err := pool.Exec(t.Context(), "UPDATE souk_events_relay SET tx = '0', subject = '', version = 0"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, pool, "thing.a", "")
	eventually(t, "the log is published again", func() bool {
		return len(broker.ids()) >= 3 && strings.HasSuffix(fmt.Sprint(broker.ids()), "thing.a:1 thing.a:2]") && settled(t, pool)
	})
}

// TestTheCursorIsSetBackWhileNothingHappens: no event has the relay move the cursor, and so
// notice.
func TestTheCursorIsSetBackWhileNothingHappens(t *testing.T) {
	t.Parallel()
	_, pool := open(t)
	broker := &memory{}
	start(t, pool, broker, telemetry.Discard())
	appendTo(t, pool, "thing.a", "")
	eventually(t, "published", func() bool { return len(broker.ids()) == 1 && settled(t, pool) })
	if err := log.Rewind(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is published again", func() bool { return len(broker.ids()) == 2 && settled(t, pool) })
}

// settled reports whether the cursor is at the end of the log.
func settled(t *testing.T, pool *pgxpool.Pool) (ok bool) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `SELECT NOT EXISTS (
		SELECT FROM souk_events e, souk_events_relay r WHERE (e.tx, e.subject, e.version) > (r.tx, r.subject, r.version))`).Scan(&ok)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestTheNextLeadsWhenOneStops(t *testing.T) {
	t.Parallel()
	_, pool := open(t)
	first, second := &memory{}, &memory{}
	stop := start(t, pool, first, telemetry.Discard())
	appendTo(t, pool, "thing.a", "")
	eventually(t, "the first leads", func() bool { return len(first.ids()) == 1 && settled(t, pool) })
	start(t, pool, second, telemetry.Discard())
	stop()
	stopped := time.Now()
	appendTo(t, pool, "thing.a", "")
	eventually(t, "the second leads", func() bool { return len(second.ids()) == 1 })
	t.Logf("the second published %v after the first had stopped", time.Since(stopped))
	if got := fmt.Sprint(first.ids(), second.ids()); got != "[thing.a:1] [thing.a:2]" {
		t.Errorf("published: %s", got)
	}
}

func TestTheTraceOfAnEventGoesOn(t *testing.T) {
	t.Parallel()
	_, pool := open(t)
	spans := tracetest.NewSpanRecorder()
	tel, err := telemetry.Start(t.Context(), "test", telemetry.Config{SpanProcessors: []sdktrace.SpanProcessor{spans}, LogOutput: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	broker := &memory{}
	const traced, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	stop := start(t, pool, broker, tel)
	appendTo(t, pool, "thing.a", "00-"+traced+"-"+span+"-01")
	appendTo(t, pool, "thing.b", "")
	eventually(t, "published", func() bool { return len(broker.ids()) == 2 })
	stop()
	for _, e := range broker.events() {
		switch e.Subject {
		case "thing.a":
			if !strings.HasPrefix(e.Traceparent, "00-"+traced+"-") || strings.Contains(e.Traceparent, span) {
				t.Errorf("traceparent %q: it is not of a span of its own in trace %s", e.Traceparent, traced)
			}
		default:
			if e.Traceparent != "" {
				t.Errorf("traceparent %q of an event without one", e.Traceparent)
			}
		}
	}
	var links, children int
	for _, s := range spans.Ended() {
		switch {
		case s.Name() == "relay events":
			links += len(s.Links())
		case s.Parent().SpanID().String() == span:
			children++
		}
	}
	if links != 1 || children != 1 {
		t.Errorf("%d links and %d children of the trace, want one of each", links, children)
	}
}

// Two processes relay; the one that leads is killed.
func TestAnotherProcessTakesOverFromOneThatWasKilled(t *testing.T) {
	t.Parallel()
	dsn, pool := open(t)
	type line struct {
		process int
		id      string
	}
	lines := make(chan line, 10_000)
	var processes [2]*exec.Cmd
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), replicaOf+"="+dsn)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		processes[i] = cmd
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		go func() {
			for s := bufio.NewScanner(out); s.Scan(); {
				lines <- line{i, s.Text()}
			}
		}()
	}
	written, writes := map[string]int{}, 0
	write := func() {
		subject := fmt.Sprintf("thing.%d", writes%5)
		appendTo(t, pool, subject, "")
		written[subject]++
		writes++
	}
	var ids []string
	patience, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := func() line {
		select {
		case l := <-lines:
			ids = append(ids, l.id)
			return l
		case <-patience.Done():
			t.Fatal("nothing is published")
		}
		panic("unreachable")
	}
	write()
	leader := next().process
	for range 50 {
		write()
	}
	if err := processes[leader].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	for range 50 {
		write()
	}
	for l := next(); l.process == leader; l = next() {
	}
	taken := time.Since(killed)
	t.Logf("the other process published %v after the kill", taken)
	if taken > 5*time.Second {
		t.Errorf("it took %v", taken)
	}
	eventually(t, "all published", func() bool { return settled(t, pool) })
	for distinct := map[string]bool{}; len(distinct) < writes; {
		for _, id := range ids {
			distinct[id] = true
		}
		if len(distinct) < writes {
			next()
		}
	}
	check(t, ids, written)
}
