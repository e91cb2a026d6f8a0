package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Provider is the payment provider's simulator, which can be made to misbehave.
type Provider struct {
	url string
}

// NewProvider returns the provider at a URL.
func NewProvider(url string) *Provider { return &Provider{url: url} }

// Rule says which calls or webhooks go wrong, and how; see package stripesim.
type Rule struct {
	Operation  string        `json:"operation,omitempty"`
	Kind       string        `json:"kind"`
	Rate       float64       `json:"rate,omitempty"` // 0 is all
	Latency    time.Duration `json:"-"`
	RetryAfter time.Duration `json:"-"`
	Seed       uint64        `json:"seed,omitempty"`
}

// MarshalJSON writes durations as the simulator reads them.
func (r Rule) MarshalJSON() ([]byte, error) {
	type plain Rule
	text := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	return json.Marshal(struct {
		plain
		Latency    string `json:"latency,omitempty"`
		RetryAfter string `json:"retry_after,omitempty"`
	}{plain(r), text(r.Latency), text(r.RetryAfter)})
}

// Misbehave replaces the rules.
func (p *Provider) Misbehave(ctx context.Context, rules ...Rule) error {
	_, err := p.faults(ctx, http.MethodPut, rules)
	return err
}

// Heal ends all misbehavior and sends the webhooks that wait.
func (p *Provider) Heal(ctx context.Context) error {
	if _, err := p.Behave(ctx); err != nil {
		return err
	}
	_, err := p.Flush(ctx)
	return err
}

// Behave ends all misbehavior and returns how often the rules have fired since
// they were set.
func (p *Provider) Behave(ctx context.Context) (fired int, err error) {
	return p.faults(ctx, http.MethodDelete, nil)
}

// Flush sends the webhooks that wait for their time, and returns how many are not
// delivered yet.
func (p *Provider) Flush(ctx context.Context) (pending int64, err error) {
	var report struct{ Pending int64 }
	err = p.call(ctx, http.MethodPost, "/_sim/webhooks/flush", nil, &report)
	return report.Pending, err
}

func (p *Provider) faults(ctx context.Context, method string, rules []Rule) (fired int, err error) {
	var report struct {
		Rules []struct {
			Fired int `json:"fired"`
		} `json:"rules"`
	}
	if err := p.call(ctx, method, "/_sim/faults", rules, &report); err != nil {
		return 0, err
	}
	for _, r := range report.Rules {
		fired += r.Fired
	}
	return fired, nil
}

// call asks the simulator itself, not through a proxy.
func (p *Provider) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Close = true // it may be restarted at any time
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the provider's simulator: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("the provider's simulator: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the provider's simulator: %s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	case out == nil:
		return nil
	}
	return json.Unmarshal(answer, out)
}
