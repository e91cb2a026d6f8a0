package k8s

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// api is the part of an API server that forwards need. A pod greets with its name and port, and
// then echoes; "reset" has it end the connection with an error.
type api struct {
	mu   sync.Mutex
	pods map[string][]string // by service; one named as the service is where there is no entry
	// speak is what a pod does with a connection; nil is to greet and echo.
	speak func(pod string, conn net.Conn)
}

// serve answers a kubectl proxy.
func (a *api) serve(t *testing.T, c call) *answer {
	lis, err := net.Listen("unix", c.Args[2])
	if err != nil {
		t.Error(err)
		return &answer{Exit: 1, Stderr: err.Error()}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/souk/services/{service}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"spec": {"ports": [{"name": "main", "port": 80}, {"name": "main", "port": 5432}, {"name": "main", "port": 12111}, {"name": "main", "port": 9090}, {"name": "main", "port": 6379}, {"name": "main", "port": 4222}, {"name": "other", "port": 9}]}}`)
	})
	mux.HandleFunc("GET /apis/discovery.k8s.io/v1/namespaces/souk/endpointslices", func(w http.ResponseWriter, r *http.Request) {
		service := strings.TrimPrefix(r.URL.Query().Get("labelSelector"), "kubernetes.io/service-name=")
		a.mu.Lock()
		pods, ok := a.pods[service]
		a.mu.Unlock()
		if !ok {
			pods = []string{service}
		}
		endpoints := []any{map[string]any{"conditions": map[string]any{"ready": false}, "targetRef": map[string]any{"kind": "Pod", "name": "not-ready"}}}
		for _, pod := range pods {
			endpoints = append(endpoints, map[string]any{"conditions": map[string]any{"ready": true}, "targetRef": map[string]any{"kind": "Pod", "name": pod}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": []any{map[string]any{
			"ports": []any{map[string]any{"name": "other", "port": 9}, map[string]any{"name": "main", "port": 8080}}, "endpoints": endpoints,
		}}})
	})
	mux.Handle("GET /api/v1/namespaces/souk/pods/{pod}/portforward", websocket.Server{
		Handshake: func(cfg *websocket.Config, _ *http.Request) error {
			if len(cfg.Protocol) != 1 || cfg.Protocol[0] != portForward {
				return fmt.Errorf("protocols %q", cfg.Protocol)
			}
			return nil
		},
		Handler: func(ws *websocket.Conn) {
			send := func(channel byte, text string) { _ = websocket.Message.Send(ws, append([]byte{channel}, text...)) }
			send(0, "\x90\x1f")
			send(1, "\x90\x1f")
			if a.speak != nil {
				near, far := net.Pipe()
				go func() {
					defer ws.Close()
					b := make([]byte, 32<<10)
					for {
						n, err := far.Read(b)
						if err != nil {
							return
						}
						send(0, string(b[:n]))
					}
				}()
				go func() {
					defer far.Close()
					for {
						var message []byte
						if websocket.Message.Receive(ws, &message) != nil {
							return
						}
						if _, err := far.Write(message[1:]); err != nil {
							return
						}
					}
				}()
				a.speak(ws.Request().PathValue("pod"), near)
				_ = near.Close()
				return
			}
			send(0, ws.Request().PathValue("pod")+":"+ws.Request().URL.Query().Get("ports")+"\n")
			for {
				var message []byte
				if websocket.Message.Receive(ws, &message) != nil {
					return
				}
				if string(message[1:]) == "reset\n" {
					send(1, "an error occurred forwarding: connection reset by peer")
					return
				}
				send(0, string(message[1:]))
			}
		},
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(func() { _ = server.Close() })
	return &answer{Stdout: "Starting to serve on " + c.Args[2] + "\n", Stay: true}
}

// talker is a connection to a pod.
type talker struct {
	net.Conn
	lines *bufio.Reader
}

func talk(t *testing.T, addr string) talker {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return talker{conn, bufio.NewReader(conn)}
}

func (c talker) hears(t *testing.T, want string) {
	t.Helper()
	if got, err := c.lines.ReadString('\n'); err != nil || got != want+"\n" {
		t.Errorf("heard %q, %v; want %q", got, err, want)
	}
}

func (c talker) says(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		t.Error(err)
	}
}

// TestForwards: a connection that is reset ends no other, each goes to a pod that is ready when it
// begins, and all end with the use.
func TestForwards(t *testing.T) {
	t.Parallel()
	server := &api{pods: map[string][]string{"souk-gateway": {"first"}}}
	w := pretended(t, func(c call) *answer { return server.serve(t, c) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f, err := w.cluster().openForwards(ctx)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := f.to(ctx, "souk-gateway", 80)
	if err != nil {
		t.Fatal(err)
	}
	one, other := talk(t, addr), talk(t, addr)
	one.hears(t, "first:8080")
	other.hears(t, "first:8080")
	other.says(t, "reset")
	if text, err := io.ReadAll(other.lines); err != nil || len(text) > 0 {
		t.Errorf("a connection that the pod reset says %q, %v", text, err)
	}
	one.says(t, "go on")
	one.hears(t, "go on")
	server.mu.Lock()
	server.pods["souk-gateway"] = []string{"second"}
	server.mu.Unlock()
	talk(t, addr).hears(t, "second:8080")
	server.mu.Lock()
	server.pods["souk-gateway"] = nil
	server.mu.Unlock()
	if text, err := io.ReadAll(talk(t, addr).lines); len(text) > 0 {
		t.Errorf("without a pod it says %q, %v", text, err)
	}
	if _, err := f.to(ctx, "souk-gateway", 80); err == nil || !strings.Contains(err.Error(), "no pod that is ready") {
		t.Errorf("a way to no pod: %v", err)
	}
	if _, err := f.to(ctx, "souk-gateway", 81); err == nil || !strings.Contains(err.Error(), "no port 81") {
		t.Errorf("a way to no port: %v", err)
	}
	cancel()
	f.wait()
	if text, err := io.ReadAll(one.lines); len(text) > 0 {
		t.Errorf("after the end it says %q, %v", text, err)
	}
	if _, err := os.Stat(f.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}
