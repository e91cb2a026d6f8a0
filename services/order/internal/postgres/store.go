package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/audit"
	eventlog "github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/order/internal/app"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

// Times bounds an order, all by the database's clock.
type Times struct {
	// Deadline is how long an order may take to reach CAPTURING.
	Deadline time.Duration
	// Hold is how long the catalog holds the stock, from the first Reserve on.
	Hold time.Duration
	// AuthorizeWithin is how long an order may take from the hold of its stock to the
	// authorization of its payment: shorter than the hold.
	AuthorizeWithin time.Duration
	// DriveDelay is how far ahead the job of an order or refund is scheduled: the
	// time that the process which placed it has to settle it without the job. At 0 the
	// job is due at once.
	DriveDelay time.Duration
}

// Store is the order service's database.
type Store struct {
	pool  pg.DB
	reads pg.DB    // answers what waits for no lock
	views pg.Reads // answers what may be a little old: lists of orders
	times Times
	q     *db.Queries
}

// New returns a store on a pool of the migrated database.
func New(pool *pgxpool.Pool, times Times) *Store {
	s := &Store{pool: pg.DB{Pool: pool}, times: times, q: db.New()}
	return s.ReadFrom(pg.NewReads(pool, nil))
}

// ReadFrom has questions answered by another pool of the same database, and lists of orders
// by its replica, if there is one. One order is what its buyer waits for, and what drivers and
// consumers of events decide by: no replica answers it.
func (s *Store) ReadFrom(reads pg.Reads) *Store {
	s.reads, s.views = reads.DB, reads
	return s
}

// Ready fails while the database is unavailable or its schema is older than this version.
func (s *Store) Ready(ctx context.Context) error {
	if err := pg.Migrated(ctx, s.pool, migrations); err != nil {
		return err
	}
	if err := eventlog.Migrated(ctx, s.pool); err != nil {
		return err
	}
	if err := jobs.Migrated(ctx, s.pool); err != nil {
		return err
	}
	if err := answers.Migrated(ctx, s.pool); err != nil {
		return err
	}
	return audit.Migrated(ctx, s.pool)
}

// Load implements app.Orders.
func (s *Store) Load(ctx context.Context, orderID string, lines bool) (domain.Order, error) {
	return load(ctx, s.q, s.pool, orderID, lines, false)
}

// Get implements app.Orders.
func (s *Store) Get(ctx context.Context, orderID string, viewer domain.Viewer) (domain.Order, error) {
	defer s.views.Current(ctx) // a list does not show an earlier state later
	var o domain.Order
	// One snapshot, so that what is refunded agrees with the refunds.
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pg.InTx(ctx, s.reads, opts, func(ctx context.Context, tx pgx.Tx) (err error) {
		o, err = load(ctx, s.q, tx, orderID, true, true)
		return err
	})
	switch {
	case errors.Is(err, domain.ErrOrderNotFound):
		err = s.notFound(ctx, orderID, viewer)
	case err == nil && !viewer.Sees(o.CustomerID):
		err = domain.ErrOrderNotFound
	}
	if err != nil {
		return domain.Order{}, err
	}
	return o, nil
}

// notFound says why an order is not there: domain.ErrOrderArchived to a viewer who would see it,
// else domain.ErrOrderNotFound.
func (s *Store) notFound(ctx context.Context, orderID string, viewer domain.Viewer) error {
	customerID, err := s.q.ArchivedOrder(ctx, s.reads, orderID)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !viewer.Sees(customerID):
		return domain.ErrOrderNotFound
	case err != nil:
		return fmt.Errorf("look for the order among those archived: %w", err)
	}
	return domain.ErrOrderArchived
}

func load(ctx context.Context, q *db.Queries, tx db.DBTX, orderID string, lines, refunds bool) (domain.Order, error) {
	row, err := q.Order(ctx, tx, orderID)
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Order{}, domain.ErrOrderNotFound
	}
	if err != nil {
		return domain.Order{}, fmt.Errorf("read order: %w", err)
	}
	o, err := toOrder(row.Order)
	if err != nil {
		return domain.Order{}, err
	}
	o.Overdue, o.Age = row.Overdue, time.Duration(row.AgeMilliseconds)*time.Millisecond
	history, err := q.History(ctx, tx, []string{orderID})
	if err != nil {
		return domain.Order{}, fmt.Errorf("read history: %w", err)
	}
	for _, h := range history {
		if h.Version > o.Version {
			break // written since the order was read
		}
		o.History = append(o.History, domain.Change{State: domain.State(h.State), Version: h.Version, At: h.At})
	}
	one := []domain.Order{o}
	if lines {
		if err := addLines(ctx, q, tx, one); err != nil {
			return domain.Order{}, err
		}
	}
	if refunds {
		if err := addRefunds(ctx, q, tx, one); err != nil {
			return domain.Order{}, err
		}
	}
	return one[0], nil
}

// latest is after every order.
var latest = app.Newest().PlacedAt

func findParams(viewer domain.Viewer, f app.Filter, after app.Position, limit int) db.FindOrdersParams {
	p := db.FindOrdersParams{
		BeforeAt: after.PlacedAt, BeforeID: after.ID, States: make([]string, len(f.States)), PlacedFrom: f.PlacedFrom, PlacedBefore: f.PlacedBefore,
		Number: f.Number, Email: f.Email, Sku: f.SKU, MaxRows: int32(limit),
	}
	if !viewer.All {
		_ = p.CustomerID.Scan(viewer.Customer) // the contract says that it is a UUID
	}
	for i, state := range f.States {
		p.States[i] = string(state)
	}
	if p.PlacedBefore.IsZero() {
		p.PlacedBefore = latest
	}
	return p
}

// List implements app.Orders, with lines and refunds.
func (s *Store) List(ctx context.Context, viewer domain.Viewer, filter app.Filter, after app.Position, limit int) (page []domain.Order, more bool, err error) {
	var rows []db.Order
	limit++ // to see whether more follow
	switch {
	case viewer == domain.Viewer{}:
		return nil, false, nil
	case len(filter.IDs) > 0:
		p := db.OrdersByIDParams{Ids: filter.IDs, BeforeAt: after.PlacedAt, BeforeID: after.ID, MaxRows: int32(limit)}
		if !viewer.All {
			_ = p.CustomerID.Scan(viewer.Customer) // the contract says that it is a UUID
		}
		rows, err = s.q.OrdersByID(ctx, s.views, p)
	case !filter.IsZero():
		rows, err = s.q.FindOrders(ctx, s.views, findParams(viewer, filter, after, limit))
	case viewer.All:
		rows, err = s.q.AllOrders(ctx, s.views, db.AllOrdersParams{BeforeAt: after.PlacedAt, BeforeID: after.ID, MaxRows: int32(limit)})
	default:
		rows, err = s.q.CustomerOrders(ctx, s.views, db.CustomerOrdersParams{
			CustomerID: viewer.Customer, BeforeAt: after.PlacedAt, BeforeID: after.ID, MaxRows: int32(limit),
		})
	}
	if err != nil {
		return nil, false, fmt.Errorf("list orders: %w", err)
	}
	fit := min(len(rows), limit-1)
	if fit > 1 {
		if fit, err = s.fitting(ctx, rows[:fit]); err != nil {
			return nil, false, err
		}
	}
	if fit == 0 {
		return nil, false, nil
	}
	orders := make([]domain.Order, fit)
	for i, row := range rows[:fit] {
		if orders[i], err = toOrder(row); err != nil {
			return nil, false, err
		}
	}
	if err := addLines(ctx, s.q, s.views, orders); err != nil {
		return nil, false, err
	}
	return orders, len(rows) > fit, addRefunds(ctx, s.q, s.views, orders)
}

const (
	// pageBytes is about how large a page of orders is on the wire: an eighth of what a gRPC
	// message may be, because processes hold several times as much to read and answer it. One order of
	// the most lines, with their longest names, is less.
	pageBytes = 2 << 20
	// orderBytes is what an order takes without its lines and refunds.
	orderBytes = 1 << 10
)

// fitting returns how many of the first orders fit on a page: at least one.
func (s *Store) fitting(ctx context.Context, rows []db.Order) (int, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	sizes, err := s.q.OrderSizes(ctx, s.views, ids)
	if err != nil {
		return 0, fmt.Errorf("read sizes of orders: %w", err)
	}
	total := int64(0)
	for i, size := range sizes {
		if total += orderBytes + size; total > pageBytes {
			return max(i, 1), nil
		}
	}
	return len(rows), nil
}

// Heads implements app.Heads.
func (s *Store) Heads(ctx context.Context, orderIDs []string) ([]app.Head, error) {
	rows, err := s.q.Heads(ctx, s.reads, orderIDs)
	if err != nil {
		return nil, fmt.Errorf("read heads of orders: %w", err)
	}
	heads := make([]app.Head, len(rows))
	for i, r := range rows {
		heads[i] = app.Head{ID: r.ID, Version: r.Version, AnsweredPending: r.AnsweredPending}
	}
	return heads, nil
}

func addLines(ctx context.Context, q *db.Queries, tx db.DBTX, orders []domain.Order) error {
	rows, err := q.Lines(ctx, tx, ids(orders))
	if err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	at := index(orders)
	for _, r := range rows {
		o := &orders[at[r.OrderID]]
		o.Lines = append(o.Lines, domain.Line{
			SKU: r.Sku, Name: r.Name, Quantity: r.Quantity, Refunded: r.RefundedQuantity,
			UnitPrice: money.Money{Units: r.UnitPrice, Currency: o.Total.Currency},
			Total:     money.Money{Units: r.Total, Currency: o.Total.Currency},
		})
	}
	return nil
}

func addRefunds(ctx context.Context, q *db.Queries, tx db.DBTX, orders []domain.Order) error {
	rows, err := q.Refunds(ctx, tx, ids(orders))
	if err != nil {
		return fmt.Errorf("read refunds: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	refundIDs := make([]string, len(rows))
	for i, r := range rows {
		refundIDs[i] = r.ID
	}
	lines, err := q.RefundLines(ctx, tx, refundIDs)
	if err != nil {
		return fmt.Errorf("read lines of refunds: %w", err)
	}
	byRefund := map[string][]domain.RefundLine{}
	for _, l := range lines {
		byRefund[l.RefundID] = append(byRefund[l.RefundID], domain.RefundLine{SKU: l.Sku, Quantity: l.Quantity})
	}
	at := index(orders)
	for _, r := range rows {
		o := &orders[at[r.OrderID]]
		o.Refunds = append(o.Refunds, toRefund(r, byRefund[r.ID]))
	}
	return nil
}

func ids(orders []domain.Order) []string {
	out := make([]string, len(orders))
	for i, o := range orders {
		out[i] = o.ID
	}
	return out
}

func index(orders []domain.Order) map[string]int {
	at := make(map[string]int, len(orders))
	for i, o := range orders {
		at[o.ID] = i
	}
	return at
}

func toOrder(r db.Order) (domain.Order, error) {
	o := domain.Order{
		ID: r.ID, Number: r.Number, CustomerID: r.CustomerID,
		IdempotencyKey: r.IdempotencyKey, RequestHash: r.RequestHash,
		State: domain.State(r.State), CancelReason: domain.Reason(r.CancelReason),
		DeclineCode: r.DeclineCode, ShortSKUs: r.ShortSkus,
		Total:    money.Money{Units: r.Total, Currency: r.Currency},
		Refunded: money.Money{Units: r.Refunded, Currency: r.Currency},
		Email:    r.Email, CartID: r.CartID, CartVersion: r.CartVersion, PaymentMethod: r.PaymentMethod,
		PlacedAt: r.PlacedAt, Version: r.Version,
		AnsweredPending: r.AnsweredPending, AnswerBy: r.AnswerBy, Open: r.Open, TraceParent: r.Traceparent,
		AgreementDigest: r.AgreementDigest, AddressKey: r.AddressKey,
	}
	o.ErasedAt = orZero(r.ErasedAt)
	if r.SettledAt != nil {
		o.SettledAt = *r.SettledAt
	}
	if r.SessionSince != nil {
		o.SessionSince = *r.SessionSince
	}
	if err := json.Unmarshal(r.ShippingAddress, &o.Address); err != nil {
		return domain.Order{}, fmt.Errorf("shipping address of order %s: %w", r.ID, err)
	}
	return o, nil
}

func toRefund(r db.Refund, lines []domain.RefundLine) domain.Refund {
	return domain.Refund{
		ID: r.ID, OrderID: r.OrderID, IdempotencyKey: r.IdempotencyKey, RequestHash: r.RequestHash,
		State: domain.RefundState(r.State), Amount: money.Money{Units: r.Amount, Currency: r.Currency},
		Lines: lines, Restock: r.Restock, Reason: r.Reason, FailureCode: r.FailureCode,
		CreatedAt: r.CreatedAt, TraceParent: r.Traceparent,
	}
}
