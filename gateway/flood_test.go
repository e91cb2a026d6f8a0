package gateway

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// asGateway has the test's program be a gateway.
const asGateway = "SOUK_TEST_GATEWAY"

func TestMain(m *testing.M) {
	if os.Getenv(asGateway) == "" {
		os.Exit(m.Run())
	}
	var cfg Config
	err := config.Load(context.Background(), "SOUK_GATEWAY_", &cfg)
	if err == nil {
		err = Run(context.Background(), cfg)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// memoryLimit is that of the chart: gateway.resources.limits.memory, which is GOMEMLIMIT,
// too.
const memoryLimit = 256 << 20

// unlimited are the variables that turn the budgets of what is in use off.
var unlimited = []string{
	"SOUK_GATEWAY_RATE_LIMIT=-1", "SOUK_GATEWAY_MAX_BYTES=-1", "SOUK_GATEWAY_MAX_STREAMS=-1", "SOUK_GATEWAY_MAX_CONNECTIONS=-1",
	"SOUK_GATEWAY_MAX_UNHEARD_CONNECTIONS=-1",
}

// process is a gateway in a process of its own.
type process struct {
	t    *testing.T
	addr string
	pid  int
}

// startProcess starts a gateway in front of the fake services.
func startProcess(t *testing.T, services string, env ...string) *process {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the resident set is read from /proc")
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	lis.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asGateway+"=1", "GOMEMLIMIT="+strconv.Itoa(memoryLimit), "SOUK_GATEWAY_LISTEN="+addr, "SOUK_GATEWAY_SECRET="+testSecret,
		"SOUK_GATEWAY_LOG_LEVEL=error", "SOUK_GATEWAY_TRUSTED_PROXIES=127.9.0.0/16", "SOUK_GATEWAY_TLS_OFF=true")
	for _, name := range []string{"CATALOG", "CART", "ORDER", "PAYMENT", "NOTIFICATION", "INSIGHT"} {
		cmd.Env = append(cmd.Env, "SOUK_GATEWAY_"+name+"_TARGET="+services)
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running, ended := context.WithCancelCause(context.WithoutCancel(t.Context())) // the test's ends before its cleanup
	go func() { ended(fmt.Errorf("the gateway ended: %w", cmp.Or(cmd.Wait(), errors.New("in good order")))) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-running.Done() })
	p := &process{t: t, addr: addr, pid: cmd.Process.Pid}
	for {
		if res, err := http.Get("http://" + addr + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == 200 {
				return p
			}
		}
		if retry.Sleep(running, 50*time.Millisecond) != nil {
			t.Fatal(context.Cause(running))
		}
	}
}

// peak is the largest resident set that the process had.
func (p *process) peak() int64 {
	p.t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "status"))
	if err != nil {
		p.t.Fatalf("the gateway is gone: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatal("no VmHWM")
	return 0
}

// dial connects from one of the loopback addresses.
func (p *process) dial(from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	return d.Dial("tcp", p.addr)
}

// honest asks from another address than the flood, and reports how it fared.
func (p *process) honest(from string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return p.dial(from) },
	}}
	res, err := client.Post("http://"+p.addr+"/v1/carts", "application/json", strings.NewReader(`{"lines":[{"sku":"SKU01","quantity":1}]}`))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 201 {
		return fmt.Errorf("%d: %s", res.StatusCode, body)
	}
	return nil
}

// flood is what an attacker sends on each of many connections, and then holds.
type flood struct {
	name        string
	connections int
	send        func(conn net.Conn, cart, token, order string) error
	// fails says that the control exceeds the memory limit, not only that honest ones are
	// answered.
	fails bool
}

func writeHead(conn net.Conn, head string, length int) error {
	_, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: souk\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", head, length)
	return err
}

// filler sends n bytes of JSON without an end.
func filler(conn net.Conn, n int) error {
	_, err := io.WriteString(conn, `{"lines":[`+strings.Repeat(`{"sku":"SKU01","quantity":1},`, n/29))
	return err
}

var floods = []flood{
	{"bodies that stop short", 900, func(conn net.Conn, _, _, _ string) error {
		if err := writeHead(conn, "POST /v1/carts", 512<<10); err != nil {
			return err
		}
		return filler(conn, 511<<10)
	}, true},
	{"bodies without a length", 900, func(conn net.Conn, _, _, _ string) error {
		if _, err := io.WriteString(conn, "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+strconv.FormatInt(511<<10, 16)+"\r\n"); err != nil {
			return err
		}
		return filler(conn, 510<<10)
	}, true},
	{"1 MiB for a line", 300, func(conn net.Conn, cart, _, _ string) error {
		if err := writeHead(conn, "POST "+cart+"/lines", 1<<20); err != nil {
			return err
		}
		return filler(conn, 1<<20-40)
	}, false},
	{"headers", 1500, func(conn net.Conn, _, _, _ string) error {
		var head strings.Builder
		head.WriteString("GET / HTTP/1.1\r\nHost: souk\r\n")
		for i := 0; head.Len() < 15<<10; i++ {
			head.WriteString(strconv.FormatInt(int64(i), 36) + ":\r\n")
		}
		_, err := io.WriteString(conn, head.String())
		return err
	}, true},
	{"answers that are not read", 1000, func(conn net.Conn, cart, token, _ string) error {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: souk\r\nAuthorization: Bearer %s\r\n\r\n", cart, token)
		return err
	}, true},
	{"event streams", 1000, func(conn net.Conn, _, token, order string) error {
		_, err := fmt.Fprintf(conn, "GET %s/events HTTP/1.1\r\nHost: souk\r\nAuthorization: Bearer %s\r\n\r\n", order, token)
		return err
	}, false},
	{"silence", 2000, func(net.Conn, string, string, string) error { return nil }, false},
	{"pipelined requests", 200, func(conn net.Conn, _, _, _ string) error {
		_, err := io.WriteString(conn, strings.Repeat("GET /v1/products HTTP/1.1\r\nHost: souk\r\n\r\n", 500))
		return err
	}, false},
}

// TestFloods: one address that holds what it can keeps the gateway below its memory limit,
// and another address is answered. Without the budgets the memory limit is exceeded.
func TestFloods(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	s := start(t)
	for _, product := range s.catalog.products { // so that a cart of 30 lines is 1.2 MiB
		product.Variants[0].ProductName = strings.Repeat("Heart ", 40<<10/6)
	}
	services := s.serveOn("127.0.0.1:0")
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			p := startProcess(t, services)
			failed := p.flooded(f)
			t.Logf("%d MiB", p.peak()>>20)
			for _, err := range failed {
				t.Errorf("an honest request: %v", err)
			}
			if p.peak() > memoryLimit && !underRace {
				t.Errorf("the gateway had %d MiB", p.peak()>>20)
			}
		})
		if f.fails && !underRace {
			t.Run(f.name+" without budgets", func(t *testing.T) {
				p := startProcess(t, services, unlimited...)
				p.flooded(f)
				t.Logf("%d MiB", p.peak()>>20)
				if p.peak() <= memoryLimit {
					t.Errorf("the control keeps to the limit with %d MiB: this test sees nothing", p.peak()>>20)
				}
			})
		}
	}
}

// buy makes a cart and an order of it, and returns their paths with the token for them.
func (p *process) buy(lines string) (cart, token, order string) {
	p.t.Helper()
	s := &shopUnderTest{t: p.t, url: "http://" + p.addr, client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return p.dial("127.0.0.2") },
	}}}
	made, me := s.newCart(lines)
	placed := s.want(202, "POST", "/v1/orders", checkoutOf(made.ID), me, "Idempotency-Key: k")
	return "/v1/carts/" + made.ID, made.Token, placed.Header.Get("Location")
}

// flooded floods the gateway, and returns how honest requests failed meanwhile.
func (p *process) flooded(f flood) (failed []error) {
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf(`{"sku":"SKU%02d","quantity":1}`, i))
	}
	cart, token, order := p.buy(`{"lines":[` + strings.Join(lines, ",") + `]}`)
	ctx, stop := context.WithTimeout(p.t.Context(), 8*time.Second)
	defer stop()
	var all, sent sync.WaitGroup
	for range f.connections {
		sent.Add(1)
		all.Go(func() {
			said := sync.OnceFunc(sent.Done)
			defer said()
			conn, err := p.dial("127.0.0.2")
			if err != nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
			_ = f.send(conn, cart, token, order) // it may be refused meanwhile
			said()
			<-ctx.Done()
		})
	}
	sent.Wait()
	for i := range 10 {
		if err := p.honest(fmt.Sprintf("127.0.1.%d", i+1)); err != nil {
			failed = append(failed, err)
		}
	}
	stop()
	all.Wait()
	return failed
}

// A refused connection says which limit it met, and an honest client of another address
// gets one.
func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := startProcess(t, s.serveOn("127.0.0.1:0"), "SOUK_GATEWAY_MAX_CONNECTIONS_PER_ADDRESS=3")
	var conns []net.Conn
	for range 4 {
		conn, err := p.dial("127.0.0.2")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	_ = conns[3].SetReadDeadline(time.Now().Add(5 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(conns[3]), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 429 || !strings.Contains(string(body), `"limit":"connections-of-address"`) || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
	if err := p.honest("127.0.0.3"); err != nil {
		t.Error(err)
	}
	conns[0].Close()
	for {
		err := p.honest("127.0.0.2")
		if err == nil {
			return
		}
		if retry.Sleep(t.Context(), 20*time.Millisecond) != nil {
			t.Fatalf("after one was closed: %v", err)
		}
	}
}
