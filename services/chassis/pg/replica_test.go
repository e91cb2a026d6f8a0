package pg_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// pair is a database of a service "shop" with a standby, and the service's way to both.
type pair struct {
	primary, standby *pgserver.Server
	pool             *pgxpool.Pool
	replica          *pg.Replica
	reads            pg.Reads
	admin, adminOf   *pgxpool.Pool // the superuser at the primary, and at the standby
}

func newPair(t *testing.T, cfg pg.Config) *pair {
	t.Helper()
	ctx := t.Context()
	p := &pair{}
	server := func(opts pgserver.Options) *pgserver.Server {
		opts.Dir, opts.Disposable = pgtest.Folder(t), true
		s, err := pgserver.Start(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(ctx)) }) // tests end it before
		return s
	}
	p.primary = server(pgserver.Options{Standbys: true})
	roles := pgserver.Database{Name: "shop", Owner: pgserver.Role{Name: "owner", Password: "o"}, Runtime: pgserver.Role{Name: "shop", Password: "s"}}
	if err := p.primary.EnsureDatabase(ctx, roles); err != nil {
		t.Fatal(err)
	}
	p.standby = server(pgserver.Options{Primary: p.primary, Settings: map[string]string{"max_standby_streaming_delay": "0"}})
	tel := telemetry.Discard()
	tel.Service = "shop"
	cfg.DSN, cfg.ReplicaDSN = config.Secret(p.primary.DSN("shop", "shop", "s")), config.Secret(p.standby.DSN("shop", "shop", "s"))
	opened := func(dsn string) *pgxpool.Pool {
		pool, err := pgxpool.New(context.WithoutCancel(ctx), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return pool
	}
	p.admin, p.adminOf = opened(p.primary.SuperuserDSN("shop")), opened(p.standby.SuperuserDSN("shop"))
	if _, err := p.admin.Exec(ctx, "CREATE TABLE prices (id int PRIMARY KEY, price int NOT NULL); INSERT INTO prices VALUES (1, 0); GRANT SELECT, UPDATE ON prices TO shop"); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.pool, err = pg.Open(ctx, cfg, tel); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.pool.Close)
	primaryReads, err := pg.OpenReads(ctx, cfg, tel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(primaryReads.Close)
	if p.replica, err = pg.OpenReplica(ctx, cfg, primaryReads, tel); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.replica.Close)
	p.reads = pg.NewReads(primaryReads, p.replica)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- p.replica.Watch(watching) }()
	t.Cleanup(func() {
		stop()
		if err := <-watched; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	p.await(t, "the replica answers", func() bool { return p.readBy(t, nil) == "replica" })
	return p
}

// await waits until something is so.
func (p *pair) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 5 * time.Millisecond, Max: 20 * time.Millisecond}}, func(context.Context) error {
		if !is() {
			return errors.New("it is not so")
		}
		return nil
	}); err != nil {
		t.Fatalf("wait until %s: %v", what, err)
	}
}

// readBy is whether the replica or the primary answers a read of a token's owner.
func (p *pair) readBy(t *testing.T, token consistency.Token) string {
	t.Helper()
	ctx, _ := consistency.Begin(t.Context(), token)
	var recovers bool
	if err := p.reads.QueryRow(ctx, "SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM prices)").Scan(&recovers); err != nil {
		t.Errorf("read: %v", err)
	}
	if recovers {
		return "replica"
	}
	return "primary"
}

// price is what a token's owner reads: through rows, as lists are.
func (p *pair) price(ctx context.Context, token consistency.Token) (int, error) {
	ctx, _ = consistency.Begin(ctx, token)
	rows, err := p.reads.Query(ctx, "SELECT price FROM prices WHERE id = $1", 1)
	if err != nil {
		return 0, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
}

// write sets the price and returns what its writer's token has to have.
func (p *pair) write(ctx context.Context, price int) (consistency.Token, error) {
	ctx, session := consistency.Begin(ctx, nil)
	if _, err := p.pool.Exec(ctx, "UPDATE prices SET price = $1 WHERE id = 1", price); err != nil {
		return nil, err
	}
	p.replica.Gain(ctx)
	return session.Gained(), nil
}

func (p *pair) replay(t *testing.T, verb string) {
	t.Helper()
	p.await(t, "the replay is told to "+verb, func() bool { // it may be canceled by the replay itself
		_, err := p.adminOf.Exec(t.Context(), "SELECT pg_wal_replay_"+verb+"()")
		return err == nil
	})
}

// Who has written reads what was written, while the replica's replay stops and goes on;
// the control, without the token, does not. The replica answers some of the reads of both.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaWait: 20 * time.Millisecond, ReplicaMaxLag: time.Minute, ReadConns: 4})
	const pairs = 2000
	stale := map[bool]int{}
	for _, forgets := range []bool{false, true} {
		for i := range pairs {
			switch i % 200 {
			case 100:
				p.replay(t, "pause")
			case 150:
				p.replay(t, "resume")
			}
			want := i + 1
			if forgets {
				want += pairs
			}
			token, err := p.write(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			if token["shop"].IsZero() {
				t.Fatalf("write %d has no position: %s", i, token)
			}
			if forgets {
				token = nil
			}
			got, err := p.price(t.Context(), token)
			if err != nil {
				t.Fatalf("pair %d: %v", i, err)
			}
			if got != want {
				stale[forgets]++
			}
		}
		p.replay(t, "resume")
	}
	t.Logf("stale of %d: %d with the token, %d without", pairs, stale[false], stale[true])
	if stale[false] > 0 {
		t.Errorf("%d of %d reads lacked the reader's own write", stale[false], pairs)
	}
	if stale[true] == 0 {
		t.Errorf("no read was stale without the token: the replica never lagged, which proves nothing")
	}
	counts := pg.Outcomes(p.replica)
	t.Logf("outcomes: %v", counts)
	if counts["replica"]+counts["waited"] < pairs || counts["behind"] == 0 {
		t.Errorf("the replica did not answer, or never was behind: %v", counts)
	}
}

// One request does not go back in time: once the primary has answered it, or it has
// written, a replica that is behind does not.
func TestARequestDoesNotGoBack(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaMaxLag: time.Minute, ReadConns: 4})
	p.replay(t, "pause")
	ctx, session := consistency.Begin(t.Context(), nil)
	if _, err := p.pool.Exec(ctx, "UPDATE prices SET price = 7 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before its position is known, and after
		var price int
		if err := p.reads.QueryRow(ctx, "SELECT price FROM prices").Scan(&price); err != nil || price != 7 {
			t.Errorf("after a write of the same request: %d, %v", price, err)
		}
		p.replica.Gain(ctx)
	}
	if by := p.readBy(t, session.Gained()); by != "primary" {
		t.Errorf("the %s answers who wrote what the replica has not", by)
	}
	if by := p.readBy(t, nil); by != "replica" {
		t.Errorf("the %s answers who wrote nothing", by)
	}
	// Without a session no caller has said what has to be seen.
	var price int
	if err := p.reads.QueryRow(t.Context(), "SELECT price FROM prices").Scan(&price); err != nil || price != 7 {
		t.Errorf("without a session: %d, %v", price, err)
	}
	// A later timeline than the replica's: it may have gone another way.
	if by := p.readBy(t, consistency.Token{"shop": {Timeline: 2, LSN: 1}}); by != "primary" {
		t.Errorf("the %s answers who wrote on a later timeline", by)
	}
	if err := p.reads.InTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE prices SET price = 8")
		return err
	}); err == nil {
		t.Error("a transaction of reads writes")
	}
}

// No caller sees what is older than the limit, with a token or without.
func TestReplicaLag(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaMaxLag: 100 * time.Millisecond, ReadConns: 4})
	p.replay(t, "pause")
	if _, err := p.write(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	p.await(t, "the primary answers", func() bool { return p.readBy(t, nil) == "primary" })
	if n := pg.Outcomes(p.replica)["lagging"]; n == 0 {
		t.Errorf("outcomes: %v", pg.Outcomes(p.replica))
	}
	p.replay(t, "resume")
	p.await(t, "the replica answers again", func() bool { return p.readBy(t, nil) == "replica" })
}

// TestANewProcessDoesNotTrustAReplica: a process that has just started does not know how old a replica
// is, and does not show what is older than the primary was when it first answered.
func TestANewProcessDoesNotTrustAReplica(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaMaxLag: time.Minute, ReadConns: 4})
	p.replay(t, "pause")
	if _, err := p.write(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	tel := telemetry.Discard()
	tel.Service = "shop"
	primary := func(dsn string) *pgxpool.Pool {
		return openReads(t, pg.Config{DSN: config.Secret(dsn), ReadConns: 2, ConnectTimeout: time.Second})
	}
	opened := func(primary *pgxpool.Pool) (*pg.Replica, pg.Reads) {
		replica, err := pg.OpenReplica(t.Context(), pg.Config{ReplicaDSN: config.Secret(p.standby.DSN("shop", "shop", "s")), ReplicaMaxLag: time.Minute, ReadConns: 2}, primary, tel)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(replica.Close)
		watching, stop := context.WithCancel(t.Context())
		watched := make(chan error, 1)
		go func() { watched <- replica.Watch(watching) }()
		t.Cleanup(func() { stop(); <-watched })
		return replica, pg.NewReads(primary, replica)
	}
	replica, reads := opened(primary(p.primary.DSN("shop", "shop", "s")))
	until(t, "the replica is found to lag", func() bool {
		ctx, _ := consistency.Begin(t.Context(), nil)
		var price int
		if err := reads.QueryRow(ctx, "SELECT price FROM prices WHERE id = 1").Scan(&price); err != nil || price != 1 {
			t.Fatalf("a new process reads %d, %v", price, err)
		}
		return pg.Outcomes(replica)["lagging"] > 0
	})
	// One that has never heard of the primary does not ask the replica at all.
	replica, reads = opened(primary("host=127.0.0.1 port=1 user=shop dbname=shop sslmode=disable"))
	for range 60 {
		ctx, _ := consistency.Begin(t.Context(), nil)
		var price int
		if err := reads.QueryRow(ctx, "SELECT price FROM prices WHERE id = 1").Scan(&price); err == nil {
			t.Fatalf("a process that knows of no primary reads %d", price)
		}
		if err := retry.Sleep(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if n := pg.Outcomes(replica)["away"]; n != 60 {
		t.Errorf("the replica was not asked %d times of 60", n)
	}
	p.replay(t, "resume")
}

// TestALookIsAnAnswer: the look at a replica of several servers notes that one has answered, as each
// connection of the pool does: else the next one leaves it.
func TestALookIsAnAnswer(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaMaxLag: time.Minute, ReadConns: 4})
	tel := telemetry.Discard()
	replica, err := pg.OpenReplica(t.Context(), pg.Config{ReplicaDSN: config.Secret(fmt.Sprintf(
		"host=127.0.0.1,localhost port=%d,%d user=shop password=s dbname=shop sslmode=disable target_session_attrs=standby", p.standby.Port(), p.standby.Port()))}, p.pool, tel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replica.Close)
	if silent, err := pg.LookAnew(t.Context(), replica); err != nil || silent {
		t.Errorf("a server that has answered is taken for silent: %t, %v", silent, err)
	}
}

// A replica that hangs, is killed, or is promoted makes no read fail.
func TestReplicaLoss(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaWait: 20 * time.Millisecond, ReplicaMaxLag: time.Minute, ReadConns: 4})
	reading, stop := context.WithCancel(t.Context())
	var reads atomic.Int64
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			for reading.Err() == nil {
				began := time.Now()
				if _, err := p.price(t.Context(), nil); err != nil {
					done <- err
					return
				}
				if took := time.Since(began); took > 3*time.Second {
					done <- fmt.Errorf("a read took %v", took)
					return
				}
				reads.Add(1)
			}
			done <- nil
		}()
	}
	goOn := func() {
		t.Helper()
		n := reads.Load()
		p.await(t, "reads go on", func() bool { return reads.Load() > n+100 })
	}
	signal := func(sig syscall.Signal) {
		t.Helper()
		if err := p.standby.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	goOn()
	signal(syscall.SIGSTOP)
	p.await(t, "the primary answers for a replica that hangs", func() bool { return p.readBy(t, nil) == "primary" })
	goOn()
	signal(syscall.SIGCONT)
	p.await(t, "the replica answers again", func() bool { return p.readBy(t, nil) == "replica" })
	goOn()
	if _, err := p.adminOf.Exec(t.Context(), "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.write(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	p.await(t, "the primary answers for one that was promoted", func() bool {
		price, err := p.price(t.Context(), nil)
		return err == nil && price == 9
	})
	signal(syscall.SIGQUIT)
	<-p.standby.Done()
	goOn()
	stop()
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}

	// A write whose position cannot be asked is taken to be later than all that is known.
	token, err := p.write(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.primary.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, session := consistency.Begin(t.Context(), nil)
	session.Write("shop")
	p.replica.Gain(ctx)
	if got := session.Gained(); !got["shop"].Covers(token["shop"]) {
		t.Errorf("a write at an unknown position has %q, after %q", got, token)
	}
}

// TestAReplicaFollowsToAnotherTimeline: it answers after a failover, through the connections that it
// had before.
func TestAReplicaFollowsToAnotherTimeline(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaMaxLag: 500 * time.Millisecond, ReadConns: 1})
	if _, err := p.admin.Exec(t.Context(), "GRANT pg_read_all_stats TO shop"); err != nil { // without, it is told at the next checkpoint
		t.Fatal(err)
	}
	var data string
	if err := p.admin.QueryRow(t.Context(), "SHOW data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	// The primary begins a timeline where its port is: it is started as a standby, and promoted.
	if err := errors.Join(p.primary.Stop(t.Context()), os.WriteFile(filepath.Join(data, "standby.signal"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	next, err := pgserver.Start(t.Context(), pgserver.Options{Dir: filepath.Dir(data), Port: p.primary.Port(), Disposable: true, Standbys: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Stop(context.WithoutCancel(t.Context())) })
	exec(t, next.SuperuserDSN("postgres"), "SELECT pg_promote()")
	p.await(t, "the new timeline is known", func() bool { return pg.Known(p.replica).Timeline == 2 })
	before := pg.Outcomes(p.replica)["lagging"]
	p.await(t, "it is what everybody is to see", func() bool { // or the replica has it already
		return pg.Oldest(p.replica).Timeline == 2
	})
	p.await(t, "the replica answers", func() bool { return p.readBy(t, nil) == "replica" })
	t.Logf("%d reads while it lagged", pg.Outcomes(p.replica)["lagging"]-before)
}

// TestReadsGoOnWithoutThePrimary: a primary is lost with what it has not sent. Its replica, which is as
// old as it may be, answers for as long as there is no primary.
func TestReadsGoOnWithoutThePrimary(t *testing.T) {
	t.Parallel()
	const maxLag = time.Second
	p := newPair(t, pg.Config{ReplicaMaxLag: maxLag, ReadConns: 4})
	var sender int
	if err := p.admin.QueryRow(t.Context(), "SELECT pid FROM pg_stat_replication").Scan(&sender); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(sender, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	token, err := p.write(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	p.await(t, "the write is known", func() bool { return pg.Known(p.replica).Covers(token["shop"]) })
	if err := errors.Join(p.primary.Signal(syscall.SIGQUIT), syscall.Kill(sender, syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	<-p.primary.Done()
	for lost := time.Now(); time.Since(lost) < 2*maxLag; {
		if by := p.readBy(t, nil); by != "replica" || t.Failed() {
			t.Fatalf("%s after its loss the %s answers", time.Since(lost), by)
		}
		if err := retry.Sleep(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// A read that is in the way of the replay is canceled by the replica, and answered by the
// primary.
func TestReplayConflict(t *testing.T) {
	t.Parallel()
	p := newPair(t, pg.Config{ReplicaMaxLag: time.Minute, ReadConns: 4})
	ctx, _ := consistency.Begin(t.Context(), nil)
	var by []bool
	err := p.reads.InTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(ctx context.Context, tx pgx.Tx) error {
		var recovers bool
		if err := tx.QueryRow(ctx, "SELECT pg_is_in_recovery() FROM prices").Scan(&recovers); err != nil {
			return err
		}
		by = append(by, recovers)
		if !recovers {
			return nil
		}
		for _, sql := range []string{"UPDATE prices SET price = price + 1", "VACUUM prices"} {
			if _, err := p.admin.Exec(ctx, sql); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "SELECT pg_sleep(20) FROM prices")
		return err
	})
	if err != nil || len(by) < 2 || !by[0] || by[len(by)-1] {
		t.Errorf("answered by replicas: %v; %v", by, err)
	}
}
