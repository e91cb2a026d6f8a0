package peers

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	peerv1 "github.com/souk-shop/souk/proto/gen/souk/peer/v1"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

const (
	// label is in all that is gossiped: another group's gossip is refused.
	label = "souk gateway peers v1"
	// joinAlone and joinEvery are how often the addresses to join are asked for: while this
	// gateway is alone, and so that two halves that were apart find each other.
	joinAlone = time.Second
	joinEvery = 10 * time.Second
	// syncEvery is how often a member tells another one all that it knows: who missed the gossip
	// of one that came, whose packets may be lost, learns of it then.
	syncEvery = 5 * time.Second
	// reachTime bounds the exchange with one other gateway by TCP, for which one that stops has to
	// wait. What is exchanged is some hundred bytes for each member.
	reachTime = 2 * time.Second
	// leaveTime bounds the wait until others have heard that this gateway leaves.
	leaveTime = time.Second
)

// contract names the messages that are kept and exchanged. Gateways of two versions with
// different ones are no peers: an older one would answer without what a newer one asks for.
var contract = func() string {
	var all []byte
	for _, file := range []proto.Message{
		protodesc.ToFileDescriptorProto(catalogv1.File_souk_catalog_v1_catalog_proto),
		protodesc.ToFileDescriptorProto(peerv1.File_souk_peer_v1_peer_proto),
	} {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(file)
		if err != nil {
			panic(err) // a descriptor can be encoded
		}
		all = append(all, data...)
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:8])
}()

// group is who the members are.
type group struct {
	name string
	cfg  Config
	tel  *telemetry.Telemetry
	list *memberlist.Memberlist
}

// openGroup makes the group of this gateway alone.
func (p *Peers) openGroup(parts Parts) error {
	cfg := p.cfg
	host, port, err := splitAddr(cfg.Gossip)
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host) // memberlist takes what is none for all addresses
	}
	if err != nil {
		return fmt.Errorf("SOUK_GATEWAY_PEERS_GOSSIP: %w", err)
	}
	for _, addr := range cfg.Join {
		if h, _, err := splitAddr(addr); err != nil || h == "" {
			return fmt.Errorf("SOUK_GATEWAY_PEERS_JOIN: %q is not host:port", addr)
		}
	}
	if cfg.Advertise != "" {
		if _, err := netip.ParseAddr(cfg.Advertise); err != nil {
			return fmt.Errorf("SOUK_GATEWAY_PEERS_ADVERTISE: %w", err)
		}
	}
	keys, err := keyring(parts.Secret, parts.OldSecrets)
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "gateway"
	}
	g := &group{name: hostname + "-" + strings.ToLower(rand.Text()[:10]), cfg: cfg, tel: parts.Telemetry}
	m := memberlist.DefaultLANConfig()
	m.Name, m.Label, m.Keyring = g.name, label, keys
	m.BindAddr, m.BindPort, m.AdvertisePort = host, port, port
	if host == "" {
		m.BindAddr = "0.0.0.0"
		if cfg.Advertise != "" {
			m.BindAddr = cfg.Advertise
		}
	}
	m.AdvertiseAddr, m.PushPullInterval, m.TCPTimeout = cfg.Advertise, syncEvery, reachTime
	m.Delegate = &delegate{meta: []byte(contract + " " + p.port())}
	m.Events = &membership{peers: p, self: g.name}
	m.LogOutput = &logWriter{tel: parts.Telemetry}
	transport, err := listen(m)
	if err != nil {
		return fmt.Errorf("SOUK_GATEWAY_PEERS_GOSSIP: %w", err)
	}
	m.Transport = transport
	// Others may come before Create returns.
	p.group = g
	p.mu.Lock()
	p.arrange()
	p.mu.Unlock()
	if g.list, err = memberlist.Create(m); err != nil {
		return errors.Join(fmt.Errorf("SOUK_GATEWAY_PEERS_GOSSIP: %w", err), transport.Shutdown())
	}
	return nil
}

// keyring has a key of each secret; what is sent is encrypted with the first's.
func keyring(secret string, old []string) (*memberlist.Keyring, error) {
	var keys [][]byte
	for _, s := range append([]string{secret}, old...) {
		key, err := hkdf.Key(sha256.New, []byte(s), nil, "souk gateway peers gossip v1", 32)
		if err != nil {
			return nil, fmt.Errorf("peers: %w", err)
		}
		keys = append(keys, key)
	}
	return memberlist.NewKeyring(keys[1:], keys[0])
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no port", text)
	}
	return host, int(n), nil
}

func (g *group) addr() string { return g.list.LocalNode().Address() }

// run joins who is to be joined until ctx is done.
func (g *group) run(ctx context.Context) {
	for len(g.cfg.Join) > 0 {
		g.join(ctx)
		wait := joinEvery
		if g.list.NumMembers() < 2 {
			wait = joinAlone
		}
		if retry.Sleep(ctx, wait) != nil {
			return
		}
	}
	<-ctx.Done()
}

func (g *group) join(ctx context.Context) {
	known := map[string]bool{}
	for _, node := range g.list.Members() {
		known[node.Address()] = true
	}
	var strange []string
	for _, addr := range g.cfg.Join {
		host, port, _ := net.SplitHostPort(addr) // openGroup has looked
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			g.tel.Log.DebugContext(ctx, "the address of peers is not known", "address", addr, "error", err)
			continue
		}
		for _, ip := range ips {
			if at := net.JoinHostPort(ip.Unmap().String(), port); !known[at] {
				strange = append(strange, at)
			}
		}
	}
	slices.Sort(strange)
	for _, at := range slices.Compact(strange) {
		if ctx.Err() != nil {
			return
		}
		if _, err := g.list.Join([]string{at}); err != nil {
			g.tel.Log.DebugContext(ctx, "a peer is not there", "error", err)
		}
	}
}

// leave tells the others.
func (g *group) leave() error {
	if err := g.list.Leave(leaveTime); err != nil {
		g.tel.Log.Debug("peers may not have heard that this gateway leaves", "error", err)
	}
	return g.list.Shutdown()
}

// membership tells Peers who comes and goes. It is called in order, under the list's lock.
type membership struct {
	peers *Peers
	self  string
}

// NotifyJoin implements memberlist.EventDelegate.
func (m *membership) NotifyJoin(n *memberlist.Node) {
	of, port, _ := strings.Cut(string(n.Meta), " ")
	if n.Name != m.self && of == contract {
		m.peers.joined(n.Name, net.JoinHostPort(n.Addr.String(), port))
	}
}

// NotifyLeave implements memberlist.EventDelegate.
func (m *membership) NotifyLeave(n *memberlist.Node) { m.peers.left(n.Name) }

// NotifyUpdate implements memberlist.EventDelegate.
func (m *membership) NotifyUpdate(n *memberlist.Node) {
	m.peers.left(n.Name)
	m.NotifyJoin(n)
}

// delegate says where this gateway answers, and of which contract it is.
type delegate struct{ meta []byte }

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(int) []byte { return d.meta }

// NotifyMsg implements memberlist.Delegate: members send nothing else.
func (d *delegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (d *delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (d *delegate) MergeRemoteState([]byte, bool) {}

// logWriter brings the lines of memberlist into the gateway's log: what it calls an error or a
// warning at most once in a while, as anybody who reaches the port can cause it.
type logWriter struct {
	tel     *telemetry.Telemetry
	outages telemetry.Outages
}

func (w *logWriter) Write(line []byte) (int, error) {
	_, text, _ := strings.Cut(string(bytes.TrimSpace(line)), "[") // after the time
	level := slog.LevelDebug
	var leftOut int
	if strings.HasPrefix(text, "ERR]") || strings.HasPrefix(text, "WARN]") {
		var tell bool
		if tell, leftOut = w.outages.Tell("gossip", time.Now()); tell {
			level = slog.LevelWarn
		}
	}
	w.tel.Log.Log(context.Background(), level, "gossip of peers", "text", "["+text, "left_out", leftOut)
	return len(line), nil
}
