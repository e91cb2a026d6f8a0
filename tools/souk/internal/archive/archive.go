package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// minAge is how old orders are at least: payers' banks take payments back, and buyers ask for
	// refunds, for up to half a year.
	minAge = 180 * 24 * time.Hour
	// defaultBatch is how many orders one transaction deletes, or restores: it locks these alone.
	defaultBatch = 500
	// lockTimeout is how long a statement waits for a lock; it is then tried again.
	lockTimeout = time.Second
	// toldFor is how old the newest event is at least: `souk verify` compares mails and webhooks
	// of the last 50 minutes with the events that they tell of.
	toldFor = time.Hour
	// runLock is the advisory lock that a run holds in the order database.
	runLock = 0x736f756b_00000003
	// named is how many orders a refusal names.
	named = 3
	// monthFormat is how a month is written.
	monthFormat = "2006-01"
)

// Options say what is archived.
type Options struct {
	// Databases has connection strings of the owners, by service: order and payment, or order_CELL
	// and payment_CELL of each cell, and insight where there is a read model.
	Databases map[string]string
	// Before is the beginning of the first month, in UTC, that is not archived.
	Before time.Time
	// To is the folder that gets a folder for each archive.
	To string
	// Now is the time by which orders are old enough.
	Now time.Time
	// Out is told what is done.
	Out io.Writer

	// step is called before each step: a test ends the run there.
	step func(string) error
	// batch is how many orders one transaction deletes, or restores; a test has few.
	batch int
}

// archiver archives the orders of one cell, or of a shop without cells.
type archiver struct {
	Options
	orders, payments *pgx.Conn
	insight          *pgx.Conn // nil where there is no read model
	cell             string    // empty in a shop without cells
}

// RefusedError says why a month is not archived.
type RefusedError struct {
	Month   string
	Reasons []string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s is not archived, and no later month is: %s", e.Month, strings.Join(e.Reasons, "; "))
}

// Run archives all orders of the months before Options.Before: their rows are written to files, and
// then deleted. What a run did not finish, the next one does. Errors: *RefusedError.
func Run(ctx context.Context, opts Options) error {
	if opts.Before.After(opts.Now.Add(-minAge)) {
		return fmt.Errorf("--before %s: orders are archived when they are %d days old, which is until %s at the latest",
			opts.Before.Format(monthFormat), int(minAge.Hours()/24), opts.Now.Add(-minAge).UTC().Format(monthFormat))
	}
	return eachCell(ctx, opts, func(a *archiver) error {
		if err := a.alone(ctx); err != nil {
			return err
		}
		months, err := a.months(ctx)
		if err != nil {
			return err
		}
		if len(months) == 0 {
			fmt.Fprintf(a.Out, "%s: there is no order from before %s\n", a.To, opts.Before.Format(monthFormat))
		}
		for _, month := range months {
			if err := a.archive(ctx, month); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachCell calls fn for each cell's databases, or for the shop's. To is then the cell's folder.
func eachCell(ctx context.Context, opts Options, fn func(*archiver) error) error {
	cells := slices.DeleteFunc(slices.Sorted(maps.Keys(opts.Databases)), func(name string) bool {
		return name != "order" && !strings.HasPrefix(name, "order_")
	})
	if len(cells) == 0 {
		return errors.New("there is no order database")
	}
	for _, name := range cells {
		if err := ofCell(ctx, opts, strings.TrimPrefix(name, "order"), fn); err != nil {
			return err
		}
	}
	return nil
}

func ofCell(ctx context.Context, opts Options, suffix string, fn func(*archiver) error) error {
	if opts.step == nil {
		opts.step = func(string) error { return nil }
	}
	if opts.batch == 0 {
		opts.batch = defaultBatch
	}
	a := &archiver{Options: opts, cell: strings.TrimPrefix(suffix, "_")}
	a.To = filepath.Join(a.To, a.cell)
	for _, database := range []struct {
		name string
		conn **pgx.Conn
	}{{"order" + suffix, &a.orders}, {"payment" + suffix, &a.payments}, {"insight", &a.insight}} {
		dsn := opts.Databases[database.name]
		if dsn == "" && database.name == "insight" {
			continue
		}
		if dsn == "" {
			return fmt.Errorf("there is no %s database", database.name)
		}
		conn, err := connect(ctx, dsn)
		if err != nil {
			return fmt.Errorf("%s database: %w", database.name, err)
		}
		defer conn.Close(context.WithoutCancel(ctx))
		*database.conn = conn
	}
	return fn(a)
}

func connect(ctx context.Context, dsn string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"timezone": "UTC", "datestyle": "ISO", "intervalstyle": "postgres", "extra_float_digits": "3", // as files are written and read
		"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "application_name": "souk-archive",
		"lock_timeout": strconv.FormatInt(lockTimeout.Milliseconds(), 10),
	} {
		cfg.RuntimeParams[name] = value
	}
	return pgx.ConnectConfig(ctx, cfg)
}

// alone has no other run archive or restore orders of these databases until the connection ends:
// two that write one folder would each delete what only the other's files have.
func (a *archiver) alone(ctx context.Context) error {
	ended := locks
	ended.Attempts = 5 // a run that has just ended may still have it
	err := retry.Do(ctx, ended, func(ctx context.Context) error {
		_, err := a.orders.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(runLock))
		return err
	})
	if pgerr.IsLockTimeout(err) {
		return errors.New("another run archives or restores orders of this shop")
	}
	return err
}

// locks is when a transaction that could not get a lock in time is tried again.
var locks = retry.Policy{
	Backoff:  retry.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second},
	Attempts: 60,
	If:       func(err error) bool { return pgerr.IsLockTimeout(err) || pgerr.IsRetryable(err) },
}

// inTx runs fn in a transaction, again when it lost against another one.
func inTx(ctx context.Context, conn *pgx.Conn, fn pg.TxFunc) error {
	return retry.Do(ctx, locks, func(ctx context.Context) error { return pg.InTx(ctx, conn, pgx.TxOptions{}, fn) })
}

// month is a month of orders, by the times in their ids.
type month struct {
	name string // 2025-01
	// from and before are the least ids of the month and of the next one.
	from, before string
}

func newMonth(begin time.Time) month {
	return month{name: begin.Format(monthFormat), from: firstID(begin), before: firstID(begin.AddDate(0, 1, 0))}
}

// firstID is not greater than any UUIDv7 from a time on.
func firstID(at time.Time) string {
	var id uuid.UUID
	for i, ms := 5, at.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		id[i] = byte(ms)
	}
	return id.String()
}

// idTime is the time in a UUIDv7.
func idTime(id uuid.UUID) time.Time {
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC()
}

// ParseMonth reads a month.
func ParseMonth(text string) (time.Time, error) {
	at, err := time.Parse(monthFormat, text)
	if err != nil {
		return at, fmt.Errorf("--before %q: want a month, as 2025-01", text)
	}
	return at, nil
}

// months are those before Options.Before that have orders, and those whose archive is not
// finished, in their order.
func (a *archiver) months(ctx context.Context) ([]month, error) {
	found := map[string]month{}
	for _, p := range a.parts() {
		for next, end := uuid.Nil.String(), firstID(a.Before); ; {
			var id uuid.UUID
			err := p.conn.QueryRow(ctx, fmt.Sprintf("SELECT %[1]s FROM %[2]s WHERE %[1]s >= $1 AND %[1]s < $2 ORDER BY 1 LIMIT 1", p.id, p.tables[0].name), next, end).Scan(&id)
			if errors.Is(err, pgx.ErrNoRows) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("look for old orders: %w", err)
			}
			at := idTime(id)
			m := newMonth(time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC))
			found[m.name], next = m, m.before
		}
	}
	rows, err := a.orders.Query(ctx, "SELECT left(name, 7) FROM archives WHERE finished_at IS NULL")
	if err != nil {
		return nil, fmt.Errorf("look for archives that are not finished: %w", err)
	}
	unfinished, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, name := range unfinished {
		begin, err := time.Parse(monthFormat, name)
		if err != nil {
			return nil, err
		}
		found[name] = newMonth(begin)
	}
	out := slices.Collect(maps.Values(found))
	slices.SortFunc(out, func(x, y month) int { return strings.Compare(x.name, y.name) })
	return out, nil
}

// database is a service's database.
type database struct {
	part
	conn *pgx.Conn
}

func (a *archiver) parts() []database {
	return []database{{orderPart, a.orders}, {paymentPart, a.payments}}
}

// archive writes the files of a month, unless an earlier run has, and deletes what they have.
func (a *archiver) archive(ctx context.Context, m month) error {
	name, begun, err := a.name(ctx, m)
	if err != nil {
		return err
	}
	folder := filepath.Join(a.To, name)
	if begun == nil {
		if err := a.check(ctx, m); err != nil {
			return err
		}
		if err := a.export(ctx, m, name, folder); err != nil {
			return fmt.Errorf("write %s: %w", folder, err)
		}
		// What has changed until the files were written is in them. What changes later stays.
		if err := a.check(ctx, m); err != nil {
			return err
		}
	}
	man, sum, err := readManifest(folder)
	if begun != nil && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("an earlier run has begun %s, and its files are not there: repeat it with the --to of that run: %w", name, err)
	}
	if err == nil && begun != nil && !slices.Equal(begun, sum) {
		err = fmt.Errorf("%s has another manifest than the archive that was begun", folder)
	}
	if err == nil {
		err = man.check(folder) // what is deleted is in files that can be read
	}
	if err == nil {
		err = a.step("begin")
	}
	if err != nil {
		return err
	}
	for _, p := range a.parts() { // the orders' first: theirs is the one that is looked for
		if _, err := p.conn.Exec(ctx, "INSERT INTO archives (name, manifest) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, sum); err != nil {
			return fmt.Errorf("note the archive: %w", err)
		}
		if err := a.step("begun " + p.service); err != nil {
			return err
		}
	}
	var left int64
	for _, p := range a.parts() {
		n, err := a.remove(ctx, p, folder, name)
		if err != nil {
			return fmt.Errorf("delete what %s has of %s: %w", p.service, name, err)
		}
		left += n
	}
	for _, p := range slices.Backward(a.parts()) {
		if err := a.step("finish " + p.service); err != nil {
			return err
		}
		if _, err := p.conn.Exec(ctx, "UPDATE archives SET finished_at = now() WHERE name = $1", name); err != nil {
			return fmt.Errorf("note that the archive is finished: %w", err)
		}
		var tables []string
		for _, t := range p.tables {
			tables = append(tables, t.name)
		}
		if _, err := p.conn.Exec(ctx, "VACUUM "+strings.Join(tables, ", ")); err != nil { // what follows is written where they were
			fmt.Fprintf(a.Out, "%s: not vacuumed: %v\n", name, err)
		}
	}
	fmt.Fprintf(a.Out, "%s: %d orders, %d payments in %s\n", name, man.rows("order", "orders"), man.rows("payment", "attempts"), folder)
	if left > 0 {
		fmt.Fprintf(a.Out, "%s: %d orders or payments have changed since they were written to the files, and stay; run it again\n", name, left)
	}
	return nil
}

// name returns the name of a month's archive, and the digest of its manifest if an earlier run has
// begun to delete. A month whose archive is finished and that has orders gets another one.
func (a *archiver) name(ctx context.Context, m month) (name string, begun []byte, err error) {
	rows, err := a.orders.Query(ctx, "SELECT name, manifest, finished_at IS NOT NULL FROM archives WHERE left(name, 7) = $1", m.name)
	if err != nil {
		return "", nil, fmt.Errorf("look for the month's archives: %w", err)
	}
	taken, finished := map[string]bool{}, false
	var digest []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &digest, &finished}, func() error {
		if taken[name] = true; !finished {
			begun = slices.Clone(digest)
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	if begun != nil {
		err = a.orders.QueryRow(ctx, "SELECT name FROM archives WHERE left(name, 7) = $1 AND finished_at IS NULL", m.name).Scan(&name)
		return name, begun, err
	}
	name = m.name
	for n := 2; taken[name]; n++ {
		name = m.name + "." + strconv.Itoa(n)
	}
	return name, nil, nil
}

// check refuses a month of which something is not settled, or not told.
func (a *archiver) check(ctx context.Context, m month) error {
	refused := &RefusedError{Month: m.name}
	// rows counts the rows of a table for which a condition is true, and names some of their orders.
	rows := func(p database, t table, condition, what string) error {
		from, by, _ := strings.Cut(t.rows, " ORDER BY ")
		found, err := p.conn.Query(ctx, fmt.Sprintf("SELECT %s, count(*) OVER () %s AND (%s) ORDER BY %s LIMIT %d", t.named, from, condition, by, named), m.from, m.before)
		if err != nil {
			return err
		}
		var name string
		var n int64
		var names []string
		if _, err := pgx.ForEachRow(found, []any{&name, &n}, func() error { names = append(names, name); return nil }); err != nil {
			return err
		}
		if n > 0 {
			more := ""
			if n > int64(len(names)) {
				more = ", ..."
			}
			refused.Reasons = append(refused.Reasons, fmt.Sprintf("%d %s (%s%s)", n, what, strings.Join(names, ", "), more))
		}
		return nil
	}
	for _, p := range a.parts() {
		for _, t := range p.tables {
			if t.settled == "" {
				continue
			}
			if err := rows(p, t, "NOT ("+t.settled+")", t.unsettled); err != nil {
				return fmt.Errorf("look at %s: %w", t.name, err)
			}
		}
		var fresh int64
		err := p.conn.QueryRow(ctx, `SELECT count(*) FROM souk_events WHERE at > $4 AND subject >= $1 || '.' || $2::uuid AND subject < $1 || '.' || $3::uuid`,
			p.service, m.from, m.before, a.Now.Add(-toldFor)).Scan(&fresh)
		if err != nil {
			return fmt.Errorf("look at the log of events: %w", err)
		}
		if fresh > 0 {
			refused.Reasons = append(refused.Reasons, fmt.Sprintf("%d events of %s are of the last hour, and what was told of them is still compared with them", fresh, p.service))
		}
		var unpublished int64
		err = p.conn.QueryRow(ctx, `SELECT count(*) FROM souk_events e, souk_events_relay r
			WHERE r.system <> 0 AND (e.tx, e.subject, e.version) > (r.tx, r.subject, r.version)
				AND e.subject >= $1 || '.' || $2::uuid AND e.subject < $1 || '.' || $3::uuid`, p.service, m.from, m.before).Scan(&unpublished)
		if err != nil {
			return fmt.Errorf("look at the log of events: %w", err)
		}
		if unpublished > 0 {
			refused.Reasons = append(refused.Reasons, fmt.Sprintf("%d events of %s are not published", unpublished, p.service))
		}
	}
	err := rows(a.parts()[0], orderPart.tables[0], "r.erased_at IS NULL",
		"orders say who placed them: they are archived once SOUK_ORDER_ERASE_PAID_AFTER, SOUK_ORDER_ERASE_CANCELLED_AFTER or an erasure has ended that")
	if err == nil {
		err = a.checkReconciled(ctx, m, refused)
	}
	if err == nil && a.insight != nil {
		err = a.checkRead(ctx, m, refused)
	}
	if err == nil && len(refused.Reasons) > 0 {
		err = refused
	}
	return err
}

// checkReconciled refuses what no reconciliation with the provider has compared yet.
func (a *archiver) checkReconciled(ctx context.Context, m month, refused *RefusedError) error {
	var reconciled bool
	var unfinished int64
	err := a.payments.QueryRow(ctx, `SELECT coalesce((SELECT max(l.created_at) FROM ledger_entries l WHERE l.order_id >= $1 AND l.order_id < $2), '-infinity')
			< coalesce((SELECT max(to_time) FROM reconciliations WHERE daily AND phase = 'done'), '-infinity')
			OR NOT EXISTS (SELECT FROM ledger_entries l WHERE l.order_id >= $1 AND l.order_id < $2),
		(SELECT count(*) FROM reconciliations WHERE phase <> 'done')`, m.from, m.before).Scan(&reconciled, &unfinished)
	if err != nil {
		return fmt.Errorf("look at the reconciliations: %w", err)
	}
	if !reconciled {
		refused.Reasons = append(refused.Reasons, "the daily reconciliation with the payment provider has not compared what the ledger has of them")
	}
	if unfinished > 0 {
		refused.Reasons = append(refused.Reasons, "a reconciliation with the payment provider is under way")
	}
	return nil
}

// checkRead refuses what the read model has not read.
func (a *archiver) checkRead(ctx context.Context, m month, refused *RefusedError) error {
	for _, p := range a.parts() {
		var newest time.Time
		err := p.conn.QueryRow(ctx, `SELECT coalesce(max(at), 'epoch') FROM souk_events WHERE subject >= $1 || '.' || $2::uuid AND subject < $1 || '.' || $3::uuid`,
			p.service, m.from, m.before).Scan(&newest)
		if err != nil {
			return fmt.Errorf("look at the log of events: %w", err)
		}
		var read bool
		err = a.insight.QueryRow(ctx, `SELECT EXISTS (SELECT FROM model m JOIN progress p ON p.generation = m.serving
			WHERE p.source = $1 AND p.complete_until > $2)`, p.service, newest).Scan(&read)
		if err != nil {
			return fmt.Errorf("look at the read model: %w", err)
		}
		if !read {
			refused.Reasons = append(refused.Reasons, "the read model has not read what the log of "+p.service+" has of them")
		}
	}
	return nil
}

// remove deletes the rows of the orders that the files have, a batch of orders in a transaction
// that also writes what stays of them. It returns how many orders have changed since they were
// written to the files: these stay.
func (a *archiver) remove(ctx context.Context, p database, folder, name string) (changed int64, err error) {
	err = readIndex(filepath.Join(folder, p.service, indexFile), a.batch, func(rows []indexRow) error {
		if err := a.step("remove " + p.service); err != nil {
			return err
		}
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.id
		}
		if p.service == orderPart.service {
			if a.insight != nil {
				// Before the events are gone from the log.
				_, err := a.insight.Exec(ctx, "INSERT INTO archived_orders (order_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", ids)
				if err != nil {
					return fmt.Errorf("note archived orders in the read model: %w", err)
				}
			}
		} else if rows, err = a.withoutOrder(ctx, rows, ids); err != nil {
			return err
		}
		n, err := p.removeBatch(ctx, rows, name)
		changed += n
		return err
	})
	return changed, err
}

// withoutOrder returns the rows whose orders are not in the order service's table any more.
func (a *archiver) withoutOrder(ctx context.Context, rows []indexRow, ids []string) ([]indexRow, error) {
	there, err := texts(ctx, a.orders, "SELECT id::text FROM orders WHERE id = ANY ($1::uuid[])", ids)
	if err != nil {
		return nil, fmt.Errorf("look for the orders of payments: %w", err)
	}
	return slices.DeleteFunc(rows, func(r indexRow) bool { return slices.Contains(there, r.id) }), nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func texts(ctx context.Context, db querier, sql string, args ...any) ([]string, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// errChanged means that an order has other rows than the files.
var errChanged = errors.New("an order has other rows than the files")

// removeBatch deletes the rows of orders, and returns how many of the orders have changed since.
// If it cannot tell which one has, it tries each alone.
func (p database) removeBatch(ctx context.Context, rows []indexRow, name string) (changed int64, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	err = inTx(ctx, p.conn, func(ctx context.Context, tx pgx.Tx) error {
		n, err := p.removeRows(ctx, tx, rows, name)
		changed = n
		return err
	})
	if errors.Is(err, errChanged) && len(rows) > 1 {
		changed = 0
		for i := range rows {
			n, err := p.removeBatch(ctx, rows[i:i+1], name)
			if err != nil {
				return changed, err
			}
			changed += n
		}
		return changed, nil
	}
	if errors.Is(err, errChanged) {
		return 1, nil
	}
	return changed, err
}

func (p database) removeRows(ctx context.Context, tx pgx.Tx, rows []indexRow, name string) (changed int64, err error) {
	ids, marks := make([]string, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		ids[i], marks[i] = r.id, r.mark
	}
	locked, err := texts(ctx, tx, p.lock, ids, marks)
	if err != nil {
		return 0, fmt.Errorf("lock: %w", err)
	}
	var there int64
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s = ANY ($1::uuid[])", p.tables[0].name, p.id), ids).Scan(&there); err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	changed = there - int64(len(locked))
	if len(locked) == 0 {
		return changed, nil
	}
	want := make([]int64, len(p.part.remove))
	for _, r := range rows {
		if slices.Contains(locked, r.id) {
			for i, s := range p.part.remove {
				want[i] += s.expected(r)
			}
		}
	}
	b := &pgx.Batch{}
	for _, sql := range p.keep {
		args := []any{locked, name}
		if !strings.Contains(sql, "$2") {
			args = args[:1]
		}
		b.Queue(sql, args...)
	}
	for i, s := range p.part.remove {
		b.Queue(s.sql, locked).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() != want[i] {
				return fmt.Errorf("%w: %q deleted %d rows, and the files have %d", errChanged, s.sql, tag.RowsAffected(), want[i])
			}
			return nil
		})
	}
	return changed, tx.SendBatch(ctx, b).Close()
}
