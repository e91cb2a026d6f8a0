//go:build unix

package process

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

const (
	// steady is how long a process has to live for its next death to count as the
	// first.
	steady = 5 * time.Second
	// stopTimeout is how long a process may take to end after SIGTERM.
	stopTimeout = 20 * time.Second
)

// ErrNotRunning means that a supervised program has no process at the moment.
var ErrNotRunning = errors.New("is not running")

// Command is one start of a program.
type Command struct {
	Cmd *exec.Cmd
	// Inherited is closed once the process has started: its own copies stay open.
	Inherited []io.Closer
	// Held is closed when the process has ended.
	Held []io.Closer
}

func (c Command) close() {
	closeAll(c.Inherited)
	closeAll(c.Held)
}

func closeAll(list []io.Closer) {
	for _, c := range list {
		c.Close()
	}
}

// Config is what a Supervisor runs and how.
type Config struct {
	// Name of the program, for the log.
	Name string
	Log  *slog.Logger
	// Command makes the command of the next start. What an error leaves open it
	// closes itself.
	Command func() (Command, error)
	// OnStart is called with the process id of each start; may be nil.
	OnStart func(pid int)
	// OnParentDeath is what Linux sends the process when this one ends; SIGKILL when 0.
	OnParentDeath syscall.Signal
	// Pause before each start after a death; when 0, one that grows from 100 ms to
	// 2 s with deaths in a row.
	Pause time.Duration
}

// Supervisor keeps a program running: it starts the program again after each
// death.
type Supervisor struct {
	cfg Config

	mu      sync.Mutex
	live    *Process      // nil between two processes
	renewed *Process      // ended by Restart: its end is no death
	deaths  int           // in a row
	started chan struct{} // closed at the next start
}

// NewSupervisor returns a supervisor that runs nothing before Run.
func NewSupervisor(cfg Config) *Supervisor {
	return &Supervisor{cfg: cfg, started: make(chan struct{})}
}

// Run keeps the program running until ctx is done. Then it sends SIGTERM, SIGKILL
// after 20 seconds, and returns when the process has ended.
func (s *Supervisor) Run(ctx context.Context) {
	for {
		began := time.Now()
		restart, err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if restart {
			continue
		}
		pause := s.died(time.Since(began))
		s.cfg.Log.WarnContext(ctx, "process ended, starting it again", "process", s.cfg.Name, "how", err, "in", pause)
		if retry.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// died counts a death and returns the pause before the next start.
func (s *Supervisor) died(after time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after > steady {
		s.deaths = 0
	}
	s.deaths++
	if s.cfg.Pause > 0 {
		return s.cfg.Pause
	}
	return retry.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second}.Delay(s.deaths)
}

// once runs the program to its end. restart: Restart ended it and the next process
// starts at once.
func (s *Supervisor) once(ctx context.Context) (restart bool, err error) {
	c, err := s.cfg.Command()
	if err != nil {
		return false, err
	}
	p, err := Start(c.Cmd, cmp.Or(s.cfg.OnParentDeath, syscall.SIGKILL))
	if err != nil {
		c.close()
		return false, err
	}
	closeAll(c.Inherited)
	defer closeAll(c.Held)
	s.setLive(p)
	defer s.setLive(nil)
	if s.cfg.OnStart != nil {
		s.cfg.OnStart(p.PID())
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		s.stop(ctx, p)
		return false, nil
	}
	if err := p.Err(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewed == p, errors.New("exit status 0")
}

func (s *Supervisor) setLive(p *Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = p
	if p != nil {
		close(s.started)
		s.started = make(chan struct{})
	}
}

// stop ends p in good order, and kills it when that takes too long.
func (s *Supervisor) stop(ctx context.Context, p *Process) {
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if errors.Is(p.Stop(soon, syscall.SIGTERM), ErrNotEnding) {
		s.cfg.Log.WarnContext(ctx, "process does not end, killing it", "process", s.cfg.Name, "after", stopTimeout)
		p.Kill()
	}
}

// Restart ends the process in good order and returns when the next one has
// started, which is at once.
func (s *Supervisor) Restart(ctx context.Context) error {
	s.mu.Lock()
	old, started := s.live, s.started
	s.renewed = old
	s.mu.Unlock()
	if old == nil {
		return ErrNotRunning
	}
	go s.stop(ctx, old)
	select {
	case <-started:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Signal sends a signal to the process. A process that ends is started again.
func (s *Supervisor) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	p := s.live
	s.mu.Unlock()
	if p == nil {
		return ErrNotRunning
	}
	p.Signal(sig)
	return nil
}

// PID is the process id, 0 when there is none.
func (s *Supervisor) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		return 0
	}
	return s.live.PID()
}

// Deaths counts the ends of the process that Restart did not ask for, since it
// last ran for five seconds.
func (s *Supervisor) Deaths() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deaths
}
