package localshop

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
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

// Metric is the sum of a metric's series that have the labels, name after name, that a part
// shows at an address; of a histogram, the number of what it has counted.
func Metric(ctx context.Context, admin, name string, labels ...string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("metrics at %s: %s", admin, res.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return 0, err
	}
	sum := 0.0
series:
	for _, m := range families[name].GetMetric() {
		has := map[string]string{}
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		for pair := range slices.Chunk(labels, 2) {
			if has[pair[0]] != pair[len(pair)-1] {
				continue series
			}
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum, nil
}
