package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// watchEvery is how often Watch looks at primary and replica, watchTimeout how long they
	// may take to answer: a replica that hangs is left alone after the sum of both.
	watchEvery   = 250 * time.Millisecond
	watchTimeout = 500 * time.Millisecond
	// maxSamples bounds what Watch remembers of the primary's positions.
	maxSamples = 1024
	// unknownWrite is how far after the last position that is known of the primary a write is
	// taken to be whose position cannot be asked: more than any server writes between two looks.
	unknownWrite = 1 << 30
)

// Replica is a standby of a service's database, and what is known of it. It answers reads
// (Reads) of requests that have a consistency.Session, as far as it has replayed what they
// have to see.
type Replica struct {
	database string // as tokens name it: the service
	pool     *pgxpool.Pool
	servers  *servers // of the pool
	primary  *pgxpool.Pool
	wait     time.Duration
	maxLag   time.Duration
	log      *slog.Logger

	answering atomic.Pointer[period]   // nil while it is not to be asked
	stalled   atomic.Int64             // until when no read waits, in nanoseconds since 1970
	last      atomic.Pointer[position] // the primary's newest known one
	lag       atomic.Int64             // in nanoseconds
	outcomes  [outcomes]atomic.Int64
}

type position = consistency.Position

// period is the time in which a replica answers.
type period struct {
	over context.Context // done when it has stopped to
	end  context.CancelCauseFunc
	// oldest is what the replica has to have replayed for any read: what the primary had
	// Config.ReplicaMaxLag ago.
	oldest atomic.Pointer[position]
}

// outcome is who answered a read, and why.
type outcome int

const (
	byReplica outcome = iota
	afterWait         // the replica, which had to replay something first
	forWriter         // the primary: the request has written, or has read from it
	isBehind          // the primary: the replica did not replay what the request had to see in time
	isLagging         // the primary: the replica is older than anybody is to see
	isAway            // the primary: the replica does not answer
	hasFailed         // the primary: the replica canceled the read, or was lost in it
	outcomes
)

func (o outcome) String() string {
	return [...]string{"replica", "waited", "writer", "behind", "lagging", "away", "failed"}[o]
}

// OpenReplica returns the replica of cfg's ReplicaDSN, nil if it has none. The database's
// primary is asked through the pool primary. It answers nothing until Watch runs.
func OpenReplica(ctx context.Context, cfg Config, primary *pgxpool.Pool, tel *telemetry.Telemetry) (*Replica, error) {
	if cfg.ReplicaDSN == "" {
		return nil, nil //nolint:nilnil // Reads do without
	}
	cfg.DSN = cfg.ReplicaDSN
	cfg.Doubts = nil                                // they are about the primary
	s, pool, err := openReads(ctx, cfg, tel, false) // of several standbys any will do
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	r := &Replica{
		database: tel.Service, pool: pool, servers: s, primary: primary, wait: max(0, cfg.ReplicaWait), maxLag: max(0, cfg.ReplicaMaxLag), log: tel.Log,
	}
	if err := r.measure(tel.Meter()); err != nil {
		pool.Close()
		return nil, err
	}
	return r, nil
}

// Close closes the replica's connections.
func (r *Replica) Close() {
	if p := r.answering.Swap(nil); p != nil {
		p.end(errAway)
	}
	r.pool.Close()
}

// Pool is that of the replica's connections.
func (r *Replica) Pool() *pgxpool.Pool { return r.pool }

func (r *Replica) measure(meter metric.Meter) error {
	lag, err1 := meter.Float64ObservableGauge("souk.postgres.replica.lag", metric.WithUnit("s"),
		metric.WithDescription("How long ago the primary had what the replica has not replayed yet; 0 when it has everything."))
	answering, err2 := meter.Int64ObservableGauge("souk.postgres.replica.answering", metric.WithUnit("{replica}"),
		metric.WithDescription("1 where the database's replica answers this process, 0 where the primary does in its place, because the replica is away or too far behind."))
	reads, err3 := meter.Int64ObservableCounter("souk.postgres.replica.reads", metric.WithUnit("{read}"),
		metric.WithDescription("Reads that a replica may answer, by who did and why."))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	of := [outcomes]metric.MeasurementOption{}
	for o := range outcomes {
		of[o] = metric.WithAttributeSet(attribute.NewSet(semconv.PostgresReplicaOutcome.String(o.String())))
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		up := int64(0)
		if r.answering.Load() != nil {
			behind := time.Duration(r.lag.Load())
			o.ObserveFloat64(lag, behind.Seconds())
			if behind <= r.maxLag {
				up = 1
			}
		}
		o.ObserveInt64(answering, up)
		for outcome := range outcomes {
			o.ObserveInt64(reads, r.outcomes[outcome].Load(), of[outcome])
		}
		return nil
	}, lag, answering, reads)
	return err
}

// sample is a position that the primary had at a time.
type sample struct {
	at  time.Time
	pos position
}

// Watch looks at primary and replica until ctx is done, and decides whether the replica is
// asked. It has a connection of its own, so that busy ones do not make the replica look lost.
func (r *Replica) Watch(ctx context.Context) error {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	history := newHistory(time.Now())
	var lost time.Time // since when the primary does not answer; zero while it does
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		asked := time.Now() // before the answer: what the primary has then, it has at this time at the latest
		if pos, err := r.primaryPosition(ctx); err == nil {
			r.last.Store(&pos)
			history.add(sample{asked, pos})
			lost = time.Time{}
		} else if lost.IsZero() {
			lost = asked
		}
		pos, err := r.look(ctx, &conn)
		switch {
		case err == nil:
			r.lag.Store(int64(history.lag(time.Now(), pos)))
			// While the primary is away, a replica answers that has what was old enough when it was
			// lost: what came later in its log, it may have had alone.
			until := time.Now()
			if !lost.IsZero() {
				until = lost
			}
			// It is not known how old a replica is before the primary has answered.
			if oldest, ok := history.before(until.Add(-r.maxLag)); ok {
				r.begin(ctx, oldest)
			}
		case ctx.Err() == nil:
			r.lose(r.answering.Load(), err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// history is which positions the primary had when, oldest first.
type history struct {
	samples  []sample
	complete time.Time // the replica had all that the primary had then
}

func newHistory(now time.Time) *history { return &history{complete: now} }

func (h *history) add(s sample) {
	if len(h.samples) == maxSamples {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, s)
}

// lag is for how long the replica has lacked something.
func (h *history) lag(now time.Time, replica position) time.Duration {
	for _, s := range h.samples {
		if !replica.Covers(s.pos) {
			return now.Sub(h.complete)
		}
		h.complete = s.at
	}
	return 0
}

// before is the newest position that the primary had before a time, the oldest that is known where
// that is later; it forgets older ones. It is not ok while none is known.
func (h *history) before(t time.Time) (pos position, ok bool) {
	for len(h.samples) > 1 && h.samples[1].at.Before(t) {
		h.samples = h.samples[1:]
	}
	if len(h.samples) == 0 {
		return position{}, false
	}
	return h.samples[0].pos, true
}

// look returns how far the replica is, through a connection that it opens if need be.
func (r *Replica) look(ctx context.Context, conn **pgx.Conn) (position, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	if *conn == nil || (*conn).IsClosed() {
		fresh, err := r.servers.connect(ctx, r.pool.Config().ConnConfig, false)
		if err != nil {
			return position{}, err
		}
		*conn = fresh
	}
	at, err := replicaPosition(ctx, *conn)
	if err != nil { // of several servers another one may be a standby
		_ = (*conn).Close(ctx)
	}
	return at, err
}

// begin says that the replica answers, what has replayed at least up to oldest.
func (r *Replica) begin(ctx context.Context, oldest position) {
	p := r.answering.Load()
	if p == nil {
		p = &period{}
		p.over, p.end = context.WithCancelCause(context.WithoutCancel(ctx))
		p.oldest.Store(&oldest)
		r.answering.Store(p)
		r.log.InfoContext(ctx, "the replica answers reads")
		return
	}
	p.oldest.Store(&oldest)
}

// errAway ends reads of a replica that is not asked any more.
var errAway = errors.New("the replica does not answer")

// lose has the primary asked until Watch finds that the replica answers again; what the
// replica is about to answer is given up.
func (r *Replica) lose(p *period, cause error) {
	if p != nil && r.answering.CompareAndSwap(p, nil) {
		p.end(errAway)
		r.pool.Reset() // its other connections may lead to a server that hangs
		r.log.Warn("the replica does not answer; the primary does in its place", "error", cause)
	}
}

// errPromoted means that the replica's server is a primary now.
var errPromoted = errors.New("the server is not in recovery: it is no standby")

// replicaPosition is how far a server has replayed its primary's log. Its timeline may be
// told late (that of the control file is, and the receiver's is told to members of
// pg_read_all_stats alone), never too early: then the primary is asked for longer.
func replicaPosition(ctx context.Context, conn Queryer) (at position, err error) {
	var recovers bool
	var timeline, lsn int64
	err = conn.QueryRow(ctx, `
		SELECT pg_is_in_recovery(), pg_wal_lsn_diff(coalesce(pg_last_wal_replay_lsn(), '0/0'), '0/0')::bigint,
		       greatest((SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
		                (SELECT received_tli FROM pg_stat_wal_receiver))::bigint`).Scan(&recovers, &lsn, &timeline)
	if err == nil && !recovers {
		err = errPromoted
	}
	return position{Timeline: uint32(timeline), LSN: uint64(lsn)}, err
}

// primaryPosition is how far the primary's log is on its disk: all that is committed.
func (r *Replica) primaryPosition(ctx context.Context) (at position, err error) {
	ctx, cancel := context.WithTimeout(ForHealth(ctx), watchTimeout)
	defer cancel()
	var timeline, lsn int64
	err = r.primary.QueryRow(ctx, `
		SELECT ('x' || left(pg_walfile_name(l), 8))::bit(32)::bigint, pg_wal_lsn_diff(l, '0/0')::bigint
		FROM pg_current_wal_flush_lsn() l`).Scan(&timeline, &lsn)
	return position{Timeline: uint32(timeline), LSN: uint64(lsn)}, err
}

// Gain adds the position of what the request of ctx has written to its session, if it has
// written to this database. Call it after the commit.
func (r *Replica) Gain(ctx context.Context) {
	session := consistency.FromContext(ctx)
	if !session.Written(r.database) {
		return
	}
	at, err := r.primaryPosition(context.WithoutCancel(ctx)) // also if the caller has gone
	if err != nil {
		// The write may have happened.
		last := r.last.Load()
		if last == nil {
			return // the primary has not answered this process yet
		}
		at = position{Timeline: last.Timeline, LSN: last.LSN + unknownWrite}
	}
	session.Gain(consistency.Token{r.database: at})
}

// timelineKey is where a connection remembers its server's timeline, which only grows.
const timelineKey = "souk.timeline"

// reached returns how far the server of a connection is, with a timeline that is told only
// as exactly as what it is compared with needs it: a standby follows a new primary to its timeline
// with the connections that it has.
func reached(ctx context.Context, conn *pgx.Conn, floor, oldest position) (at position, err error) {
	data := conn.PgConn().CustomData()
	timeline, _ := data[timelineKey].(uint32)
	if timeline == 0 || timeline < max(floor.Timeline, oldest.Timeline) {
		if at, err = replicaPosition(ctx, conn); err == nil {
			data[timelineKey] = at.Timeline
		}
		return at, err
	}
	var lsn int64
	err = conn.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint").Scan(&lsn)
	return position{Timeline: timeline, LSN: uint64(lsn)}, err
}

// acquire returns a connection to the replica once that has replayed what a read has to
// see. While it waits it holds none.
func (r *Replica) acquire(ctx context.Context, floor, oldest position) (conn *pgxpool.Conn, at position, o outcome, err error) {
	began := time.Now()
	o = byReplica
	for pause := time.Millisecond; ; pause = min(2*pause, 8*time.Millisecond) {
		if conn, err = r.pool.Acquire(ctx); err != nil {
			return nil, at, hasFailed, err
		}
		if at, err = reached(ctx, conn.Conn(), floor, oldest); err != nil {
			conn.Release()
			return nil, at, hasFailed, err
		}
		if !at.Covers(oldest) {
			conn.Release()
			return nil, at, isLagging, nil
		}
		if at.Covers(floor) {
			return conn, at, o, nil
		}
		conn.Release()
		now := time.Now()
		if now.UnixNano() < r.stalled.Load() {
			return nil, at, isBehind, nil // others have waited in vain just now
		}
		if now.Sub(began) >= r.wait {
			r.stalled.Store(now.Add(watchEvery).UnixNano())
			return nil, at, isBehind, nil
		}
		o = afterWait
		if err := retry.Sleep(ctx, pause); err != nil {
			return nil, at, hasFailed, err
		}
	}
}

// ask runs fn, which only reads, on the replica. It is not answered where the primary has to
// be asked: the replica has failed, or may lack what the request has to see.
func (r *Replica) ask(ctx context.Context, fn func(context.Context, Querier) error) (answered bool, err error) {
	o, err := r.attempt(ctx, fn)
	r.outcomes[o].Add(1)
	return o == byReplica || o == afterWait, err
}

func (r *Replica) attempt(ctx context.Context, fn func(context.Context, Querier) error) (outcome, error) {
	session := consistency.FromContext(ctx)
	floor, ok := session.Floor(r.database)
	if !ok {
		return forWriter, nil
	}
	period := r.answering.Load()
	if period == nil {
		return isAway, nil
	}
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(period.over, func() { cancel(errAway) })()
	conn, at, o, err := r.acquire(asking, floor, *period.oldest.Load())
	if err != nil {
		if ctx.Err() != nil {
			return byReplica, err // the caller has gone: the primary is not asked
		}
		r.failed(period, err)
	}
	if conn == nil {
		return o, nil
	}
	defer conn.Release()
	err = fn(asking, conn)
	if err != nil && ctx.Err() == nil && (asking.Err() != nil || ofDatabase(err)) {
		r.failed(period, err)
		return hasFailed, nil
	}
	session.Saw(r.database, at)
	return o, err
}

// failed loses the replica unless only the statement failed there.
func (r *Replica) failed(p *period, err error) {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Severity != "FATAL" {
		return
	}
	r.lose(p, err)
}

// ofDatabase reports whether an error is one of a server or the way to it: the primary may
// answer otherwise, also that a column is missing which the replica has not got yet.
func ofDatabase(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok || pgerr.IsUnavailable(err)
}
