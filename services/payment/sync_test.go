package payment_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/app"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/payment/internal/domain"
	"github.com/souk-shop/souk/services/payment/internal/postgres"
)

var errSilent = errors.New("the provider is silent")

// bank is a provider in memory. What it is asked is in calls.
type bank struct {
	mu      sync.Mutex
	intents map[string]domain.Intent
	silent  bool // it does not answer
	behind  bool // its index is
	breaks  bool // its list does, before the end
	listed  [][2]time.Time
	calls   []string
	refunds map[string]string // the provider's id by ours
}

func (b *bank) Limits(currency string) (domain.Limits, error) {
	return domain.Limits{Currency: currency, Min: 1, Max: 99_999_999, Step: 1}, nil
}

func (b *bank) Authorize(context.Context, app.Authorization) (app.Hold, error) {
	return app.Hold{}, errSilent
}

func (b *bank) Capture(context.Context, string, string, money.Money) error { return errSilent }

func (b *bank) Void(_ context.Context, _, paymentID string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, "void "+paymentID)
	in := b.intents[paymentID]
	switch {
	case b.silent:
		return errSilent
	case in.Status == domain.IntentCaptured:
		return domain.ErrAlreadyCaptured
	}
	in.Status = domain.IntentCanceled
	b.intents[paymentID] = in
	return nil
}

func (b *bank) Refund(_ context.Context, key string, r domain.Refund) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, "refund "+r.PaymentID)
	if b.silent {
		return "", errSilent
	}
	if key != "refund:"+r.PaymentID {
		return "", fmt.Errorf("key %s of what is given back of %s", key, r.PaymentID)
	}
	return "re_" + r.PaymentID, nil
}

func (b *bank) Retrieve(_ context.Context, paymentID string) (domain.Intent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in, ok := b.intents[paymentID]
	if b.silent || !ok {
		return domain.Intent{}, errSilent
	}
	return in, nil
}

func (b *bank) Find(_ context.Context, attemptID string) (domain.Intent, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, in := range b.intents {
		if in.AttemptID == attemptID && !b.behind {
			return in, true, nil
		}
	}
	if b.silent {
		return domain.Intent{}, false, errSilent
	}
	return domain.Intent{}, false, nil
}

func (b *bank) FindRefund(_ context.Context, r domain.Refund) (string, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silent {
		return "", false, errSilent
	}
	made, found := b.refunds[r.ID]
	return made, found, nil
}

func (b *bank) Payments(_ context.Context, from, to time.Time) iter.Seq2[domain.Intent, error] {
	return func(yield func(domain.Intent, error) bool) {
		b.mu.Lock()
		intents := maps.Clone(b.intents)
		b.listed = append(b.listed, [2]time.Time{from, to})
		b.mu.Unlock()
		for _, in := range intents {
			if !yield(in, nil) {
				return
			}
		}
		if b.breaks {
			yield(domain.Intent{}, errSilent)
		}
	}
}

func (b *bank) BalanceTransactions(context.Context, time.Time, time.Time, string) ([]domain.BalanceTransaction, string, error) {
	return nil, "", errSilent
}

// desk is the commands on a real database and a provider in memory.
type desk struct {
	*app.Payments
	store *postgres.Store
	pool  *pgxpool.Pool
	bank  *bank
	now   time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), pgtest.New(t, func(ctx context.Context, dsn string) error {
		return postgres.Migrate(ctx, pg.Config{DSN: config.Secret(dsn)}, slog.New(slog.DiscardHandler))
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	d := &desk{store: postgres.New(pool), pool: pool, bank: &bank{intents: map[string]domain.Intent{}}, now: time.Now()}
	d.Payments = app.New(app.Config{
		Ports: app.Ports{Store: d.store, Events: d.store, Provider: d.bank},
		Now:   func() time.Time { return d.now }, NewID: id, Log: slog.New(slog.DiscardHandler),
	})
	return d
}

var price = money.Money{Units: 1250, Currency: "GBP"}

// attempt writes one of 12.50 that has come to a state.
func (d *desk) attempt(t *testing.T, state domain.State, paymentID string) domain.Attempt {
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
func (d *desk) ledger(t *testing.T, order string) string {
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

// TestSync shows a payment to an attempt in every state, twice, for whatever
// is heard is heard again; and once more when it could not be ended at first.
func TestSync(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	type outcome struct {
		state  domain.State
		ledger string
		ends   string // what the provider was asked
	}
	const void, back, both, stray = "void", "refund", "void refund", "stray_capture 1250, stray_refund -1250"
	all := []domain.IntentStatus{domain.IntentUnclear, domain.IntentUnconfirmed, domain.IntentRequiresAction, domain.IntentAuthorized, domain.IntentCaptured, domain.IntentDeclined, domain.IntentCanceled}
	wants := map[domain.State]map[domain.IntentStatus]outcome{
		domain.Sent: {
			domain.IntentRequiresAction: {domain.Declined, "", void}, domain.IntentAuthorized: {domain.Authorized, "", ""}, domain.IntentCaptured: {domain.Authorized, "", ""},
			domain.IntentDeclined: {domain.Declined, "", ""}, domain.IntentCanceled: {domain.Declined, "", ""},
		},
		domain.Authorized: {},
		domain.CaptureSent: {
			domain.IntentCaptured: {domain.Captured, "capture 1250", ""}, domain.IntentCanceled: {domain.CaptureFailed, "", ""},
		},
		domain.Captured: {}, domain.CaptureFailed: {},
		domain.VoidSent: {
			domain.IntentUnclear: {domain.Voided, "", void}, domain.IntentUnconfirmed: {domain.Voided, "", void}, domain.IntentRequiresAction: {domain.Voided, "", void}, domain.IntentAuthorized: {domain.Voided, "", void},
			domain.IntentCaptured: {domain.Voided, stray, both}, domain.IntentDeclined: {domain.Voided, "", void}, domain.IntentCanceled: {domain.Voided, "", void},
		},
		domain.Declined: {
			domain.IntentUnconfirmed: {domain.Declined, "", void}, domain.IntentRequiresAction: {domain.Declined, "", void}, domain.IntentAuthorized: {domain.Declined, "", void}, domain.IntentCaptured: {domain.Declined, stray, back},
		},
		domain.Voided: {
			domain.IntentUnconfirmed: {domain.Voided, "", void}, domain.IntentRequiresAction: {domain.Voided, "", void}, domain.IntentAuthorized: {domain.Voided, "", void}, domain.IntentCaptured: {domain.Voided, stray, back},
		},
	}
	for _, state := range slices.Sorted(maps.Keys(wants)) {
		for _, status := range all {
			name := fmt.Sprintf("%s, %s", state, status)
			a := d.attempt(t, state, "")
			in := domain.Intent{ID: "pi_" + a.ID, OrderID: a.OrderID, AttemptID: a.ID, Status: status, Amount: price, Code: "no"}
			d.bank.intents[in.ID] = in
			want, moves := wants[state][status]
			if !moves {
				want = outcome{state: state}
			}
			d.bank.silent = true
			if _, err := d.Apply(t.Context(), in); want.ends != "" && !errors.Is(err, domain.ErrOutcomeUnknown) {
				t.Errorf("%s: the provider was silent: %v", name, err)
			}
			d.bank.silent, d.bank.calls = false, nil
			for range 2 {
				if _, err := d.Sync(t.Context(), in.ID); err != nil && !errors.Is(err, domain.ErrOutcomeUnknown) {
					t.Errorf("%s: %v", name, err)
				}
			}
			got, err := d.store.Get(t.Context(), a.OrderID)
			if err != nil {
				t.Fatal(err)
			}
			var ends []string
			for _, call := range d.bank.calls {
				if verb, _, _ := strings.Cut(call, " "); !slices.Contains(ends, verb) {
					ends = append(ends, verb)
				}
			}
			if o := (outcome{got.State, d.ledger(t, a.OrderID), strings.Join(ends, " ")}); o != want {
				t.Errorf("%s: %+v, want %+v", name, o, want)
			}
			if moves && got.ProviderID != in.ID && !slices.Contains([]domain.State{domain.Declined, domain.Voided, domain.CaptureSent}, state) {
				t.Errorf("%s: the payment's id is %q", name, got.ProviderID)
			}
		}
	}
}

// TestSyncOrphans shows payments that are not the attempt's: those of our
// orders are ended, those of others are left alone.
func TestSyncOrphans(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	captured := d.attempt(t, domain.Captured, "pi_first")
	sent := d.attempt(t, domain.Sent, "")
	left := id()
	if _, err := d.Cancel(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in     domain.Intent
		ends   string
		ledger string
	}{
		"a second hold":           {domain.Intent{ID: "pi_2", OrderID: captured.OrderID, AttemptID: captured.ID, Status: domain.IntentAuthorized}, "void pi_2", ""},
		"a second capture":        {domain.Intent{ID: "pi_3", OrderID: captured.OrderID, AttemptID: captured.ID, Status: domain.IntentCaptured}, "refund pi_3", "stray_capture 1250, stray_refund -1250"},
		"a hold after a burial":   {domain.Intent{ID: "pi_4", OrderID: left, AttemptID: id(), Status: domain.IntentAuthorized}, "void pi_4", ""},
		"another attempt's":       {domain.Intent{ID: "pi_5", OrderID: sent.OrderID, AttemptID: id(), Status: domain.IntentAuthorized}, "void pi_5", ""},
		"made by hand":            {domain.Intent{ID: "pi_11", OrderID: sent.OrderID, Status: domain.IntentCaptured}, "", ""},
		"an order of others":      {domain.Intent{ID: "pi_6", OrderID: id(), AttemptID: id(), Status: domain.IntentCaptured}, "", ""},
		"no order":                {domain.Intent{ID: "pi_7", Status: domain.IntentCaptured}, "", ""},
		"a second that was ended": {domain.Intent{ID: "pi_8", OrderID: sent.OrderID, AttemptID: id(), Status: domain.IntentCanceled}, "", ""},
	} {
		c.in.Amount = price
		d.bank.intents[c.in.ID], d.bank.calls = c.in, nil
		_, err := d.Sync(t.Context(), c.in.ID)
		if unknown := c.ends == "" && c.in.Status != domain.IntentCanceled; unknown != errors.Is(err, domain.ErrPaymentNotFound) || (!unknown && err != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.Join(d.bank.calls, ", "); got != c.ends {
			t.Errorf("%s: the provider was asked %q, want %q", name, got, c.ends)
		}
		if c.in.OrderID != "" && c.ends != "" && c.ledger != "" {
			if got := d.ledger(t, c.in.OrderID); got != c.ledger {
				t.Errorf("%s: ledger %q, want %q", name, got, c.ledger)
			}
		}
	}
	// Another orphan capture of the same attempt is refunded as well.
	d.bank.intents["pi_10"] = domain.Intent{ID: "pi_10", OrderID: captured.OrderID, AttemptID: captured.ID, Status: domain.IntentCaptured, Amount: price}
	const stray = "stray_capture 1250, stray_refund -1250"
	if _, err := d.Sync(t.Context(), "pi_10"); err != nil || d.ledger(t, captured.OrderID) != stray+", "+stray {
		t.Errorf("a second orphan capture: %v, ledger %q", err, d.ledger(t, captured.OrderID))
	}
	// A changed label on the attempt's own payment makes it no orphan.
	d.bank.calls = nil
	relabeled := domain.Intent{ID: "pi_first", OrderID: captured.OrderID, AttemptID: id(), Status: domain.IntentCaptured, Amount: price}
	if a, err := d.Apply(t.Context(), relabeled); err != nil || a.State != domain.Captured || len(d.bank.calls) != 0 {
		t.Errorf("another label: %+v %v %q", a, err, d.bank.calls)
	}
	// An amount that is not the attempt's moves nothing.
	in := domain.Intent{ID: "pi_9", OrderID: sent.OrderID, AttemptID: sent.ID, Status: domain.IntentAuthorized, Amount: money.Money{Units: 1, Currency: "GBP"}}
	if _, err := d.Apply(t.Context(), in); !errors.Is(err, domain.ErrOutcomeUnknown) {
		t.Errorf("another amount: %v", err)
	}
	if a, err := d.store.Get(t.Context(), sent.OrderID); err != nil || a.State != domain.Sent {
		t.Errorf("%+v %v", a, err)
	}
}
