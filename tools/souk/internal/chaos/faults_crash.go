package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// crashWithin is how long the shoppers may take to bring a service to a point.
// Some are reached only where something else goes wrong, too.
const crashWithin = 10 * time.Second

// hookCrashWithin is that of the service which sends webhooks: those that were under way at a death
// keep the endpoint's places until their claims end, 15 s after the time for the call.
const hookCrashWithin = crashWithin + hookTimeout + 15*time.Second

func crashes() []Fault {
	var out []Fault
	for _, part := range topology.Parts {
		if len(part.CrashPoints) > 0 {
			out = append(out, crashFault(part.Name, part.CrashPoints))
		}
	}
	return out
}

func crashFault(service string, points []string) Fault {
	return Fault{
		Name: "crash-" + service, Group: "crash",
		Doc: fmt.Sprintf("%s dies between two steps, at each of %d points in turn", service, len(points)),
		Inject: func(ctx context.Context, e *Environment) error {
			return e.during(ctx, 0, func(ctx context.Context) error {
				for _, point := range points {
					if err := e.crash(ctx, service, point); err != nil {
						return err
					}
				}
				return nil
			}, func(ctx context.Context) error {
				return errors.Join(e.disarm(ctx, service), e.Provider.Heal(ctx))
			})
		},
		Times: 1, Breaks: []string{service},
	}
}

// crash lets a service die at a point, if the shoppers bring it there. Declined
// cards, sold-out goods and refunds bring it to most; a provider that loses
// answers to those that repair.
func (e *Environment) crash(ctx context.Context, service, point string) error {
	log := e.Shop.LogPath(service)
	before, err := deathsAt(log, point)
	if err != nil {
		return err
	}
	if err := e.Provider.Misbehave(ctx, Rule{Kind: "drop_after_commit", Rate: 0.05, Seed: e.Rand.Uint64()}); err != nil {
		return err
	}
	e.SetEnv(service, fmt.Sprintf("SOUK_%s_CRASH_AT=%s", strings.ToUpper(service), point))
	back, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	pid, err := e.running(back, service)
	if err != nil {
		return err
	}
	if err := errors.Join(e.Shop.Kill(service), e.replaced(back, service, pid)); err != nil {
		return err
	}
	e.SetEnv(service) // the life after the armed one is an ordinary one
	within := crashWithin
	if service == notifier {
		within = hookCrashWithin
	}
	reached, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err = until(reached, service+" dies at "+point, func() (bool, error) {
		n, err := deathsAt(log, point)
		return n > before, err
	})
	switch {
	case err == nil:
		e.Injected(1, fmt.Sprintf("%s said that it %s", service, crash.Epitaph(crash.Point(point))))
	case reached.Err() == nil || ctx.Err() != nil:
		return err
	default: // no call reached it: the next point
		e.Unreached(point)
	}
	return nil
}

// disarm has a service live on without a point at which it dies.
func (e *Environment) disarm(ctx context.Context, service string) error {
	e.SetEnv(service)
	pid, err := e.running(ctx, service)
	if err != nil {
		return err
	}
	return errors.Join(e.Shop.Kill(service), e.replaced(ctx, service, pid), e.Shop.Await(ctx, service))
}

// deathsAt counts the deaths at a point, which the process itself logs.
func deathsAt(log, point string) (int, error) {
	b, err := os.ReadFile(log)
	return bytes.Count(b, []byte(crash.Epitaph(crash.Point(point)))), err
}
