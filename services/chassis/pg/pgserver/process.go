//go:build unix

package pgserver

import (
	"fmt"
	"io"
	"os"
	"strings"
)

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
