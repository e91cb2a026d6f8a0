package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// kind is a command that can be carried out together with others. In a group they are
// carried out in the order of the values: what is given back can be reserved.
type kind int

const (
	release kind = iota
	confirm
	reserve
)

// action is what a command does, and its outcome.
type action struct {
	kind    kind
	orderID string
	lines   []domain.StockLine // of a reserve
	hold    time.Duration      // of a reserve

	res     domain.Reservation
	touched domain.Touched
	err     error
}

func (a *action) refuse(err error) { a.res, a.touched, a.err = domain.Reservation{}, nil, err }

// maxConflicts is how often a group makes room for orders that another process reserves
// or releases at the same moment.
const maxConflicts = 3

var (
	// errConflict has a group that another process was faster than read again.
	errConflict = errors.New("an order was reserved or released meanwhile")
	// errNoReservation has each command of a group tried alone: that of an order which has
	// no reservation does not wait for stock.
	errNoReservation = errors.New("the order has no reservation")
	// errExpired has a group that is short of units give back those of expired holds.
	errExpired = errors.New("units of expired holds have to be given back")
)

// together carries out the commands of a group, as if one after another: by their kinds, and
// those of a kind in the order in which they arrived. One that is refused is no error of the
// others. A failure of the transaction is each member's if its outcome is unknown or the
// database is not available; else each is tried alone, so that a member that can't be carried
// out is the only one that fails.
func (s *Store) together(g *group) {
	ctx, span := s.traceGroup(g)
	defer span.End()
	acts := make([]*action, len(g.members))
	for i, c := range g.members {
		acts[i] = c.act
		s.measures.wait.Record(ctx, time.Since(c.since).Seconds())
	}
	defer func() { s.changed(touchedBy(acts)) }()
	defer func() {
		if p := recover(); p != nil {
			for _, a := range acts {
				a.refuse(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}
	}()
	unsure, err := s.inOneTransaction(ctx, acts, slices.Sorted(slices.Values(g.skus)))
	if err == nil {
		s.measures.commands.Record(ctx, int64(len(acts)))
		return
	}
	span.RecordError(err)
	span.SetStatus(codes.Error, "")
	if unsure || pgerr.IsUnavailable(err) || g.ctx.Err() != nil {
		for _, a := range acts {
			a.res, a.err = domain.Reservation{}, fmt.Errorf("carry out %d commands at once: %w", len(acts), err) // it may have touched
		}
		return
	}
	for _, c := range g.members {
		s.alone(c.ctx, c.act)
	}
}

// traceGroup starts the span of a group: in the trace of its first member that is sampled, with
// links to the others that are, and from them. A group of which no member is sampled is not.
func (s *Store) traceGroup(g *group) (context.Context, trace.Span) {
	parent := trace.SpanContextFromContext(g.members[0].ctx)
	var links []trace.Link
	var linked []trace.Span
	for _, c := range g.members[1:] {
		member := trace.SpanFromContext(c.ctx)
		switch sc := member.SpanContext(); {
		case !sc.IsSampled():
		case !parent.IsSampled():
			parent = sc
		default:
			links, linked = append(links, trace.Link{SpanContext: sc}), append(linked, member)
		}
	}
	ctx, span := s.tracer.Start(trace.ContextWithSpanContext(g.ctx, parent), "souk.catalog.stock.group", trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("db.operation.batch.size", len(g.members))))
	if span.SpanContext().IsSampled() {
		for _, member := range linked {
			member.AddLink(trace.Link{SpanContext: span.SpanContext()})
		}
	}
	return ctx, span
}

// touchedBy are the products of commands, each once.
func touchedBy(acts []*action) domain.Touched {
	var all domain.Touched
	for _, a := range acts {
		all = append(all, a.touched...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// inOneTransaction carries out commands about the stock of SKUs, which are sorted, and notes
// their outcomes. Unless it is unsure, an error says that nothing has happened.
func (s *Store) inOneTransaction(ctx context.Context, acts []*action, skus []string) (unsure bool, err error) {
	acts = slices.Clone(acts)
	slices.SortStableFunc(acts, func(a, b *action) int { return int(a.kind - b.kind) })
	freed := map[string]bool{}
	for conflicts, expiries := 0, 0; ; {
		var p *groupPlan
		err := pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) (err error) {
			unsure = false
			if p, err = read(ctx, tx, acts, skus); err != nil {
				return err
			}
			for _, a := range acts {
				if err := p.decide(a); err != nil {
					return err
				}
			}
			// One that is served by what was given back may leave others short of other SKUs.
			p.short = slices.DeleteFunc(p.short, func(sku string) bool { return freed[sku] })
			if len(p.short) > 0 && p.expired {
				return errExpired
			}
			if err := p.write(ctx, tx); err != nil {
				return err
			}
			unsure = true // it commits
			return nil
		})
		switch {
		case err == nil:
			for _, a := range p.held {
				s.turns.remember(a.orderID, skusOf(a.lines))
			}
			return false, nil
		case errors.Is(err, errExpired):
			// Holds that have expired must not make a SKU look sold out.
			released, err := s.expireHoldsOf(ctx, p.short)
			if err != nil {
				return false, err
			}
			if expiries++; released == expireBatch && expiries < maxExpiries {
				continue // more may be left, of each of the SKUs
			}
			for _, sku := range p.short {
				freed[sku] = true
			}
		case errors.Is(err, errConflict) && conflicts < maxConflicts:
			conflicts++
		default:
			return unsure && !refused(err), err
		}
	}
}

// refused reports that the server itself has refused to commit.
func refused(err error) bool {
	_, ok := errors.AsType[*pgconn.PgError](err)
	return ok && !pgerr.IsUnavailable(err)
}

// groupPlan is what a group does: what was read and locked, and what is to be written.
type groupPlan struct {
	found    map[string]db.LockReservationsRow // by order
	lines    map[string][]db.ReservationLine   // by order
	products map[string]string                 // by SKU
	levels   domain.Levels                     // as the commands leave them
	sellable map[string]bool
	expired  bool // holds of the SKUs have expired

	held    []*action
	settled []*action
	short   []string // SKUs of which there is too little
	moved   map[string]movement
}

// movement is by how much the units of a SKU change.
type movement struct{ held, committed int64 }

// read locks what commands are about, in the order in which each of them alone would, and
// reads it.
func read(ctx context.Context, tx pgx.Tx, acts []*action, skus []string) (*groupPlan, error) {
	p := &groupPlan{
		found: map[string]db.LockReservationsRow{}, lines: map[string][]db.ReservationLine{},
		products: map[string]string{}, sellable: map[string]bool{}, moved: map[string]movement{},
	}
	orders := make([]string, len(acts))
	for i, a := range acts {
		orders[i] = a.orderID
	}
	var b pgx.Batch
	b.Queue(db.LockReservations, orders)
	b.Queue(db.ReservedLines, orders)
	b.Queue(db.LockStock, skus)
	b.Queue(db.AreHoldsExpired, skus)
	r := tx.SendBatch(ctx, &b)
	err := p.readFrom(r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return p, err
}

func (p *groupPlan) readFrom(r pgx.BatchResults) error {
	found, err := readRows[db.LockReservationsRow](r)
	if err != nil {
		return fmt.Errorf("lock reservations: %w", err)
	}
	for _, row := range found {
		p.found[row.OrderID] = row
	}
	lines, err := readRows[db.ReservationLine](r)
	if err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	for _, row := range lines {
		p.lines[row.OrderID] = append(p.lines[row.OrderID], row)
	}
	locked, err := readRows[db.LockStockRow](r)
	if err != nil {
		return fmt.Errorf("lock stock: %w", err)
	}
	p.levels = levels(locked)
	for _, row := range locked {
		p.products[row.Sku], p.sellable[row.Sku] = row.ProductID, row.Sellable
	}
	if err := r.QueryRow().Scan(&p.expired); err != nil {
		return fmt.Errorf("look for expired holds: %w", err)
	}
	return nil
}

// decide gives a command its outcome, which is true once the plan is committed. An error is
// that of the group.
func (p *groupPlan) decide(a *action) error {
	row, exists := p.found[a.orderID]
	res := domain.Reservation{
		OrderID: a.orderID, State: domain.ReservationState(row.State), ExpiresAt: row.ExpiresAt, Expired: row.Expired,
		Left: time.Duration(row.LeftMicroseconds) * time.Microsecond,
	}
	lines := p.lines[a.orderID]
	for _, l := range lines {
		res.Returned = res.Returned || l.Returned > 0
	}
	a.res, a.touched, a.err = res, nil, nil
	var step domain.Step
	switch {
	case a.kind == reserve && !exists:
		p.hold(a)
		return nil
	case a.kind == reserve:
		a.err = res.OnReserve(bytes.Equal(row.LinesHash, domain.Fingerprint(a.lines)))
	case !exists:
		return errNoReservation
	case a.kind == confirm:
		step, a.err = res.OnConfirm()
	case a.kind == release:
		step, a.err = res.OnRelease()
	}
	if a.err != nil {
		a.res = domain.Reservation{}
	} else if step == domain.Move {
		p.settle(a, lines)
	}
	return nil
}

// hold takes the units of a new reservation.
func (p *groupPlan) hold(a *action) {
	if err := p.levels.Refuse(a.lines); err != nil {
		if short, ok := errors.AsType[*domain.ShortageError](err); ok {
			for _, sh := range short.Shortages {
				p.short = append(p.short, sh.SKU)
			}
		}
		a.refuse(err)
		return
	}
	for _, l := range a.lines {
		p.move(l.SKU, movement{held: l.Quantity})
		a.touched = append(a.touched, p.products[l.SKU])
	}
	a.res.State, a.res.Left = domain.Held, a.hold
	p.held = append(p.held, a)
}

// settle sells the units of a reservation, or gives them back.
func (p *groupPlan) settle(a *action, lines []db.ReservationLine) {
	for _, l := range lines {
		var m movement
		if a.res.State == domain.Held {
			m.held = -l.Quantity
		} else {
			m.committed = -l.Quantity
		}
		if a.kind == confirm {
			m.committed = l.Quantity
		}
		p.move(l.Sku, m)
		a.touched = append(a.touched, p.products[l.Sku])
	}
	if a.kind == confirm {
		a.res.State = domain.Committed
	} else {
		a.res.State = domain.Released
	}
	p.settled = append(p.settled, a)
}

func (p *groupPlan) move(sku string, m movement) {
	sum := p.moved[sku]
	sum.held += m.held
	sum.committed += m.committed
	p.moved[sku] = sum
	if level, ok := p.levels[sku]; ok && p.sellable[sku] {
		level.Available -= m.held + m.committed
		level.Held += m.held
		p.levels[sku] = level
	}
}

// write sends what was decided in one round trip.
func (p *groupPlan) write(ctx context.Context, tx pgx.Tx) error {
	if len(p.held)+len(p.settled) == 0 {
		return nil
	}
	var b pgx.Batch
	b.Queue(db.SetTrace, telemetry.TraceParent(ctx))
	p.queueHolds(&b)
	p.queueSettled(&b)
	var moved db.MoveStockParams
	for _, sku := range slices.Sorted(maps.Keys(p.moved)) {
		if m := p.moved[sku]; m != (movement{}) {
			moved.Skus, moved.Held, moved.Committed = append(moved.Skus, sku), append(moved.Held, m.held), append(moved.Committed, m.committed)
		}
	}
	if len(moved.Skus) > 0 {
		b.Queue(db.MoveStock, moved.Skus, moved.Held, moved.Committed)
	}
	return tx.SendBatch(ctx, &b).Close()
}

func (p *groupPlan) queueHolds(b *pgx.Batch) {
	if len(p.held) == 0 {
		return
	}
	var holds db.InsertHoldsParams
	var lines db.InsertLinesParams
	byOrder := make(map[string]*action, len(p.held))
	for _, a := range p.held {
		byOrder[a.orderID] = a
		holds.OrderIds, holds.HoldMicroseconds = append(holds.OrderIds, a.orderID), append(holds.HoldMicroseconds, a.hold.Microseconds())
		holds.LinesHashes = append(holds.LinesHashes, domain.Fingerprint(a.lines))
		for _, l := range a.lines {
			lines.OrderIds, lines.Skus, lines.Quantities = append(lines.OrderIds, a.orderID), append(lines.Skus, l.SKU), append(lines.Quantities, l.Quantity)
		}
	}
	b.Queue(db.InsertHolds, holds.OrderIds, holds.HoldMicroseconds, holds.LinesHashes).Query(func(rows pgx.Rows) error {
		made, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.InsertHoldsRow])
		if err != nil {
			return fmt.Errorf("insert holds: %w", err)
		}
		if len(made) < len(p.held) {
			return errConflict
		}
		for _, row := range made {
			byOrder[row.OrderID].res.ExpiresAt = row.ExpiresAt
		}
		return nil
	})
	b.Queue(db.InsertLines, lines.OrderIds, lines.Skus, lines.Quantities)
}

func (p *groupPlan) queueSettled(b *pgx.Batch) {
	if len(p.settled) == 0 {
		return
	}
	var w db.SettleReservationsParams
	for _, a := range p.settled {
		w.OrderIds, w.States = append(w.OrderIds, a.orderID), append(w.States, string(a.res.State))
		w.Expired = append(w.Expired, a.res.Expired)
	}
	b.Queue(db.SettleReservations, w.OrderIds, w.States, w.Expired)
}
