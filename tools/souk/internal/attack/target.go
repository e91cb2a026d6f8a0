package attack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// role is who sends: the shop tells them apart by their addresses.
type role int

const (
	asAttacker role = iota
	asAccomplice
	asHonest
	roles
)

// loopback are the addresses that they come from where the shop is on this machine.
var loopback = [roles]string{asAttacker: "127.0.0.2", asAccomplice: "127.0.0.4", asHonest: "127.0.0.3"}

// oneAddress is why an attack is not tried that takes several addresses.
const oneAddress = "it takes several addresses, and the shop is not at a loopback address of IPv4 (--from)"

// patience is how long an honest shopper waits for an answer.
const patience = 10 * time.Second

// target is a shop that is attacked.
type target struct {
	url *url.URL
	// operator is a token, "" where none is known.
	operator string
	// services are the gRPC addresses that can be reached; dir is the data folder, with the
	// certificates of the shop's parts.
	services map[string]string
	dir      string
	// gateway is the process, where it has one of its own.
	gateway int
	// time is how long floods last.
	time time.Duration

	// from are the addresses of this machine that the roles come from; without them the shop
	// cannot tell them apart.
	from  [roles]string
	apart bool
	// perClient says that the shop counts per client.
	perClient bool
	// sku is something on sale.
	sku string
}

// local reports whether an address is of this machine.
func local(host string) (bool, error) {
	ips, err := net.DefaultResolver.LookupIP(context.Background(), "ip", host)
	if err != nil {
		return false, err
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	for _, ip := range ips {
		ok := ip.IsLoopback() || slices.ContainsFunc(own, func(a net.Addr) bool {
			n, isNet := a.(*net.IPNet)
			return isNet && n.IP.Equal(ip)
		})
		if !ok {
			return false, nil
		}
	}
	return len(ips) > 0, nil
}

// permitted refuses every host but this machine and the ones that were named, with commas between,
// as the user's own.
func permitted(hosts []string, named string) error {
	own := strings.Split(strings.ReplaceAll(named, " ", ""), ",")
	for _, host := range hosts {
		if host != "" && slices.Contains(own, host) {
			continue
		}
		ok, err := local(host)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%s is not this machine; name it with --host if the shop there is yours to attack", host)
		}
	}
	return nil
}

// survey learns what the attacks need to know of the shop.
func (t *target) survey(ctx context.Context) error {
	given := t.from[asAttacker] != ""
	if !given && t.loopback() {
		t.from = loopback
	}
	t.apart = t.from[asAttacker] != ""
	for as := range roles {
		conn, err := t.dialFrom(ctx, as)
		switch {
		case err == nil:
			conn.Close()
		case given:
			return fmt.Errorf("--from %s: %w", t.from[as], err)
		default:
			t.apart = false
		}
	}
	if !t.apart { // not every system has these loopback addresses
		t.from = [roles]string{}
	}
	shop := t.shop(asAttacker)
	page, err := shop.Products(ctx, shopclient.ProductQuery{InStock: true, Limit: 50})
	if err != nil {
		return fmt.Errorf("%s: %w", t.url, err)
	}
	for _, p := range page.Products {
		for _, v := range p.Variants {
			if v.Available >= 100 {
				t.sku = v.SKU
			}
		}
	}
	if t.sku == "" {
		return errors.New("nothing in the shop's first 50 products has 100 units in stock: import some (souk seed)")
	}
	res, err := t.get(ctx, "/")
	if err != nil {
		return err
	}
	t.perClient = res.header.Get("RateLimit-Limit") != ""
	return nil
}

func (t *target) loopback() bool {
	ip := net.ParseIP(t.url.Hostname())
	return ip != nil && ip.IsLoopback() && ip.To4() != nil || t.url.Hostname() == "localhost"
}

// address of the gateway, host:port.
func (t *target) address() string {
	if t.url.Port() != "" {
		return t.url.Host
	}
	return net.JoinHostPort(t.url.Hostname(), map[string]string{"http": "80", "https": "443"}[t.url.Scheme])
}

// dialer comes from the address of a role.
func (t *target) dialer(as role) *net.Dialer {
	d := &net.Dialer{Timeout: patience}
	if t.from[as] != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(t.from[as])}
	}
	return d
}

// dialFrom connects to the gateway, by TLS where its URL says so.
func (t *target) dialFrom(ctx context.Context, as role, protocols ...string) (net.Conn, error) {
	conn, err := t.dialer(as).DialContext(ctx, "tcp", t.address())
	if err != nil || t.url.Scheme != "https" {
		return conn, err
	}
	secured := tls.Client(conn, &tls.Config{ServerName: t.url.Hostname(), InsecureSkipVerify: true, NextProtos: protocols}) //nolint:gosec // an attacker
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

func (t *target) dial(ctx context.Context) (net.Conn, error) { return t.dialFrom(ctx, asAttacker) }

// transport of clients from the address of a role.
func (t *target) transport(as role) *http.Transport {
	return &http.Transport{
		DialContext: t.dialer(as).DialContext, MaxIdleConnsPerHost: 64, IdleConnTimeout: 300 * time.Millisecond,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // an attacker
	}
}

// shop is a client of the REST API from the address of a role.
func (t *target) shop(as role) *shopclient.Client {
	return shopclient.New(t.url.String()).WithTransport(t.transport(as))
}

// answer is what the shop answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request with header fields, "Name: value" each, and follows no redirect.
func (t *target) send(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	return t.sendFrom(ctx, asAttacker, method, path, body, headers...)
}

func (t *target) sendFrom(ctx context.Context, as role, method, path, body string, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, t.url.String()+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Add(name, value)
		}
	}
	client := &http.Client{Transport: t.transport(as), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return answer{res.StatusCode, res.Header, string(text)}, err
}

// insist is send that comes again when its budget is spent: for what is to be refused for
// another reason.
func (t *target) insist(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	for {
		a, err := t.send(ctx, method, path, body, headers...)
		if err != nil || a.status != http.StatusTooManyRequests {
			return a, err
		}
		wait, _ := strconv.Atoi(a.header.Get("Retry-After")) // 0 where it says nothing
		if err := retry.Sleep(ctx, time.Duration(max(wait, 1))*time.Second); err != nil {
			return a, err
		}
	}
}

// rest waits until the attacker's address may spend again what an attack takes.
func (t *target) rest(ctx context.Context) {
	for t.perClient {
		a, err := t.get(ctx, "/")
		left, _ := strconv.Atoi(a.header.Get("RateLimit-Remaining")) // 0 where it says nothing
		most, _ := strconv.Atoi(a.header.Get("RateLimit-Limit"))
		if err != nil || left >= min(restUnits, most*3/4) || retry.Sleep(ctx, time.Second) != nil {
			return
		}
	}
}

// restUnits are more than most attacks cost.
const restUnits = 1500

func (t *target) get(ctx context.Context, path string, headers ...string) (answer, error) {
	return t.send(ctx, http.MethodGet, path, "", headers...)
}

// raw sends bytes as they are and returns all that comes back until the connection ends, or
// nothing more comes for a second.
func (t *target) raw(ctx context.Context, text string) (string, error) {
	conn, err := t.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	var all strings.Builder
	_, err = io.Copy(&all, io.LimitReader(conn, 1<<20))
	if errors.Is(err, os.ErrDeadlineExceeded) || all.Len() > 0 {
		err = nil
	}
	return all.String(), err
}

// honest is what became of honest shoppers while an attack went on.
type honest struct {
	asked, answered int
	worst           time.Duration
	last            error
}

func (h honest) ok() bool { return h.asked > 0 && float64(h.answered) >= .95*float64(h.asked) }

func (h honest) String() string {
	s := fmt.Sprintf("%d of %d honest carts were made, the slowest in %s", h.answered, h.asked, h.worst.Round(time.Millisecond))
	if h.last != nil {
		s += ": " + h.last.Error()
	}
	return s
}

// beside runs an attack for t.time while an honest shopper makes carts: from another address
// where there is one, else after it.
func (t *target) beside(ctx context.Context, attack func(ctx context.Context)) honest {
	flood, stop := context.WithTimeout(ctx, t.time)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { attack(flood) })
	if !t.apart {
		wg.Wait()
	}
	shop := t.shop(asHonest)
	defer shop.Close()
	var h honest
	for begun := time.Now(); h.asked == 0 || time.Since(begun) < t.time; {
		if retry.Sleep(ctx, 150*time.Millisecond) != nil {
			break
		}
		h.asked++
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, patience)
		_, err := shop.NewCart(call, []shopclient.Line{{SKU: t.sku, Quantity: 1}})
		cancel()
		if err == nil {
			h.answered++
		} else {
			h.last = err
		}
		h.worst = max(h.worst, time.Since(asked))
	}
	stop()
	wg.Wait()
	return h
}

// resident is the largest resident set that the gateway's process had, in MiB; 0 where it has
// none of its own.
func (t *target) resident() int64 {
	if t.gateway == 0 {
		return 0
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(t.gateway), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64) // 0 says nothing
			return kib >> 10
		}
	}
	return 0
}

// memory is the chart's limit of the gateway, in MiB.
const memory = 256

// withstood judges a flood by the honest shoppers and the gateway's memory.
func (t *target) withstood(h honest, format string, args ...any) outcome {
	did := fmt.Sprintf(format, args...)
	if did != "" {
		did += "; "
	}
	did += h.String()
	mib := t.resident()
	if mib > 0 {
		did += fmt.Sprintf("; the gateway had %d MiB at most", mib)
	}
	return either(h.ok() && mib <= memory, "%s", did)
}
