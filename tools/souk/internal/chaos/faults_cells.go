package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/cell/move"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/topology"
)

const (
	// cellDownFor is how long a cell is down.
	cellDownFor = 6 * time.Second
	// othersEvery is the time between two calls of a customer of the other cell, othersPatience
	// how long each may take: less than a call waits for a part that is frozen.
	othersEvery, othersPatience = 100 * time.Millisecond, 3 * time.Second
)

// inCells are the services that run in cells.
var inCells = []string{"cart", "order", "payment"}

// cellFaults break a shop of two cells.
func cellFaults() []Fault {
	twoCells := func(opts *localshop.Options) (func() error, error) {
		opts.Cells = 2
		return nil, nil //nolint:nilnil // there is nothing to undo
	}
	return []Fault{
		{
			Name: "cell-down", Group: "cells", Breaks: inCells, Arrange: twoCells,
			Doc:    "two cells: SIGSTOP of cart, order and payment of one for 6 s; customers of the other must not notice",
			Inject: cellDown,
		},
		{
			Name: "bucket-moves", Group: "cells", Breaks: inCells, Arrange: twoCells, Gentle: true,
			Doc:    "two cells: the buckets of those who just ordered move to the other cell; every third time the mover dies at one of its steps, and begins again",
			Inject: bucketMoves,
		},
	}
}

// movesAtOnce is how many buckets move in one injection.
const movesAtOnce = 4

// bucketMoves moves the buckets of the last orders to the other cell.
func bucketMoves(ctx context.Context, e *Environment) error {
	services := localshop.CellsOf(e.Shop.DSNs())
	from := e.Rand.IntN(2)
	buckets, err := lastBuckets(ctx, e.Shop.DSN(topology.CellName("order", cellName(from))))
	if err != nil {
		return err
	}
	for _, b := range buckets {
		dies := move.Step("")
		if e.Rand.IntN(3) == 0 {
			dies = move.Steps()[e.Rand.IntN(len(move.Steps()))]
		}
		r, err := moveBucket(ctx, services, b, cellName(1-from), dies)
		if dies != "" && errors.Is(err, errMoverDied) {
			r, err = moveBucket(ctx, services, b, cellName(1-from), "")
		}
		if err != nil {
			return err
		}
		e.Injected(1, fmt.Sprintf("bucket %d moved to %s, its writes were held for %s", b, r.To, r.Held.Round(time.Millisecond)))
	}
	return nil
}

var errMoverDied = errors.New("the mover died")

// moveBucket moves a bucket with a mover of its own, which dies before a step.
func moveBucket(ctx context.Context, services []move.Service, b cell.Bucket, to string, dies move.Step) (move.Report, error) {
	m, err := move.Open(ctx, move.Config{Services: services, Step: func(at move.Step) error {
		if at == dies {
			return errMoverDied
		}
		return nil
	}})
	if err != nil {
		return move.Report{}, err
	}
	defer m.Close()
	return m.Move(ctx, b, to)
}

// lastBuckets are those of the last orders in a cell.
func lastBuckets(ctx context.Context, dsn string) ([]cell.Bucket, error) {
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close(ctx)
	rows, err := db.Query(ctx, `SELECT DISTINCT souk_bucket(o.id) FROM (SELECT id FROM orders ORDER BY placed_at DESC LIMIT 20) o
		JOIN souk_cell_buckets b ON b.bucket = souk_bucket(o.id) AND b.state = 'owned' LIMIT $1`, movesAtOnce)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b cell.Bucket, err error) {
		var n int32
		err = row.Scan(&n)
		return cell.Bucket(n), err
	})
}

// cellDown freezes a cell, while a customer of the other fills a cart and asks for its price.
func cellDown(ctx context.Context, e *Environment) error {
	down := e.Rand.IntN(2)
	other, err := e.customerOf(ctx, 1-down)
	if err != nil {
		return err
	}
	frozen, over := context.WithCancel(ctx)
	var parts, customer errgroup.Group
	for _, service := range inCells {
		parts.Go(func() error { return e.freeze(ctx, topology.CellName(service, cellName(down)), cellDownFor) })
	}
	customer.Go(func() error {
		for n := int64(1); frozen.Err() == nil; n++ {
			if err := other.shops(ctx, n%9+1); err != nil && frozen.Err() == nil {
				e.Workload.rec.contradiction(SettlesInTime, "a customer of cell %s notices that cell %s is down: %v", cellName(1-down), cellName(down), err)
			}
			_ = retry.Sleep(frozen, othersEvery)
		}
		return nil
	})
	err = parts.Wait()
	over()
	_ = customer.Wait() // it has none
	return err
}

// cellName is that of the cell of an index.
func cellName(i int) string { return fmt.Sprint("c", i+1) }

// customerOfCell is a guest with a cart.
type customerOfCell struct {
	shop *shopclient.Client
	cart string
	sku  string
}

// customerOf makes a guest of a cell of two.
func (e *Environment) customerOf(ctx context.Context, of int) (*customerOfCell, error) {
	for {
		cart, err := e.Workload.shop.NewCart(ctx, nil)
		if err != nil {
			return nil, fmt.Errorf("a cart of a customer of cell %s: %w", cellName(of), err)
		}
		b, err := cell.OfText(cart.ID)
		if err != nil {
			return nil, err
		}
		if int(b)*2/cell.Buckets == of {
			return &customerOfCell{e.Workload.shop.WithToken(cart.Token), cart.ID, e.Workload.goods.plenty[0]}, nil
		}
	}
}

// shops writes the customer's cart and asks the order service for its price.
func (c *customerOfCell) shops(ctx context.Context, units int64) error {
	ctx, cancel := context.WithTimeout(ctx, othersPatience)
	defer cancel()
	if _, err := c.shop.SetLines(ctx, c.cart, []shopclient.Line{{SKU: c.sku, Quantity: units}}); err != nil {
		return err
	}
	_, err := c.shop.Quote(ctx, c.cart)
	return err
}
