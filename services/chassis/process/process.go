//go:build unix

// Package process starts programs that do not outlive this one, ends them in good
// order and keeps them running.
package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
)

// Process is a started program.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // read after done
}

// Start starts cmd as the leader of a process group of its own, so that Ctrl-C at
// the terminal reaches this process alone, which ends its children in order. When
// this process ends, even by SIGKILL, Linux sends the child onParentDeath; on other
// systems the child lives on.
func Start(cmd *exec.Cmd, onParentDeath syscall.Signal) (*Process, error) {
	OwnGroup(cmd)
	signalOnParentDeath(cmd.SysProcAttr, onParentDeath)
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The system watches the thread that started the child, not the whole
		// process, so the thread has to stay. It ends with this goroutine.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// OwnGroup makes cmd the leader of a process group. The whole group is killed when
// cmd's context ends.
func OwnGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if cmd.Cancel != nil {
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the process ended, after Done: nil after exit status 0.
func (p *Process) Err() error { return p.err }

// Signal sends a signal. It does nothing to a process that has ended.
func (p *Process) Signal(sig syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(sig) // it may end meanwhile
	}
}

// ErrNotEnding means that a process has not ended in the time that it was given.
var ErrNotEnding = errors.New("process did not end in time")

// Stop sends sig and returns how the process ended, or an error that wraps
// ErrNotEnding and ctx's when ctx ends first.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal) error {
	p.Signal(sig)
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotEnding, ctx.Err())
	}
}

// Kill ends the process at once and waits until it has ended.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Ports that FreePort returns: above those of well-known servers, below the ports
// that systems choose for outgoing connections (32768 and up on Linux, 49152 and up
// elsewhere, RFC 6335 section 6) and below those of Kubernetes node ports. A server
// that is restarted finds its port free: between the two starts, no outgoing
// connection and no listener on port 0 has been given it.
const (
	firstPort = 15_000
	ports     = 15_000
)

// apart is how far from each other processes begin that are started one after the other.
const apart = 97

// given is how many ports FreePort has tried.
var given atomic.Uint32

// FreePort returns a TCP port of 127.0.0.1 that nothing listens on, and another one
// with each call. Another process may take it before the caller does.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + (os.Getpid()*apart+int(given.Add(1)))%ports
		var lis net.Listener
		if lis, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, lis.Close()
		}
	}
	return 0, fmt.Errorf("no free TCP port: %w", err)
}
