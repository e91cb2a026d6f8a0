package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sample is what a closed loop measured.
type sample struct {
	hist    *hdrhistogram.Histogram // microseconds
	elapsed time.Duration
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Minute.Microseconds(), 3)
}

func (s sample) rate() float64 { return float64(s.hist.TotalCount()) / s.elapsed.Seconds() }

func (s sample) quantile(q float64) time.Duration {
	return time.Duration(s.hist.ValueAtQuantile(q)) * time.Microsecond
}

// closedLoop calls do from n workers, each as fast as it is answered, for d.
func closedLoop(ctx context.Context, n int, d time.Duration, do func(ctx context.Context, worker, i int) error) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hists := make([]*hdrhistogram.Histogram, n)
	start := time.Now()
	end := start.Add(d)
	var wg sync.WaitGroup
	for w := range n {
		hists[w] = newHistogram()
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				before := time.Now()
				if before.After(end) {
					return
				}
				if err := do(ctx, w, i); err != nil {
					cancel(err)
					return
				}
				_ = hists[w].RecordValue(min(time.Since(before), time.Minute).Microseconds())
			}
		})
	}
	wg.Wait()
	s := sample{newHistogram(), time.Since(start)}
	for _, h := range hists {
		s.hist.Merge(h)
	}
	return s, context.Cause(ctx)
}

// readLoop requests the paths in turn over n kept-alive connections for d, with further headers.
func readLoop(ctx context.Context, addr string, paths []string, n int, d time.Duration, headers ...string) (sample, error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conns := make([]*rawConn, n)
	for i := range conns {
		c, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return sample{}, err
		}
		defer c.Close()
		conns[i] = &rawConn{c, bufio.NewReaderSize(c, 64<<10)}
	}
	requests := make([][]byte, len(paths))
	for i, p := range paths {
		requests[i] = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n", p, addr)
		for _, h := range headers {
			requests[i] = append(requests[i], h+"\r\n"...)
		}
		requests[i] = append(requests[i], "\r\n"...)
	}
	return closedLoop(ctx, n, d, func(_ context.Context, w, i int) error {
		at := (i + w*7) % len(requests)
		if err := conns[w].get(requests[at]); err != nil {
			return fmt.Errorf("GET http://%s%s: %w", addr, paths[at], err)
		}
		return nil
	})
}

// rawConn is a client that costs next to nothing: what is measured shares its
// processors with it.
type rawConn struct {
	net.Conn
	br *bufio.Reader
}

func (c *rawConn) get(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, err := c.br.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", bytes.TrimSpace(status))
	}
	length, chunked := int64(-1), false
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return err
			}
		}
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			chunked = true
		}
	}
	if chunked {
		return c.chunked()
	}
	if length < 0 {
		return fmt.Errorf("answered without a length")
	}
	_, err = c.br.Discard(int(length))
	return err
}

func (c *rawConn) chunked() error {
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, c.br, n+2); err != nil { // with its CRLF
			return err
		}
		if n == 0 {
			return nil
		}
	}
}
