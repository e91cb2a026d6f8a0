//go:build unix

package pgtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
)

// Folder makes a folder for the files of a test's servers, and removes it after the test.
// It is in memory where there is room: each database is some three hundred files, and to
// make and remove them on a disk takes most of the time of tests that have many.
func Folder(t testing.TB) string {
	t.Helper()
	dir, remove, err := NewFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// NewFolder is Folder for a TestMain, which calls remove at the end. The next call on the
// machine removes what a process that was killed left.
func NewFolder() (dir string, remove func() error, err error) {
	parent := memory()
	if parent == "" {
		parent = os.TempDir()
	}
	removeLeft(parent)
	outer, err := os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return "", nil, err
	}
	lock, err := pgserver.LockFolder(outer)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(outer))
	}
	remove = func() error {
		defer pgserver.UnlockFolder(lock)
		return os.RemoveAll(outer)
	}
	dir = filepath.Join(outer, "files")
	// PostgreSQL has a user of its own where root runs the tests.
	if err := errors.Join(os.Chmod(outer, 0o711), os.Mkdir(dir, 0o711)); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return dir, remove, nil
}

const folderPrefix = "souk-test-"

// removeLeft removes the folders of processes that have ended, and ends the servers that
// they left.
func removeLeft(parent string) {
	for _, outer := range glob(parent, folderPrefix+"*") {
		info, err := os.Stat(outer)
		if err != nil || time.Since(info.ModTime()) < time.Minute { // may not be locked yet
			continue
		}
		lock, err := pgserver.LockFolder(outer)
		if err != nil {
			continue // in use, as a rule
		}
		for _, data := range glob(outer, "files/data", "files/*/data") {
			_ = pgserver.Discard(context.Background(), filepath.Dir(data))
		}
		_ = os.RemoveAll(outer) // another user's stay
		pgserver.UnlockFolder(lock)
	}
}

func glob(dir string, patterns ...string) (paths []string) {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		paths = append(paths, found...)
	}
	return paths
}
