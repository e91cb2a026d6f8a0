//go:build unix

package store

import (
	"os"
	"syscall"
)

// lock takes the file for this process alone.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// unlock releases the file before it is closed. Closing it is not enough: the lock
// lives as long as any copy of the descriptor, and a process that is being started
// has one between fork and exec.
func unlock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
}
