package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/souk-shop/souk/services/cart/internal/domain"
	"github.com/souk-shop/souk/services/cart/internal/postgres/db"
	"github.com/souk-shop/souk/services/chassis/pg"
)

// batch is statements for one round trip, which the server runs as one
// transaction. The results are there after send.
type batch struct{ pgx.Batch }

// lock makes the statements after it wait until no other writer is at the
// carts.
func (b *batch) lock(ids ...domain.UUID) { b.Queue(db.LockCarts, ids) }

// create makes an empty cart, if there is none. The result is whether the owner has too many
// to get another.
func (b *batch) create(k domain.Key, now time.Time) (tooMany *bool) {
	tooMany = new(bool)
	b.Queue(db.CreateCart, k.Owner, k.ID, int64(domain.MaxCarts), domain.SeenAt(now), now).QueryRow(func(row pgx.Row) error { return row.Scan(tooMany) })
	return tooMany
}

// getCart reads a cart as it is after the statements before it. The result
// stays zero, with version 0, if there is none.
func (b *batch) getCart(k domain.Key) *domain.Cart {
	cart := new(domain.Cart)
	b.Queue(db.GetCart, domain.UUID{}, k.ID, k.Owner).QueryRow(func(row pgx.Row) error {
		*cart = domain.Cart{}
		var r db.GetCartRow
		err := row.Scan(&r.Version, &r.UpdatedAt, &r.SeenAt, &r.SKUs, &r.Quantities, &r.SeenPrices, &r.SeenCurrencies, &r.OrderRemoved)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		*cart = toCart(k, r)
		return nil
	})
	return cart
}

// addLine adds units to a line; send fails with pgx.ErrNoRows if there is no
// cart.
func (b *batch) addLine(p db.AddLineParams) *db.AddLineRow {
	r := new(db.AddLineRow)
	b.Queue(db.AddLine, p.ID, p.ChangeID, p.OwnerID, p.SKU, p.Delta, p.SeenCurrency, p.SeenPrice, p.Now, p.SeenAt,
		p.ExpectedVersion, p.MaxQuantity, p.MaxLines).QueryRow(func(row pgx.Row) error {
		return row.Scan(&r.Made, &r.Added, &r.Quantity, &r.Lines, &r.Version, &r.UpdatedAt, &r.SeenAt,
			&r.SKUs, &r.Quantities, &r.SeenPrices, &r.SeenCurrencies)
	})
	return r
}

// send runs the batch, again where that is the cure. Its nil means that the
// transaction is committed.
func (b *batch) send(ctx context.Context, pool pg.DB) error {
	return pg.Again(ctx, func(ctx context.Context) error {
		var again pgx.Batch // one that was sent keeps what its connection has prepared
		for _, q := range b.QueuedQueries {
			again.QueuedQueries = append(again.QueuedQueries, &pgx.QueuedQuery{SQL: q.SQL, Arguments: q.Arguments, Fn: q.Fn})
		}
		return pool.SendBatch(ctx, &again).Close()
	})
}
