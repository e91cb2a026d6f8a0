package rpc

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/authority"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/chassis/telemetry/telemetrytest"
)

// callers remembers the part that made the last call.
func callers(to *atomic.Value) *echo {
	return &echo{say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		to.Store(identity.Caller(ctx))
		return m, nil
	}}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := identitytest.Authority(t), identitytest.Authority(t)
	server := identitytest.Open(t, ours, "echo")
	for name, test := range map[string]struct {
		server, client *identity.Identity
		caller         string
		ok             bool
	}{
		"a part":                   {server, identitytest.Open(t, ours, "gateway"), "gateway", true},
		"plain text, both":         {identity.Insecure(), identity.Insecure(), "", true},
		"plain text to TLS":        {server, identity.Insecure(), "", false},
		"TLS to plain text":        {identity.Insecure(), identitytest.Open(t, ours, "gateway"), "", false},
		"another authority's":      {server, identitytest.Open(t, theirs, "gateway"), "", false},
		"another part than wanted": {identitytest.Open(t, ours, "cart"), identitytest.Open(t, ours, "gateway"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var caller atomic.Value
			f := serveEcho(t, callers(&caller), options{serverID: test.server, clientID: test.client})
			_, err := f.say(t.Context(), 1)
			if test.ok && (err != nil || caller.Load() != test.caller) || !test.ok && (status.Code(err) != codes.Unavailable || caller.Load() != nil) {
				t.Errorf("got %v from %v", err, caller.Load())
			}
		})
	}
}

// part is a process with a certificate that follows its files.
type part struct {
	cfg identity.Config
	id  *identity.Identity
	log *telemetrytest.Log
}

func newPart(t *testing.T, name string, certificate []byte, authorities ...*authority.Authority) *part {
	t.Helper()
	p := &part{cfg: identitytest.Files(t, certificate, authorities...), log: &telemetrytest.Log{}}
	p.cfg.TLSCRL = filepath.Join(filepath.Dir(p.cfg.TLSCert), "revoked.pem")
	list, err := authorities[0].Revoke()
	if err != nil {
		t.Fatal(err)
	}
	identitytest.Write(t, p.cfg.TLSCRL, list)
	tel, err := telemetry.Start(t.Context(), name, telemetry.Config{LogOutput: p.log, LogFormat: "json"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	if p.id, err = identity.Open(name, p.cfg, tel); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan struct{})
	go func() { defer close(followed); _ = p.id.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-followed })
	return p
}

// replace writes a file and waits until the process has read it.
func (p *part) replace(t *testing.T, path string, text []byte) {
	t.Helper()
	const read = "certificates read again"
	before := strings.Count(p.log.String(), read)
	identitytest.Write(t, path, text)
	eventually(t, "the file is read", func() bool { return strings.Count(p.log.String(), read) > before })
}

// TestCertificatesRotateUnderLoad: a new certificate, then a new authority in its three
// steps, while clients call and connect anew all the time. No call fails, not even one
// that is under way all the time: its connection is of the old authority's certificates,
// and has time until it is as old as connections get. New ones of them are refused.
func TestCertificatesRotateUnderLoad(t *testing.T) {
	t.Parallel()
	before, after := identitytest.Authority(t), identitytest.Authority(t)
	server := newPart(t, "echo", identitytest.Issue(t, before, "echo"), before)
	client := newPart(t, "gateway", identitytest.Issue(t, before, "gateway"), before)
	const long = 7
	entered, release := make(chan struct{}), make(chan struct{})
	f := serveEcho(t, &echo{say: func(_ context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		if m.GetMinorUnits() == long {
			close(entered)
			<-release
		}
		return m, nil
	}}, options{serverID: server.id, clientID: client.id, client: ClientConfig{Timeout: time.Minute}})
	answered := make(chan error, 1)
	go func() { _, err := f.say(t.Context(), long); answered <- err }()
	<-entered

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var calls, connections atomic.Int64
	var wg sync.WaitGroup
	for range 4 { // on the connection of the start
		wg.Go(func() {
			for retry.Sleep(ctx, 5*time.Millisecond) == nil { // other tests measure time
				if _, err := f.say(t.Context(), 1); err != nil {
					t.Errorf("call %d: %v", calls.Load(), err)
					return
				}
				calls.Add(1)
			}
		})
	}
	wg.Go(func() { // on new ones
		for retry.Sleep(ctx, 20*time.Millisecond) == nil {
			conn, err := Dial("echo", ClientConfig{Target: f.server.Addr().String()}, client.id, f.tel)
			if err != nil {
				t.Error(err)
				return
			}
			if err := conn.Invoke(t.Context(), sayMethod, &moneyv1.Money{Currency: "GBP"}, new(moneyv1.Money)); err != nil {
				t.Errorf("connection %d: %v", connections.Load(), err)
			}
			connections.Add(1)
			conn.Close()
		}
	})
	some := func() {
		t.Helper()
		c, n := calls.Load(), connections.Load()
		eventually(t, "calls go on", func() bool { return t.Failed() || calls.Load() > c+20 && connections.Load() > n+3 })
	}
	some()
	for _, step := range []struct {
		name        string
		by          *authority.Authority
		authorities []*authority.Authority
	}{
		{"another certificate", before, []*authority.Authority{before}},
		{"both authorities", before, []*authority.Authority{before, after}},
		{"certificates of the new one", after, []*authority.Authority{before, after}},
		{"the old one is out", after, []*authority.Authority{after}},
	} {
		for _, p := range []struct {
			*part
			name string
		}{{server, "echo"}, {client, "gateway"}} {
			if text := identitytest.Bundle(step.authorities...); !holds(t, p.cfg.TLSCA, text) {
				p.replace(t, p.cfg.TLSCA, text)
			} else {
				p.replace(t, p.cfg.TLSCert, identitytest.Issue(t, step.by, p.name))
			}
			some()
		}
		t.Logf("%s: %d calls, %d connections", step.name, calls.Load(), connections.Load())
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the call that was under way all the time: %v", err)
	}
	stop()
	wg.Wait()
	late := newPart(t, "gateway", identitytest.Issue(t, before, "gateway"), before, after)
	conn, err := Dial("echo", ClientConfig{Target: f.server.Addr().String()}, late.id, f.tel)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Invoke(t.Context(), sayMethod, &moneyv1.Money{Currency: "GBP"}, new(moneyv1.Money)); status.Code(err) != codes.Unavailable {
		t.Errorf("a certificate of the old authority: %v", err)
	}
	eventually(t, "the refusal is logged", func() bool { // its alert is sent before
		return strings.Contains(server.log.String(), `"subject":"certificate of an unknown authority"`)
	})
}

func holds(t *testing.T, path string, text []byte) bool {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) == string(text)
}

// TestARevokedCertificateEndsItsConnections, those of others stay.
func TestARevokedCertificateEndsItsConnections(t *testing.T) {
	t.Parallel()
	ca := identitytest.Authority(t)
	stolen := identitytest.Issue(t, ca, "cart")
	server := newPart(t, "echo", identitytest.Issue(t, ca, "echo"), ca)
	thief := newPart(t, "cart", stolen, ca)
	entered := make(chan struct{}, 2)
	f := serveEcho(t, &echo{say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		if m.GetMinorUnits() == 0 {
			return m, nil
		}
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}, options{serverID: server.id, clientID: newPart(t, "gateway", identitytest.Issue(t, ca, "gateway"), ca).id})
	conn, err := Dial("echo", ClientConfig{Target: f.server.Addr().String()}, thief.id, f.tel)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waits := func(say func(context.Context) error) chan error {
		ended := make(chan error, 1)
		go func() { ended <- say(ctx) }()
		<-entered
		return ended
	}
	say := func(units int64) func(context.Context) error {
		return func(ctx context.Context) error {
			return conn.Invoke(ctx, sayMethod, &moneyv1.Money{MinorUnits: units, Currency: "GBP"}, new(moneyv1.Money))
		}
	}
	theirs := waits(say(1))
	honest := waits(func(ctx context.Context) error { _, err := f.say(ctx, 1); return err })

	list, err := ca.Revoke(stolen)
	if err != nil {
		t.Fatal(err)
	}
	server.replace(t, server.cfg.TLSCRL, list)
	if err := <-theirs; status.Code(err) != codes.Unavailable {
		t.Errorf("the call under way: %v", err)
	}
	if err := say(0)(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("a new call: %v", err)
	}
	eventually(t, "the refusal is logged", func() bool {
		return strings.Contains(server.log.String(), `"subject":"certificate revoked"`)
	})
	select {
	case err := <-honest:
		t.Errorf("another part's call was ended: %v", err)
	default:
	}
	if _, err := f.say(t.Context(), 0); err != nil {
		t.Errorf("another part: %v", err)
	}
}

// BenchmarkTLS is a call of the smallest message, with TLS and without.
func BenchmarkTLS(b *testing.B) {
	ca := identitytest.Authority(b)
	for name, opts := range map[string]options{
		"plain": {},
		"mTLS":  {serverID: identitytest.Open(b, ca, "echo"), clientID: identitytest.Open(b, ca, "gateway")},
	} {
		b.Run(name, func(b *testing.B) {
			f := serveEcho(b, &echo{say: same}, opts)
			if _, err := f.say(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := f.say(b.Context(), 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
