package chaos

import (
	"context"
	"fmt"
	"time"
)

// rolling restarts what can be replaced without an outage: every process but
// PostgreSQL's, of which there is one (postgres-restart shows what that costs).
func rolling() []Fault {
	return []Fault{{
		Name: "rolling-restart", Group: "restart", Doc: "every part but PostgreSQL is restarted in turn, and no call may fail",
		Strike: func(ctx context.Context, s *Stage) error {
			for _, part := range append([]string{"redis", "stripesim"}, parts...) {
				if err := s.restart(ctx, part); err != nil {
					return err
				}
				if err := s.Hold(ctx, 300*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		},
		Gentle: true,
	}}
}

// restart restarts a part in good order.
func (s *Stage) restart(ctx context.Context, part string) error {
	ctx, cancel := context.WithTimeout(ctx, comeback)
	defer cancel()
	pid, err := s.running(ctx, part)
	if err != nil {
		return err
	}
	if err := s.Shop.Restart(ctx, part); err != nil {
		return err
	}
	now := s.Shop.PID(part)
	if now == pid {
		return fmt.Errorf("%s is still process %d", part, pid)
	}
	s.Struck(1, fmt.Sprintf("%s, process %d, ended in good order, and process %d took over", part, pid, now))
	return nil
}
