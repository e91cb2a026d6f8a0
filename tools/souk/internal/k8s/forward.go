package k8s

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/websocket"
)

const (
	// portForward is the protocol of the kubelet for ports of a pod over a WebSocket: the first byte
	// of a message is its channel, dataChannel or one of errors, and the first message of each
	// channel repeats the port (k8s.io/kubelet, pkg/cri/streaming/portforward).
	portForward = "v4.channel.k8s.io"
	dataChannel = 0
	// apiTimeout is how long the API server may take to say where a service's pods are, or to open a
	// way to one.
	apiTimeout = 30 * time.Second
)

// forwards are ways from this machine to services of the cluster, through its API server. Each
// connection has a way of its own, to a pod that is ready when it begins: kubectl port-forward leads
// all to one pod, and ends them all when that resets a single one, as a server does that answers
// before it has read a request.
type forwards struct {
	c      *cluster
	socket string // where kubectl proxy listens
	api    *http.Client
	open   sync.WaitGroup
}

// openForwards starts a kubectl proxy, which ends with ctx; close waits for it. It listens on a
// socket in a folder of this user's: a process that reaches it has this user's rights on the cluster.
func (c *cluster) openForwards(ctx context.Context) (_ *forwards, err error) {
	dir, err := os.MkdirTemp("", "souk-api-") // 0700
	if err != nil {
		return nil, err
	}
	f := &forwards{c: c, socket: filepath.Join(dir, "socket")}
	f.api = &http.Client{Timeout: apiTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return f.dial(ctx) },
	}}
	var complaint strings.Builder
	cmd := exec.CommandContext(ctx, "kubectl", "--context", c.context, "proxy", "--unix-socket", f.socket)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ready, done := make(chan struct{}), make(chan struct{})
	f.open.Go(func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		if lines.Scan() { // Starting to serve on
			close(ready)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // the reader ends when it does
		_ = os.RemoveAll(dir)
	})
	select {
	case <-ready:
		return f, nil
	case <-done:
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("kubectl proxy: %s", strings.TrimSpace(complaint.String()))
	}
}

func (f *forwards) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", f.socket)
}

// to opens a way to a service's port and returns its address here. It is open until ctx ends.
func (f *forwards) to(ctx context.Context, service string, port int) (addr string, err error) {
	t := target{service: service}
	if t.port, err = f.portName(ctx, service, port); err != nil {
		return "", err
	}
	if _, _, err := f.pods(ctx, t); err != nil {
		return "", err
	}
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = lis.Close() })
	f.open.Go(func() {
		defer stop()
		for {
			conn, err := lis.Accept()
			if err != nil {
				return // ctx has ended
			}
			f.open.Go(func() { f.carry(ctx, t, conn) })
		}
	})
	return lis.Addr().String(), nil
}

// target is a port of a service by its name, of any pod where pod is empty.
type target struct{ service, port, pod string }

// portName is the name of a service's port, "" of one without.
func (f *forwards) portName(ctx context.Context, service string, port int) (string, error) {
	var s struct {
		Spec struct {
			Ports []struct {
				Name string
				Port int
			}
		}
	}
	if err := f.get(ctx, "/api/v1/namespaces/"+f.c.namespace+"/services/"+service, &s); err != nil {
		return "", err
	}
	for _, p := range s.Spec.Ports {
		if p.Port == port {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("service %s has no port %d", service, port)
}

// pods are the pods of a service that are ready, one or more, and the port there.
func (f *forwards) pods(ctx context.Context, t target) (pods []string, port int, err error) {
	var list struct {
		Items []struct {
			Ports []struct {
				Name string
				Port int
			}
			Endpoints []struct {
				Conditions struct{ Ready *bool }
				TargetRef  struct{ Kind, Name string }
			}
		}
	}
	path := "/apis/discovery.k8s.io/v1/namespaces/" + f.c.namespace + "/endpointslices?labelSelector=" + url.QueryEscape("kubernetes.io/service-name="+t.service)
	if err := f.get(ctx, path, &list); err != nil {
		return nil, 0, err
	}
	for _, slice := range list.Items {
		for _, p := range slice.Ports {
			if p.Name == t.port {
				port = p.Port
			}
		}
		for _, e := range slice.Endpoints {
			if e.TargetRef.Kind == "Pod" && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				pods = append(pods, e.TargetRef.Name)
			}
		}
	}
	slices.Sort(pods)
	pods = slices.Compact(pods)
	if len(pods) == 0 || port == 0 {
		return nil, 0, fmt.Errorf("service %s has no pod that is ready", t.service)
	}
	return pods, port, nil
}

func (f *forwards) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := f.api.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// carry takes a connection to a pod and ends with either side. One that cannot be opened is closed:
// its client sees a server that is away.
func (f *forwards) carry(ctx context.Context, t target, conn net.Conn) {
	defer conn.Close()
	way, err := f.way(ctx, t)
	if err != nil {
		return
	}
	defer func() { _ = way.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close(); _ = way.Close() })()
	var both sync.WaitGroup
	both.Go(func() {
		defer conn.Close()
		begun := false
		for {
			var message []byte
			if websocket.Message.Receive(way, &message) != nil {
				return
			}
			switch {
			case len(message) == 0:
			case message[0] != dataChannel && len(message) > 3: // an error; the port alone is no error
				return
			case message[0] == dataChannel && begun:
				if _, err := conn.Write(message[1:]); err != nil {
					return
				}
			case message[0] == dataChannel:
				begun = true
			}
		}
	})
	both.Go(func() {
		defer func() { _ = way.Close() }()
		buffer := make([]byte, 32<<10)
		for {
			n, err := conn.Read(buffer[1:])
			if n > 0 {
				buffer[0] = dataChannel
				if websocket.Message.Send(way, buffer[:n+1]) != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	both.Wait()
}

// way opens a way to the pod of a target, or to any of them.
func (f *forwards) way(ctx context.Context, t target) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	pods, port, err := f.pods(ctx, t)
	if err != nil {
		return nil, err
	}
	pod := cmp.Or(t.pod, pods[rand.IntN(len(pods))])
	cfg, err := websocket.NewConfig(fmt.Sprintf("ws://localhost/api/v1/namespaces/%s/pods/%s/portforward?ports=%d", f.c.namespace, pod, port), "http://localhost")
	if err != nil {
		return nil, err
	}
	cfg.Protocol = []string{portForward}
	conn, err := f.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	way, err := websocket.NewClient(cfg, conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return way, nil
}

// wait returns when all ways are closed; their ctx has ended.
func (f *forwards) wait() {
	f.open.Wait()
	f.api.CloseIdleConnections()
}
