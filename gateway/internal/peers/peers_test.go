package peers_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/souk-shop/souk/gateway/internal/peers"
	"github.com/souk-shop/souk/gateway/internal/peers/peerstest"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	peerv1 "github.com/souk-shop/souk/proto/gen/souk/peer/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

const secret = "0123456789abcdef0123456789abcdef"

// gateway is a peer whose answers name it.
type gateway struct {
	*peers.Peers
	name     string
	listener *peerstest.Listener
	stop     func()
	answered atomic.Int64
	// hold, if set, is called before an answer.
	hold func(context.Context)
	log  *telemetrytest.Log
	tel  *telemetry.Telemetry
}

func (g *gateway) Fill(ctx context.Context, _ *peerv1.FillRequest) (*peerv1.FillResponse, error) {
	g.answered.Add(1)
	if g.hold != nil {
		g.hold(ctx)
	}
	return &peerv1.FillResponse{Answer: &peerv1.FillResponse_Products{Products: &catalogv1.ListProductsResponse{NextCursor: g.name}}}, nil
}

// fleet are gateways that can find each other.
type fleet struct {
	t        *testing.T
	ca       *authority.Authority
	timeout  time.Duration
	join     []string // what the first one joins
	gateways []*gateway
}

func (f *fleet) add(secret string, old ...string) *gateway {
	f.t.Helper()
	g := &gateway{name: fmt.Sprint("gateway ", len(f.gateways)), listener: peerstest.Listen(f.t), log: &telemetrytest.Log{}}
	var err error
	if g.tel, err = telemetry.Start(f.t.Context(), "gateway", telemetry.Config{LogOutput: g.log, LogLevel: slog.LevelDebug}); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = g.tel.Shutdown(context.Background()) })
	cfg := peers.Config{Gossip: "127.0.0.1:0", Listener: g.listener, Timeout: f.timeout, Join: f.join}
	for _, other := range f.gateways[:min(1, len(f.gateways))] {
		cfg.Join = []string{other.GossipAddr()}
	}
	if g.Peers, err = peers.Open(cfg, peers.Parts{Identity: identitytest.Open(f.t, f.ca, "gateway"), Telemetry: g.tel, Secret: secret, OldSecrets: old}); err != nil {
		f.t.Fatal(err)
	}
	g.Answer(g)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(g.stop)
	f.gateways = append(f.gateways, g)
	return g
}

// await waits until each of the gateways sees so many.
func (f *fleet) await(n int, gateways ...*gateway) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	for _, g := range gateways {
		for g.Members() != n {
			if retry.Sleep(ctx, 5*time.Millisecond) != nil {
				f.t.Fatalf("%s sees %d, not %d: %s", g.name, g.Members(), n, g.log)
			}
		}
	}
}

func start(t *testing.T, n int, timeout time.Duration) *fleet {
	t.Helper()
	f := &fleet{t: t, ca: identitytest.Authority(t), timeout: timeout}
	for range n {
		f.add(secret)
	}
	f.await(n, f.gateways...)
	return f
}

var question = &peerv1.FillRequest{
	Query: &peerv1.FillRequest_Categories{Categories: &catalogv1.ListCategoriesRequest{}}, MaxAge: durationpb.New(time.Minute),
}

// fill is the name of the member that answers a gateway; "" where none does.
func fill(t *testing.T, g *gateway, key string) string {
	t.Helper()
	res, ok := g.Peers.Fill(t.Context(), key, question)
	if !ok {
		return ""
	}
	return res.GetProducts().GetNextCursor()
}

// owner is the gateway that takes itself for a key's owner.
func (f *fleet) owner(key string) *gateway {
	f.t.Helper()
	var owner *gateway
	for _, g := range f.gateways {
		if g.Owns(key) {
			if owner != nil {
				f.t.Fatalf("%q has two owners", key)
			}
			owner = g
		}
	}
	return owner
}

func (f *fleet) others(not ...*gateway) (others []*gateway) {
next:
	for _, g := range f.gateways {
		for _, n := range not {
			if g == n {
				continue next
			}
		}
		others = append(others, g)
	}
	return others
}

func filled(t *testing.T, g *gateway, result string) float64 {
	t.Helper()
	value, _ := telemetrytest.Metric(t, g.tel.Registry, "souk_peers_fills_total", result)
	return value
}

func TestTheOwnerAnswers(t *testing.T) {
	t.Parallel()
	f := start(t, 4, 10*time.Second)
	for i := range 20 {
		key := fmt.Sprint("key ", i)
		owner := f.owner(key)
		for _, g := range f.others(owner) {
			if got := fill(t, g, key); got != owner.name {
				t.Errorf("%s asked %q, not %s", g.name, got, owner.name)
			}
		}
	}
	if n := filled(t, f.gateways[0], "served"); n == 0 {
		t.Error("nothing is counted")
	}
}

// A gateway that leaves is not asked any more; one that comes takes its part.
func TestGatewaysComeAndGo(t *testing.T) {
	t.Parallel()
	f := start(t, 3, 10*time.Second)
	const key = "key"
	owner := f.owner(key)
	owner.stop()
	f.gateways = f.others(owner)
	f.await(2, f.gateways...)
	next := f.owner(key)
	for _, g := range f.others(next) {
		if got := fill(t, g, key); got != next.name {
			t.Errorf("%q answered, not %s", got, next.name)
		}
	}
	f.add(secret)
	f.await(3, f.gateways...)
	f.owner(key)
}

// Before anybody has noticed that the owner is dead, its successor answers, the same for all.
func TestTheOwnerIsDead(t *testing.T) {
	t.Parallel()
	f := start(t, 5, 10*time.Second)
	const key = "key"
	owner := f.owner(key)
	owner.listener.Kill()
	answered := map[string]int{}
	for range 10 {
		for _, g := range f.others(owner) {
			answered[fill(t, g, key)]++
		}
	}
	if len(answered) != 2 || answered[""] != 10 {
		t.Errorf("answered %v; want 30 by the successor, which has 10 of its own", answered)
	}
	for _, g := range f.others(owner) {
		if filled(t, g, "own") > 0 == (filled(t, g, "served") > 0) {
			t.Errorf("%s: own %v, served %v", g.name, filled(t, g, "own"), filled(t, g, "served"))
		}
		if !strings.Contains(g.log.String(), "does not answer") {
			t.Errorf("%s says nothing of it", g.name)
		}
	}
}

// An owner that says nothing is waited for as long as is configured, and then not for a while.
func TestTheOwnerHangs(t *testing.T) {
	t.Parallel()
	const timeout = 20 * time.Millisecond
	f := start(t, 2, timeout)
	const key = "key"
	owner := f.owner(key)
	g := f.others(owner)[0]
	if !eventually(t, func() bool { return fill(t, g, key) == owner.name }) { // they may not be connected yet
		t.Fatal("the owner does not answer")
	}
	owner.listener.Freeze()
	t.Cleanup(owner.listener.Thaw)
	lateBefore, ownBefore := filled(t, g, "late"), filled(t, g, "own")
	for range retry.BreakAfter {
		begun := time.Now()
		if got := fill(t, g, key); got != "" || time.Since(begun) < timeout || time.Since(begun) > timeout+5*time.Second {
			t.Errorf("%q after %v", got, time.Since(begun))
		}
	}
	for range 5 {
		if got := fill(t, g, key); got != "" {
			t.Errorf("%q answered", got)
		}
	}
	if late, own := filled(t, g, "late")-lateBefore, filled(t, g, "own")-ownBefore; late != retry.BreakAfter || own != 5 {
		t.Errorf("late %v, own %v", late, own)
	}
}

// An owner that waits for the catalog is no owner that is away: it is waited for longer than one that says
// nothing, and not left out when the catalog takes longer than that.
func TestTheCatalogIsSlow(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	f := start(t, 2, timeout)
	const key = "key"
	owner := f.owner(key)
	var slow atomic.Bool
	var takes atomic.Int64
	begun, patience := make(chan struct{}, 100), make(chan struct{})
	owner.hold = func(ctx context.Context) {
		if slow.Load() {
			begun <- struct{}{}
			select {
			case <-ctx.Done():
			case <-patience:
				_ = retry.Sleep(ctx, time.Duration(takes.Load()))
			}
		}
	}
	g := f.others(owner)[0]
	if !eventually(t, func() bool { return fill(t, g, key) == owner.name }) { // they may not be connected yet
		t.Fatal("the owner does not answer")
	}
	slow.Store(true)
	lateBefore := filled(t, g, "late")
	var asked sync.WaitGroup
	for range retry.BreakAfter { // the catalog does not answer at all
		asked.Go(func() {
			if got := fill(t, g, key); got != "" {
				t.Errorf("%q answered", got)
			}
		})
	}
	asked.Wait()
	if late := filled(t, g, "late") - lateBefore; late != retry.BreakAfter || len(begun) != retry.BreakAfter {
		t.Errorf("late %v, begun %d", late, len(begun))
	}
	close(patience)
	takes.Store(int64(2 * timeout)) // longer than one that says nothing is waited for
	if got := fill(t, g, key); got != owner.name {
		t.Errorf("%q answered, once the catalog does: %v late", got, filled(t, g, "late"))
	}
	if strings.Contains(g.log.String(), "does not answer") {
		t.Errorf("the owner is said not to answer: %s", g.log)
	}
}

// Who does not know the secret does not become a member, and is told of none.
func TestAStrangerCannotJoin(t *testing.T) {
	t.Parallel()
	f := start(t, 2, 10*time.Second)
	const other = "fedcba9876543210fedcba9876543210"
	for name, change := range map[string]func(*memberlist.Config){
		"without a key":          func(*memberlist.Config) {},
		"with another key":       func(c *memberlist.Config) { c.SecretKey = []byte(other) },
		"with the secret as key": func(c *memberlist.Config) { c.SecretKey = []byte(secret) },
	} {
		c := memberlist.DefaultLocalConfig()
		c.Name, c.BindAddr, c.BindPort, c.AdvertisePort, c.Label, c.LogOutput = "stranger", "127.0.0.1", 0, 0, "souk gateway peers v1", &telemetrytest.Log{}
		change(c)
		m, err := memberlist.Create(c)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := m.Join([]string{f.gateways[0].GossipAddr()}); err == nil || n != 0 || m.NumMembers() != 1 {
			t.Errorf("%s: joined %d, sees %d, %v", name, n, m.NumMembers(), err)
		}
		_ = m.Shutdown()
	}
	stranger := f.add(other)
	if !eventually(t, func() bool { return strings.Contains(f.gateways[0].log.String(), "gossip of peers") }) {
		t.Error("the log says nothing of it")
	}
	f.await(2, f.gateways[:2]...)
	f.await(1, stranger)
}

// Who has no key is not read until the end of a message.
func TestAStrangerTalksTooLong(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 10*time.Second)
	conn, err := net.Dial("tcp", f.gateways[0].GossipAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const label, hasLabel, encrypted = "souk gateway peers v1", 244, 10
	head := append([]byte{hasLabel, byte(len(label))}, label...)
	head = append(head, encrypted, 1, 0, 0, 0) // 16 MiB
	go func() {
		_, _ = conn.Write(append(head, make([]byte, 1<<20)...)) // what is read no more is reset
	}()
	if !eventually(t, func() bool { return strings.Contains(f.gateways[0].log.String(), "too long for gossip") }) {
		t.Errorf("it is read: %s", f.gateways[0].log)
	}
}

// While the secret is changed, gateways with the old one and with the new one are peers.
func TestTheSecretIsChanged(t *testing.T) {
	t.Parallel()
	const next = "fedcba9876543210fedcba9876543210"
	f := &fleet{t: t, ca: identitytest.Authority(t), timeout: 10 * time.Second}
	f.add(secret, next)
	f.add(next, secret)
	f.await(2, f.gateways...)
}

// Only a gateway's certificate opens the answers.
func TestAStrangerIsAnsweredNothing(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 10*time.Second)
	g := f.gateways[0]
	ask := func(creds credentials.TransportCredentials) error {
		conn, err := grpc.NewClient(g.listener.Addr().String(), grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = peerv1.NewPeerServiceClient(conn).Fill(ctx, question)
		return err
	}
	for name, test := range map[string]struct {
		creds credentials.TransportCredentials
		want  codes.Code
	}{
		"a gateway":               {identitytest.Open(t, f.ca, "gateway").ClientCredentials("gateway"), codes.OK},
		"another part":            {identitytest.Open(t, f.ca, "cart").ClientCredentials("gateway"), codes.PermissionDenied},
		"another shop's gateway":  {identitytest.Open(t, identitytest.Authority(t), "gateway").ClientCredentials("gateway"), codes.Unavailable},
		"TLS without certificate": {credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}), codes.Unavailable}, //nolint:gosec // a stranger
		"without TLS":             {insecure.NewCredentials(), codes.Unavailable},
	} {
		before := g.answered.Load()
		if err := ask(test.creds); status.Code(err) != test.want {
			t.Errorf("%s: %v", name, err)
		}
		if answered := g.answered.Load() > before; answered != (test.want == codes.OK) {
			t.Errorf("%s: answered %v", name, answered)
		}
	}
}

// A member that has the secret and no certificate is asked and gives nothing.
func TestAnImpostorGivesNothing(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 10*time.Second)
	g := f.gateways[0]
	f.ca = identitytest.Authority(t)
	impostor := f.add(secret)
	f.await(2, f.gateways...)
	for i := range 10 {
		if got := fill(t, g, fmt.Sprint("key ", i)); got != "" {
			t.Errorf("%s gave an answer", got)
		}
	}
	if impostor.answered.Load() > 0 {
		t.Error("the impostor was asked past the handshake")
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	id := identitytest.Open(t, identitytest.Authority(t), "gateway")
	good := peers.Config{Gossip: "127.0.0.1:0", Listen: "127.0.0.1:0", Timeout: time.Second}
	for want, change := range map[string]func(*peers.Config, *peers.Parts){
		`PEERS_GOSSIP: ParseAddr("localhost")`: func(c *peers.Config, _ *peers.Parts) { c.Gossip = "localhost:0" },

		"SOUK_GATEWAY_TLS_OFF":         func(_ *peers.Config, p *peers.Parts) { p.Identity = identity.Insecure() },
		"SOUK_GATEWAY_PEERS_GOSSIP":    func(c *peers.Config, _ *peers.Parts) { c.Gossip = "somewhere" },
		"SOUK_GATEWAY_PEERS_LISTEN":    func(c *peers.Config, _ *peers.Parts) { c.Listen = "somewhere" },
		"SOUK_GATEWAY_PEERS_JOIN":      func(c *peers.Config, _ *peers.Parts) { c.Join = []string{":1"} },
		"SOUK_GATEWAY_PEERS_ADVERTISE": func(c *peers.Config, _ *peers.Parts) { c.Advertise = "here" },
		"SOUK_GATEWAY_PEERS_TIMEOUT":   func(c *peers.Config, _ *peers.Parts) { c.Timeout = -1 },
	} {
		cfg, parts := good, peers.Parts{Identity: id, Telemetry: telemetry.Discard(), Secret: secret}
		change(&cfg, &parts)
		if _, err := peers.Open(cfg, parts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A gateway that stops does not wait for those that it cannot reach.
func TestAGatewayStopsWhileItJoins(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f := &fleet{t: t, ca: identitytest.Authority(t), timeout: 10 * time.Second, join: []string{silent.Addr().String()}}
	g := f.add(secret)
	conn, err := silent.Accept() // it joins
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begun := time.Now()
	g.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v to stop", took)
	}
}

func eventually(t *testing.T, is func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !is() {
		if retry.Sleep(ctx, 5*time.Millisecond) != nil {
			return false
		}
	}
	return true
}
