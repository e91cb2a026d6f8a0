package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge/budget"
)

// The limits of HTTP/2, which browsers speak over TLS. net/http bounds by them what one
// connection keeps: requests beyond maxStreams wait, four times as many end the connection
// (streams that are reset at once count as long as their handlers run), and so do 10,000
// answers to PING and SETTINGS that the client does not read, or a header longer than
// maxHeaderBytes, in however many CONTINUATION frames.
const (
	// maxStreams is how many requests a client may have under way on a connection; browsers
	// load a page with some 30.
	maxStreams = 64
	// frameSize is the largest frame, RFC 9113's least.
	frameSize = 16 << 10
	// streamBuffer and connectionBuffer are how many bytes of bodies may be there unread.
	streamBuffer     = 256 << 10
	connectionBuffer = 1 << 20
	// headerTable bounds the table of the compression of headers, either way: RFC 9113's
	// default.
	headerTable = 4 << 10
	// readIdle is after how long without a frame a client is asked for one, and has to answer
	// within pingTimeout.
	readIdle    = 30 * time.Second
	pingTimeout = 15 * time.Second
	// writeStall is how long a client may take none of what there is to write.
	writeStall = 30 * time.Second

	// A connection may have sent frameSlack bytes and frameRatio times the bytes of headers
	// and bodies that requests were made of: what is more is PING, SETTINGS, RST_STREAM,
	// WINDOW_UPDATE, padding and the like, which cost no budget. The ratio is nginx's.
	frameSlack = 1 << 20
	frameRatio = 8
	// resetCost is how many bytes a request that the client reset takes from those that were
	// useful, so that requests whose answers the client does not want are no excuse for
	// frames. A browser may leave a hundred pages while all of their 30 images load.
	resetCost = 64
)

func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, MaxReadFrameSize: frameSize,
		MaxReceiveBufferPerConnection: connectionBuffer, MaxReceiveBufferPerStream: streamBuffer,
		MaxDecoderHeaderTableSize: headerTable, MaxEncoderHeaderTableSize: headerTable,
		SendPingTimeout: readIdle, PingTimeout: pingTimeout, WriteByteTimeout: writeStall,
	}
}

// speaksHTTP2 reports that a connection negotiated HTTP/2.
func speaksHTTP2(conn net.Conn) bool {
	t, ok := conn.(*tls.Conn)
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}

// errFrames ends an HTTP/2 connection that sends little besides control frames.
var errFrames = errors.New("edge: control frames")

// greet follows an HTTP/2 connection from its preface on. That is no request: one that sends
// none is closed, as net/http does with HTTP/1.
func (c *guardedConn) greet() {
	if c.http2.Swap(true) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.silent = time.AfterFunc(readHeaderTimeout, func() {
		if c.unheard.Load() {
			_ = c.Conn.Close()
		}
	})
}

// frames counts bytes that came, and reports that they are too many for what they were good
// for.
func (c *guardedConn) frames(n int) error {
	came := c.came.Add(int64(n))
	if !c.http2.Load() || came <= frameSlack+frameRatio*c.useful.Load() {
		return nil
	}
	c.listener.Record(context.Background(), budget.HTTP2Frames, slog.String("client", c.key.String()))
	return errFrames
}

// asked counts a request that came whole by HTTP/2, and will count its body. The caller calls
// answered when the handler has returned.
func (c *guardedConn) asked(r *http.Request) (answered func()) {
	c.hear()
	size := len(r.Method) + len(r.URL.Path) + len(r.URL.RawQuery) + len(r.Host)
	for name, lines := range r.Header {
		for _, line := range lines {
			size += len(name) + len(line)
		}
	}
	if r.Body != nil && r.Body != http.NoBody {
		size += streamBuffer / frameRatio // if it is refused, this much of it is under way
		r.Body = usefulBody{r.Body, c}
	}
	c.useful.Add(int64(size))
	stream := r.Context()
	return func() {
		if stream.Err() != nil {
			c.useful.Add(-int64(size) - resetCost)
		}
	}
}

// usefulBody counts what is read of a body.
type usefulBody struct {
	io.ReadCloser
	conn *guardedConn
}

func (b usefulBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.conn.useful.Add(int64(n))
	return n, err
}
