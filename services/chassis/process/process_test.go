//go:build unix

package process

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

func within(t *testing.T, d time.Duration, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(d):
		t.Fatalf("no %s within %v", what, d)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	if _, err := Start(exec.Command("/no/such/program"), syscall.SIGKILL); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("start what there is not: %v", err)
	}
	p, err := Start(exec.Command("sleep", "1000"), syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if group, err := syscall.Getpgid(p.PID()); err != nil || group != p.PID() {
		t.Errorf("process %d is in group %d, %v", p.PID(), group, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Stop(soon, syscall.SIGCONT); !errors.Is(err, ErrNotEnding) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop with a signal that ends nothing: %v", err)
	}
	var exit *exec.ExitError
	if err := p.Stop(t.Context(), syscall.SIGTERM); !errors.As(err, &exit) || !errors.Is(err, p.Err()) {
		t.Errorf("stop: %v, ended with %v", err, p.Err())
	}
	within(t, time.Second, "end", p.Done())
	p.Signal(syscall.SIGTERM) // nothing to reach
}

// TestParentDeath starts a parent that starts a child, kills the parent and sees
// the child end.
func TestParentDeath(t *testing.T) {
	if os.Getenv("PROCESS_TEST_PARENT") != "" {
		p, err := Start(exec.Command("sleep", "1000"), syscall.SIGTERM)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(os.Stdout, "child "+strconv.Itoa(p.PID())+"\n")
		<-p.Done()
		return
	}
	t.Parallel()
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("only Linux ends a child with its parent")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestParentDeath$")
	cmd.Env = append(os.Environ(), "PROCESS_TEST_PARENT=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(parent.Kill)
	b := make([]byte, 64)
	n, err := out.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Fields(string(b[:n]))
	if len(line) < 2 || line[0] != "child" {
		t.Fatalf("the parent wrote %q", b[:n])
	}
	child, err := strconv.Atoi(line[1])
	if err != nil {
		t.Fatal(err)
	}
	parent.Kill()
	deadline := time.Now().Add(10 * time.Second)
	for alive(t, line[1]) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatalf("process %d has outlived its parent", child)
		}
		if err := retry.Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// alive reports whether a process runs; one that has ended and was not waited for
// does not.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(after, "Z")
}

// TestFreePort: a port can be listened on, is no one that the system gives to an
// outgoing connection, and is returned once.
func TestFreePort(t *testing.T) {
	t.Parallel()
	lowest, given := 32768, map[int]bool{}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if lowest, err = strconv.Atoi(strings.Fields(string(b))[0]); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if port >= lowest {
			t.Errorf("port %d can be taken by an outgoing connection", port)
		}
		if given[port] {
			t.Errorf("port %d is returned again", port)
		}
		given[port] = true
		lis, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		lis.Close()
	}
}

type closer struct{ closed chan struct{} }

func newCloser() closer { return closer{make(chan struct{})} }

func (c closer) Close() error { close(c.closed); return nil }

func TestSupervisor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	starts := make(chan int, 100)
	inherited, held := newCloser(), newCloser()
	n := 0
	s := NewSupervisor(Config{
		Name: "sleeper", Log: slog.New(slog.DiscardHandler), OnStart: func(pid int) { starts <- pid },
		Command: func() (Command, error) {
			switch n++; n {
			case 1:
				return Command{}, errors.New("not yet")
			case 2:
				return Command{Cmd: exec.Command("false"), Inherited: []io.Closer{inherited}, Held: []io.Closer{held}}, nil
			}
			return Command{Cmd: exec.Command("sh", "-c", "trap 'exit 0' TERM; echo; while :; do sleep 0.01; done")}, nil
		},
	})
	if err := errors.Join(s.Signal(syscall.SIGTERM), s.Restart(ctx)); !errors.Is(err, ErrNotRunning) || s.PID() != 0 {
		t.Errorf("before Run: %v, process id %d", err, s.PID())
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	next := func() int {
		t.Helper()
		select {
		case pid := <-starts:
			return pid
		case <-time.After(20 * time.Second):
			t.Fatal("the supervisor did not start the process again")
		}
		return 0
	}
	next()
	within(t, time.Second, "end of what the process inherits", inherited.closed)
	within(t, time.Second, "end of what is held for the process", held.closed)
	pid := next()
	if s.Deaths() != 2 || s.PID() != pid {
		t.Errorf("%d deaths, process id %d, not %d", s.Deaths(), s.PID(), pid)
	}
	if err := s.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if next() == pid || s.Deaths() != 3 {
		t.Errorf("%d deaths after SIGKILL", s.Deaths())
	}
	cancel()
	within(t, 10*time.Second, "end of Run", done)
	if s.PID() != 0 {
		t.Errorf("process id %d after Run", s.PID())
	}
}

// TestRestart: a restart is no death, and the next process starts without a pause.
func TestRestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started, ready := make(chan struct{}, 100), make(chan struct{}, 100)
	s := NewSupervisor(Config{Name: "restarted", Log: slog.New(slog.DiscardHandler), Pause: time.Hour, OnStart: func(int) { started <- struct{}{} }, Command: func() (Command, error) {
		cmd := exec.Command("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
		r, w, err := os.Pipe()
		if err != nil {
			return Command{}, err
		}
		cmd.Stdout = w
		go func() {
			if _, err := r.Read(make([]byte, 16)); err == nil {
				ready <- struct{}{}
			}
		}()
		return Command{Cmd: cmd, Inherited: []io.Closer{w}, Held: []io.Closer{r}}, nil
	}})
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	within(t, 10*time.Second, "first start", started)
	within(t, 10*time.Second, "first process", ready)
	pid := s.PID()
	soon, cancelSoon := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancelSoon()
	if err := s.Restart(soon); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "second process", ready)
	if now := s.PID(); now == pid || now == 0 || s.Deaths() != 0 {
		t.Errorf("process %d is now %d, %d deaths", pid, now, s.Deaths())
	}
	cancel()
	within(t, 10*time.Second, "end of Run", done)
}
