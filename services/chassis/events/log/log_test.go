package log_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func migrate(ctx context.Context, dsn string) error {
	return log.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
}

// open returns a log, and the pool of its database with room for many writers.
func open(t *testing.T) (*log.Log, *pgxpool.Pool) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.New(t, migrate))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 24
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := log.Migrated(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return log.New(pool, "test"), pool
}

func exec(t *testing.T, tx pg.Queryer, sql string, args ...any) {
	t.Helper()
	var ignored any
	if err := tx.QueryRow(t.Context(), sql, args...).Scan(&ignored); err != nil {
		t.Fatal(err)
	}
}

// fact is the type of the events: any message does.
const fact = "souk.money.v1.Money"

func appendTo(t *testing.T, tx pg.Queryer, subject string) {
	t.Helper()
	exec(t, tx, `SELECT souk_event_append($1, NULL, $2, now(), '', '{"minor_units": 7, "currency": "GBP"}')::text`, subject, fact)
}

func begin(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	exec(t, tx, "SELECT pg_current_xact_id()::text")
	return tx
}

func commit(t *testing.T, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// readAll reads to the end, and as long as there are fewer than were written: transactions
// in other tests' databases hold the horizon, too.
func readAll(t *testing.T, l *log.Log, after log.Cursor, limit, written int) (ids []string, last log.Cursor) {
	t.Helper()
	last = after
	patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		entries, err := l.Read(t.Context(), last, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			ids, last = append(ids, e.ID()), e.Cursor
		}
		if len(entries) < limit && len(ids) >= written {
			return ids, last
		}
		if retry.Sleep(patience, time.Millisecond) != nil {
			t.Fatalf("read %v, and %d were written", ids, written)
		}
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAnEventIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	exec(t, pool, `SELECT souk_event_append('thing.a', NULL, $1, '2026-11-28 10:00:00.123456+00', '00-a-b-01', '{"minor_units": 7, "currency": "GBP"}')::text`, fact)
	entries, _, err := l.List(t.Context(), "thing.a", 0, 10)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	e := entries[0]
	equal(t, "event", []any{e.Source, e.Subject, e.Version, e.Type, e.Time.UTC(), e.Traceparent},
		[]any{"test", "thing.a", 1, fact, time.Date(2026, 11, 28, 10, 0, 0, 123456000, time.UTC), "00-a-b-01"})
	var m moneyv1.Money
	if err := proto.Unmarshal(e.Data, &m); err != nil || m.GetMinorUnits() != 7 || m.GetCurrency() != "GBP" {
		t.Errorf("data: %v, %v", &m, err)
	}
}

func TestATraceOfTheTransactionIsKept(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	tx := begin(t, pool)
	exec(t, tx, "SELECT set_config('souk.traceparent', '00-x-y-01', true)")
	appendTo(t, tx, "thing.a")
	commit(t, tx)
	appendTo(t, pool, "thing.b")
	for subject, want := range map[string]string{"thing.a": "00-x-y-01", "thing.b": ""} {
		entries, _, err := l.List(t.Context(), subject, 0, 10)
		if err != nil || len(entries) != 1 {
			t.Fatal(len(entries), err)
		}
		equal(t, subject, entries[0].Traceparent, want)
	}
}

func TestWhatThisVersionDoesNotKnowIsAnError(t *testing.T) {
	t.Parallel()
	for name, row := range map[string][2]string{
		"type":  {"souk.order.v1.OrderTeleported", `{}`},
		"field": {fact, `{"colour": "red"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, pool := open(t)
			exec(t, pool, "SELECT souk_event_append('thing.a', NULL, $1, now(), '', $2::json)::text", row[0], row[1])
			if _, _, err := l.List(t.Context(), "thing.a", 0, 10); !errors.Is(err, log.ErrUnknown) {
				t.Errorf("%v, want %v", err, log.ErrUnknown)
			}
		})
	}
}

// The transaction with the lower id writes the later version; one between the two holds
// the horizon so that only the lower id is below it.
func TestASubjectNeverGoesBackwards(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	low, between, high := begin(t, pool), begin(t, pool), begin(t, pool)
	appendTo(t, high, "thing.a")
	commit(t, high)
	appendTo(t, low, "thing.a")
	commit(t, low)
	early, at := readAll(t, l, log.Cursor{}, 10, 0)
	equal(t, "while one between them runs", early, []string{})
	commit(t, between)
	late, _ := readAll(t, l, at, 10, 2)
	equal(t, "after its end", late, []string{"thing.a:1", "thing.a:2"})
	one, _ := readAll(t, l, log.Cursor{}, 1, 2)
	equal(t, "one at a time", one, []string{"thing.a:1", "thing.a:2"})
}

// writers have many transactions commit out of order, each with a place in a sequence,
// too, until they have written what is asked for.
func writers(t *testing.T, pool *pgxpool.Pool, transactions int) {
	const at, subjects = 16, 40
	var wg sync.WaitGroup
	for range at {
		wg.Go(func() {
			for range transactions / at {
				err := pg.InTx(t.Context(), pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, "INSERT INTO by_sequence DEFAULT VALUES"); err != nil {
						return err
					}
					for range 1 + rand.IntN(2) {
						id := rand.IntN(subjects)
						if _, err := tx.Exec(ctx, "SELECT pg_sleep(random() * 0.002)"); err != nil {
							return err
						}
						if _, err := tx.Exec(ctx, "UPDATE subjects SET n = n + 1 WHERE id = $1", id); err != nil {
							return err
						}
						if _, err := tx.Exec(ctx, "SELECT souk_event_append('thing.' || id, n, $2, now(), '', '{}') FROM subjects WHERE id = $1", id, fact); err != nil {
							return err
						}
					}
					_, err := tx.Exec(ctx, "SELECT pg_sleep(random() * 0.005)")
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestACursorLosesNothingWhereASequenceDoes(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	if _, err := pool.Exec(t.Context(), `
		CREATE TABLE subjects (id int PRIMARY KEY, n bigint NOT NULL);
		INSERT INTO subjects SELECT g, 0 FROM generate_series(0, 39) g;
		CREATE TABLE by_sequence (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	const transactions = 1600
	ctx, written := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	versions := map[string]int64{}
	var read, bySequence int64
	var cursor log.Cursor
	take := func() int {
		entries, err := l.Read(t.Context(), cursor, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Version != versions[e.Subject]+1 {
				t.Errorf("%s after version %d", e.ID(), versions[e.Subject])
			}
			versions[e.Subject], cursor = e.Version, e.Cursor
			read++
		}
		return len(entries)
	}
	followers.Go(func() {
		for ctx.Err() == nil {
			take()
		}
	})
	// The control: what has a place in a sequence, after the last place that was seen.
	followers.Go(func() {
		var position int64
		next := func() int64 {
			var n int64
			if err := pool.QueryRow(t.Context(), "SELECT count(*), coalesce(max(position), $1) FROM by_sequence WHERE position > $1", position).Scan(&n, &position); err != nil {
				t.Error(err)
			}
			bySequence += n
			return n
		}
		for ctx.Err() == nil {
			next()
			_ = retry.Sleep(ctx, time.Millisecond)
		}
		next()
	})
	writers(t, pool, transactions)
	written()
	followers.Wait()

	var events, rows int64
	if err := pool.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM souk_events), (SELECT count(*) FROM by_sequence)").Scan(&events, &rows); err != nil {
		t.Fatal(err)
	}
	patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for read < events && retry.Sleep(patience, time.Millisecond) == nil {
		take()
	}
	equal(t, "events read", read, events)
	t.Logf("the log: %d of %d read; a sequence: %d of %d", read, events, bySequence, rows)
	if bySequence >= rows {
		t.Error("the control lost nothing: this test shows nothing")
	}
}

func TestLagCountsWhatIsHeldBack(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	holder := begin(t, pool)
	appendTo(t, pool, "thing.a")
	appendTo(t, pool, "thing.b")
	ids, _ := readAll(t, l, log.Cursor{}, 10, 0)
	equal(t, "readable", ids, []string{})
	lag, err := l.Lag(t.Context(), log.Cursor{})
	if err != nil || lag.Events != 2 || lag.Age <= 0 {
		t.Errorf("lag %+v, %v", lag, err)
	}
	commit(t, holder)
	_, last := readAll(t, l, log.Cursor{}, 10, 2)
	if lag, err = l.Lag(t.Context(), last); err != nil || lag != (log.Lag{}) {
		t.Errorf("lag %+v at the end, %v", lag, err)
	}
}

func TestSweepKeepsTheLastOfEachSubject(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	for _, subject := range []string{"stock.a", "stock.a", "stock.b", "stocking.a", "stocking.a"} {
		exec(t, pool, "SELECT souk_event_append($1, NULL, $2, now() - interval '1 hour', '', '{}')::text", subject, fact)
	}
	appendTo(t, pool, "stock.a")
	if n, _, err := l.Sweep(t.Context(), "stock", "", 2*time.Hour, 10, 10); err != nil || n != 0 {
		t.Errorf("%d swept before their time, %v", n, err)
	}
	if n, _, err := l.Sweep(t.Context(), "stock", "", time.Minute, 10, 10); err != nil || n != 2 {
		t.Errorf("%d swept, %v", n, err)
	}
	ids, _ := readAll(t, l, log.Cursor{}, 10, 4)
	equal(t, "left", len(ids), 4)
	entries, newest, err := l.List(t.Context(), "stock.a", 0, 10)
	if err != nil || len(entries) != 1 || entries[0].Version != 3 || newest != 3 {
		t.Errorf("%v, newest %d, %v", entries, newest, err)
	}
	appendTo(t, pool, "stock.a")
	_, newest, _ = l.List(t.Context(), "stock.a", 3, 10)
	equal(t, "the next version", newest, 4)
}

// Times are not in the order of versions: a transaction may begin early and wait.
func TestSweepLeavesNoGaps(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	for subject, hours := range map[string][]int{"stock.a": {9, 9, 1, 9, 1}, "stock.b": {1, 9, 9}, "stock.c": {9, 9, 9, 9}} {
		for _, ago := range hours {
			exec(t, pool, "SELECT souk_event_append($1, NULL, $2, now() - make_interval(hours => $3), '', '{}')::text", subject, fact, ago)
		}
	}
	left := func() (out []any) {
		for _, subject := range []string{"stock.a", "stock.b", "stock.c"} {
			entries, newest, err := l.List(t.Context(), subject, 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range entries {
				equal(t, subject, e.Version, newest-int64(len(entries)-1-i))
			}
			out = append(out, len(entries))
		}
		return out
	}
	for _, want := range [][]any{{4, 3, 4}, {3, 3, 4}, {3, 3, 3}, {3, 3, 2}, {3, 3, 1}, {3, 3, 1}} {
		if _, _, err := l.Sweep(t.Context(), "stock", "", 2*time.Hour, 10, 1); err != nil {
			t.Fatal(err)
		}
		equal(t, "left", left(), want)
	}
}

// TestSweepGoesThroughAllSubjects, some of them at a time.
func TestSweepGoesThroughAllSubjects(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	const subjects = 7
	for i := range subjects {
		for range 3 {
			exec(t, pool, "SELECT souk_event_append($1, NULL, $2, now() - interval '1 hour', '', '{}')::text", fmt.Sprintf("stock.%d", i), fact)
		}
	}
	var deleted []int
	var seen []string
	for after := ""; len(seen) < 10; {
		n, next, err := l.Sweep(t.Context(), "stock", after, time.Minute, 3, 4)
		if err != nil {
			t.Fatal(err)
		}
		deleted, seen = append(deleted, n), append(seen, next)
		if n == 4 {
			continue // more of the same
		}
		if after = next; after == "" {
			break
		}
	}
	equal(t, "deleted", deleted, []int{4, 2, 4, 2, 2})
	equal(t, "places", seen, []string{"stock.2", "stock.2", "stock.5", "stock.5", ""})
}

func TestOneProcessLeads(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	a, b := uuid.NewString(), uuid.NewString()
	lead := func(process string, lease time.Duration) (bool, log.Reset, log.Cursor) {
		at, reset, ok, err := l.Lead(t.Context(), process, lease)
		if err != nil {
			t.Fatal(err)
		}
		return ok, reset, at
	}
	if ok, reset, _ := lead(a, time.Minute); !ok || reset != log.FirstRelay {
		t.Errorf("first: %v, %q", ok, reset)
	}
	if ok, _, _ := lead(b, time.Minute); ok {
		t.Error("two lead")
	}
	to := log.Cursor{Tx: 5, Subject: "thing.a", Version: 2}
	if ok, err := l.Move(t.Context(), b, log.Cursor{}, to); ok || err != nil {
		t.Errorf("another one moved the cursor: %v, %v", ok, err)
	}
	if ok, err := l.Move(t.Context(), a, log.Cursor{}, to); !ok || err != nil {
		t.Errorf("the leader did not move the cursor: %v, %v", ok, err)
	}
	if ok, err := l.Move(t.Context(), a, log.Cursor{}, log.Cursor{Tx: 9}); ok || err != nil {
		t.Errorf("the cursor was moved from a place where it is not: %v, %v", ok, err)
	}
	if err := l.Resign(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	ok, reset, at := lead(b, -time.Second) // over at once
	equal(t, "after it resigned", []any{ok, reset, at}, []any{true, log.NotReset, to})
	if ok, _, _ := lead(a, time.Minute); !ok {
		t.Error("a lease that is over was not taken")
	}
}

func TestARestoredDatabaseIsNoticed(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	process := uuid.NewString()
	appendTo(t, pool, "thing.a")
	appendTo(t, pool, "thing.a")
	if _, _, ok, err := l.Lead(t.Context(), process, time.Minute); !ok || err != nil {
		t.Fatal(ok, err)
	}
	_, last := readAll(t, l, log.Cursor{}, 10, 2)
	if ok, err := l.Move(t.Context(), process, log.Cursor{}, last); !ok || err != nil {
		t.Fatal(ok, err)
	}
	// As a dump of a system that is further on is, in this one.
	if _, err := pool.Exec(t.Context(), `
		UPDATE souk_events SET tx = (tx::text::bigint + 1000000000)::text::xid8;
		UPDATE souk_events_relay SET system = system + 1, tx = (tx::text::bigint + 1000000000)::text::xid8`); err != nil {
		t.Fatal(err)
	}
	appendTo(t, pool, "thing.a")
	appendTo(t, pool, "thing.b")
	at, reset, ok, err := l.Lead(t.Context(), process, time.Minute)
	equal(t, "lead", []any{at, reset, ok, err}, []any{log.Cursor{}, log.Restored, true, nil})
	ids, _ := readAll(t, l, at, 1, 4)
	equal(t, "read", ids, []string{"thing.b:1", "thing.a:1", "thing.a:2", "thing.a:3"})
	_, reset, _, _ = l.Lead(t.Context(), process, time.Minute)
	equal(t, "after that", reset, log.NotReset)
	if ok, err := l.Move(t.Context(), process, last, last); ok || err != nil {
		t.Errorf("a move that was under way took the reset back: %v, %v", ok, err)
	}
}

// Of a dump's rows some have ids that the new system has reached, and later ones of the same
// subject have not.
func TestARestoredSubjectDoesNotGoBackwards(t *testing.T) {
	t.Parallel()
	l, pool := open(t)
	const versions = 4100 // three batches
	if _, err := pool.Exec(t.Context(), `
		INSERT INTO souk_events (subject, version, tx, type, at, traceparent, data)
		SELECT 'thing.a', v, CASE v WHEN 1 THEN '3' ELSE (4e9 - 1 + v / 2)::bigint::text END::xid8, $1, now(), '', '{}'
		FROM generate_series($2::int, 1, -1) v`, fact, versions); err != nil {
		t.Fatal(err)
	}
	at, _, ok, err := l.Lead(t.Context(), uuid.NewString(), time.Minute)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	ids, _ := readAll(t, l, at, 1000, versions)
	for i, id := range ids {
		if want := fmt.Sprint("thing.a:", i+1); id != want {
			t.Fatalf("read %s, want %s", id, want)
		}
	}
}
