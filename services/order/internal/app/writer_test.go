package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/app/crashpoint"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// TestStatesAreWrittenTogether: the process that placed an order writes CAPTURING and PAID,
// with the states between, each with its time.
func TestStatesAreWrittenTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.order(t, "pm_card_visa", 2)
	var writes []crash.Point
	err := w.driver(func(p crash.Point) error {
		if p == crashpoint.AuthorizingWritten || p == crashpoint.ConfirmingWritten || p == crashpoint.CapturingWritten || p == crashpoint.PaidWritten {
			writes = append(writes, p)
		}
		return nil
	}).DrivePlaced(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want := []crash.Point{crashpoint.CapturingWritten, crashpoint.PaidWritten}; !slices.Equal(writes, want) {
		t.Errorf("written: %v, want %v", writes, want)
	}
	got := w.settled(t, o.ID)
	if !slices.IsSortedFunc(got.History, func(a, b domain.Change) int { return a.At.Compare(b.At) }) || got.Version != 5 || len(got.History) != 5 {
		t.Errorf("version %d, history %+v", got.Version, got.History)
	}
	for i, c := range got.History {
		if c.Version != int64(i+1) {
			t.Errorf("version %d of %s, want %d", c.Version, c.State, i+1)
		}
	}
}

// TestSlowStepsAreShown: while payment takes long the table says what it is asked; a customer
// who cancels then is the faster writer, and nothing is taken.
func TestSlowStepsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	w.network(func(_ context.Context, op, _ string) apptest.Loss {
		if op == "payment.Authorize" {
			close(asked)
			<-answer
		}
		return apptest.Nothing
	})
	o := w.order(t, "pm_card_visa", 2)
	changes, end := w.changes.Subscribe(o.ID)
	defer end()
	driven := make(chan error)
	go func() { driven <- w.driverThatWrites(nil, time.Millisecond).DrivePlaced(t.Context(), o) }()
	<-asked
	if shown := <-changes; shown.State != domain.Authorizing {
		t.Errorf("shown as %s", shown.State)
	}
	if ok, err := w.store.Cancel(t.Context(), o.ID); err != nil || !ok {
		t.Fatal(ok, err)
	}
	close(answer)
	if err := <-driven; err != nil {
		t.Fatal(err)
	}
	if got := w.settled(t, o.ID); got.State != domain.Cancelled || got.CancelReason != domain.ByCustomer {
		t.Errorf("%s, %s", got.State, got.CancelReason)
	}
}

// TestAPanicIsAnError of the drive, in a step and in the write that shows what led to it: neither
// ends the process, and nothing is written after the drive.
func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"payment.Authorize", string(crashpoint.AuthorizingWritten)} {
		w := newWorld(t)
		asked := make(chan struct{})
		w.network(func(_ context.Context, op, _ string) apptest.Loss {
			if op != "payment.Authorize" {
				return apptest.Nothing
			}
			if op == at {
				panic(at)
			}
			<-asked
			return apptest.Nothing
		})
		after := time.Hour
		if at != "payment.Authorize" {
			after = time.Millisecond
		}
		o := w.order(t, "pm_card_visa", 2)
		err := w.driverThatWrites(func(p crash.Point) error {
			if string(p) == at {
				close(asked)
				panic(at)
			}
			return nil
		}, after).DrivePlaced(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "panicked: "+at) {
			t.Errorf("%s panics: %v", at, err)
		}
		if got, err := w.store.Load(t.Context(), o.ID, false); err != nil || got.State != domain.Authorizing {
			t.Errorf("%s panics: the order is %s, %v", at, got.State, err)
		}
		w.network(func(context.Context, string, string) apptest.Loss { return apptest.Nothing })
		if err := w.driver(nil).Drive(t.Context(), o.ID); err != nil {
			t.Error(err)
		}
		if got := w.settled(t, o.ID); got.State != domain.Paid {
			t.Errorf("after %s panicked: %s", at, got.State)
		}
	}
}

// TestACancellationOvertakesADriver that is ahead of the table: it finds that out when it
// writes CAPTURING, before anything is taken.
func TestACancellationOvertakesADriver(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"catalog.Reserve", "payment.Authorize", "catalog.Confirm"} {
		w := newWorld(t)
		o := w.order(t, "pm_card_visa", 2)
		w.network(func(ctx context.Context, called, _ string) apptest.Loss {
			if called == op {
				if ok, err := w.store.Cancel(ctx, o.ID); err != nil || !ok {
					t.Error(ok, err)
				}
			}
			if called == "payment.Capture" {
				t.Errorf("captured after a cancellation during %s", op)
			}
			return apptest.Nothing
		})
		if err := w.driver(nil).DrivePlaced(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if got := w.settled(t, o.ID); got.State != domain.Cancelled || got.CancelReason != domain.ByCustomer || got.Version != 3 {
			t.Errorf("during %s: %s, %s, version %d", op, got.State, got.CancelReason, got.Version)
		}
	}
}
