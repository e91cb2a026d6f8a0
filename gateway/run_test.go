package gateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// The whole process starts without its services, becomes ready when they come,
// and drains: streams end, and the port closes.
func TestRun(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	late, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := late.Addr().String()
	late.Close() // nothing listens there yet
	ctx, stop := context.WithCancel(t.Context())
	cfg := Config{
		Listener: lis, Identity: identity.Config{TLSOff: true}, Secret: testSecret, Operators: operatorsFile(t, testOperators), RetryBudget: 100 * time.Millisecond,
	}
	targets := reflect.ValueOf(&cfg.Targets).Elem()
	for i := range targets.NumField() {
		targets.Field(i).Set(reflect.ValueOf(rpc.ClientConfig{Target: target}))
	}
	var log bytes.Buffer
	cfg.Telemetry.LogOutput = &log
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()

	s := start(t) // for its fakes and client
	s.url = "http://" + lis.Addr().String()
	s.want(200, "GET", "/healthz", "")
	if got := s.do("GET", "/v1/products/none", "").Header.Get("RateLimit-Limit"); got != "2000" {
		t.Errorf("RateLimit-Limit %q: a configuration made in code has no defaults", got)
	}
	s.want(503, "GET", "/readyz", "")
	s.refuses(503, "unavailable", "GET", "/v1/categories", "")

	s.serveOn(target)
	for deadline := time.Now().Add(10 * time.Second); s.do("GET", "/readyz", "").StatusCode != 200; {
		if time.Now().After(deadline) {
			t.Fatal("not ready")
		}
	}
	cart, me := s.newCart(`{"lines":[{"sku":"SKU01","quantity":2}]}`)
	o := s.want(202, "POST", "/v1/orders", checkoutOf(cart.ID), me, "Idempotency-Key: k").Header.Get("Location")
	req, err := http.NewRequest("GET", s.url+o+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", "souk_shopper="+cart.Token)
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	events := bufio.NewReader(res.Body)
	for _, want := range []string{"retry: 1500", "", "event: order"} {
		if line, err := events.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
			t.Fatalf("%q, %v", line, err)
		}
	}
	stop()
	if rest, err := io.ReadAll(events); err != nil || strings.Contains(string(rest), "event:") {
		t.Errorf("the stream did not end well: %q, %v", rest, err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run did not end")
	}
	if _, err := net.Dial("tcp", lis.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"short secret": func(c *Config) { c.Secret = "short" },
		"proxies":      func(c *Config) { c.TrustedProxies = []string{"everyone"} },
		"operators":    func(c *Config) { c.Operators = operatorsFile(t, []byte("{}")) },
		"no target":    func(c *Config) { c.Catalog.Target = "" },
	} {
		cfg := Config{Secret: testSecret, Listen: "127.0.0.1:0"}
		cfg.Telemetry.LogOutput = io.Discard
		cfg.Catalog.Target, cfg.Cart.Target, cfg.Order.Target = "127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"
		change(&cfg)
		if err := Run(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
