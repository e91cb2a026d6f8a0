package move_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	eventlog "github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// schema is a small service's: accounts, with entries that never change and a trigger that tells of
// each in the log of events.
const schema = `
CREATE TABLE accounts (id uuid PRIMARY KEY, total bigint NOT NULL, version bigint NOT NULL DEFAULT 1);
CREATE TABLE entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account uuid NOT NULL REFERENCES accounts (id), amount bigint NOT NULL);
CREATE TABLE settings (name text PRIMARY KEY);
CREATE TABLE runs (id integer PRIMARY KEY, done boolean NOT NULL, until timestamptz NOT NULL);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM souk_event_append('order.' || NEW.id, NEW.version, 'changed', now(), '', '{}'); RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION tell();
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the entries are append-only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON entries FOR EACH STATEMENT EXECUTE FUNCTION refuse();
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;`

var plan = ownership.Plan{Tables: []ownership.Table{
	ownership.RootOf("accounts", "id", ownership.Upserts),
	{Name: "entries", Rows: "t.account = ANY ($units)", Fresh: []string{"id"}},
	{Name: "settings", Stays: "of the cell"},
	{Name: "runs", Stays: "of the cell", Quiet: "NOT done", Horizon: "SELECT max(until) FROM runs"},
}}

func migrate(ctx context.Context, cfg pg.Config, log *slog.Logger) error {
	if err := eventlog.Migrate(ctx, cfg, log); err != nil {
		return err
	}
	return pg.Maintain(ctx, cfg, log, func(ctx context.Context, pool *pgxpool.Pool) error {
		_, err := pool.Exec(ctx, schema)
		return err
	})
}

// shop is a service in two cells.
type shop struct {
	testing.TB
	pools map[string]*pgxpool.Pool
	cfg   move.Config
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{TB: t, pools: map[string]*pgxpool.Pool{}, cfg: move.Config{Services: []move.Service{{Name: "bank", Databases: map[string]string{}}}}}
	for i, own := range cell.Split(2) {
		name := fmt.Sprint("c", i+1)
		db := pgtest.Service(t, migrate)
		if err := ownership.Migrate(t.Context(), db.Config, slog.New(slog.DiscardHandler), name, own, plan); err != nil {
			t.Fatal(err)
		}
		pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		s.pools[name], s.cfg.Services[0].Databases[name] = pool, db.DSN
	}
	return s
}

// account makes one in a bucket that a cell has.
func (s *shop) account(in string, b cell.Bucket) uuid.UUID {
	s.Helper()
	id := cell.In(uuid.New(), b)
	if _, err := s.pools[in].Exec(s.Context(), "INSERT INTO accounts (id, total) VALUES ($1, 0)", id); err != nil {
		s.Fatal(err)
	}
	return id
}

// pay enters an amount, in one transaction.
func pay(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE accounts SET total = total + 1, version = version + 1 WHERE id = $1", id)
		if err != nil || tag.RowsAffected() == 0 {
			return errors.Join(err, errNone)
		}
		_, err = tx.Exec(ctx, "INSERT INTO entries (account, amount) VALUES ($1, 1)", id)
		return err
	})
}

// move moves a bucket, and ends where step fails.
func (s *shop) move(b cell.Bucket, to string, step func(move.Step) error) (move.Report, error) {
	cfg := s.cfg
	cfg.Step = step
	m, err := move.Open(s.Context(), cfg)
	if err != nil {
		return move.Report{}, err
	}
	defer m.Close()
	return m.Move(s.Context(), b, to)
}

// books are what a cell has of an account.
func (s *shop) books(in string, id uuid.UUID) (total, entries, events, other int64) {
	s.Helper()
	err := s.pools[in].QueryRow(s.Context(), `SELECT coalesce((SELECT total FROM accounts WHERE id = $1), -1),
		(SELECT count(*) FROM entries WHERE account = $1), (SELECT count(*) FROM souk_events WHERE subject = 'order.' || $1::uuid),
		(SELECT count(*) FROM accounts WHERE id <> $1)`, id).Scan(&total, &entries, &events, &other)
	if err != nil {
		s.Fatal(err)
	}
	return total, entries, events, other
}

var (
	errCrash = errors.New("crash")
	errNone  = errors.New("there is no account")
)

// A bucket goes back and forth while its account is written, and the mover crashes at every step of it:
// what was acknowledged is there once, and what was refused is not.
func TestNothingIsLostAndNothingIsThereTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.account("c1", 3)
	other := s.account("c1", 4)
	var paid atomic.Int64
	writing, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			at := "c1"
			for writing.Err() == nil {
				err := pay(context.WithoutCancel(writing), s.pools[at], id)
				switch {
				case err == nil:
					paid.Add(1)
				case isWrong(err) || errors.Is(err, errNone):
					at = map[string]string{"c1": "c2", "c2": "c1"}[at]
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	to := "c2"
	for _, crash := range append([]move.Step{""}, move.Steps()...) {
		_, err := s.move(3, to, func(at move.Step) error {
			if at == crash {
				return errCrash
			}
			return nil
		})
		if crash != "" && !errors.Is(err, errCrash) || crash == "" && err != nil {
			t.Fatalf("to %s with a crash at %q: %v", to, crash, err)
		}
		if crash != "" {
			if _, err := s.move(3, to, nil); err != nil {
				t.Fatalf("to %s again, after a crash at %s: %v", to, crash, err)
			}
		}
		to = map[string]string{"c1": "c2", "c2": "c1"}[to]
	}
	stop()
	writers.Wait()
	at := map[string]string{"c1": "c2", "c2": "c1"}[to]
	total, entries, events, _ := s.books(at, id)
	if want := paid.Load(); total != want || entries != want || events != want+1 || want < 10 {
		t.Errorf("%d were acknowledged: the account has %d, with %d entries and %d events", want, total, entries, events)
	}
	if total, entries, events, others := s.books(to, id); total != -1 || entries != 0 || events != 0 || to == "c1" && others != 1 {
		t.Errorf("the other cell has %d, %d, %d of it and %d others", total, entries, events, others)
	}
	if err := pay(t.Context(), s.pools["c1"], other); err != nil {
		t.Errorf("an account of another bucket: %v", err)
	}
}

// After a crash that leaves a bucket on its way it can go back, or on, and nowhere else.
func TestABucketGoesBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.account("c1", 5)
	for _, crash := range []move.Step{move.Copy, move.Commit} {
		if _, err := s.move(5, "c2", func(at move.Step) error {
			if at == crash {
				return errCrash
			}
			return nil
		}); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if crash == move.Commit {
			if err := pay(t.Context(), s.pools["c1"], id); !isWrong(err) {
				t.Errorf("a write of a bucket on its way: %v", err)
			}
		}
		if _, err := s.move(5, "c1", nil); err != nil {
			t.Fatal(err)
		}
		if err := pay(t.Context(), s.pools["c1"], id); err != nil {
			t.Errorf("a write of a bucket that is back after a crash at %s: %v", crash, err)
		}
	}
	if _, err := s.move(5, "c3", nil); err == nil {
		t.Error("a bucket moves to a cell that there is not")
	}
	if _, err := s.pools["c1"].Exec(t.Context(), "INSERT INTO accounts VALUES ($1, 0)", cell.In(id, 900)); !isWrong(err) {
		t.Errorf("a write of the other cell's bucket: %v", err)
	}
}

func isWrong(err error) bool { _, wrong := pgerr.WrongCell(err); return wrong }

// No bucket moves while what looks at all of a cell is under way, nor to a cell where that is further.
func TestBooksAreComparedOfWholeCells(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.account("c1", 6)
	exec := func(in, sql string) {
		t.Helper()
		if _, err := s.pools[in].Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("c2", "INSERT INTO runs VALUES (1, true, '2026-01-02')")
	if _, err := s.move(6, "c2", nil); err == nil {
		t.Error("a bucket moves to a cell whose runs are further")
	}
	exec("c1", "INSERT INTO runs VALUES (1, false, '2026-01-02')")
	moved := make(chan error, 1)
	copied := make(chan struct{})
	go func() {
		_, err := s.move(6, "c2", func(at move.Step) error {
			switch at {
			case move.Copy:
				close(copied)
			case move.Fence:
				// Here none is under way, and none begins until the move is over.
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				for name, pool := range s.pools {
					if _, err := pool.Exec(ctx, "INSERT INTO runs VALUES (2, false, '2026-01-03')"); err == nil {
						t.Errorf("a run begins in %s while the bucket moves", name)
					}
				}
			}
			return nil
		})
		moved <- err
	}()
	<-copied
	exec("c1", "UPDATE runs SET done = true")
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	if total, _, _, _ := s.books("c2", id); total != 0 {
		t.Errorf("the account is not in the new cell: %d", total)
	}
}

// A table that no plan names would be left behind: one that is newer than the version that was started last.
func TestTableOfNoPlan(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"c1", "c2"} {
		s := newShop(t)
		id := s.account("c1", 8)
		s.owner(in, "CREATE TABLE notes (account uuid)")
		if _, err := s.move(8, "c2", nil); err == nil || !strings.Contains(err.Error(), "does not name notes") || !strings.Contains(err.Error(), "cell "+in) {
			t.Errorf("a bucket moves with a table of %s of which no plan says anything: %v", in, err)
		}
		if err := pay(t.Context(), s.pools["c1"], id); err != nil {
			t.Errorf("a write afterwards: %v", err)
		}
		s.owner(in, "DROP TABLE notes")
		if _, err := s.move(8, "c2", nil); err != nil {
			t.Errorf("without the table: %v", err)
		}
	}
}

// A bucket moves between databases of one plan alone: by that of an older version a table that is new would
// be left out.
func TestCellsOfTwoVersions(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"a table that is new": "DELETE FROM souk_cell_tables WHERE plan ->> 'name' = 'entries'",
		"other rows":          `UPDATE souk_cell_tables SET plan = plan || '{"rows": "false"}' WHERE plan ->> 'name' = 'entries'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			id := s.account("c1", 8)
			if err := pay(t.Context(), s.pools["c1"], id); err != nil {
				t.Fatal(err)
			}
			s.owner("c2", sql)
			if _, err := s.move(8, "c2", nil); err == nil || !strings.Contains(err.Error(), "two versions") {
				t.Errorf("a bucket moves to a cell of another version: %v", err)
			}
			if total, entries, _, _ := s.books("c1", id); total != 1 || entries != 1 {
				t.Errorf("the old cell has %d and %d entries", total, entries)
			}
			if err := pay(t.Context(), s.pools["c1"], id); err != nil {
				t.Errorf("a write afterwards: %v", err)
			}
		})
	}
}

// owner runs a statement as the owner of a cell's database.
func (s *shop) owner(in, sql string) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.cfg.Services[0].Databases[in])
	if err != nil {
		s.Fatal(err)
	}
	_, err = conn.Exec(s.Context(), sql)
	if err := errors.Join(err, conn.Close(s.Context())); err != nil {
		s.Fatal(err)
	}
}

// A move that fails after the old cell has begun to refuse writes, and before the new one has the bucket,
// gives it back: customers can buy without an operator's help.
func TestAMoveThatFailsGivesTheBucketBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.account("c1", 9)
	_, err := s.move(9, "c2", func(at move.Step) error {
		switch at {
		case move.Copy: // what is written from here on is copied again
			return pay(t.Context(), s.pools["c1"], id)
		case move.Transfer:
			s.owner("c1", "ALTER TABLE accounts ADD COLUMN later text")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "other columns") {
		t.Fatal(err)
	}
	if err := pay(t.Context(), s.pools["c1"], id); err != nil {
		t.Errorf("a write after the move has failed: %v", err)
	}
	s.owner("c2", "ALTER TABLE accounts ADD COLUMN later text")
	if _, err := s.move(9, "c2", nil); err != nil {
		t.Fatal(err)
	}
	if total, entries, _, _ := s.books("c2", id); total != 2 || entries != 2 {
		t.Errorf("the new cell has %d and %d entries", total, entries)
	}
}

// Writes are not held up for longer than the configuration has it: a bucket of which a write does not end
// stays where it is.
func TestWritesAreNotHeldUpWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.cfg.Hold = 500 * time.Millisecond
	id, other := s.account("c1", 11), s.account("c1", 11)
	tx, err := s.pools["c1"].Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	begun := time.Now()
	_, err = s.move(11, "c2", func(at move.Step) error {
		if at != move.Fence {
			return nil
		}
		_, err := tx.Exec(t.Context(), "UPDATE accounts SET total = total + 1, version = version + 1 WHERE id = $1", id)
		return err
	})
	if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "it stays in c1") || took > 30*time.Second {
		t.Errorf("a move of a bucket of which a write does not end: %v after %s", err, took)
	}
	if err := pay(t.Context(), s.pools["c1"], other); err != nil {
		t.Errorf("another write of the bucket: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("the write that took long: %v", err)
	}
}

// An error names the database that has it, also where the other is still sending.
func TestACopyFailsWhereItFails(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	id := s.account("c1", 12)
	s.owner("c1", "INSERT INTO entries (account, amount) SELECT '"+id.String()+"', 1 FROM generate_series(1, 50000)")
	s.owner("c2", "ALTER TABLE entries ADD CONSTRAINT full_up CHECK (amount < 1)")
	_, err := s.move(12, "c2", nil)
	if err == nil || !strings.Contains(err.Error(), "bank of cell c2") || strings.Contains(err.Error(), "bank of cell c1") {
		t.Error(err)
	}
}
