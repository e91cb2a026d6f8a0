package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// The states of a bucket in souk_cell_buckets.
const (
	owned   = "owned"
	leaving = "leaving"
	away    = "away"
)

const (
	// chunk is how many units one statement copies or deletes.
	chunk = 200
	// busy bounds the wait for what keeps a bucket from being moved, and tryAgain is the pause between two
	// attempts. lockTimeout is short: writes wait behind a lock that is waited for.
	busy, tryAgain, lockTimeout = time.Minute, 20 * time.Millisecond, "250ms"
	// ends is how long the session of a mover takes to end.
	ends = 3 * time.Second
	// bucketLock is the class of the advisory locks of souk_cell_fence, moverLock the lock that a
	// mover holds in each database: its session ends with whatever it has not committed.
	bucketLock, moverLock = "1936684395", 0x736f756b_00000002
)

// database is that of a service in a cell, with the mover's only session there.
type database struct {
	service, cell, dsn string
	conn               *pgx.Conn
}

func open(ctx context.Context, service, name, dsn string, alone bool) (*database, error) {
	db := &database{service: service, cell: name, dsn: dsn}
	conn, err := connect(ctx, dsn)
	if err != nil {
		return nil, db.failed(err)
	}
	db.conn = conn
	if err := db.hold(ctx, alone); err != nil {
		return nil, errors.Join(db.failed(err), conn.Close(ctx))
	}
	return db, nil
}

// hold checks whose database it is and, to be alone, takes the mover's lock. The session of one that has
// just ended may still have it.
func (db *database) hold(ctx context.Context, alone bool) error {
	for until := time.Now().Add(ends); ; {
		var is string
		var locked bool
		err := db.conn.QueryRow(ctx, "SELECT name, NOT $2 OR pg_try_advisory_lock($1) FROM souk_cell", int64(moverLock), alone).Scan(&is, &locked)
		switch {
		case err != nil:
			return err
		case is != db.cell:
			return &ownership.WrongDatabaseError{Cell: db.cell, Why: "it is that of cell " + is}
		case locked:
			return nil
		case time.Now().After(until):
			return errors.New("another mover is at work")
		}
		if err := retry.Sleep(ctx, tryAgain); err != nil {
			return err
		}
	}
}

func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err // pgx redacts the password
	}
	for name, value := range map[string]string{
		"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": lockTimeout, "application_name": "souk cells",
	} {
		cfg.RuntimeParams[name] = value
	}
	return pgx.ConnectConfig(ctx, cfg)
}

// reconnect replaces a connection that is closed, as by a copy that was broken off.
func (db *database) reconnect(ctx context.Context) error {
	if !db.conn.IsClosed() {
		return nil
	}
	fresh, err := open(ctx, db.service, db.cell, db.dsn, true)
	if err == nil {
		db.conn = fresh.conn
	}
	return err
}

// failed names the database of an error.
func (db *database) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("database %s of cell %s: %w", db.service, db.cell, err)
}

// plan is what the database says of its tables. Parents come first.
func (db *database) plan(ctx context.Context) ([]ownership.Table, error) {
	rows, err := db.conn.Query(ctx, "SELECT plan FROM souk_cell_tables ORDER BY position")
	if err != nil {
		return nil, db.failed(err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t ownership.Table, err error) {
		var text []byte
		if err := row.Scan(&text); err != nil {
			return t, db.failed(err)
		}
		return t, json.Unmarshal(text, &t)
	})
}

// sameVersion fails where the two databases say different things of their tables, and where one has a
// table of which nothing is said, as after a process of an older version has started again: rows of such a
// table would be left behind.
func (p *part) sameVersion(ctx context.Context) error {
	from, err := p.from.plan(ctx)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(from, p.tables) {
		return fmt.Errorf("the plan of what moves of %s is another one in cell %s than in %s: they are of two versions; move the bucket when both are of one", p.name, p.to.cell, p.from.cell)
	}
	for _, db := range []*database{p.from, p.to} {
		unnamed, err := ownership.Unnamed(ctx, db.conn)
		if err != nil {
			return db.failed(err)
		}
		if len(unnamed) > 0 {
			return db.failed(fmt.Errorf("the plan of what moves does not name %s: start a process of the newest version; a table of your own belongs into a schema of its own", strings.Join(unnamed, ", ")))
		}
	}
	return nil
}

// moving are the tables whose rows move.
func moving(tables []ownership.Table) []ownership.Table {
	return slices.DeleteFunc(slices.Clone(tables), func(t ownership.Table) bool { return t.Stays != "" })
}

// alone waits until no transaction that writes the bucket is under way, and runs statements while none can
// begin. Writes that come wait for it, for lockTimeout at most at a time.
func (db *database) alone(ctx context.Context, b cell.Bucket, statements *pgx.Batch) error {
	return db.failed(locked(ctx, func() error {
		tx, err := db.conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(context.WithoutCancel(ctx)) // nothing once it is committed
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+bucketLock+", $1)", int32(b)); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, again(statements)).Close(); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}))
}

// again is a batch that was not sent.
func again(b *pgx.Batch) *pgx.Batch {
	fresh := &pgx.Batch{}
	for _, q := range b.QueuedQueries {
		fresh.Queue(q.SQL, q.Arguments...)
	}
	return fresh
}

// locked repeats what waited for a lock in vain.
func locked(ctx context.Context, fn func() error) error {
	for until := time.Now().Add(busy); ; {
		err := fn()
		if !pgerr.IsLockTimeout(err) && !pgerr.IsRetryable(err) || time.Now().After(until) {
			return err
		}
		if ended := retry.Sleep(ctx, tryAgain); ended != nil {
			return errors.Join(err, ended)
		}
	}
}

const told = "UPDATE souk_cell SET version = version + 1"

// stay ends a move that has begun to prepare.
func (db *database) stay(ctx context.Context, b cell.Bucket) error {
	batch := &pgx.Batch{}
	batch.Queue("UPDATE souk_cell_buckets SET state = 'owned', other = '', changed_at = now() WHERE bucket = $1 AND state = 'leaving'", int32(b))
	batch.Queue("DELETE FROM souk_cell_touched WHERE bucket = $1", int32(b))
	batch.Queue(told)
	return db.alone(ctx, b, batch)
}

// own takes a bucket back that has left, and is nowhere else.
func (db *database) own(ctx context.Context, b cell.Bucket, epoch int64) error {
	batch := &pgx.Batch{}
	batch.Queue("UPDATE souk_cell_buckets SET state = 'owned', other = '', epoch = $2, changed_at = now() WHERE bucket = $1", int32(b), epoch)
	batch.Queue("DELETE FROM souk_cell_touched WHERE bucket = $1", int32(b))
	batch.Queue(told)
	return db.alone(ctx, b, batch)
}

// left reports whether the database refuses writes of the bucket.
func (db *database) left(ctx context.Context, b cell.Bucket) (left bool, err error) {
	err = db.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM souk_cell_buckets WHERE bucket = $1 AND state = 'away')", int32(b)).Scan(&left)
	return left, db.failed(err)
}

// leave has the database refuse writes of the bucket: those under way end first, and those that come are
// refused.
func (db *database) leave(ctx context.Context, b cell.Bucket, to string, epoch int64) error {
	batch := &pgx.Batch{}
	batch.Queue("UPDATE souk_cell_buckets SET state = 'away', other = $2, epoch = $3, changed_at = now() WHERE bucket = $1", int32(b), to, epoch)
	batch.Queue(told)
	return db.alone(ctx, b, batch)
}

// prepare has the old database note what is written of the bucket, and clears the new one of what an earlier
// move left there.
func (p *part) prepare(ctx context.Context, b cell.Bucket) error {
	if !p.fenced {
		batch := &pgx.Batch{}
		batch.Queue("UPDATE souk_cell_buckets SET state = 'leaving', other = $2, changed_at = now() WHERE bucket = $1", int32(b), p.to.cell)
		batch.Queue("DELETE FROM souk_cell_touched WHERE bucket = $1", int32(b))
		batch.Queue(told)
		if err := p.from.alone(ctx, b, batch); err != nil {
			return err
		}
	}
	if err := p.to.clear(ctx, b, p.tables); err != nil {
		return err
	}
	// Clients that ask it meanwhile are told where the bucket is, and not that their table is wrong.
	_, err := p.to.conn.Exec(ctx, "INSERT INTO souk_cell_buckets (bucket, state, other) VALUES ($1, 'away', $2) ON CONFLICT DO NOTHING", int32(b), p.from.cell)
	if err == nil {
		_, err = p.to.conn.Exec(ctx, told)
	}
	return p.to.failed(err)
}

// units are those of a bucket that the database has.
func (db *database) units(ctx context.Context, b cell.Bucket, tables []ownership.Table) ([]string, error) {
	var queries []string
	for _, t := range moving(tables) {
		if t.Units != "" {
			queries = append(queries, t.Units)
		}
	}
	rows, err := db.conn.Query(ctx, "SELECT DISTINCT u::text FROM ("+strings.Join(queries, " UNION ALL ")+") AS s (u) WHERE souk_bucket(u) = $1", int32(b))
	if err != nil {
		return nil, db.failed(err)
	}
	units, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return units, db.failed(err)
}

// ahead begins the transaction in which the new database gets the bucket, with what the old one has by now.
func (p *part) ahead(ctx context.Context, b cell.Bucket, report *Report) (err error) {
	if p.units, err = p.from.units(ctx, b, p.tables); err != nil {
		return err
	}
	for _, sql := range []string{"BEGIN", "SET LOCAL session_replication_role = replica"} {
		if _, err := p.to.conn.Exec(ctx, sql); err != nil {
			p.to.rollback()
			return p.to.failed(err)
		}
	}
	if err := p.copyUnits(ctx, p.units, report); err != nil {
		p.to.rollback()
		return err
	}
	return nil
}

// rollback ends the transaction of ahead, if it is open.
func (db *database) rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if db.conn.PgConn().TxStatus() != 'I' {
		_, _ = db.conn.Exec(ctx, "ROLLBACK")
	}
}

// transfer copies again what was written since prepare, and what is looked for by the bucket.
func (p *part) transfer(ctx context.Context, b cell.Bucket, report *Report) error {
	if !p.fenced {
		rows, err := p.from.conn.Query(ctx, "SELECT unit::text FROM souk_cell_touched WHERE bucket = $1", int32(b))
		if err != nil {
			return p.from.failed(err)
		}
		touched, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return p.from.failed(err)
		}
		report.Again += len(touched)
		for part := range slices.Chunk(touched, chunk) {
			if err := p.to.deleteUnits(ctx, part, p.tables); err != nil {
				return err
			}
		}
		if err := p.copyUnits(ctx, touched, report); err != nil {
			return err
		}
	}
	for _, t := range moving(p.tables) {
		if strings.Contains(t.Rows, "$bucket") {
			if err := p.copy(ctx, t, bucketRows(t, b), report); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit has the new database take over.
func (p *part) commit(ctx context.Context, b cell.Bucket) error {
	defer p.goOn(ctx)
	for _, sql := range []string{
		fmt.Sprintf("INSERT INTO souk_cell_buckets (bucket, state, epoch) VALUES (%d, 'owned', %d) ON CONFLICT (bucket) DO UPDATE SET state = 'owned', other = '', epoch = excluded.epoch, changed_at = now()", b, p.epoch),
		told,
		// River's processes look for the jobs at once.
		"SELECT pg_notify(current_schema() || '.river_insert', '{\"queue\": \"default\"}')",
		"COMMIT",
	} {
		if _, err := p.to.conn.Exec(ctx, sql); err != nil {
			return p.to.failed(err)
		}
	}
	return nil
}

// goOn lets begin what quiet has kept from it.
func (p *part) goOn(ctx context.Context) {
	if p.pause != nil {
		_ = p.pause.Close(context.WithoutCancel(ctx)) // it has only waited
		p.pause = nil
	}
}

// unitRows is the condition of a table's rows of units.
func unitRows(t ownership.Table, units []string) string {
	return strings.ReplaceAll(t.Rows, "$units", "'{"+strings.Join(units, ",")+"}'::uuid[]")
}

// bucketRows is the condition of a table's rows of a bucket.
func bucketRows(t ownership.Table, b cell.Bucket) string {
	return strings.ReplaceAll(t.Rows, "$bucket", strconv.Itoa(int(b)))
}

func (p *part) copyUnits(ctx context.Context, units []string, report *Report) error {
	for some := range slices.Chunk(units, chunk) {
		for _, t := range moving(p.tables) {
			if strings.Contains(t.Rows, "$units") {
				if err := p.copy(ctx, t, unitRows(t, some), report); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// copy copies rows of a table.
func (p *part) copy(ctx context.Context, t ownership.Table, rows string, report *Report) error {
	columns, err := p.from.columns(ctx, t)
	if err != nil {
		return err
	}
	there, err := p.to.columns(ctx, t)
	if err != nil {
		return err
	}
	if !maps.Equal(columns, there) {
		return fmt.Errorf("table %s of %s has other columns in cell %s than in %s: they are of two versions", t.Name, p.name, p.to.cell, p.from.cell)
	}
	var names, values []string
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		names = append(names, pgx.Identifier{column}.Sanitize())
		value := "t." + pgx.Identifier{column}.Sanitize()
		if as, ok := t.As[column]; ok {
			value = strings.ReplaceAll(as, "$to", "'"+p.to.cell+"'") // a name of letters and digits
		}
		values = append(values, value)
	}
	if err := p.replace(ctx, t, rows); err != nil {
		return err
	}
	from := "COPY (SELECT " + strings.Join(values, ", ") + " FROM " + t.Name + " AS t WHERE " + rows
	if slices.Contains(t.Fresh, "id") {
		from += " ORDER BY t.id" // the new ones are in the order of the old ones
	}
	reader, writer := io.Pipe()
	read := make(chan error, 1)
	go func() {
		_, err := p.from.conn.PgConn().CopyTo(ctx, writer, from+") TO STDOUT (FORMAT binary)")
		read <- errors.Join(err, writer.CloseWithError(err))
	}()
	tag, err := p.to.conn.PgConn().CopyFrom(ctx, reader, "COPY "+t.Name+" ("+strings.Join(names, ", ")+") FROM STDIN (FORMAT binary)")
	reader.CloseWithError(err)
	// Where the new database has failed, the old one fails of that to send more.
	if failed := <-read; failed != nil && (err == nil || !errors.Is(failed, err)) {
		return fmt.Errorf("table %s: %w", t.Name, p.from.failed(failed))
	}
	if err != nil {
		return fmt.Errorf("table %s: %w", t.Name, p.to.failed(err))
	}
	if n := tag.RowsAffected(); n > 0 {
		report.Rows[p.name+"."+t.Name] += n
	}
	return nil
}

// replace deletes what the new database has by the keys of rows.
func (p *part) replace(ctx context.Context, t ownership.Table, rows string) error {
	if t.Key == "" {
		return nil
	}
	key := pgx.Identifier{t.Key}.Sanitize()
	found, err := p.from.conn.Query(ctx, "SELECT t."+key+" FROM "+t.Name+" AS t WHERE "+rows)
	if err != nil {
		return p.from.failed(err)
	}
	keys, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return p.from.failed(err)
	}
	if _, err := p.to.conn.Exec(ctx, "DELETE FROM "+t.Name+" WHERE "+key+" = ANY ($1)", keys); err != nil {
		return fmt.Errorf("table %s: %w", t.Name, p.to.failed(err))
	}
	return nil
}

// columns are the types of the columns that are copied, by name.
func (db *database) columns(ctx context.Context, t ownership.Table) (map[string]string, error) {
	rows, err := db.conn.Query(ctx, `SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`, t.Name)
	if err != nil {
		return nil, db.failed(err)
	}
	out := map[string]string{}
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error {
		if !slices.Contains(t.Fresh, name) {
			out[name] = kind
		}
		return nil
	})
	return out, db.failed(err)
}

// deleteUnits deletes rows of units in the open transaction.
func (db *database) deleteUnits(ctx context.Context, units []string, tables []ownership.Table) error {
	for _, t := range slices.Backward(moving(tables)) {
		if strings.Contains(t.Rows, "$units") {
			if _, err := db.conn.Exec(ctx, "DELETE FROM "+t.Name+" AS t WHERE "+unitRows(t, units)); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, db.failed(err))
			}
		}
	}
	return nil
}

// clear deletes what the database has of a bucket that is not there, some of it at a time.
func (db *database) clear(ctx context.Context, b cell.Bucket, tables []ownership.Table) error {
	transaction := func(fn func() error) error {
		return locked(ctx, func() error {
			defer db.rollback()
			for _, sql := range []string{"BEGIN", "SET LOCAL session_replication_role = replica"} {
				if _, err := db.conn.Exec(ctx, sql); err != nil {
					return db.failed(err)
				}
			}
			var has bool
			if err := db.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM souk_cell_buckets WHERE bucket = $1 AND state <> 'away')", int32(b)).Scan(&has); err != nil || has {
				return errors.Join(db.failed(err), ifThere(has, db))
			}
			if err := fn(); err != nil {
				return err
			}
			_, err := db.conn.Exec(ctx, "COMMIT")
			return db.failed(err)
		})
	}
	units, err := db.units(ctx, b, tables)
	if err != nil {
		return err
	}
	err = transaction(func() error {
		for _, t := range moving(tables) { // in this order, by which what is looked for by another table's rows goes before them
			if strings.Contains(t.Rows, "$bucket") {
				if _, err := db.conn.Exec(ctx, "DELETE FROM "+t.Name+" AS t WHERE "+bucketRows(t, b)); err != nil {
					return fmt.Errorf("table %s: %w", t.Name, db.failed(err))
				}
			}
		}
		_, err := db.conn.Exec(ctx, "DELETE FROM souk_cell_touched WHERE bucket = $1", int32(b))
		return db.failed(err)
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(units, chunk) {
		if err := transaction(func() error { return db.deleteUnits(ctx, some, tables) }); err != nil {
			return err
		}
	}
	return nil
}

// ifThere is what keeps a bucket from being deleted.
func ifThere(has bool, db *database) error {
	if !has {
		return nil
	}
	return db.failed(errors.New("the bucket is there, and is not deleted"))
}

// calm waits, before a transaction is open that others wait for, until quiet has little to wait for.
func calm(ctx context.Context, parts []*part) error {
	for _, p := range parts {
		for _, t := range p.tables {
			if t.Quiet == "" {
				continue
			}
			if err := p.behind(ctx, t); err != nil {
				return err
			}
			for _, db := range []*database{p.from, p.to} {
				for until, goesOn := time.Now().Add(busy), true; goesOn; {
					if err := db.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.Name+" WHERE "+t.Quiet+")").Scan(&goesOn); err != nil {
						return db.failed(err)
					}
					if goesOn && time.Now().After(until) {
						return fmt.Errorf("%s of %s: %w", t.Name, p.name, errGoesOn)
					}
					if goesOn && retry.Sleep(ctx, 5*tryAgain) != nil {
						return ctx.Err()
					}
				}
			}
		}
	}
	return nil
}

var errGoesOn = errors.New("one is under way, during which no bucket moves; move the bucket when it is done")

// quiet waits until nothing is under way that looks at all of a cell, and keeps it from beginning until the
// bucket is in the new one.
func quiet(ctx context.Context, parts []*part) error {
	for _, p := range parts {
		for _, t := range p.tables {
			if t.Quiet == "" {
				continue
			}
			if err := p.behind(ctx, t); err != nil {
				return err
			}
			if p.pause == nil {
				var err error
				if p.pause, err = connect(ctx, p.from.dsn); err == nil {
					_, err = p.pause.Exec(ctx, "BEGIN")
				}
				if err != nil {
					return p.from.failed(err)
				}
			}
			for _, on := range []*pgx.Conn{p.pause, p.to.conn} {
				if err := still(ctx, on, t); err != nil {
					return fmt.Errorf("%s of %s: %w", t.Name, p.name, err)
				}
			}
		}
	}
	return nil
}

// behind fails where the old cell is not as far as the new one.
func (p *part) behind(ctx context.Context, t ownership.Table) error {
	if t.Horizon == "" {
		return nil
	}
	var from, to *time.Time
	if err := p.from.conn.QueryRow(ctx, "SELECT ("+t.Horizon+")").Scan(&from); err != nil {
		return p.from.failed(err)
	}
	if err := p.to.conn.QueryRow(ctx, "SELECT ("+t.Horizon+")").Scan(&to); err != nil {
		return p.to.failed(err)
	}
	if to != nil && (from == nil || to.After(*from)) {
		return fmt.Errorf("%s of %s: cell %s is done until %s, and cell %s is not: what is between would be left out; move the bucket when it is",
			t.Name, p.name, p.to.cell, to.UTC().Format(time.RFC3339), p.from.cell)
	}
	return nil
}

// still waits for a moment without rows that are under way, and lets none begin until the transaction ends.
func still(ctx context.Context, conn *pgx.Conn, t ownership.Table) error {
	for until := time.Now().Add(busy); ; {
		if _, err := conn.Exec(ctx, "SAVEPOINT still"); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "LOCK TABLE "+t.Name+" IN SHARE MODE")
		goesOn := true
		if err == nil {
			err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.Name+" WHERE "+t.Quiet+")").Scan(&goesOn)
		}
		if err == nil && !goesOn {
			return nil
		}
		if err != nil && !pgerr.IsLockTimeout(err) {
			return err
		}
		if _, err := conn.Exec(ctx, "ROLLBACK TO SAVEPOINT still"); err != nil {
			return err
		}
		if time.Now().After(until) {
			return errGoesOn
		}
		if err := retry.Sleep(ctx, 5*tryAgain); err != nil {
			return err
		}
	}
}
