package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// rolling restarts what can be replaced without an outage: every process but
// PostgreSQL's, of which there is one (postgres-restart shows what that costs).
func rolling() []Fault {
	return []Fault{{
		Name: "rolling-restart", Group: "restart", Doc: "every part but PostgreSQL is restarted in turn, and no call may fail",
		Inject: func(ctx context.Context, e *Environment) error {
			for _, part := range append([]string{"redis", "stripesim"}, parts...) {
				if err := e.restart(ctx, part); err != nil {
					return err
				}
				if err := retry.Sleep(ctx, 300*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		},
		Gentle: true,
	}}
}

// restart restarts a part in good order.
func (e *Environment) restart(ctx context.Context, part string) error {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	pid, err := e.running(ctx, part)
	if err != nil {
		return err
	}
	if err := e.Shop.Restart(ctx, part); err != nil {
		return err
	}
	now := e.Shop.PID(part)
	if now == pid {
		return fmt.Errorf("%s is still process %d", part, pid)
	}
	e.Injected(1, fmt.Sprintf("%s, process %d, ended in good order, and process %d took over", part, pid, now))
	return nil
}
