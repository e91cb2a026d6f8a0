package app_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/payment/internal/app"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func id() string { return uuid.Must(uuid.NewV7()).String() }

var errSilent = errors.New("the provider is silent")

// fakeProvider is a provider in memory. What it is asked is in calls.
type fakeProvider struct {
	mu      sync.Mutex
	intents map[string]domain.Intent
	silent  bool            // it does not answer
	capture func()          // captures; nil for one that does not answer
	behind  bool            // its index is
	breaks  bool            // its list does, before the end
	refuses map[string]bool // refunds of which payments
	listed  [][2]time.Time
	calls   []string
	refunds map[string]string // the provider's id by ours
}

func (p *fakeProvider) Limits(currency string) (domain.Limits, error) {
	return domain.Limits{Currency: currency, Min: 1, Max: 99_999_999, Step: 1}, nil
}

func (p *fakeProvider) Authorize(context.Context, app.Authorization) (app.Hold, error) {
	return app.Hold{}, errSilent
}

func (p *fakeProvider) Capture(context.Context, string, string, money.Money) error {
	if p.capture == nil {
		return errSilent
	}
	p.capture()
	return nil
}

func (p *fakeProvider) Void(_ context.Context, _, paymentID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, "void "+paymentID)
	in := p.intents[paymentID]
	switch {
	case p.silent:
		return errSilent
	case in.Status == domain.IntentCaptured:
		return domain.ErrAlreadyCaptured
	}
	in.Status = domain.IntentCanceled
	p.intents[paymentID] = in
	return nil
}

func (p *fakeProvider) Refund(_ context.Context, key string, r domain.Refund) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, "refund "+r.PaymentID)
	if p.silent {
		return "", errSilent
	}
	if p.refuses[r.PaymentID] {
		return "", &domain.Refusal{Code: "invalid_request_error", PaymentID: r.PaymentID}
	}
	if key != "refund:"+r.PaymentID {
		return "", fmt.Errorf("key %s of what is given back of %s", key, r.PaymentID)
	}
	return "re_" + r.PaymentID, nil
}

func (p *fakeProvider) Retrieve(_ context.Context, paymentID string) (domain.Intent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in, ok := p.intents[paymentID]
	if p.silent || !ok {
		return domain.Intent{}, errSilent
	}
	return in, nil
}

func (p *fakeProvider) Find(_ context.Context, attemptID string) (domain.Intent, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.intents {
		if in.AttemptID == attemptID && !p.behind {
			return in, true, nil
		}
	}
	if p.silent {
		return domain.Intent{}, false, errSilent
	}
	return domain.Intent{}, false, nil
}

func (p *fakeProvider) FindRefund(_ context.Context, r domain.Refund) (string, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent {
		return "", false, errSilent
	}
	made, found := p.refunds[r.ID]
	return made, found, nil
}

func (p *fakeProvider) Payments(_ context.Context, from, to time.Time) iter.Seq2[domain.Intent, error] {
	return func(yield func(domain.Intent, error) bool) {
		p.mu.Lock()
		intents := maps.Clone(p.intents)
		p.listed = append(p.listed, [2]time.Time{from, to})
		p.mu.Unlock()
		for _, in := range intents {
			if !yield(in, nil) {
				return
			}
		}
		if p.breaks {
			yield(domain.Intent{}, errSilent)
		}
	}
}

// fixture is the commands on a real database and a provider in memory.
type fixture struct {
	*app.Payments
	store    *postgres.Store
	pool     *pgxpool.Pool // a superuser's
	provider *fakeProvider
	now      time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureOf(t, nil)
}

// newFixtureOf is newFixture of a cell that has some buckets.
func newFixtureOf(t *testing.T, own app.Owned) *fixture {
	t.Helper()
	db := pgtest.Service(t, postgres.Migrate)
	pool, err := pgxpool.New(t.Context(), db.Config.DSN.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	d := &fixture{store: postgres.New(pool), pool: db.Superuser(t), provider: &fakeProvider{intents: map[string]domain.Intent{}}, now: time.Now()}
	d.Payments = app.New(app.Config{
		Ports: app.Ports{Attempts: d.store, Refunds: d.store, Reviews: d.store, Views: d.store, Reconciliations: d.store, Provider: d.provider, Records: d.provider},
		Owned: own,
		Now:   func() time.Time { return d.now }, NewID: id, Log: slog.New(slog.DiscardHandler),
	})
	return d
}

var price = money.Money{Units: 1250, Currency: "GBP"}

// attempt writes one of 12.50 that has come to a state.
func (d *fixture) attempt(t *testing.T, state domain.State, paymentID string) domain.Attempt {
	t.Helper()
	a, _, err := d.store.Begin(t.Context(), domain.Attempt{OrderID: id(), ID: id(), Amount: price, Method: "pm_x"})
	if err == nil {
		_, err = d.pool.Exec(t.Context(), "UPDATE attempts SET state = $2, provider_id = $3, captured = CASE $2 WHEN 'captured' THEN amount ELSE 0 END WHERE order_id = $1",
			a.OrderID, string(state), paymentID)
	}
	if err == nil {
		a, err = d.store.Get(t.Context(), a.OrderID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ledger tells an order's entries: "capture 1250, stray_refund -1250".
func (d *fixture) ledger(t *testing.T, order string) string {
	t.Helper()
	rows, err := d.pool.Query(t.Context(), "SELECT kind, amount FROM ledger_entries WHERE account = 'provider_clearing' AND order_id = $1 ORDER BY id", order)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var kind string
		var amount int64
		if err := rows.Scan(&kind, &amount); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d", kind, amount))
	}
	return strings.Join(out, ", ")
}

// reviews returns the decisions about an order.
func (d *fixture) reviews(t *testing.T, order string) (out []string) {
	t.Helper()
	rows, err := d.pool.Query(t.Context(), "SELECT from_state || ' to ' || to_state || ' by ' || decided_by || ': ' || why FROM reviews WHERE order_id = $1 ORDER BY id", order)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func (d *fixture) state(t *testing.T, order string) domain.State {
	t.Helper()
	a, err := d.store.Get(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	return a.State
}

func (d *fixture) review(t *testing.T, want domain.Reviewed) {
	t.Helper()
	if got, err := d.Review(t.Context()); err != nil || got != want {
		t.Errorf("review: %+v %v, want %+v", got, err, want)
	}
}
