package localshop

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/tools/internal/metricstore"
)

// meter keeps the shop's recent metrics, with Options.Metrics. It reads what the parts'
// listeners for operators show, also with Options.Processes.
type meter struct {
	store *metricstore.Store
	parts map[string]string // their listeners for operators
	lis   net.Listener
	token string // of readers, anew at each start
	log   *slog.Logger
}

func (s *Shop) openMeter(ctx context.Context) error {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.meter = &meter{
		store: metricstore.New(metricstore.DefaultBytes, metricstore.MaxSeries), parts: map[string]string{},
		lis: lis, token: rand.Text(), log: s.log,
	}
	for part, admin := range s.admin {
		s.meter.parts[part] = admin.Addr().String()
	}
	return nil
}

func (m *meter) url() string { return "http://" + m.lis.Addr().String() }

// run collects and answers until ctx is done.
func (m *meter) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return metricstore.NewCollector(m.store, m.parts, m.log).Run(ctx) })
	g.Go(func() error { return metricstore.NewServer(m.store, m.token, m.log).Serve(ctx, m.lis) })
	return g.Wait()
}

func (m *meter) close() { m.lis.Close() } // run has closed it, if it ran

// MetricsURL is where the shop's recent metrics are asked for, with MetricsToken; "" where it
// keeps none.
func (s *Shop) MetricsURL() string {
	if s.meter == nil {
		return ""
	}
	return s.meter.url()
}

// MetricsToken is for what MetricsURL answers.
func (s *Shop) MetricsToken() string {
	if s.meter == nil {
		return ""
	}
	return s.meter.token
}
