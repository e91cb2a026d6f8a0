//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// LockFolder keeps other processes from using the same folder: ErrInUse for them. The
// lock is the kernel's and ends with the process, or with UnlockFolder.
func LockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: another process serves %s", ErrInUse, dir)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// UnlockFolder gives the folder back. Closing alone would leave the lock to a
// process that is just being forked, until it has become another program.
func UnlockFolder(lock *os.File) {
	_ = syscall.Flock(int(lock.Fd()), syscall.LOCK_UN) // closing it is the second attempt
	_ = lock.Close()
}

// clearPostmaster deals with a postmaster of an earlier life. One that we
// started, whose parent was killed, is shut down; one that is not ours is left
// alone: ErrInUse. A postmaster.pid whose process id belongs to another process by
// now is removed, because PostgreSQL would believe it.
func (s *Server) clearPostmaster(ctx context.Context) error {
	name := filepath.Join(s.data, "postmaster.pid")
	pid, ok := readPid(name)
	if !ok || syscall.Kill(pid, 0) == syscall.ESRCH {
		return nil // PostgreSQL itself sees to a file whose process is gone
	}
	data, err := filepath.EvalSymlinks(s.data)
	if err != nil {
		return err
	}
	if !isPostmaster(pid, data) {
		s.log.WarnContext(ctx, "removed the lock file of a postgres that is gone", "file", name, "pid", pid)
		return os.Remove(name)
	}
	if ours, ok := readPid(filepath.Join(s.opts.Dir, "pid")); !ok || ours != pid {
		return fmt.Errorf("%w: postgres with process id %d serves %s; stop it first (kill -INT %d)", ErrInUse, pid, s.data, pid)
	}
	s.log.WarnContext(ctx, "shutting down the postgres of an earlier run", "pid", pid)
	return shutDown(ctx, pid, data)
}

// shutDown ends a postmaster that is not a child of this process.
func shutDown(ctx context.Context, pid int, data string) error {
	_ = syscall.Kill(pid, syscall.SIGINT)
	for range 600 {
		if syscall.Kill(pid, 0) == syscall.ESRCH || !isPostmaster(pid, data) {
			return nil
		}
		if err := retry.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: postgres with process id %d does not stop", ErrInUse, pid)
}

// Processes returns the process ids of the postmaster that serves a folder of data, first, and
// of its children; none when there is no such postmaster.
func Processes(data string) ([]int, error) {
	data, err := filepath.EvalSymlinks(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pid, ok := readPid(filepath.Join(data, "postmaster.pid"))
	if !ok || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || !isPostmaster(pid, data) {
		return nil, nil
	}
	children, err := childrenOf(pid)
	return append([]int{pid}, children...), err
}

// Discard removes the folder of a Disposable server whose process has been
// killed, and stops the server if it is still there. A folder that is in use,
// or not older than a minute, is left alone: ErrInUse.
func Discard(ctx context.Context, dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if time.Since(info.ModTime()) < time.Minute {
		return fmt.Errorf("%w: %s is new", ErrInUse, dir)
	}
	lock, err := LockFolder(dir)
	if err != nil {
		return err
	}
	defer UnlockFolder(lock)
	if data, err := filepath.EvalSymlinks(filepath.Join(dir, "data")); err == nil {
		if pid, ok := readPid(filepath.Join(dir, "pid")); ok && isPostmaster(pid, data) {
			if err := shutDown(ctx, pid, data); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(dir)
}

// readPid reads the process id in the first line of a file.
func readPid(name string) (int, bool) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	return pid, err == nil && pid > 1
}
