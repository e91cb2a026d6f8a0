package app_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// TestSettleUnknown: of what the provider has, only payments that no attempt is about are ended:
// those of orders that payment has never heard of, and second ones of an order.
func TestSettleUnknown(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	intent := func(a domain.Attempt, status domain.IntentStatus) domain.Intent {
		in := domain.Intent{ID: "pi_" + id(), OrderID: a.OrderID, AttemptID: a.ID, Status: status, Amount: price}
		d.provider.intents[in.ID] = in
		return in
	}
	unknown := func() domain.Attempt { return domain.Attempt{OrderID: id(), ID: id()} }
	captured, held, none := unknown(), unknown(), unknown()
	intent(captured, domain.IntentCaptured)
	void := intent(held, domain.IntentAuthorized)
	intent(none, domain.IntentDeclined)
	d.attemptAt(t, time.Now().Add(-time.Hour))
	known := d.attempt(t, domain.Sent, "")
	intent(known, domain.IntentCaptured)
	second := d.attempt(t, domain.Authorized, "pi_own")
	intent(domain.Attempt{OrderID: second.OrderID, ID: id()}, domain.IntentCaptured)
	d.provider.intents["pi_other"] = domain.Intent{ID: "pi_other", Status: domain.IntentCaptured, Amount: price} // has no label of ours

	from := time.Now().Add(-time.Minute)
	d.provider.silent = true
	if err := d.SettleUnknown(t.Context(), from); !errors.Is(err, domain.ErrOutcomeUnknown) {
		t.Errorf("the provider was silent: %v", err)
	}
	d.provider.silent, d.provider.calls = false, nil
	for range 2 {
		if err := d.SettleUnknown(t.Context(), from); err != nil {
			t.Fatal(err)
		}
	}
	const back = "stray_capture 1250, stray_refund -1250"
	for what, c := range map[string]struct {
		order, ledger string
		state         domain.State
	}{
		"captured": {captured.OrderID, back, domain.Voided}, "held": {held.OrderID, "", domain.Voided},
		"known": {known.OrderID, "", domain.Sent}, "second": {second.OrderID, back, domain.Authorized},
	} {
		a, err := d.store.Get(t.Context(), c.order)
		if got := d.ledger(t, c.order); err != nil || a.State != c.state || got != c.ledger {
			t.Errorf("%s: %s, %q, %v", what, a.State, got, err)
		}
	}
	if _, err := d.store.Get(t.Context(), none.OrderID); !errors.Is(err, domain.ErrPaymentNotFound) {
		t.Errorf("of an order that was declined there is something: %v", err)
	}
	if got := len(d.provider.calls); got != 3 || d.provider.intents[void.ID].Status != domain.IntentCanceled {
		t.Errorf("asked for %s", strings.Join(d.provider.calls, ", "))
	}
	for _, from := range []time.Time{{}, time.Now().Add(time.Hour)} {
		if err := d.SettleUnknown(t.Context(), from); !errors.Is(err, domain.ErrInvalidWindow) {
			t.Errorf("since %s: %v", from, err)
		}
	}
}

// TestSettleUnknownInACell: of the provider's account, which the cells share, each ends the payments of
// its own buckets; where a bucket has moved meanwhile, another cell may have left out what this one has, too.
func TestSettleUnknownInACell(t *testing.T) {
	t.Parallel()
	own, moved := cell.Split(2)[0], cell.Split(2)[0]
	moved.Remove(7)
	for name, c := range map[string]struct {
		after cell.Set
		want  error
	}{"that keeps its buckets": {own, nil}, "that one has left": {moved, domain.ErrOutcomeUnknown}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			d := newFixtureOf(t, func(context.Context) (cell.Set, error) {
				if asked++; asked > 1 {
					return c.after, nil
				}
				return own, nil
			})
			d.attemptAt(t, time.Now().Add(-time.Hour))
			for _, b := range []cell.Bucket{3, 900} {
				in := domain.Intent{ID: fmt.Sprintf("pi_%d", b), OrderID: cell.In(uuid.New(), b).String(), AttemptID: id(), Status: domain.IntentAuthorized, Amount: price}
				d.provider.intents[in.ID] = in
			}
			if err := d.SettleUnknown(t.Context(), time.Now().Add(-time.Minute)); !errors.Is(err, c.want) {
				t.Error(err)
			}
			if here, there := d.provider.intents["pi_3"].Status, d.provider.intents["pi_900"].Status; here != domain.IntentCanceled || there != domain.IntentAuthorized {
				t.Errorf("its own payment is %s, and the other cell's %s", here, there)
			}
			if _, err := d.store.Get(t.Context(), d.provider.intents["pi_900"].OrderID); !errors.Is(err, domain.ErrPaymentNotFound) {
				t.Errorf("of the other cell's order there is something: %v", err)
			}
		})
	}
}

// TestSettleUnknownOfAnotherDatabase: where the first attempt is from after the time, or there is none, the
// database was not restored to that time, as a new one or another shop's: it knows nothing, so that every
// payment would be ended. None is.
func TestSettleUnknownOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	in := domain.Intent{ID: "pi_1", OrderID: id(), AttemptID: id(), Status: domain.IntentCaptured, Amount: price}
	d.provider.intents[in.ID] = in
	first := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	refused := func(what string, from time.Time) {
		t.Helper()
		if err := d.SettleUnknown(t.Context(), from); !errors.Is(err, domain.ErrNotRestored) || len(d.provider.calls) > 0 {
			t.Errorf("%s: %v, and the provider was asked for %v", what, err, d.provider.calls)
		}
	}
	refused("no attempt", first)
	d.attemptAt(t, first)
	refused("an attempt from after the time", first.Add(-time.Microsecond))
	if err := d.SettleUnknown(t.Context(), first); err != nil || len(d.provider.calls) != 1 {
		t.Errorf("the first attempt is from that time: %v, and the provider was asked for %v", err, d.provider.calls)
	}
}

// attemptAt writes an attempt that began at a time.
func (d *fixture) attemptAt(t *testing.T, began time.Time) {
	t.Helper()
	a := d.attempt(t, domain.Authorized, "pi_of_"+began.String())
	if _, err := d.pool.Exec(t.Context(), "UPDATE attempts SET created_at = $2 WHERE order_id = $1", a.OrderID, began); err != nil {
		t.Fatal(err)
	}
}

// TestSettleUnknownRefused: a payment that the provider does not refund in full, as one that is
// refunded in part, is left to a person, and keeps nobody from seeing what else differs.
func TestSettleUnknownRefused(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.attemptAt(t, time.Now().Add(-time.Hour))
	partly := domain.Intent{ID: "pi_partly", OrderID: id(), AttemptID: id(), Status: domain.IntentCaptured, Amount: price}
	d.provider.intents[partly.ID] = partly
	d.provider.refuses = map[string]bool{partly.ID: true}
	for range 2 {
		if err := d.SettleUnknown(t.Context(), time.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.ledger(t, partly.OrderID); got != "" {
		t.Errorf("the ledger has a refund that was refused: %s", got)
	}
}

// TestSettleUnknownIsAudited: each payment that is ended has an entry, whether it was held or captured, and
// of an order that is known or not.
func TestSettleUnknownIsAudited(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.attemptAt(t, time.Now().Add(-time.Hour))
	known := d.attempt(t, domain.Authorized, "pi_own").OrderID
	want := map[string]int{}
	for _, order := range []string{id(), id(), known} {
		for _, status := range []domain.IntentStatus{domain.IntentAuthorized, domain.IntentCaptured} {
			in := domain.Intent{ID: "pi_" + id(), OrderID: order, AttemptID: id(), Status: status, Amount: price}
			d.provider.intents[in.ID] = in
			want[in.ID] = 1
		}
	}
	ctx := audit.As(t.Context(), audit.Actor{Operator: "ann", Action: "settle"})
	for range 2 {
		if err := d.SettleUnknown(ctx, time.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := d.pool.Query(t.Context(), "SELECT after::json ->> 'provider_id' FROM souk_audit")
	if err != nil {
		t.Fatal(err)
	}
	payments, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, payment := range payments {
		got[payment]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("entries by payment: %v, want %v", got, want)
	}
}
