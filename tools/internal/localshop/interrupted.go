package localshop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/patroni"
)

// ErrRestoreInterrupted means that a restore has begun on a data folder and not ended: part of what is
// there is from before it, part from after it.
var ErrRestoreInterrupted = errors.New("a restore was interrupted, and the data is of no one moment: run `souk restore --to TIME`, which first puts back what was set aside")

// orphanTimeout bounds the wait for a PostgreSQL whose parent was killed; it shuts down by itself.
const orphanTimeout = 30 * time.Second

// underWay is a restore that has begun and not ended. It is noted before anything is moved.
type underWay struct {
	// Suffix is what the names of the folders end with that are set aside.
	Suffix string `json:"suffix"`
	// Folders are those that the restore replaces.
	Folders []replaced `json:"folders"`
}

// replaced is a folder that a restore replaces.
type replaced struct {
	// Path is relative to the data folder if it is in it.
	Path string `json:"path"`
	// Missing says that there was none: what is there since is the restore's.
	Missing bool `json:"missing,omitempty"`
}

// relative is a path as underWay has it, which a data folder that is moved takes with it.
func (f *folder) relative(path string) string {
	if within, err := filepath.Rel(f.path, path); err == nil && filepath.IsLocal(within) {
		return within
	}
	return path
}

func (f *folder) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return f.join(path)
}

// checkWhole refuses a folder on which a restore was interrupted.
func (f *folder) checkWhole() error {
	b, err := f.readBackups()
	if err == nil && b != nil && b.UnderWay != nil {
		err = fmt.Errorf("%s: %w", f.path, ErrRestoreInterrupted)
	}
	return err
}

// noteUnderWay notes the restore that is under way, nil for none. A folder of which nothing else is
// known has no file then.
func (f *folder) noteUnderWay(u *underWay) error {
	b, err := f.readBackups()
	if err != nil {
		return err
	}
	if b == nil {
		b = &backups{}
	}
	if b.UnderWay = u; u == nil && b.Repository == "" {
		return errors.Join(os.Remove(f.join(backupsName)), syncPath(f.path))
	}
	return f.writeBackups(b)
}

// putBackInterrupted puts back what a restore has set aside that was interrupted, if one was.
func (f *folder) putBackInterrupted(ctx context.Context, progress func(string)) error {
	b, err := f.readBackups()
	if err != nil || b == nil || b.UnderWay == nil {
		return err
	}
	progress("putting back what an interrupted restore has set aside")
	return f.putBack(ctx, b.UnderWay)
}

// putBack puts back what a restore has set aside, in place of what is there, and notes that none is
// under way. It may be interrupted, too, and be repeated.
func (f *folder) putBack(ctx context.Context, u *underWay) error {
	var errs []error
	for _, r := range u.Folders {
		errs = append(errs, r.putBack(ctx, f.absolute(r.Path), u.Suffix))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return f.noteUnderWay(nil)
}

func (r replaced) putBack(ctx context.Context, path, suffix string) error {
	if !r.Missing {
		aside := path + suffix
		_, err := os.Lstat(aside)
		if errors.Is(err, fs.ErrNotExist) { // not set aside yet, or put back already
			if _, err := os.Lstat(path); err != nil {
				return fmt.Errorf("neither %s nor what was set aside of it is there: %w", aside, err)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	if err := awaitOrphans(ctx, path); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil || r.Missing {
		return err
	}
	return move(path+suffix, path)
}

// awaitOrphans returns when no PostgreSQL serves the data in path, that of one server or of a cluster.
func awaitOrphans(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	data := []string{path}
	for _, node := range patroni.Nodes {
		data = append(data, filepath.Join(path, node, "data"))
	}
	for _, dir := range data {
		for {
			pids, err := pgserver.Processes(dir)
			if err != nil {
				return err
			}
			if len(pids) == 0 {
				break
			}
			if err := retry.Sleep(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("%w: postgres with process id %d serves %s; stop it first (kill -INT %d)", pgserver.ErrInUse, pids[0], dir, pids[0])
			}
		}
	}
	return nil
}

// move renames a folder, and returns when a loss of power does not undo it.
func move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncPath(filepath.Dir(to))
}

// syncPath has the system write the names in a folder to the disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
