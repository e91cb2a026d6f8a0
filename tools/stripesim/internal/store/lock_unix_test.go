//go:build unix

package store

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestClosingReleasesTheJournal: a copy of its descriptor, as a process that is being
// started has one between fork and exec, does not keep it in use.
func TestClosingReleasesTheJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	open := func() *journal {
		t.Helper()
		j, err := openJournal(path, func(*Entry) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	copied, err := syscall.Dup(int(j.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(copied)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if err := open().close(); err != nil {
		t.Fatal(err)
	}
}
