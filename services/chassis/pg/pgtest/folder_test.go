//go:build unix

package pgtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
)

// TestFoldersOfTheDeadAreRemoved: the folder of a process that was killed goes;
// those of one that lives and of one that has only just made its own stay.
func TestFoldersOfTheDeadAreRemoved(t *testing.T) {
	t.Parallel()
	parent := Folder(t)
	folder := func(name string) (outer, files string) {
		t.Helper()
		outer = filepath.Join(parent, folderPrefix+name)
		files = filepath.Join(outer, "files")
		if err := os.MkdirAll(files, 0o711); err != nil {
			t.Fatal(err)
		}
		return outer, files
	}
	dead, files := folder("dead")
	if err := os.WriteFile(filepath.Join(files, "left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	living, _ := folder("living")
	lock, err := pgserver.LockFolder(living)
	if err != nil {
		t.Fatal(err)
	}
	defer pgserver.UnlockFolder(lock)
	fresh, _ := folder("new")
	old := time.Now().Add(-time.Hour)
	for _, outer := range []string{dead, living} {
		if err := os.Chtimes(outer, old, old); err != nil {
			t.Fatal(err)
		}
	}
	removeLeft(parent)
	for outer, stays := range map[string]bool{dead: false, living: true, fresh: true} {
		if _, err := os.Stat(outer); (err == nil) != stays {
			t.Errorf("%s: %v", filepath.Base(outer), err)
		}
	}
}
