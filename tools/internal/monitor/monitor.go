// Package monitor runs a real Prometheus and a real Alertmanager beside a shop, as an operator
// would: Prometheus reads the parts and evaluates the rules, Alertmanager groups, inhibits and
// routes what fires, and a receiver keeps the notifications that operators would get.
package monitor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/slo"
	"github.com/souk-shop/souk/tools/internal/slo/promtool"
)

const (
	// scrapeInterval is that of k8s/observability, and scrapeTimeout the longest that a scrape may take.
	scrapeInterval, scrapeTimeout = 15 * time.Second, 10 * time.Second
	// lookback is for how long Prometheus takes the last sample of a series for the present one.
	lookback = 5 * time.Minute
	// startWithin is how long each of the two may take to be ready, and stopWithin to end.
	startWithin, stopWithin = time.Minute, 10 * time.Second
)

// Config says what is run.
type Config struct {
	// Dir is an empty folder, for what the two keep.
	Dir string
	// Targets are the addresses for operators, by job.
	Targets map[string]string
	// Rules are Prometheus'.
	Rules []byte
	// Scale is by how much all that lasts is shorter than in production: scrapes, windows and
	// waits, here and in the rules and the routes. 1 is production.
	Scale float64
	// ScrapeInterval is k8s/observability's when 0.
	ScrapeInterval time.Duration
	// History is what Prometheus has read before, as OpenMetrics; nil for nothing.
	History []byte
	// Alerts has an Alertmanager run, with the routes of k8s/observability.
	Alerts bool
	// Log is told what the two complain about; may be nil.
	Log func(string)
	// Notice is told of a download or a build of them; may be nil.
	Notice func(string)
}

// Monitor is a Prometheus, and perhaps an Alertmanager, that run.
type Monitor struct {
	// URL is Prometheus'.
	URL string
	// Received are the notifications; nil without an Alertmanager.
	Received *Receiver

	client *http.Client
	log    func(string)
	ended  []*process.Process
}

// Start starts both and returns when they are ready.
func Start(ctx context.Context, cfg Config) (_ *Monitor, err error) {
	quiet := func(string) {}
	m := &Monitor{client: &http.Client{Timeout: 30 * time.Second}, log: quiet}
	if cfg.Log != nil {
		m.log = cfg.Log
	}
	if cfg.Notice == nil {
		cfg.Notice = quiet
	}
	if cfg.Scale == 0 {
		cfg.Scale = 1
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Stop(context.WithoutCancel(ctx)))
		}
	}()
	tools, err := promtool.Find(ctx, cfg.Notice)
	if err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	data := filepath.Join(cfg.Dir, "prometheus")
	if cfg.History != nil {
		if err := backfill(starting, tools, cfg, data); err != nil {
			return nil, err
		}
	}
	var alerting string
	if cfg.Alerts {
		program, err := promtool.Alertmanager(ctx, cfg.Notice)
		if err != nil {
			return nil, err
		}
		// A build may have taken what there was of the time.
		starting, cancel = context.WithTimeout(ctx, startWithin)
		defer cancel()
		if alerting, err = m.startAlertmanager(starting, program, cfg); err != nil {
			return nil, err
		}
	}
	return m, m.startPrometheus(starting, tools.Prometheus, cfg, data, alerting)
}

// backfill has promtool write blocks of what Prometheus has read before.
func backfill(ctx context.Context, tools promtool.Tools, cfg Config, data string) error {
	file := filepath.Join(cfg.Dir, "history.txt")
	if err := os.WriteFile(file, cfg.History, 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, tools.Promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h", "--quiet", file, data).CombinedOutput()
	if err != nil {
		return fmt.Errorf("promtool tsdb create-blocks-from openmetrics: %w: %s", err, out)
	}
	return os.Remove(file)
}

func (m *Monitor) startAlertmanager(ctx context.Context, program string, cfg Config) (addr string, err error) {
	if m.Received, err = newReceiver(ctx); err != nil {
		return "", err
	}
	routes, err := slo.AlertmanagerWith(m.Received.url)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cfg.Dir, "alertmanager.yaml")
	if err := os.WriteFile(file, slo.Scaled(routes, cfg.Scale), 0o600); err != nil {
		return "", err
	}
	return m.start(ctx, program, "--config.file="+file, "--storage.path="+filepath.Join(cfg.Dir, "alertmanager"),
		"--cluster.listen-address=", "--web.listen-address=127.0.0.1:0")
}

func (m *Monitor) startPrometheus(ctx context.Context, program string, cfg Config, data, alerting string) error {
	scaled := func(d time.Duration) string {
		return fmt.Sprintf("%dms", time.Duration(float64(d)/cfg.Scale).Milliseconds())
	}
	interval := scrapeInterval
	if cfg.ScrapeInterval > 0 {
		interval = cfg.ScrapeInterval
	}
	type object = map[string]any
	jobs := []object{}
	for job, addr := range cfg.Targets {
		jobs = append(jobs, object{"job_name": job, "static_configs": []object{{"targets": []string{addr}}}})
	}
	// Timeouts are not scaled: a part does not answer faster.
	timeout := min(scrapeTimeout, time.Duration(float64(interval)/cfg.Scale))
	config := object{
		"global":         object{"scrape_interval": scaled(interval), "evaluation_interval": scaled(interval), "scrape_timeout": fmt.Sprintf("%dms", timeout.Milliseconds())},
		"rule_files":     []string{"rules.yaml"},
		"scrape_configs": jobs,
	}
	if alerting != "" {
		config["alerting"] = object{"alertmanagers": []object{{"static_configs": []object{{"targets": []string{alerting}}}}}}
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	file := filepath.Join(cfg.Dir, "prometheus.yaml")
	if err := errors.Join(os.WriteFile(file, text, 0o600), os.WriteFile(filepath.Join(cfg.Dir, "rules.yaml"), slo.Scaled(cfg.Rules, cfg.Scale), 0o600)); err != nil {
		return err
	}
	addr, err := m.start(ctx, program, "--config.file="+file, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=30d",
		"--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage",
		"--query.lookback-delta="+scaled(lookback), "--rules.alert.resend-delay="+scaled(time.Minute))
	if err != nil {
		return err
	}
	m.URL = "http://" + addr
	for {
		if err := m.Get(ctx, "query", url.Values{"query": {"1"}}, new(any)); err == nil {
			return nil
		}
		if err := retry.Sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("Prometheus is not ready: %w", err)
		}
	}
}

var (
	listening = regexp.MustCompile(`msg="?Listening on"? .*address=(\S+)`)
	complains = regexp.MustCompile(`level=(?i:error|warn)`)
)

// start starts a program and returns the address on which it says that it listens.
func (m *Monitor) start(ctx context.Context, program string, args ...string) (addr string, err error) {
	cmd := exec.Command(program, args...)
	logs, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	cmd.Stderr, cmd.Stdout = w, w
	p, err := process.Start(cmd, syscall.SIGTERM)
	if err != nil {
		return "", errors.Join(err, logs.Close(), w.Close())
	}
	m.ended = append(m.ended, p)
	listens := make(chan string, 1)
	go func() {
		defer logs.Close()
		last := ""
		for lines := bufio.NewScanner(logs); lines.Scan(); last = lines.Text() {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil && len(listens) == 0 {
				listens <- found[1]
			}
			if complains.MatchString(lines.Text()) {
				m.log(filepath.Base(program) + ": " + lines.Text())
			}
		}
		m.log(filepath.Base(program) + " ended: " + last)
	}()
	if err := w.Close(); err != nil {
		return "", err
	}
	select {
	case addr = <-listens:
		return addr, nil
	case <-p.Done():
		return "", fmt.Errorf("%s ended: %w", program, p.Err())
	case <-ctx.Done():
		return "", fmt.Errorf("%s does not listen: %w", program, ctx.Err())
	}
}

// Stop ends both.
func (m *Monitor) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	var err error
	for _, p := range slices.Backward(m.ended) {
		// How they end does not matter: what they keep is thrown away.
		if stopped := p.Stop(ctx, syscall.SIGTERM); errors.Is(stopped, process.ErrNotEnding) {
			p.Kill()
			err = errors.Join(err, stopped)
		}
	}
	if m.Received != nil {
		err = errors.Join(err, m.Received.close())
	}
	return err
}

// Problem is Prometheus' with a request.
type Problem string

func (p Problem) Error() string { return string(p) }

// Get asks Prometheus' API, "query" for instance; a Problem is its answer that it does not like the
// request.
func (m *Monitor) Get(ctx context.Context, path string, query url.Values, into any) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL+"/api/v1/"+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	res, err := m.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(body))) // it is not ready
	}
	if answer.Status != "success" {
		return Problem(answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}
