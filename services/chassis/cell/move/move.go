// Package move takes buckets from one cell to another while the shop sells. What a bucket has is
// copied ahead; then the old cell's databases refuse its writes, what changed meanwhile is copied
// again, and the new cell's take it over. docs/cells.md says why nothing is lost or there twice, and
// what is to be done after a failure: the same again.
package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/ownership"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// Service is one that runs in cells.
type Service struct {
	Name string
	// Databases are the connection strings of its databases by cell, for roles that own them and may
	// set session_replication_role.
	Databases map[string]string
}

// Config is what is moved, and how.
type Config struct {
	// Services are all that run in cells, those first that call the others: their writes stop first.
	Services []Service
	// Look is for one that moves nothing, and may be beside another.
	Look bool
	// Hold bounds how long the writes of a bucket are held up: a move that takes longer fails, and gives it
	// back. 30 s when 0.
	Hold time.Duration
	// Step is called before each step of a move; an error ends it there, as a crash would. For tests.
	Step func(Step) error
}

// Step is a point in a move at which it may end, as in a crash.
type Step string

// The steps, in their order. Each is of all services.
const (
	Prepare  Step = "prepare"  // the old cell begins to note what is written
	Copy     Step = "copy"     // ahead, while the old cell sells on
	Fence    Step = "fence"    // of each service: the old cell refuses writes from here on
	Transfer Step = "transfer" // what was written since it was prepared
	Commit   Step = "commit"   // of each service: the new cell has it from here on
	Delete   Step = "delete"   // in the old cell
)

// Steps are all of them.
func Steps() []Step { return []Step{Prepare, Copy, Fence, Transfer, Commit, Delete} }

// Report says what was moved.
type Report struct {
	Bucket   cell.Bucket
	From, To string
	// Held is how long writes of the bucket were held up: from when the first service's old database
	// refused them until the last one's new database took them.
	Held time.Duration
	// Took is how long all of it took.
	Took time.Duration
	// Rows are those that were moved, by "service.table".
	Rows map[string]int64
	// Again are the units that were written while they were copied ahead.
	Again int
}

// Mover holds the databases of all cells: no other mover works on them meanwhile, but for one that looks.
type Mover struct {
	cfg      Config
	services []*service
}

// service is one with its open databases.
type service struct {
	name  string
	cells map[string]*database
}

// Open connects to all databases. It fails while another mover has one of them.
func Open(ctx context.Context, cfg Config) (*Mover, error) {
	m := &Mover{cfg: cfg}
	if m.cfg.Hold == 0 {
		m.cfg.Hold = 30 * time.Second
	}
	if m.cfg.Step == nil {
		m.cfg.Step = func(Step) error { return nil }
	}
	for _, s := range cfg.Services {
		opened := &service{name: s.Name, cells: map[string]*database{}}
		m.services = append(m.services, opened)
		for name, dsn := range s.Databases {
			db, err := open(ctx, s.Name, name, dsn, !cfg.Look)
			if err != nil {
				m.Close()
				return nil, err
			}
			opened.cells[name] = db
		}
	}
	return m, nil
}

// Close ends the connections, and with them what is not committed.
func (m *Mover) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, s := range m.services {
		for _, db := range s.cells {
			_ = db.conn.Close(ctx) // what it has told the server does not depend on it
		}
	}
}

// Cells are the cells' names, in order.
func (m *Mover) Cells() []string {
	var names []string
	for name := range m.services[0].cells {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Place is where a bucket is, of one service.
type Place struct {
	Service string
	Bucket  cell.Bucket
	// Cell has it; "" for one that has left a cell and is in no other.
	Cell string
	// Other is where it goes, of one that is on its way, and From the cell that it left.
	Other, From string
	epoch       int64
}

// Places are where all buckets are.
func (m *Mover) Places(ctx context.Context) ([]Place, error) {
	var out []Place
	for _, s := range m.services {
		all, err := s.places(ctx)
		if err != nil {
			return nil, err
		}
		for b := range cell.Bucket(cell.Buckets) {
			if p, ok := all[b]; ok {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// places are where the service's buckets are: of what the cells say of one, what is of its last move.
func (s *service) places(ctx context.Context) (map[cell.Bucket]Place, error) {
	out := map[cell.Bucket]Place{}
	for name, db := range s.cells {
		rows, err := db.conn.Query(ctx, "SELECT bucket, state, other, epoch FROM souk_cell_buckets")
		if err != nil {
			return nil, db.failed(err)
		}
		var b int32
		var state, other string
		var epoch int64
		_, err = pgx.ForEachRow(rows, []any{&b, &state, &other, &epoch}, func() error {
			p := Place{Service: s.name, Bucket: cell.Bucket(b), Cell: name, Other: other, epoch: epoch}
			if state == away {
				p.Cell, p.From = "", name
			}
			// Of one move both cells may say: the new one that it is there, the old one that it has left.
			if has, ok := out[p.Bucket]; !ok || has.epoch < epoch || has.epoch == epoch && p.Cell != "" {
				out[p.Bucket] = p
			}
			return nil
		})
		if err != nil {
			return nil, db.failed(err)
		}
	}
	return out, nil
}

// UnknownCellError is a cell that there is not.
type UnknownCellError struct {
	Cell  string
	Cells []string
}

func (e *UnknownCellError) Error() string {
	return fmt.Sprintf("cell %q: there are %v", e.Cell, e.Cells)
}

// part is what a move does of one service.
type part struct {
	*service
	from, to *database
	epoch    int64
	fenced   bool // before this move: one that was broken off
	there    bool // it is in the new cell, from one that was broken off
	units    []string
	tables   []ownership.Table
	pause    *pgx.Conn
}

// Move moves a bucket to a cell. After an error, or a crash, the same call goes on where it ended.
// One that has copied, and not fenced, is undone by a move to where the bucket is.
func (m *Mover) Move(ctx context.Context, b cell.Bucket, to string) (Report, error) {
	report := Report{Bucket: b, To: to, Rows: map[string]int64{}}
	begun := time.Now()
	parts, err := m.parts(ctx, b, to)
	if err != nil {
		return report, fmt.Errorf("bucket %d: %w", b, err)
	}
	for _, p := range parts {
		if p.from != p.to {
			report.From = p.from.cell
		}
	}
	if err := m.move(ctx, b, parts, &report); err != nil {
		return report, fmt.Errorf("bucket %d from %s to %s: %w", b, report.From, to, err)
	}
	report.Took = time.Since(begun)
	return report, nil
}

// parts says what is to be done of each service.
func (m *Mover) parts(ctx context.Context, b cell.Bucket, to string) ([]*part, error) {
	var parts []*part
	var epoch int64
	for _, s := range m.services {
		target, ok := s.cells[to]
		if !ok {
			return nil, &UnknownCellError{to, m.Cells()}
		}
		all, err := s.places(ctx)
		if err != nil {
			return nil, err
		}
		at, ok := all[b]
		if !ok {
			return nil, fmt.Errorf("no cell has it of %s", s.name)
		}
		p := &part{service: s, to: target, epoch: at.epoch}
		switch {
		case at.Cell == to:
			p.from, p.there = target, true
		case at.Cell != "":
			p.from = s.cells[at.Cell]
			p.epoch++
		case at.Other != to && at.From != to:
			return nil, fmt.Errorf("it is on its way to %s: move it there, or back to %s", at.Other, at.From)
		default:
			p.from, p.fenced = s.cells[at.From], true
			if at.From == to { // back to where it was
				p.epoch++
			}
		}
		epoch = max(epoch, p.epoch)
		parts = append(parts, p)
	}
	for _, p := range parts {
		if !p.there {
			p.epoch = epoch
		}
	}
	return parts, nil
}

func (m *Mover) move(ctx context.Context, b cell.Bucket, all []*part, report *Report) error {
	var parts []*part // those that move
	for _, p := range all {
		var err error
		if p.tables, err = p.to.plan(ctx); err != nil {
			return err
		}
		switch {
		case p.there:
			if err := p.to.stay(ctx, b); err != nil { // a move that had begun to another cell is none
				return err
			}
		case p.from == p.to: // back, before it was anywhere else
			if err := p.to.own(ctx, b, p.epoch); err != nil {
				return err
			}
		default:
			if err := p.sameVersion(ctx); err != nil {
				return err
			}
			parts = append(parts, p)
		}
	}
	if err := m.step(Prepare); err != nil {
		return err
	}
	for _, p := range parts {
		if err := p.prepare(ctx, b); err != nil {
			return err
		}
	}
	if err := m.step(Copy); err != nil {
		return err
	}
	if err := calm(ctx, parts); err != nil {
		return err
	}
	for _, p := range parts {
		if err := p.ahead(ctx, b, report); err != nil {
			return err
		}
		defer p.to.rollback() // nothing once it is committed
		defer p.goOn(ctx)
	}
	if len(parts) > 0 {
		if err := quiet(ctx, parts); err != nil {
			return err
		}
		// Not to be interrupted: writes are held up until it is done.
		holding, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.Hold)
		defer cancel()
		committing, err := m.takeOver(holding, b, parts, report)
		if err != nil && !committing && len(parts) == len(all) && !isCrash(err) {
			return giveBack(context.WithoutCancel(ctx), b, parts, err)
		}
		if err != nil {
			return err
		}
	}
	if err := m.step(Delete); err != nil {
		return err
	}
	for _, p := range all {
		for name, db := range p.cells {
			if name == p.to.cell {
				continue
			}
			tables, err := db.plan(ctx)
			if err == nil {
				err = db.clear(ctx, b, tables)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// crashError is that of a step.
type crashError struct{ error }

// Unwrap returns the step's error.
func (e crashError) Unwrap() error { return e.error }

func isCrash(err error) bool { _, is := errors.AsType[crashError](err); return is }

// step ends the move where the configuration says so, which undoes nothing.
func (m *Mover) step(at Step) error {
	if err := m.cfg.Step(at); err != nil {
		return crashError{err}
	}
	return nil
}

// giveBack has the old databases take writes again, those first that are called, after a failure while
// no new one can have the bucket.
func giveBack(ctx context.Context, b cell.Bucket, parts []*part, failed error) error {
	ctx, cancel := context.WithTimeout(ctx, busy)
	defer cancel()
	back := true
	for _, p := range slices.Backward(parts) {
		err := p.from.reconnect(ctx)
		var left bool
		if err == nil {
			left, err = p.from.left(ctx, b)
		}
		if err == nil && left {
			err = p.from.own(ctx, b, p.epoch+1)
		}
		if err != nil {
			back, failed = false, errors.Join(failed, fmt.Errorf("it is not back: %w", err))
		}
	}
	if back {
		return fmt.Errorf("%w; it stays in %s", failed, parts[0].from.cell)
	}
	return failed
}

// takeOver is the part of a move during which the bucket is in no cell. Where it fails it reports whether a
// new database may have the bucket.
func (m *Mover) takeOver(ctx context.Context, b cell.Bucket, parts []*part, report *Report) (committing bool, err error) {
	since := time.Now()
	for _, p := range parts {
		if err := m.step(Fence); err != nil {
			return committing, err
		}
		if err := p.from.leave(ctx, b, p.to.cell, p.epoch); err != nil {
			return committing, err
		}
	}
	fenced := time.Now()
	if err := m.step(Transfer); err != nil {
		return committing, err
	}
	for _, p := range parts {
		if err := p.transfer(ctx, b, report); err != nil {
			return committing, err
		}
	}
	// By then no process of the old cell answers from what it knew of before.
	if err := retry.Sleep(ctx, time.Until(fenced.Add(ownership.MaxAge))); err != nil {
		return committing, err
	}
	for _, p := range slices.Backward(parts) { // who calls the others takes up last
		if err := m.step(Commit); err != nil {
			return committing, err
		}
		committing = true
		if err := p.commit(ctx, b); err != nil {
			return committing, err
		}
	}
	report.Held = time.Since(since)
	return committing, nil
}
