package rpc

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames speaks HTTP/2 to a server frame by frame.
type frames struct {
	*http2.Framer
	hpack  *hpack.Encoder
	header bytes.Buffer
}

func (f *fixture) frames() *frames {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.server.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		f.t.Fatal(err)
	}
	p := &frames{Framer: http2.NewFramer(conn, conn)}
	p.hpack = hpack.NewEncoder(&p.header)
	if err := p.WriteSettings(); err != nil {
		f.t.Fatal(err)
	}
	return p
}

// call begins a call that is not ended.
func (p *frames) call(id uint32, more ...string) error {
	p.header.Reset()
	fields := append([]string{":method", "POST", ":scheme", "http", ":authority", "echo", ":path", sayMethod, "content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i < len(fields); i += 2 {
		if err := p.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: len(fields[i+1]) > 100}); err != nil {
			return err
		}
	}
	return p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.header.Bytes(), EndHeaders: true})
}

// until reads frames until one is it.
func (p *frames) until(t *testing.T, it func(http2.Frame) bool) {
	t.Helper()
	for {
		f, err := p.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if it(f) {
			return
		}
	}
}

func TestLimitsOfHTTP2(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{say: same}, options{})
	t.Run("they are said", func(t *testing.T) {
		f.frames().until(t, func(frame http2.Frame) bool {
			s, ok := frame.(*http2.SettingsFrame)
			if !ok {
				return false
			}
			streams, _ := s.Value(http2.SettingMaxConcurrentStreams)
			header, _ := s.Value(http2.SettingMaxHeaderListSize)
			if streams != maxStreams || header != maxHeaderBytes {
				t.Errorf("%d streams, %d bytes of header", streams, header)
			}
			return true
		})
	})
	t.Run("pings", func(t *testing.T) {
		p := f.frames()
		for range 10 {
			_ = p.WritePing(false, [8]byte{}) // the connection may be closed meanwhile
		}
		p.until(t, func(frame http2.Frame) bool {
			away, ok := frame.(*http2.GoAwayFrame)
			return ok && away.ErrCode == http2.ErrCodeEnhanceYourCalm
		})
	})
	t.Run("a large header", func(t *testing.T) {
		p := f.frames()
		if err := p.call(1, "x", strings.Repeat("y", 15<<10), "z", strings.Repeat("y", 1<<10)); err == nil {
			p.until(t, func(frame http2.Frame) bool {
				reset, ok := frame.(*http2.RSTStreamFrame)
				return ok && reset.StreamID == 1
			})
		}
	})
	t.Run("streams", func(t *testing.T) {
		p := f.frames()
		go func() {
			for i := range uint32(maxStreams + 1) {
				if p.call(2*i+1) != nil {
					return
				}
			}
		}()
		p.until(t, func(frame http2.Frame) bool {
			reset, ok := frame.(*http2.RSTStreamFrame)
			return ok && reset.ErrCode == http2.ErrCodeRefusedStream && reset.StreamID == 2*maxStreams+1
		})
	})
}
