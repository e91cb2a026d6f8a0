//go:build unix

package patroni

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// stopTimeout bounds a stop of the whole cluster in good order.
const stopTimeout = 30 * time.Second

// part is a program of the cluster that is kept running: an etcd, or the Patroni of a node, with
// the PostgreSQL that this one has started.
type part struct {
	name string
	dir  string
	data string // of PostgreSQL; "" of an etcd
	log  *slog.Logger
	// command makes the command; mark is in its arguments and in no other program's.
	command func() *exec.Cmd
	mark    string

	mu         sync.Mutex
	supervisor *process.Supervisor
	end        context.CancelFunc // nil while it is down
	done       chan struct{}
}

// up starts the part, and again whenever it ends. It does nothing to one that is up.
func (p *part) up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		return
	}
	var ctx context.Context
	ctx, p.end = context.WithCancel(context.Background())
	p.done = make(chan struct{})
	p.supervisor = process.NewSupervisor(process.Config{
		// Patroni ends its PostgreSQL upon SIGTERM; after SIGKILL that would live on.
		Name: p.name, Log: p.log, OnParentDeath: syscall.SIGTERM,
		Command: func() (process.Command, error) {
			log, err := openLog(filepath.Join(p.dir, p.name+".log"))
			if err != nil {
				return process.Command{}, err
			}
			cmd := p.command()
			cmd.Stdout, cmd.Stderr = log, log
			return process.Command{Cmd: cmd, Inherited: []io.Closer{log}}, nil
		},
		OnStart: func(pid int) {
			if err := os.WriteFile(p.pidFile(), []byte(strconv.Itoa(pid)), 0o600); err != nil {
				p.log.WarnContext(ctx, "process id not noted", "process", p.name, "error", err)
			}
		},
	})
	go func() {
		defer close(p.done)
		p.supervisor.Run(ctx)
	}()
}

const maxLogBytes = 16 << 20

// openLog opens a log for appending, empty if it has grown too long.
func openLog(name string) (*os.File, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(name); err == nil && info.Size() > maxLogBytes {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(name, flags, 0o600)
}

func (p *part) pidFile() string { return filepath.Join(p.dir, p.name+".pid") }

// pid is the process id of the part's own program, 0 while it has none.
func (p *part) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.supervisor == nil {
		return 0
	}
	return p.supervisor.PID()
}

// down has the part not be started again, and returns what waits for its end.
func (p *part) down() (wait func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end == nil {
		return func() {}
	}
	p.end()
	p.end = nil
	done := p.done
	return func() { <-done }
}

// stop ends the part, and its PostgreSQL in good order; at once when ctx ends first. Patroni and
// etcd are killed, which loses nothing: what they would do in good order is to hand over to
// others, and those end, too.
func (p *part) stop(ctx context.Context) error {
	wait := p.down()
	if pid := p.pid(); pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
	}
	wait()
	if p.data != "" {
		if err := p.shutDown(ctx); err != nil {
			return err
		}
	}
	err := p.signal(syscall.SIGKILL) // what was not shut down in time
	if removed := os.Remove(p.pidFile()); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// shutDown shuts the part's PostgreSQL down in good order, and returns when it is gone or ctx
// has ended.
func (p *part) shutDown(ctx context.Context) error {
	pids, err := pgserver.Processes(p.data)
	if err != nil || len(pids) == 0 {
		return err
	}
	if err := syscall.Kill(pids[0], syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	for !gone(pids[0]) && retry.Sleep(ctx, 10*time.Millisecond) == nil {
	}
	return nil
}

// kill ends the part and all of its PostgreSQL at once, as the loss of its machine does, and
// leaves it so.
func (p *part) kill() error {
	// First none may notice the end of another.
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	wait := p.down() // its SIGTERM reaches a process that is stopped
	err := p.signal(syscall.SIGKILL)
	wait()
	return errors.Join(err, p.signal(syscall.SIGKILL))
}

// signal sends a signal to the part's program and to all processes of its PostgreSQL.
func (p *part) signal(sig syscall.Signal) error {
	send := func(pid int) error {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal %s: %w", p.name, err)
		}
		return nil
	}
	if pid := p.pid(); pid != 0 {
		if err := send(pid); err != nil {
			return err
		}
	}
	if p.data == "" {
		return nil
	}
	pids, err := pgserver.Processes(p.data)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := send(pid); err != nil {
			return err
		}
	}
	if sig == syscall.SIGKILL && len(pids) > 0 {
		// A PostgreSQL does not start while a process of the one before is there.
		return p.awaitEnd(pids)
	}
	return nil
}

// awaitEnd waits until processes that were killed are gone.
func (p *part) awaitEnd(pids []int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, pid := range pids {
		for !gone(pid) {
			if err := retry.Sleep(ctx, 5*time.Millisecond); err != nil {
				return fmt.Errorf("%s: process %d does not end: %w", p.name, pid, err)
			}
		}
	}
	return nil
}

// gone reports whether a process has ended, waited for or not.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false // no /proc: not before it was waited for
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

// clear ends what an earlier life has left whose parent was killed.
func (p *part) clear(ctx context.Context) error {
	if b, err := os.ReadFile(p.pidFile()); err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return fmt.Errorf("%s: %w", p.pidFile(), err)
		}
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), p.mark) {
			p.log.WarnContext(ctx, "ending a program of an earlier run", "process", p.name, "pid", pid)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
			if err := p.awaitEnd([]int{pid}); err != nil {
				return err
			}
		}
	}
	return p.signal(syscall.SIGKILL)
}
