package postgres_test

import (
	"testing"
	"time"

	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// TestLastDailyDifferences: what the last daily reconciliation that is done found; one of an
// operator, or one that is under way, does not take its place.
func TestLastDailyDifferences(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	if _, _, found, err := f.LastDailyDifferences(f.ctx); err != nil || found {
		t.Fatal(found, err)
	}
	base := time.Now().Add(-72 * time.Hour).Truncate(time.Second)
	reconcile := func(day int, daily, done bool, kinds ...domain.DifferenceKind) {
		t.Helper()
		from := base.Add(time.Duration(day) * time.Hour)
		r, err := f.StartReconciliation(f.ctx, id(), from, from.Add(time.Hour), daily)
		if err != nil {
			t.Fatal(err)
		}
		phase := domain.PhaseHere
		if done {
			phase = domain.PhaseDone
		}
		page := domain.Page{Phase: phase, Cursor: "x"}
		for _, k := range kinds {
			page.Differences = append(page.Differences, domain.Difference{Kind: k, Subject: "s", What: domain.EntryCapture, Here: gbp(1), There: gbp(2)})
		}
		if written, err := f.WritePage(f.ctx, r, page); err != nil || !written {
			t.Fatal(written, err)
		}
	}
	check := func(amount, missing int64) {
		t.Helper()
		age, kinds, found, err := f.LastDailyDifferences(f.ctx)
		if err != nil || !found || age > time.Minute || kinds[domain.AmountDiffers] != amount || kinds[domain.MissingHere] != missing {
			t.Errorf("%v %v %v %v, want %d and %d", age, kinds, found, err, amount, missing)
		}
	}
	reconcile(1, true, true, domain.AmountDiffers, domain.AmountDiffers, domain.MissingHere)
	check(2, 1)
	reconcile(2, false, true, domain.MissingHere)
	reconcile(3, true, false, domain.MissingHere)
	check(2, 1)
	reconcile(4, true, true)
	check(0, 0)
}
