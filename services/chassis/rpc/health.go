package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

const (
	// Liveness is the health service name that is SERVING as long as the process
	// answers at all. The overall name "" and those of the services tell
	// readiness.
	Liveness = "liveness"

	checkInterval = 2 * time.Second
	checkTimeout  = time.Second
)

// Check is something the service cannot do without.
type Check struct {
	// Name is as in "postgres".
	Name string
	// Fn returns nil when the dependency answers.
	Fn func(ctx context.Context) error
}

// monitor polls the checks and keeps the health service true.
type monitor struct {
	checks   []Check
	log      *slog.Logger
	health   *health.Server
	services []string
	interval time.Duration
	wake     chan struct{}
	ready    bool
	known    bool
}

func newMonitor(checks []Check, log *slog.Logger) *monitor {
	m := &monitor{
		checks: checks, log: log, health: health.NewServer(),
		interval: checkInterval, wake: make(chan struct{}, 1),
	}
	m.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	m.health.SetServingStatus(Liveness, healthpb.HealthCheckResponse_SERVING)
	return m
}

// poke asks for a check now: something has just failed.
func (m *monitor) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run polls until ctx is done.
func (m *monitor) run(ctx context.Context) {
	ticker := time.NewTicker(m.interval)
	defer ticker.Stop()
	for {
		m.poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-m.wake:
		}
	}
}

func (m *monitor) poll(ctx context.Context) {
	failures := make([]error, len(m.checks))
	var wg sync.WaitGroup
	for i, check := range m.checks {
		wg.Go(func() {
			checkCtx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			if err := check.Fn(checkCtx); err != nil {
				failures[i] = fmt.Errorf("%s: %w", check.Name, err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	ready := true
	for _, err := range failures {
		if err == nil {
			continue
		}
		if ready && (m.ready || !m.known) {
			m.log.WarnContext(ctx, "not ready", "error", err)
		}
		ready = false
	}
	if ready && !m.ready {
		m.log.InfoContext(ctx, "ready")
	}
	if ready == m.ready && m.known {
		return
	}
	m.ready, m.known = ready, true
	serving := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		serving = healthpb.HealthCheckResponse_SERVING
	}
	m.health.SetServingStatus("", serving)
	for _, name := range m.services {
		m.health.SetServingStatus(name, serving)
	}
}
