package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// parts of the shop that are its own: the provider is not.
var parts = topology.Names(topology.Of(topology.Gateway, topology.Service))

// replaced waits until a part is another process than pid.
func (s *Stage) replaced(ctx context.Context, part string, pid int) error {
	return until(ctx, part+" is started again", func() (bool, error) {
		now := s.Shop.PID(part)
		return now != 0 && now != pid, nil
	})
}

// running waits until a part has a process.
func (s *Stage) running(ctx context.Context, part string) (pid int, err error) {
	err = until(ctx, part+" runs", func() (bool, error) {
		pid = s.Shop.PID(part)
		return pid != 0, nil
	})
	return pid, err
}

// kill kills a part with SIGKILL and waits until it is back.
func (s *Stage) kill(ctx context.Context, part string) error {
	ctx, cancel := context.WithTimeout(ctx, comeback)
	defer cancel()
	pid, err := s.running(ctx, part)
	if err != nil {
		return err
	}
	if err := s.Shop.Kill(part); err != nil {
		return err
	}
	if err := s.replaced(ctx, part, pid); err != nil {
		return err
	}
	s.Struck(1, fmt.Sprintf("%s, process %d, was killed, and process %d took its place", part, pid, s.Shop.PID(part)))
	return s.Shop.Await(ctx, part)
}

func kills() []Fault {
	var out []Fault
	for _, part := range append(slices.Clone(parts), topology.Stripesim) {
		out = append(out, Fault{
			Name: "kill-" + part, Group: "kill", Doc: "SIGKILL of " + part + ", again and again",
			Strike: func(ctx context.Context, s *Stage) error { return s.kill(ctx, part) },
		})
	}
	return append(out, Fault{
		Name: "kill-random", Group: "kill", Doc: "SIGKILL of any service at any moment, also of one that just starts",
		Strike: func(ctx context.Context, s *Stage) error {
			for range 5 {
				if err := s.Hold(ctx, time.Duration(s.Rand.Int64N(int64(400*time.Millisecond)))); err != nil {
					return err
				}
				part := parts[s.Rand.IntN(len(parts))]
				ctx, cancel := context.WithTimeout(ctx, comeback)
				defer cancel()
				pid, err := s.running(ctx, part)
				if err != nil {
					return err
				}
				if err := s.Shop.Kill(part); err != nil {
					return err
				}
				if err := s.replaced(ctx, part, pid); err != nil {
					return err
				}
				s.Struck(1, fmt.Sprintf("%s, process %d, was killed", part, pid))
			}
			return nil
		},
	})
}

// freeze stops a part with SIGSTOP for d.
func (s *Stage) freeze(ctx context.Context, part string, d time.Duration) error {
	return s.spell(ctx, d, func(ctx context.Context) error {
		ready, cancel := context.WithTimeout(ctx, comeback)
		defer cancel()
		pid, err := s.running(ready, part)
		if err != nil {
			return err
		}
		if err := s.Shop.Signal(part, syscall.SIGSTOP); err != nil {
			return err
		}
		// The signal takes its time on a busy machine.
		err = until(ready, part+" falls silent", func() (bool, error) {
			soon, cancel := context.WithTimeout(ready, 200*time.Millisecond)
			defer cancel()
			return s.Shop.Await(soon, part) != nil, nil
		})
		if err != nil {
			return err
		}
		s.Struck(1, fmt.Sprintf("%s, process %d, was stopped and did not answer", part, pid))
		return nil
	}, func(ctx context.Context) error {
		err := s.Shop.Signal(part, syscall.SIGCONT)
		if errors.Is(err, localshop.ErrNotRunning) {
			err = nil // it was ended meanwhile, and is started again
		}
		return errors.Join(err, s.Shop.Await(ctx, part))
	})
}

func freezes() []Fault {
	var out []Fault
	for _, part := range parts {
		for _, d := range []time.Duration{3 * time.Second, 15 * time.Second, 45 * time.Second} {
			out = append(out, freezeFault("freeze-"+part, "freeze", part, d))
		}
	}
	return out
}

func freezeFault(name, group, part string, d time.Duration) Fault {
	return Fault{
		Name: fmt.Sprintf("%s-%.0fs", name, d.Seconds()), Group: group, Doc: fmt.Sprintf("SIGSTOP of %s for %s", part, d),
		Strike: func(ctx context.Context, s *Stage) error { return s.freeze(ctx, part, d) },
		Alone:  d > 15*time.Second,
	}
}
