package localshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// backoff is the pause before a process is started again: the first, and the
	// longest after several deaths in a row.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
	// steady is how long a process has to live for its next death to count as
	// the first.
	steady = 5 * time.Second
	// stopTimeout is how long a process may take to end after SIGTERM.
	stopTimeout = 20 * time.Second
)

// supervised keeps a process running: whatever ends it, it is started again
// until it is stopped.
type supervised struct {
	name string
	// command makes the command of the next start, and what is to be closed once
	// it has started (what it inherits) and when it has ended.
	command func() (cmd *exec.Cmd, inherited, held []io.Closer, err error)
	log     *slog.Logger
	// onStart is called with the process id of each start; may be nil.
	onStart func(pid int)
	// pause before each start after a death; when 0, one that grows from
	// minBackoff to maxBackoff with deaths in a row.
	pause time.Duration

	live    atomic.Pointer[child] // the running process, else nil
	deaths  atomic.Int64          // in a row
	renewal atomic.Pointer[child] // the process that is to end for the next one
}

// pid is the process id, 0 when there is none.
func (s *supervised) pid() int {
	if c := s.live.Load(); c != nil {
		return c.cmd.Process.Pid
	}
	return 0
}

// run starts the process, again after each death, until ctx is done; then it
// has the process end and waits for it.
func (s *supervised) run(ctx context.Context) error {
	pause := minBackoff
	for {
		began := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was stopped
		}
		if errors.Is(err, errRenewed) {
			continue
		}
		if time.Since(began) > steady {
			pause = minBackoff
			s.deaths.Store(0)
		}
		s.deaths.Add(1)
		if s.pause > 0 {
			pause = s.pause
		}
		s.log.WarnContext(ctx, "process ended, starting it again", "process", s.name, "how", err, "in", pause)
		if retry.Sleep(ctx, pause) != nil {
			return nil
		}
		pause = min(2*pause, maxBackoff)
	}
}

// errRenewed is the end of a process that was stopped to start the next.
var errRenewed = errors.New("renewed")

// renew has the process end in good order and returns when the next one has
// started, which is at once.
func (s *supervised) renew(ctx context.Context) error {
	old := s.live.Load()
	if old == nil {
		return ErrNotRunning
	}
	s.renewal.Store(old)
	s.end(ctx, old)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if now := s.live.Load(); now != nil && now != old {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// once runs the process to its end.
func (s *supervised) once(ctx context.Context) error {
	cmd, inherited, held, err := s.command()
	if err != nil {
		return err
	}
	defer closeAll(held)
	p, err := start(cmd)
	closeAll(inherited)
	if err != nil {
		return err
	}
	s.live.Store(p)
	defer s.live.Store(nil)
	if s.onStart != nil {
		s.onStart(cmd.Process.Pid)
	}
	select {
	case <-p.done:
		if s.renewal.CompareAndSwap(p, nil) && p.err == nil {
			return errRenewed
		}
		return p.how()
	case <-ctx.Done():
	}
	s.end(ctx, p)
	<-p.done
	return nil
}

// end has a process end in good order, and kills it when it does not.
func (s *supervised) end(ctx context.Context, p *child) {
	p.signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopTimeout, func() {
		s.log.WarnContext(ctx, "process does not end, killing it", "process", s.name, "after", stopTimeout)
		p.signal(syscall.SIGKILL)
	})
	go func() { <-p.done; kill.Stop() }()
}

func closeAll(list []io.Closer) {
	for _, c := range list {
		c.Close()
	}
}

// child is a started process.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // read after done
}

// start starts cmd in a process group of its own, so that Ctrl-C at the
// terminal reaches the shop, which stops its parts in order, and not all at
// once. Where the system can do it, the process is killed when this one is gone.
func start(cmd *exec.Cmd) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The system watches the thread that started the child, so it has to stay.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// how says how the process ended; after done.
func (c *child) how() error {
	if c.err == nil {
		return errors.New("exit status 0")
	}
	return c.err
}

// signal does nothing to a process that has ended.
func (c *child) signal(sig syscall.Signal) {
	select {
	case <-c.done:
	default:
		_ = c.cmd.Process.Signal(sig) // it may end meanwhile
	}
}
