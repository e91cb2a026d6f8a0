package k8s

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// forward is a `kubectl port-forward` to one port of a service.
type forward struct {
	cmd  *exec.Cmd
	addr string // 127.0.0.1:port
	done chan struct{}
}

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+)`)

// forward opens a way to a service's port. It ends with the pod it leads to.
func (c *cluster) forward(ctx context.Context, service string, port int) (*forward, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	f := &forward{done: make(chan struct{})}
	// Without the context, which it outlives: close ends it.
	f.cmd = exec.Command("kubectl", "--context", c.context, "--namespace", c.namespace,
		"port-forward", "--address", "127.0.0.1", "service/"+service, fmt.Sprintf(":%d", port))
	var complaint strings.Builder
	f.cmd.Stderr = &complaint
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		defer close(f.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := forwarding.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case ready <- m[1]:
				default:
				}
			}
		}
		_ = f.cmd.Wait() // it is ended by a signal
	}()
	select {
	case f.addr = <-ready:
		return f, nil
	case <-f.done:
		return nil, fmt.Errorf("kubectl port-forward service/%s: %s", service, strings.TrimSpace(complaint.String()))
	case <-ctx.Done():
		f.close()
		return nil, fmt.Errorf("kubectl port-forward service/%s: %w", service, ctx.Err())
	}
}

// close ends the forward.
func (f *forward) close() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // it may have ended with its pod
	<-f.done
}
