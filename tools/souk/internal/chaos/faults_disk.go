package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
)

const (
	diskBytes = 400 << 20
	// diskFullCode is PostgreSQL's for no space.
	diskFullCode = "53100"
)

// smallDisk is a small filesystem of a fault's own.
type smallDisk struct {
	mu  sync.Mutex
	dir string // where it is mounted
}

// mount mounts it and sets dir to the folder name on it.
func (d *smallDisk) mount(dir *string, name string) (undo func() error, err error) {
	top, undo, err := mountSmall()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.dir = top
	d.mu.Unlock()
	*dir = filepath.Join(top, name)
	return undo, nil
}

// filler is the file that takes what is left of it.
func (d *smallDisk) filler() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return filepath.Join(d.dir, "filler")
}

// diskFault fills the filesystem that the database is on, a small one of its own.
func diskFault() []Fault {
	small := &smallDisk{}
	return []Fault{{
		Name: "disk-full", Group: "disk", Doc: "the filesystem of PostgreSQL's data has no byte left, for 5s (needs root)",
		Arrange: func(opts *localshop.Options) (undo func() error, err error) {
			return small.mount(&opts.PostgresDir, "postgres")
		},
		Inject: func(ctx context.Context, e *Environment) error {
			filler := small.filler()
			return e.during(ctx, 5*time.Second, func(ctx context.Context) error {
				if err := fill(ctx, filler); err != nil {
					return err
				}
				limited, cancel := context.WithTimeout(ctx, 20*time.Second)
				defer cancel()
				// While it recovers, which needs space, too, it says something else.
				err := until(limited, "PostgreSQL says that the disk is full", func() (bool, error) {
					return noSpace(limited, e.Shop.DSN("cart")), nil
				})
				if err != nil {
					return err
				}
				e.Injected(1, "PostgreSQL answered with 53100, no space left on device")
				return nil
			}, func(ctx context.Context) error {
				return errors.Join(os.Remove(filler), e.Shop.Await(ctx, "postgres"))
			})
		},
	}}
}

// fill writes to a file until the filesystem is full.
func fill(ctx context.Context, name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for size := 1 << 20; size >= 1; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		_, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 16 // the rest goes in smaller pieces
		case err != nil:
			return err
		}
	}
	return nil
}

// noSpace asks the database for space and reports whether it says that there is
// none.
func noSpace(ctx context.Context, dsn string) bool {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return isDiskFull(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "SET temp_buffers = '1MB'; CREATE TEMP TABLE filler AS SELECT repeat(md5(n::text), 60) FROM generate_series(1, 20000) n")
	return isDiskFull(err)
}

func isDiskFull(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == diskFullCode
}

// mountSmall mounts a small filesystem of its own.
func mountSmall() (dir string, undo func() error, err error) {
	if os.Geteuid() != 0 {
		return "", nil, errors.New("it takes root to mount a small filesystem")
	}
	top, err := os.MkdirTemp("", "souk-disk-")
	if err != nil {
		return "", nil, err
	}
	image, dir := filepath.Join(top, "image"), filepath.Join(top, "disk")
	fail := func(err error) (string, func() error, error) {
		return "", nil, errors.Join(err, os.RemoveAll(top))
	}
	if err := errors.Join(os.Chmod(top, 0o755), os.Mkdir(dir, 0o755), os.WriteFile(image, nil, 0o600), os.Truncate(image, diskBytes)); err != nil {
		return fail(err)
	}
	for _, argv := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-m", "0", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fail(fmt.Errorf("%s: %w: %s", argv[0], err, out))
		}
	}
	return dir, func() error {
		// What was ended may hold it for a moment.
		var err error
		for range 50 {
			var out []byte
			if out, err = exec.Command("umount", dir).CombinedOutput(); err == nil {
				return os.RemoveAll(top)
			}
			err = fmt.Errorf("umount: %w: %s", err, out)
			_ = retry.Sleep(context.Background(), 100*time.Millisecond) // the run's context may have ended
		}
		return err // and the folder stays: the filesystem is below it
	}, nil
}
