package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/souk-shop/souk/services/chassis/semconv"
)

const (
	// Liveness is the health service name that is SERVING as long as the process
	// answers at all. The overall name "" and those of the services tell
	// readiness.
	Liveness = "liveness"

	checkInterval = 2 * time.Second
	firstPause    = 25 * time.Millisecond
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
	services []string // readiness is also told by these names
	interval time.Duration
	timeout  time.Duration
	wake     chan struct{}

	// passing is by check: what its last poll came to, unknown before the first.
	passing []atomic.Int32

	// Of the polling goroutine:
	ready    bool
	reported bool  // whether ready has been told at all
	slow     []int // by check: how often in a row it has not answered in time
}

func newMonitor(checks []Check, log *slog.Logger) *monitor {
	m := &monitor{
		checks: checks, log: log, health: health.NewServer(),
		interval: checkInterval, timeout: checkTimeout,
		wake: make(chan struct{}, 1), slow: make([]int, len(checks)), passing: make([]atomic.Int32, len(checks)),
	}
	m.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	m.health.SetServingStatus(Liveness, healthpb.HealthCheckResponse_SERVING)
	return m
}

// What is known of a check.
const (
	checkUnknown int32 = iota
	checkFailing
	checkPassing
)

// measure has the checks reported as metrics; one that has not been polled yet is not.
func (m *monitor) measure(meter metric.Meter) error {
	_, err := meter.Int64ObservableGauge("souk.check.passing", metric.WithUnit("{replica}"),
		metric.WithDescription("1 where a check without which the replica is not ready has passed, 0 where it has not, by the check's name."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for i, check := range m.checks {
				if state := m.passing[i].Load(); state != checkUnknown {
					o.Observe(int64(state-checkFailing), metric.WithAttributes(semconv.CheckName.String(check.Name)))
				}
			}
			return nil
		}))
	return err
}

// poke asks for a check now: something has just failed.
func (m *monitor) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run polls until ctx is done and says NOT_SERVING then. While something is
// away it asks more often: at once, after 50 ms, and then at ever longer
// intervals, so that a start does not wait for health.
func (m *monitor) run(ctx context.Context) {
	m.tell(false)
	pause := firstPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			m.tell(false)
			return
		case <-timer.C:
		case <-m.wake:
		}
		wasReady := m.ready
		m.poll(ctx)
		switch {
		case m.ready:
			pause = m.interval
		case wasReady:
			pause = min(firstPause, m.interval)
		default:
			pause = min(2*pause, m.interval)
		}
		timer.Reset(pause)
	}
}

func (m *monitor) poll(ctx context.Context) {
	errs := make([]error, len(m.checks))
	var wg sync.WaitGroup
	for i, check := range m.checks {
		wg.Go(func() { errs[i] = m.check(ctx, i, check) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return // the failures are those of the stop
	}
	for i, err := range errs {
		state := checkPassing
		if err != nil {
			state = checkFailing
		}
		m.passing[i].Store(state)
	}
	err := errors.Join(errs...)
	ready := err == nil
	if ready == m.ready && m.reported {
		return
	}
	if ready {
		m.log.InfoContext(ctx, "ready")
	} else {
		m.log.WarnContext(ctx, "not ready", "error", err)
	}
	m.ready, m.reported = ready, true
	m.tell(ready)
}

// check runs one check. A dependency that does not answer in time may only be
// busy: that counts when it happens twice in a row, or when it has not been
// ready before.
func (m *monitor) check(ctx context.Context, i int, check Check) error {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	err := check.Fn(ctx)
	if err == nil {
		m.slow[i] = 0
		return nil
	}
	if ctx.Err() != nil {
		if m.slow[i]++; m.slow[i] == 1 && m.ready {
			m.poke()
			return nil
		}
	}
	return fmt.Errorf("%s: %w", check.Name, err)
}

func (m *monitor) tell(ready bool) {
	serving := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		serving = healthpb.HealthCheckResponse_SERVING
	}
	m.health.SetServingStatus("", serving)
	for _, name := range m.services {
		m.health.SetServingStatus(name, serving)
	}
}
