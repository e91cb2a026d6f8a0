package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// parts of the shop that are its own: the provider is not.
var parts = topology.Names(topology.Of(topology.Gateway, topology.Service))

// replaced waits until a part is another process than pid.
func (e *Environment) replaced(ctx context.Context, part string, pid int) error {
	return until(ctx, part+" is started again", func() (bool, error) {
		now := e.Shop.PID(part)
		return now != 0 && now != pid, nil
	})
}

// running waits until a part has a process.
func (e *Environment) running(ctx context.Context, part string) (pid int, err error) {
	err = until(ctx, part+" runs", func() (bool, error) {
		pid = e.Shop.PID(part)
		return pid != 0, nil
	})
	return pid, err
}

// kill kills a part with SIGKILL and waits until it is back.
func (e *Environment) kill(ctx context.Context, part string) error {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	pid, err := e.replace(ctx, part)
	if err != nil {
		return err
	}
	e.Injected(1, fmt.Sprintf("%s, process %d, was killed, and process %d took its place", part, pid, e.Shop.PID(part)))
	return e.Shop.Await(ctx, part)
}

// replace kills a part's process, pid, and waits until another has its place.
func (e *Environment) replace(ctx context.Context, part string) (pid int, err error) {
	if pid, err = e.running(ctx, part); err != nil {
		return 0, err
	}
	if err := e.Shop.Kill(part); err != nil {
		return 0, err
	}
	return pid, e.replaced(ctx, part, pid)
}

func kills() []Fault {
	var out []Fault
	for _, part := range append(slices.Clone(parts), topology.Stripesim) {
		out = append(out, Fault{
			Name: "kill-" + part, Group: "kill", Doc: "SIGKILL of " + part + ", again and again", Breaks: []string{part},
			Inject: func(ctx context.Context, e *Environment) error { return e.kill(ctx, part) },
		})
	}
	return append(out, Fault{
		Name: "kill-random", Group: "kill", Doc: "SIGKILL of any service at any moment, also of one that just starts",
		Inject: func(ctx context.Context, e *Environment) error {
			for range 5 {
				if err := retry.Sleep(ctx, time.Duration(e.Rand.Int64N(int64(400*time.Millisecond)))); err != nil {
					return err
				}
				part := parts[e.Rand.IntN(len(parts))]
				ctx, cancel := context.WithTimeout(ctx, recoverWithin)
				defer cancel()
				pid, err := e.replace(ctx, part)
				if err != nil {
					return err
				}
				e.Injected(1, fmt.Sprintf("%s, process %d, was killed", part, pid))
			}
			return nil
		},
	})
}

// freeze stops a part with SIGSTOP for d.
func (e *Environment) freeze(ctx context.Context, part string, d time.Duration) error {
	return e.during(ctx, d, func(ctx context.Context) error {
		ready, cancel := context.WithTimeout(ctx, recoverWithin)
		defer cancel()
		pid, err := e.running(ready, part)
		if err != nil {
			return err
		}
		if err := e.Shop.Signal(part, syscall.SIGSTOP); err != nil {
			return err
		}
		// The signal takes its time on a busy machine.
		err = until(ready, part+" falls silent", func() (bool, error) {
			soon, cancel := context.WithTimeout(ready, 200*time.Millisecond)
			defer cancel()
			return e.Shop.Await(soon, part) != nil, nil
		})
		if err != nil {
			return err
		}
		e.Injected(1, fmt.Sprintf("%s, process %d, was stopped and did not answer", part, pid))
		return nil
	}, func(ctx context.Context) error {
		err := e.Shop.Signal(part, syscall.SIGCONT)
		if errors.Is(err, process.ErrNotRunning) {
			err = nil // it was ended meanwhile, and is started again
		}
		return errors.Join(err, e.Shop.Await(ctx, part))
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
		Inject: func(ctx context.Context, e *Environment) error { return e.freeze(ctx, part, d) },
		Alone:  d > 15*time.Second,
		Breaks: []string{part},
	}
}
