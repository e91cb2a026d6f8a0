package postgres

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
	"github.com/souk-shop/souk/services/catalog/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// expireBatch is how many orders' expired holds one transaction releases.
	expireBatch = 100
	// maxExpiries is how often a command or a group that is short of units has expired
	// holds released before it is refused.
	maxExpiries = 16
	// popularityBatch is how many products one call looks at.
	popularityBatch = 20_000
	// shelveBatch is how many products one transaction puts on their shelves.
	shelveBatch = 2_000
	// turnsBatch is how many turns of stock one transaction follows.
	turnsBatch = 1_000
	// pairOrders and pairLines bound one transaction of co-purchase counting to
	// 200 * 66 pairs.
	pairOrders = 200
	pairLines  = 12
)

// ExpireHolds implements app.Maintenance, oldest first.
func (s *Store) ExpireHolds(ctx context.Context) (domain.Touched, error) {
	rows, err := s.q.ExpireHolds(ctx, expireBatch)
	if err != nil {
		return nil, fmt.Errorf("expire holds: %w", err)
	}
	touched := make(domain.Touched, len(rows))
	for i, r := range rows {
		touched[i] = r.ProductID
	}
	if len(rows) > 0 {
		s.expired(ctx, rows[0].Holds)
	}
	return touched, nil
}

// expireHoldsOf releases expired holds on SKUs and returns those of how many orders. More
// may be left if these are expireBatch.
func (s *Store) expireHoldsOf(ctx context.Context, skus []string) (orders int64, err error) {
	rows, err := s.q.ExpireHoldsOf(ctx, db.ExpireHoldsOfParams{Skus: skus, MaxOrders: expireBatch, Traceparent: telemetry.TraceParent(ctx)})
	if err != nil {
		return 0, fmt.Errorf("expire holds: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	s.expired(ctx, rows[0].Holds)
	return rows[0].Holds, nil
}

// RefreshPopularity implements app.Maintenance.
func (s *Store) RefreshPopularity(ctx context.Context) (changed domain.Touched, round bool, err error) {
	s.walks.Lock()
	defer s.walks.Unlock()
	next := s.walks.popularity
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		changed, round, next = nil, false, s.walks.popularity
		q := s.q.WithTx(tx)
		if locked, err := q.TryLockCatalog(ctx); err != nil || !locked {
			return err
		}
		end, err := q.PopularityEnd(ctx, db.PopularityEndParams{After: next, MaxProducts: popularityBatch})
		if err != nil {
			return err
		}
		if changed, err = q.RefreshPopularity(ctx, db.RefreshPopularityParams{After: next, Last: end.Last}); err != nil {
			return err
		}
		if next = end.Last; end.Products < popularityBatch {
			next, round = firstID, true
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("refresh popularity: %w", err)
	}
	s.walks.popularity = next
	return changed, round, nil
}

// RefreshInStock implements app.Maintenance.
func (s *Store) RefreshInStock(ctx context.Context) (n int, err error) {
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		n = 0
		q := s.q.WithTx(tx)
		if locked, err := q.TryLockCatalog(ctx); err != nil || !locked {
			return err
		}
		// The statement after this one sees what was committed with the turns.
		ids, err := q.TakeStockTurns(ctx, turnsBatch)
		if n = len(ids); err != nil || n == 0 {
			return err
		}
		return q.RefreshInStock(ctx, ids)
	})
	if err != nil {
		return 0, fmt.Errorf("refresh what is in stock: %w", err)
	}
	return n, nil
}

// Shelve implements app.Maintenance.
func (s *Store) Shelve(ctx context.Context) (changed int, err error) {
	s.walks.Lock()
	defer s.walks.Unlock()
	next := s.walks.shelves
	err = pg.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		changed, next = 0, s.walks.shelves
		q := s.q.WithTx(tx)
		if locked, err := q.TryLockCatalog(ctx); err != nil || !locked {
			return err
		}
		rows, err := q.ShelveNext(ctx, db.ShelveNextParams{Popularity: next.popularity, ID: next.id, MaxProducts: shelveBatch})
		if err != nil {
			return err
		}
		var set db.SetShelvesParams
		for _, r := range rows {
			if want := int16(domain.ShelfOf(next.rank)); r.Shelf != want {
				set.Ids, set.Shelves = append(set.Ids, r.ID), append(set.Shelves, want)
			}
			next = shelfWalk{r.Popularity, r.ID, next.rank + 1}
		}
		if len(rows) < shelveBatch {
			next = mostPopular
		}
		if changed = len(set.Ids); changed == 0 {
			return nil
		}
		return q.SetShelves(ctx, set)
	})
	if err != nil {
		return 0, fmt.Errorf("shelve products: %w", err)
	}
	s.walks.shelves = next
	return changed, nil
}

const (
	firstID = "00000000-0000-0000-0000-000000000000"
	lastID  = "ffffffff-ffff-ffff-ffff-ffffffffffff"
)

// walks are how far the work has come that goes round all products, a part a call.
// Each replica has its own.
type walks struct {
	sync.Mutex
	popularity string // the id of the last product that was looked at
	shelves    shelfWalk
}

// shelfWalk is the last product that was put on its shelf, and how many were.
type shelfWalk struct {
	popularity int64
	id         string
	rank       int64
}

var mostPopular = shelfWalk{math.MaxInt64, lastID, 0}

// CountPairs implements app.Maintenance.
func (s *Store) CountPairs(ctx context.Context) (int, error) {
	n, err := s.q.CountPairs(ctx, db.CountPairsParams{MaxOrders: pairOrders, MaxLines: pairLines})
	if err != nil {
		return 0, fmt.Errorf("count pairs: %w", err)
	}
	return int(n), nil
}
