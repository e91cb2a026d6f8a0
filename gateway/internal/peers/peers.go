// Package peers lets the gateways of a shop fill their caches from one another: each key has
// one owner among them, which asks the catalog, and the others ask the owner.
//
// Who is a member is known by gossip (memberlist), encrypted and authenticated by a key that is
// derived of the gateway's secret; who asks and who answers is known by mutual TLS with the
// gateway's certificate. Neither alone gives or takes an answer.
package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	peerv1 "github.com/souk-shop/souk/proto/gen/souk/peer/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/semconv"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Config is what the operator of the gateway configures; its variables start with
// SOUK_GATEWAY_PEERS_. A zero gets the default.
type Config struct {
	// Gossip is the address, IP:port or :port, at which gateways find each other, by TCP
	// and UDP. Without it a gateway has no peers.
	Gossip string `env:"GOSSIP"`
	// Join are the gossip addresses of other gateways, comma separated; every address of a
	// name is joined, and names are asked for again while the gateway runs.
	Join []string `env:"JOIN"`
	// Advertise is the IP address at which others reach this gateway; that of Gossip, or else
	// a private one of the machine, when empty.
	Advertise string `env:"ADVERTISE"`
	// Listen is the address at which the gateway answers its peers (gRPC).
	Listen string `env:"LISTEN, default=:9091"`
	// Listener is listened on instead, if set; the gateway closes it.
	Listener net.Listener
	// Timeout is how long a peer is waited for until it says that it is about to answer, and ten
	// times as long for its answer: then the gateway asks the catalog itself.
	Timeout time.Duration `env:"TIMEOUT, default=50ms"`
}

// On reports whether the gateway is to have peers.
func (c Config) On() bool { return c.Gossip != "" }

const (
	// tries is how many peers are asked at most: an owner that is gone has a successor,
	// the same for all.
	tries = 2
	// loadingTimes is how many Timeouts an owner is waited for that has said that it is about to
	// answer: it waits for the catalog, which would answer this gateway no sooner.
	loadingTimes = 10
	// maxAnswering bounds the questions of peers that are answered at a time: each may hold
	// a page of a hundred products.
	maxAnswering = 256
	// pause and maxPause are for how long a peer that has failed is not asked.
	pause    = time.Second
	maxPause = 10 * time.Second
)

// Answerer answers a peer's question, and asks no peer itself.
type Answerer interface {
	Fill(ctx context.Context, req *peerv1.FillRequest) (*peerv1.FillResponse, error)
}

// Parts are what Peers are made of besides their configuration.
type Parts struct {
	// Identity has the certificate that peers show each other. It must not be off.
	Identity  *identity.Identity
	Telemetry *telemetry.Telemetry
	// Secret and OldSecrets are the gateway's: the key of the gossip is derived of the first,
	// and what was encrypted with keys of the others is read.
	Secret     string
	OldSecrets []string
}

// Peers are the gateways of a shop, as one of them sees them. Safe for concurrent use.
type Peers struct {
	cfg      Config
	tel      *telemetry.Telemetry
	identity *identity.Identity
	server   *rpc.Server
	group    *group

	mu      sync.Mutex
	members map[string]*peer
	ring    atomic.Pointer[ring]
	closing sync.WaitGroup

	results map[result]*atomic.Int64
}

// peer is another gateway.
type peer struct {
	name    string
	conn    *grpc.ClientConn
	breaker *retry.Breaker
}

// result is how an entry was to be filled.
type result string

const (
	served result = "served" // a peer gave it
	own    result = "own"    // its owner is gone, and this gateway is the successor
	late   result = "late"   // no peer gave it in time
	failed result = "failed" // peers answered with an error, or are gone
)

// errTLSOff is a configuration in which anybody could be a peer.
var errTLSOff = errors.New("SOUK_GATEWAY_PEERS_GOSSIP and SOUK_GATEWAY_TLS_OFF contradict each other: peers know each other by their certificates")

// Open returns the peers of a gateway, itself alone until Run has found others. It listens
// where they ask.
func Open(cfg Config, parts Parts) (*Peers, error) {
	if parts.Identity.Off() {
		return nil, errTLSOff
	}
	if cfg.Timeout <= 0 {
		return nil, fmt.Errorf("SOUK_GATEWAY_PEERS_TIMEOUT: %v is not longer than 0", cfg.Timeout)
	}
	p := &Peers{
		cfg: cfg, tel: parts.Telemetry, identity: parts.Identity, members: map[string]*peer{},
		results: map[result]*atomic.Int64{served: {}, own: {}, late: {}, failed: {}},
	}
	var err error
	if p.server, err = rpc.NewServer(rpc.ServerConfig{Listen: cfg.Listen, Listener: cfg.Listener, DrainTimeout: drainTimeout}, rpc.ServerParts{Identity: parts.Identity, Telemetry: parts.Telemetry}); err != nil {
		return nil, fmt.Errorf("SOUK_GATEWAY_PEERS_LISTEN: %w", err)
	}
	if err := p.openGroup(parts); err != nil {
		p.server.Stop()
		return nil, err
	}
	return p, p.measure()
}

// drainTimeout bounds the wait for the answers to peers when the gateway stops: they wait for
// Timeout, and do without.
const drainTimeout = time.Second

func (p *Peers) measure() error {
	m := p.tel.Meter()
	fills, err1 := m.Int64ObservableCounter("souk.peers.fills", metric.WithUnit("{fill}"),
		metric.WithDescription("Entries of the gateway's cache that a peer was to fill."))
	members, err2 := m.Int64ObservableGauge("souk.peers.members", metric.WithUnit("{replica}"),
		metric.WithDescription("Gateways that fill each other's caches, as one of them sees them, itself included."))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	as := map[result]metric.MeasurementOption{}
	for r := range p.results {
		as[r] = metric.WithAttributeSet(attribute.NewSet(semconv.PeersResult.String(string(r))))
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for r, count := range p.results {
			o.ObserveInt64(fills, count.Load(), as[r])
		}
		o.ObserveInt64(members, int64(len(p.ring.Load().names)))
		return nil
	}, fills, members)
	return err
}

// GossipAddr is where this gateway is found by others.
func (p *Peers) GossipAddr() string { return p.group.addr() }

// Members is how many gateways there are, this one included.
func (p *Peers) Members() int { return len(p.ring.Load().names) }

// Answer says who answers peers. Call it before Run.
func (p *Peers) Answer(a Answerer) {
	peerv1.RegisterPeerServiceServer(p.server, &answering{Answerer: a, room: make(chan struct{}, maxAnswering)})
}

// Run finds other gateways and answers them until ctx is done; then it tells them that it
// leaves. Peers that are away are waited for.
func (p *Peers) Run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(serving) }()
	found := make(chan struct{})
	finding, end := context.WithCancel(ctx)
	go func() { defer close(found); p.group.run(finding) }()
	var err error
	select {
	case err = <-served:
		served <- nil
	case <-ctx.Done():
	}
	end()
	<-found
	left := p.group.leave()
	stop()
	err = errors.Join(err, <-served, left)
	p.mu.Lock()
	for name, m := range p.members {
		delete(p.members, name)
		p.closing.Go(func() { _ = m.conn.Close() })
	}
	p.mu.Unlock()
	p.closing.Wait()
	return err
}

// Owns reports whether this gateway is the owner of a key.
func (p *Peers) Owns(key string) bool { return p.ring.Load().rank(key, 1)[0] == p.group.name }

// Fill asks the owner of a key, or its successor where the owner is gone, within the timeout.
// It returns false where this gateway has to ask the catalog itself.
func (p *Peers) Fill(ctx context.Context, key string, req *peerv1.FillRequest) (*peerv1.FillResponse, bool) {
	late := time.NewTimer(p.cfg.Timeout)
	defer late.Stop()
	res, how := p.fill(ctx, key, req, late.C)
	p.results[how].Add(1)
	return res, how == served
}

func (p *Peers) fill(ctx context.Context, key string, req *peerv1.FillRequest, timeout <-chan time.Time) (*peerv1.FillResponse, result) {
	asked := 0
	for _, name := range p.ring.Load().rank(key, 2*tries) {
		if name == p.group.name {
			return nil, own
		}
		if asked == tries {
			break
		}
		peer := p.member(name)
		if peer == nil || !peer.breaker.Allow() {
			continue
		}
		asked++
		res, err := peer.ask(ctx, req, timeout, loadingTimes*p.cfg.Timeout)
		switch {
		case err == nil:
			p.done(peer, true)
			return res, served
		case errors.Is(err, errLoads):
			p.done(peer, true) // the catalog is slow, and not the peer
			return nil, late
		case errors.Is(err, errLate):
			p.done(peer, false)
			return nil, late
		case ctx.Err() != nil:
			return nil, failed
		case status.Code(err) == codes.Unavailable:
			p.done(peer, false) // it is gone: its successor is the owner
		default:
			p.done(peer, true)
			return nil, failed
		}
	}
	return nil, failed
}

// done records how a peer answered.
func (p *Peers) done(peer *peer, ok bool) {
	if peer.breaker.Done(ok) {
		if ok {
			p.tel.Log.Info("a peer answers again", "peer", peer.name)
		} else {
			p.tel.Log.Warn("a peer does not answer; what it owns is loaded without it", "peer", peer.name)
		}
	}
}

var (
	// errLate is a peer that said nothing in time.
	errLate = errors.New("peers: no answer in time")
	// errLoads is a peer that said in time that it is about to answer, and did not in time.
	errLoads = errors.New("peers: the answer is still loaded")
)

// ask asks a peer. It is waited for until the timeout, and for patience once it has said that it is about
// to answer. What the shopper has to see or is traced with stays here, but for the trace: no session
// goes to a peer.
func (p *peer) ask(ctx context.Context, req *peerv1.FillRequest, timeout <-chan time.Time, patience time.Duration) (*peerv1.FillResponse, error) {
	asking, cancel := context.WithCancel(trace.ContextWithSpan(context.Background(), trace.SpanFromContext(ctx)))
	defer cancel()
	type answer struct {
		res *peerv1.FillResponse
		err error
	}
	// The timeout is no deadline of the call: a server does not begin what has little time, and
	// what the owner has begun is of use to others and to the next question.
	answered, headers := make(chan answer, 1), make(chan struct{})
	go func() {
		res, err := p.fill(asking, req, func() { close(headers) })
		answered <- answer{res, err}
	}()
	begun, tooLate := headers, errLate
	for {
		select {
		case a := <-answered:
			return a.res, a.err
		case <-begun:
			timer := time.NewTimer(patience)
			defer timer.Stop()
			begun, timeout, tooLate = nil, timer.C, errLoads
		case <-timeout:
			return nil, tooLate
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fill calls Fill, and begun when the headers of the answer have come. It is a stream of one message each
// way, as any unary call is: the generated client tells of the headers only together with the answer.
func (p *peer) fill(ctx context.Context, req *peerv1.FillRequest, begun func()) (*peerv1.FillResponse, error) {
	call, err := p.conn.NewStream(ctx, &grpc.StreamDesc{}, peerv1.PeerService_Fill_FullMethodName)
	if err != nil {
		return nil, err
	}
	if err := call.SendMsg(req); err != nil && !errors.Is(err, io.EOF) { // EOF: the status says why
		return nil, err
	}
	if err := call.CloseSend(); err != nil {
		return nil, err
	}
	if headers, err := call.Header(); err == nil && headers != nil { // a refusal has none
		begun()
	}
	res := &peerv1.FillResponse{}
	if err := call.RecvMsg(res); err != nil {
		return nil, err
	}
	return res, nil
}

func (p *Peers) member(name string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.members[name]
}

// joined adds another gateway, which answers at an address.
func (p *Peers) joined(name, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.members[name]; there {
		return
	}
	conn, err := rpc.Dial("gateway", rpc.ClientConfig{Target: addr}, p.identity, p.tel)
	if err != nil {
		p.tel.Log.Warn("a peer cannot be asked", "peer", name, "error", err)
		return
	}
	p.members[name] = &peer{
		name: name, conn: conn,
		breaker: retry.NewBreaker(retry.BreakerConfig{Pause: pause, MaxPause: maxPause}),
	}
	p.tel.Log.Info("a peer has come", "peer", name, "address", addr)
	p.arrange()
}

// left forgets another gateway.
func (p *Peers) left(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone, there := p.members[name]
	if !there {
		return
	}
	delete(p.members, name)
	p.closing.Go(func() { _ = gone.conn.Close() })
	p.tel.Log.Info("a peer has gone", "peer", name)
	p.arrange()
}

// arrange makes the ring of the members of now; p.mu is held.
func (p *Peers) arrange() {
	names := []string{p.group.name}
	for name := range p.members {
		names = append(names, name)
	}
	p.ring.Store(newRing(names))
}

// port is that of the answers.
func (p *Peers) port() string {
	return strconv.Itoa(p.server.Addr().(*net.TCPAddr).Port)
}

// answering bounds what is answered at a time, says that an answer is under way before there is
// one, and tells a peer no more of an error than that there is no answer.
type answering struct {
	peerv1.UnimplementedPeerServiceServer
	Answerer
	room chan struct{}
}

func (a *answering) Fill(ctx context.Context, req *peerv1.FillRequest) (*peerv1.FillResponse, error) {
	select {
	case a.room <- struct{}{}:
		defer func() { <-a.room }()
	default:
		return nil, status.Error(codes.ResourceExhausted, "busy with other peers")
	}
	// The peer learns at once that this gateway is there, also while the catalog is slow.
	if err := grpc.SendHeader(ctx, nil); err != nil {
		return nil, err
	}
	res, err := a.Answerer.Fill(ctx, req)
	if err == nil || status.Code(err) == codes.InvalidArgument {
		return res, err
	}
	return nil, status.Error(codes.FailedPrecondition, "there is no answer here")
}
