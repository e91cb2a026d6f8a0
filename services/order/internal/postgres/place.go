package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/pg/pgerr"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"github.com/souk-shop/souk/services/order/internal/postgres/db"
)

// numbers is how many order numbers are tried; a million orders make one number
// in a million taken.
const numbers = 5

// FindByKey implements app.Orders.
func (s *Store) FindByKey(ctx context.Context, customerID, key string) (string, error) {
	id, err := s.q.OrderByKey(ctx, s.pool, db.OrderByKeyParams{CustomerID: customerID, IdempotencyKey: key})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", domain.ErrOrderNotFound
	}
	if err != nil {
		return "", fmt.Errorf("look up idempotency key: %w", err)
	}
	return id, nil
}

// Place implements app.Orders.
func (s *Store) Place(ctx context.Context, o domain.Order, wait time.Duration, newNumber func() string) (domain.Order, error) {
	address, err := json.Marshal(o.Address)
	if err != nil {
		return domain.Order{}, fmt.Errorf("shipping address: %w", err)
	}
	p := db.PlaceOrderParams{
		ID: o.ID, CustomerID: o.CustomerID, IdempotencyKey: o.IdempotencyKey, RequestHash: o.RequestHash,
		Total: o.Total.Units, Currency: o.Total.Currency, CartID: o.CartID, CartVersion: o.CartVersion,
		PaymentMethod: o.PaymentMethod, Email: o.Email, ShippingAddress: address,
		AnsweredPending: wait == 0, Wait: wait, TimeLimit: s.times.Deadline, Traceparent: o.TraceParent,
		AgreementDigest: o.AgreementDigest, AddressKey: o.AddressKey,
		SessionSince: o.Session.Since, RenewSession: o.Session.Renew, NextSince: o.Session.Next(),
		DriveDelay: s.times.DriveDelay,
		Skus:       make([]string, len(o.Lines)), Names: make([]string, len(o.Lines)),
		Quantities: make([]int64, len(o.Lines)), UnitPrices: make([]int64, len(o.Lines)),
	}
	for i, l := range o.Lines {
		p.Skus[i], p.Names[i], p.Quantities[i], p.UnitPrices[i] = l.SKU, l.Name, l.Quantity, l.UnitPrice.Units
	}
	for range numbers {
		p.Number = newNumber()
		var row db.PlaceOrderRow
		row, err = s.q.PlaceOrder(ctx, s.pool, p)
		switch {
		case err == nil:
			o.Number, o.State, o.Version, o.Open = p.Number, domain.Pending, 1, true
			o.PlacedAt, o.AnswerBy, o.AnsweredPending = row.PlacedAt, row.AnswerBy, p.AnsweredPending
			o.Refunded = money.Zero(o.Total.Currency)
			o.History = []domain.Change{{State: domain.Pending, Version: 1, At: row.PlacedAt}}
			if row.SessionSince != nil {
				o.SessionSince = *row.SessionSince
			}
			return o, nil
		case errors.Is(err, pgx.ErrNoRows):
			return domain.Order{}, domain.ErrSessionEnded
		case pgerr.IsUnique(err, "orders_customer_key"):
			return domain.Order{}, domain.ErrKeyTaken
		case pgerr.IsUnique(err, "orders_number_key"):
			continue
		default:
			return domain.Order{}, fmt.Errorf("place order: %w", err)
		}
	}
	return domain.Order{}, fmt.Errorf("place order: no free number in %d: %w", numbers, err)
}

// AnswerPending implements app.Orders.
func (s *Store) AnswerPending(ctx context.Context, orderID string) (bool, error) {
	n, err := s.q.AnswerPending(ctx, s.pool, orderID)
	if err != nil {
		return false, fmt.Errorf("decide answer: %w", err)
	}
	if n > 0 {
		return true, nil
	}
	answer, err := s.answer(ctx, orderID)
	return answer.AnsweredPending, err
}

// AnswerDue implements app.Orders.
func (s *Store) AnswerDue(ctx context.Context, orderID string) (bool, error) {
	answer, err := s.answer(ctx, orderID)
	return answer.AnswerDue, err
}

func (s *Store) answer(ctx context.Context, orderID string) (db.AnswerRow, error) {
	row, err := s.q.Answer(ctx, s.pool, orderID)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, domain.ErrOrderNotFound
	}
	if err != nil {
		return row, fmt.Errorf("read answer of order: %w", err)
	}
	return row, nil
}

// Advance implements app.Orders.
func (s *Store) Advance(ctx context.Context, o domain.Order, t domain.Transition, note domain.Note) (domain.Order, bool, error) {
	if note.ShortSKUs == nil {
		note.ShortSKUs = []string{}
	}
	declined, halfLives := make([][]byte, len(note.Declined)), make([]time.Duration, len(note.Declined))
	for i, d := range note.Declined {
		declined[i], halfLives[i] = d.Key, d.HalfLife()
	}
	within := s.times.AuthorizeWithin
	if t.To == domain.Authorizing && s.times.Hold > 0 {
		// A Reserve that was repeated, because its answer was lost, has less of its hold left.
		within = min(within, max(0, note.HoldLeft-(s.times.Hold-within)))
	}
	within = max(0, within-note.Ago)
	states, agos := make([]string, 0, len(note.Passed)+1), make([]time.Duration, 0, len(note.Passed)+1)
	for _, p := range note.Passed {
		states, agos = append(states, string(p.State)), append(agos, p.Ago)
	}
	states, agos = append(states, string(t.To)), append(agos, note.Ago)
	row, err := s.q.Advance(ctx, s.pool, db.AdvanceParams{
		DeclinedKeys: declined, HalfLives: halfLives,
		ID: o.ID, OldState: string(o.State), OldVersion: o.Version, NewState: string(t.To), States: states, Agos: agos, Ago: note.Ago,
		Reason: string(t.Reason), DeclineCode: note.DeclineCode, ShortSkus: note.ShortSKUs,
		AuthorizeWithin: within, TimeLimit: s.times.Deadline,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("write transition: %w", err)
	}
	o.State, o.Version, o.AnsweredPending, o.Overdue = t.To, row.Version, row.AnsweredPending, row.Overdue
	o.Open = t.To != domain.Cancelled
	if t.Reason != domain.NoReason {
		o.CancelReason = t.Reason
	}
	if note.DeclineCode != "" {
		o.DeclineCode = note.DeclineCode
	}
	if len(note.ShortSKUs) > 0 {
		o.ShortSKUs = note.ShortSKUs
	}
	if t.To.Terminal() {
		o.SettledAt = row.UpdatedAt
	}
	// A new slice: the old one is shared with subscribers that were sent the order before.
	o.History = o.History[:len(o.History):len(o.History)]
	for i, at := range row.Times {
		o.History = append(o.History, domain.Change{
			State: domain.State(states[i]), Version: row.Version - int64(len(states)-1-i), At: at,
		})
	}
	return o, true, nil
}

// Cancel implements app.Orders.
func (s *Store) Cancel(ctx context.Context, orderID string) (bool, error) {
	if audit.Acting(ctx) {
		return s.cancelRecorded(ctx, orderID)
	}
	_, err := s.q.CancelOrder(ctx, s.pool, orderID)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cancel order: %w", err)
	}
	return true, nil
}

// Finish implements app.Orders.
func (s *Store) Finish(ctx context.Context, orderID string) error {
	return s.q.FinishOrder(ctx, s.pool, orderID)
}
