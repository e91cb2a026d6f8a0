package edge_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/internal/edge"
)

// What follows a body whose end is a matter of opinion is never taken for a request: a proxy
// in front may think that it is the body of the first.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"both lengths":    "Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"the other order": "Transfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n",
		"two lengths":     "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
		"obscured coding": "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"two codings":     "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"space in a name": "Content-Length : 0\r\n\r\n",
		"signed length":   "Content-Length: +0\r\n\r\n",
		"list of lengths": "Content-Length: 0, 40\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var hidden atomic.Bool
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/hidden" {
					hidden.Store(true)
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "hello")
			}))
			edge.NewConnections(0).Attach(server.Config)
			server.Start()
			t.Cleanup(server.Close)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: souk\r\n"+head+"GET /hidden HTTP/1.1\r\nHost: souk\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answers, _ := io.ReadAll(conn) // a reset is an end
			if n := bytes.Count(answers, []byte("HTTP/1.1 ")); n != 1 || hidden.Load() || !strings.Contains(string(answers), "Connection: close\r\n") {
				t.Errorf("%d answers, hidden request answered %v: %q", n, hidden.Load(), answers)
			}
		})
	}
}
