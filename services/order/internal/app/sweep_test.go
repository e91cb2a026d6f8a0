package app_test

import (
	"context"
	"errors"
	"testing"

	"github.com/souk-shop/souk/services/order/internal/app"
)

// remembering is a store that cannot forget declines.
type remembering struct{ app.Orders }

var errRemembered = errors.New("remembered")

func (remembering) ForgetDeclines(context.Context) error { return errRemembered }

// TestSweepDrivesFirst: stalled orders are taken up although the tidying fails.
func TestSweepDrivesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, stop, ended := w.runner(t, app.RunnerConfig{Drivers: 1})
	o := w.order(t, "pm_card_visa", 2)
	changes, end := w.changes.Subscribe(o.ID)
	defer end()
	a := app.New(app.Config{Ports: app.Ports{Orders: remembering{w.store}}, Runner: r})
	if _, drives, err := a.Sweep(t.Context(), 0); drives != 1 || !errors.Is(err, errRemembered) {
		t.Fatalf("%d drives, %v", drives, err)
	}
	wait(t, changes)
	stop()
	<-ended
	w.settled(t, o.ID)
}
