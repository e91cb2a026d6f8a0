package metricstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/slo"
)

const (
	// Interval is what lies between two scrapes of a part.
	Interval = 5 * time.Second
	// scrapeTimeout ends a scrape before the next one is due.
	scrapeTimeout = 4 * time.Second
	// ruleInterval is what lies between two evaluations of the rules.
	ruleInterval = 15 * time.Second
	// maxBody bounds what is read of a part's metrics, in bytes: the largest have 0.5 MiB.
	maxBody = 8 << 20
)

// scraped is the media type that parts are asked for: the short one, because the store keeps no exemplars.
const scraped = "text/plain;version=0.0.4"

// Collector fills a store: with the metrics of parts, and with what the rules of the
// objectives record.
type Collector struct {
	store    *Store
	engine   *promql.Engine
	log      *slog.Logger
	client   *http.Client
	targets  map[string]string
	interval time.Duration
	rules    time.Duration
}

// NewCollector makes a collector of the parts' metrics, which are at /metrics of the
// addresses for operators.
func NewCollector(store *Store, parts map[string]string, log *slog.Logger) *Collector {
	return &Collector{
		store: store, engine: newEngine(log), log: log, targets: parts, interval: Interval, rules: ruleInterval,
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Run scrapes and records until ctx is done.
func (c *Collector) Run(ctx context.Context) error {
	defer c.client.CloseIdleConnections()
	var running sync.WaitGroup
	for i, part := range slices.Sorted(maps.Keys(c.targets)) {
		t := &target{part: part, addr: c.targets[part], from: newSource(), seed: maphash.MakeSeed()}
		// Spread over the interval, they don't take the processors all at once.
		later := c.interval * time.Duration(i) / time.Duration(len(c.targets))
		running.Go(func() {
			every(ctx, later, c.interval, func(now time.Time) { c.scrape(ctx, t, now) })
		})
	}
	r := newRecorder()
	// After each part was scraped twice there are rates.
	running.Go(func() { every(ctx, 2*c.interval, c.rules, func(now time.Time) { c.record(ctx, r, now) }) })
	running.Wait()
	return nil
}

// every calls fn, after a time and then at an interval, until ctx is done.
func every(ctx context.Context, later, interval time.Duration, fn func(now time.Time)) {
	if retry.Sleep(ctx, later) != nil {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		fn(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// target is a part that is scraped.
type target struct {
	part, addr string
	from       *source
	seed       maphash.Seed
	samples    []sample
	failing    bool
}

// scrape reads a part's metrics once. One that fails leaves up at 0, and ends the part's series.
func (c *Collector) scrape(ctx context.Context, t *target, now time.Time) {
	body, err := c.fetch(ctx, t.addr)
	t.samples = t.samples[:0]
	up := 1.0
	if err == nil {
		err = t.read(body)
	}
	if ctx.Err() != nil {
		return // the shop ends
	}
	if err != nil {
		t.samples, up = t.samples[:0], 0
	}
	if failing := err != nil; failing != t.failing {
		t.failing = failing
		if failing {
			c.log.WarnContext(ctx, "the metrics of a part can't be read", "part", t.part, "error", err)
		} else {
			c.log.InfoContext(ctx, "the metrics of a part can be read again", "part", t.part)
		}
	}
	t.add("up", labels.FromStrings(model.MetricNameLabel, "up", "instance", t.addr, "job", t.part), up)
	c.store.write(t.from, now, t.samples, err == nil)
}

func (t *target) add(key string, l labels.Labels, v float64) {
	t.samples = append(t.samples, sample{key: maphash.String(t.seed, key), labels: l, value: v})
}

func (c *Collector) fetch(ctx context.Context, addr string) (_ []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", scraped)
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(res.Body, maxBody+1)); err != nil {
		return nil, err
	}
	if body.Len() > maxBody {
		return nil, fmt.Errorf("more than %d bytes", maxBody)
	}
	return body.Bytes(), nil
}

// read parses Prometheus' text format.
func (t *target) read(body []byte) error {
	p := textparse.NewPromParser(body, labels.NewSymbolTable(), false)
	builder := labels.NewBuilder(labels.EmptyLabels())
	counter := false
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch entry {
		case textparse.EntryType: // of the samples up to the next one
			_, kind := p.Type()
			counter = kind == model.MetricTypeCounter || kind == model.MetricTypeHistogram
		case textparse.EntrySeries:
			text, _, v := p.Series()
			one := sample{key: maphash.Bytes(t.seed, text), value: v, counter: counter}
			if t.from.byKey[one.key] == nil {
				p.Labels(&one.labels)
				builder.Reset(one.labels)
				for name, v := range map[string]string{"job": t.part, "instance": t.addr} {
					if own := one.labels.Get(name); own != "" {
						builder.Set("exported_"+name, own)
					}
					builder.Set(name, v)
				}
				one.labels = builder.Labels()
			}
			t.samples = append(t.samples, one)
		}
	}
}

// recorder has what the rules record.
type recorder struct {
	rules   []slo.Recording
	sources []*source
	failing map[string]bool
}

func newRecorder() *recorder {
	r := &recorder{rules: slo.Recordings(), failing: map[string]bool{}}
	for range r.rules {
		r.sources = append(r.sources, newSource())
	}
	return r
}

// record evaluates the rules, in their order: later ones read what earlier ones record.
func (c *Collector) record(ctx context.Context, r *recorder, now time.Time) {
	for i, rule := range r.rules {
		found, err := instant(ctx, c.engine, c.store, rule.Expr, now)
		if ctx.Err() != nil {
			return
		}
		if failing := err != nil; failing != r.failing[rule.Expr] {
			if r.failing[rule.Expr] = failing; failing {
				c.log.WarnContext(ctx, "a rule can't be evaluated", "rule", rule.Name, "error", err)
			}
		}
		samples := make([]sample, 0, len(found))
		for _, one := range found {
			b := labels.NewBuilder(one.Metric)
			b.Set(model.MetricNameLabel, rule.Name)
			for name, v := range rule.Labels {
				b.Set(name, v)
			}
			l := b.Labels()
			samples = append(samples, sample{key: l.Hash(), labels: l, value: one.F})
		}
		c.store.write(r.sources[i], now, samples, true)
	}
}
