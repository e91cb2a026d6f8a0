package postgres

import (
	"context"
	"io/fs"
	"slices"
	"testing/fstest"
	"time"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// PageSQL returns the statement of a page.
func PageSQL(l domain.Listing) (string, []any) {
	q := query{listing: l}
	sql := q.page(domain.AllShelves)
	return sql, q.args
}

// MigrationsBefore are those whose files come before a name, such as "00004".
func MigrationsBefore(name string) fs.FS {
	before := fstest.MapFS{}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		if file < "migrations/"+name {
			data, err := migrations.ReadFile(file)
			if err != nil {
				panic(err)
			}
			before[file] = &fstest.MapFile{Data: data}
		}
	}
	return before
}

// Accept is the first part of Import.
func (s *Store) Accept(ctx context.Context, id string, products []domain.ProductInput) error {
	return s.accept(ctx, id, products)
}

// Turn takes the turn at a SKU: what arrives then waits until it has ended.
func (s *Store) Turn(ctx context.Context, sku string) (end func(), err error) {
	return s.turns.take(ctx, []string{sku})
}

// Waiting is how many commands wait for a SKU.
func (s *Store) Waiting(sku string) int {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	if row := s.turns.rows[sku]; row != nil {
		return len(row.waiting)
	}
	return 0
}

// Command is a Reserve, or a Confirm or a Release where it says so.
type Command struct {
	OrderID          string
	Confirm, Release bool
	Lines            []domain.StockLine
	Hold             time.Duration
}

// Outcome is what a command has returned.
type Outcome struct {
	Reservation domain.Reservation
	Touched     int
	Err         error
}

// Together carries out commands of orders that have a reservation, or are to have one, as a
// group of which the first arrived first.
func (s *Store) Together(ctx context.Context, commands []Command) ([]Outcome, error) {
	g := &group{ctx: ctx}
	for _, c := range commands {
		act := &action{kind: reserve, orderID: c.OrderID, lines: c.Lines, hold: c.Hold}
		skus := skusOf(c.Lines)
		if c.Confirm || c.Release {
			act.kind = confirm
			if c.Release {
				act.kind = release
			}
			var err error
			if skus, err = s.reads.ReservedSKUs(ctx, c.OrderID); err != nil {
				return nil, err
			}
		}
		g.members = append(g.members, &command{ctx: ctx, act: act})
		for _, sku := range skus {
			if !slices.Contains(g.skus, sku) {
				g.skus = append(g.skus, sku)
			}
		}
	}
	s.together(g)
	out := make([]Outcome, len(commands))
	for i, m := range g.members {
		out[i] = Outcome{m.act.res, len(m.act.touched), m.act.err}
	}
	return out, nil
}
