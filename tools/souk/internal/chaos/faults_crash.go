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

// crashWithin is how long the visitors may take to bring a service to a point.
// Some are reached only where something else goes wrong, too.
const crashWithin = 10 * time.Second

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
		Strike: func(ctx context.Context, s *Stage) error {
			return s.spell(ctx, 0, func(ctx context.Context) error {
				for _, point := range points {
					if err := s.crash(ctx, service, point); err != nil {
						return err
					}
				}
				return nil
			}, func(ctx context.Context) error {
				return errors.Join(s.disarm(ctx, service), s.Provider.Heal(ctx))
			})
		},
		Strikes: 1,
	}
}

// crash lets a service die at a point, if the visitors bring it there. Declined
// cards, sold-out goods and refunds bring it to most; a provider that loses
// answers to those that repair.
func (s *Stage) crash(ctx context.Context, service, point string) error {
	log := s.Shop.LogPath(service)
	before, err := epitaphs(log, point)
	if err != nil {
		return err
	}
	if err := s.Provider.Misbehave(ctx, Rule{Kind: "drop_after_commit", Rate: 0.05, Seed: s.Rand.Uint64()}); err != nil {
		return err
	}
	s.SetEnv(service, fmt.Sprintf("SOUK_%s_CRASH_AT=%s", strings.ToUpper(service), point))
	back, cancel := context.WithTimeout(ctx, comeback)
	defer cancel()
	pid, err := s.running(back, service)
	if err != nil {
		return err
	}
	if err := errors.Join(s.Shop.Kill(service), s.replaced(back, service, pid)); err != nil {
		return err
	}
	s.SetEnv(service) // the life after the armed one is an ordinary one
	reached, cancel := context.WithTimeout(ctx, crashWithin)
	defer cancel()
	err = until(reached, service+" dies at "+point, func() (bool, error) {
		n, err := epitaphs(log, point)
		return n > before, err
	})
	switch {
	case err == nil:
		s.Struck(1, fmt.Sprintf("%s said that it %s", service, crash.Epitaph(crash.Point(point))))
	case reached.Err() == nil || ctx.Err() != nil:
		return err
	default: // nobody came by: the next point
		s.Missed(point)
	}
	return nil
}

// disarm has a service live on without a point at which it dies.
func (s *Stage) disarm(ctx context.Context, service string) error {
	s.SetEnv(service)
	pid, err := s.running(ctx, service)
	if err != nil {
		return err
	}
	return errors.Join(s.Shop.Kill(service), s.replaced(ctx, service, pid), s.Shop.Await(ctx, service))
}

// epitaphs counts the deaths at a point, which the process itself logs.
func epitaphs(log, point string) (int, error) {
	b, err := os.ReadFile(log)
	return bytes.Count(b, []byte(crash.Epitaph(crash.Point(point)))), err
}
