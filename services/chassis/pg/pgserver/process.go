//go:build unix

package pgserver

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// process is the postmaster.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; read after done
}

// startProcess starts cmd as the leader of a process group of its own, so that
// a Ctrl-C at the terminal reaches the shop and not its database, and so that,
// where the system can do it, it ends with this process.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	ownGroup(cmd)
	endWithParent(cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		// The system watches the thread that started the child and not the whole
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
		return nil, err
	}
	return p, nil
}

// ownGroup makes cmd the leader of a process group, which is ended as a whole
// when cmd is canceled.
func ownGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if cmd.Cancel != nil {
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(sig os.Signal) {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(sig)
	}
}

// childrenOf returns the process ids of a process's children.
func childrenOf(pid int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var children []int
	for line := range strings.Lines(string(out)) {
		var child, parent int
		if _, err := fmt.Sscan(line, &child, &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children, nil
}

// exitError is the end of a postmaster that should have come up.
type exitError struct {
	err error
	log string // what it wrote
}

func (e *exitError) Error() string {
	return fmt.Sprintf("postgres did not start: %v\n%s", e.err, strings.TrimSpace(e.log))
}

func (e *exitError) Unwrap() error { return e.err }

func (e *exitError) portTaken() bool { return strings.Contains(e.log, "Address already in use") }

// dying reports that processes of the last postmaster are still there.
func (e *exitError) dying() bool {
	return strings.Contains(e.log, "pre-existing shared memory block") || strings.Contains(e.log, "postmaster.pid\" already exists")
}

const maxLogBytes = 8 << 20

// openLog opens the log for appending, empty if it has grown too long, and
// returns its length.
func openLog(name string) (*os.File, int64, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(name); err == nil && info.Size() > maxLogBytes {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// readFrom returns the end of a file from an offset, at most 4 kB.
func readFrom(name string, offset int64) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, 4<<10))
	return string(b)
}
