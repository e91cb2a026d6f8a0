package chaos

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/stripesim"
)

func TestTheProviderMisbehavesAndCounts(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- stripesim.Run(ctx, stripesim.Config{Listener: lis, Journal: filepath.Join(t.TempDir(), "journal.jsonl")})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	url := "http://" + lis.Addr().String()
	list := func() int {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/refunds", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("sk_test_x", "")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	p := NewProvider(url)
	err = p.Misbehave(ctx,
		Rule{Kind: "latency", Latency: time.Millisecond, Seed: 1},
		Rule{Kind: "rate_limit", RetryAfter: 2 * time.Second, Operation: "refunds.*", Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	if status := list(); status != http.StatusTooManyRequests {
		t.Errorf("status %d", status)
	}
	if err := p.Misbehave(ctx, Rule{Kind: "sulk"}); err == nil {
		t.Error("a rule that there is not is taken")
	}
	if n, err := p.Behave(ctx); err != nil || n != 2 {
		t.Errorf("fired %d times in the end, %v", n, err)
	}
	if status := list(); status != http.StatusOK {
		t.Errorf("status %d of one who behaves", status)
	}
	if err := p.Heal(ctx); err != nil {
		t.Error(err)
	}
}
