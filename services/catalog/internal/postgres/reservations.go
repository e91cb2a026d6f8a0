package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Reserve implements app.Reservations.
func (s *Store) Reserve(ctx context.Context, orderID string, lines []domain.StockLine, hold time.Duration) (domain.Reservation, domain.Touched, error) {
	return s.carryOut(ctx, skusOf(lines), &action{kind: reserve, orderID: orderID, lines: lines, hold: hold})
}

// Confirm implements app.Reservations.
func (s *Store) Confirm(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	return s.settle(ctx, &action{kind: confirm, orderID: orderID})
}

// Release implements app.Reservations.
func (s *Store) Release(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	return s.settle(ctx, &action{kind: release, orderID: orderID})
}

// settle waits for a turn at what the order has reserved. An unknown order has reserved
// nothing, and waits for nobody.
func (s *Store) settle(ctx context.Context, act *action) (domain.Reservation, domain.Touched, error) {
	skus, err := s.reservedSKUs(ctx, act.orderID)
	if err != nil {
		return domain.Reservation{}, nil, err
	}
	return s.carryOut(ctx, skus, act)
}

// carryOut carries out a command in its turn: alone, or in a group with those that wait.
func (s *Store) carryOut(ctx context.Context, skus []string, act *action) (domain.Reservation, domain.Touched, error) {
	c, err := s.turns.enter(ctx, skus, act)
	if err != nil {
		if errors.Is(err, domain.ErrStockBusy) {
			s.measures.refused.Add(ctx, 1)
		} else if c != nil && c.group == nil { // it has waited, and nothing was begun
			s.measures.wait.Record(ctx, time.Since(c.since).Seconds())
		}
		return domain.Reservation{}, nil, err
	}
	if c.group == nil {
		defer s.turns.leave(c.skus)
		s.measures.wait.Record(ctx, time.Since(c.since).Seconds())
		s.alone(ctx, act)
	}
	return act.res, act.touched, act.err
}

// alone carries out a command in a transaction of its own.
func (s *Store) alone(ctx context.Context, act *action) {
	switch act.kind {
	case reserve:
		act.res, act.touched, act.err = s.reserve(ctx, act.orderID, act.lines, act.hold)
	case confirm:
		act.res, act.touched, act.err = s.confirm(ctx, act.orderID)
	case release:
		act.res, act.touched, act.err = s.release(ctx, act.orderID)
	}
}

// reserve holds lines. Enough stock is one round trip.
func (s *Store) reserve(ctx context.Context, orderID string, lines []domain.StockLine, hold time.Duration) (domain.Reservation, domain.Touched, error) {
	skus, quantities := columns(lines)
	fingerprint := domain.Fingerprint(lines)
	var (
		locked []db.LockStockRow
		found  db.GetReservationRow
		exists bool
		made   int64
	)
	try := func() error {
		return s.atomically(ctx, func(b *pgx.Batch) {
			b.Queue(db.LockStock, skus)
			b.Queue(db.HoldStock, skus, quantities, orderID, hold.Microseconds(), fingerprint, telemetry.TraceParent(ctx))
			b.Queue(db.GetReservation, orderID)
		}, func(r pgx.BatchResults) (err error) {
			if locked, err = readRows[db.LockStockRow](r); err != nil {
				return fmt.Errorf("lock stock: %w", err)
			}
			if err := r.QueryRow().Scan(&made); err != nil {
				return fmt.Errorf("hold stock: %w", err)
			}
			found, exists, err = readReservation(r)
			return err
		})
	}
	if err := try(); err != nil {
		return domain.Reservation{}, nil, err
	}
	// Short. Holds that have expired must not make a SKU look sold out.
	released := int64(expireBatch)
	for tries := 0; !exists && len(locked) == len(skus) && released == expireBatch && tries < maxExpiries; tries++ {
		var err error
		if released, err = s.expireHoldsOf(ctx, shortSKUs(lines, locked)); err != nil {
			return domain.Reservation{}, nil, err
		}
		if released > 0 {
			if err := try(); err != nil {
				return domain.Reservation{}, nil, err
			}
		}
	}
	s.measures.commands.Record(ctx, 1)
	if !exists {
		return domain.Reservation{}, nil, reserveRefused(lines, locked)
	}
	res := reservation(found)
	if made == 1 {
		s.turns.remember(orderID, skus)
		return res, productsOf(locked), nil
	}
	if err := res.OnReserve(bytes.Equal(found.LinesHash, fingerprint)); err != nil {
		return domain.Reservation{}, nil, err
	}
	return res, nil, nil
}

// confirm sells what is held, in one round trip; two if a Reserve commits between the
// statements of the first.
func (s *Store) confirm(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	for again := false; ; again = true {
		res, touched, err := s.commitHeld(ctx, orderID)
		if err != nil {
			return domain.Reservation{}, nil, err
		}
		step, err := res.OnConfirm()
		switch {
		case err != nil:
			return domain.Reservation{}, nil, err
		case step == domain.Stay:
			return res, touched, nil
		case again:
			return domain.Reservation{}, nil, fmt.Errorf("reservation %s is still %s after its confirmation", orderID, res.State)
		}
	}
}

// commitHeld commits what is held and reads the reservation, each as of its own
// snapshot.
func (s *Store) commitHeld(ctx context.Context, orderID string) (res domain.Reservation, touched domain.Touched, err error) {
	exists := false
	err = s.atomically(ctx, func(b *pgx.Batch) {
		b.Queue(db.CommitStock, orderID)
		b.Queue(db.GetReservation, orderID)
	}, func(r pgx.BatchResults) (err error) {
		if touched, err = readIDs(r); err != nil {
			return fmt.Errorf("commit stock: %w", err)
		}
		var found db.GetReservationRow
		found, exists, err = readReservation(r)
		res = reservation(found)
		return err
	})
	if err != nil {
		return res, touched, err
	}
	s.measures.commands.Record(ctx, 1)
	if !exists {
		err = domain.ErrReservationNotFound
	}
	return res, touched, err
}

// release gives units back, in one round trip; two for a tombstone.
func (s *Store) release(ctx context.Context, orderID string) (domain.Reservation, domain.Touched, error) {
	for {
		var (
			touched domain.Touched
			found   db.GetReservationRow
			exists  bool
			locked  bool
		)
		err := s.atomically(ctx, func(b *pgx.Batch) {
			b.Queue(db.LockReservation, telemetry.TraceParent(ctx), orderID)
			b.Queue(db.FreeStock, orderID)
			b.Queue(db.GetReservation, orderID)
		}, func(r pgx.BatchResults) (err error) {
			lock, err := r.Exec()
			if err != nil {
				return fmt.Errorf("lock reservation: %w", err)
			}
			locked = lock.RowsAffected() > 0
			if touched, err = readIDs(r); err != nil {
				return fmt.Errorf("free stock: %w", err)
			}
			found, exists, err = readReservation(r)
			return err
		})
		if err != nil {
			return domain.Reservation{}, nil, err
		}
		if exists {
			s.measures.commands.Record(ctx, 1)
			res := reservation(found)
			if step, err := res.OnRelease(); err != nil {
				return domain.Reservation{}, nil, err
			} else if step == domain.Move && !locked {
				continue // a Reserve committed between two of the statements; now it can be locked
			} else if step == domain.Move {
				return domain.Reservation{}, nil, fmt.Errorf("reservation %s is still %s after its release", orderID, res.State)
			}
			return res, touched, nil
		}
		// Unknown: the tombstone, unless a Reserve was faster; then again from the start.
		if _, err := s.q.LeaveTombstone(ctx, orderID); err != nil {
			return domain.Reservation{}, nil, fmt.Errorf("leave tombstone: %w", err)
		}
	}
}

// Restock implements app.Reservations.
func (s *Store) Restock(ctx context.Context, restockID, orderID string, lines []domain.StockLine) (domain.Touched, error) {
	skus, quantities := columns(lines)
	end, err := s.turns.take(ctx, skus)
	if err != nil {
		return nil, err
	}
	defer end()
	fingerprint := domain.Fingerprint(lines)
	var touched domain.Touched
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		touched = nil
		found, err := q.LockReservation(ctx, db.LockReservationParams{OrderID: orderID, Traceparent: telemetry.TraceParent(ctx)})
		if errors.Is(err, pgx.ErrNoRows) {
			return domain.ErrReservationNotFound
		} else if err != nil {
			return fmt.Errorf("lock reservation: %w", err)
		}
		if err := (domain.Reservation{State: domain.ReservationState(found.State)}).OnRestock(); err != nil {
			return err
		}
		inserted, err := q.InsertRestock(ctx, db.InsertRestockParams{RestockID: restockID, OrderID: orderID, LinesHash: fingerprint})
		if err != nil {
			return fmt.Errorf("insert restock: %w", err)
		}
		if inserted == 0 {
			before, err := q.GetRestock(ctx, restockID)
			if err != nil {
				return fmt.Errorf("get restock: %w", err)
			}
			if before.OrderID != orderID || !bytes.Equal(before.LinesHash, fingerprint) {
				return domain.ErrRestockMismatch
			}
			return nil
		}
		excess, err := q.RestockExcess(ctx, db.RestockExcessParams{OrderID: orderID, Skus: skus, Quantities: quantities})
		if err != nil {
			return fmt.Errorf("compare with sold units: %w", err)
		}
		if len(excess) > 0 {
			return &domain.SKUError{Err: domain.ErrRestockExceedsSold, SKUs: excess}
		}
		touched, err = q.ReturnStock(ctx, db.ReturnStockParams{OrderID: orderID, Skus: skus, Quantities: quantities})
		if err != nil {
			return fmt.Errorf("return stock: %w", err)
		}
		return nil
	})
	return touched, err
}

func skusOf(lines []domain.StockLine) []string {
	skus := make([]string, len(lines))
	for i, l := range lines {
		skus[i] = l.SKU
	}
	return skus
}

// columns returns the lines sorted by SKU, as arrays for unnest.
func columns(lines []domain.StockLine) (skus []string, quantities []int64) {
	sorted := slices.Clone(lines)
	domain.SortLines(sorted)
	skus, quantities = make([]string, len(sorted)), make([]int64, len(sorted))
	for i, l := range sorted {
		skus[i], quantities[i] = l.SKU, l.Quantity
	}
	return skus, quantities
}

// reserveRefused tells why nothing was held: an unknown SKU or too little stock.
func reserveRefused(lines []domain.StockLine, locked []db.LockStockRow) error {
	if err := levels(locked).Refuse(lines); err != nil {
		return err
	}
	return errors.New("nothing was held, and yet there was enough of everything")
}

func levels(locked []db.LockStockRow) domain.Levels {
	all := make(domain.Levels, len(locked))
	for _, row := range locked {
		if !row.Sellable {
			row.Available, row.Held = 0, 0 // what others hold comes back to no shelf
		}
		all[row.Sku] = domain.Level{Available: row.Available, Held: row.Held}
	}
	return all
}

func shortSKUs(lines []domain.StockLine, locked []db.LockStockRow) []string {
	if short := (*domain.ShortageError)(nil); errors.As(reserveRefused(lines, locked), &short) {
		skus := make([]string, len(short.Shortages))
		for i, sh := range short.Shortages {
			skus[i] = sh.SKU
		}
		return skus
	}
	return nil
}

func productsOf(locked []db.LockStockRow) domain.Touched {
	touched := make(domain.Touched, len(locked))
	for i, row := range locked {
		touched[i] = row.ProductID
	}
	return touched
}

func reservation(row db.GetReservationRow) domain.Reservation {
	return domain.Reservation{
		OrderID:   row.OrderID,
		State:     domain.ReservationState(row.State),
		ExpiresAt: row.ExpiresAt,
		Expired:   row.Expired,
		Returned:  row.Returned,
		Left:      time.Duration(row.LeftMicroseconds) * time.Microsecond,
	}
}

func readReservation(r pgx.BatchResults) (row db.GetReservationRow, exists bool, err error) {
	rows, err := readRows[db.GetReservationRow](r)
	if err != nil {
		return row, false, fmt.Errorf("get reservation: %w", err)
	}
	if len(rows) == 0 {
		return row, false, nil
	}
	return rows[0], true, nil
}

func readIDs(r pgx.BatchResults) ([]string, error) {
	rows, err := r.Query()
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func readRows[T any](r pgx.BatchResults) ([]T, error) {
	rows, err := r.Query()
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}
