package pgserver

import (
	"fmt"
	"os"
	"strings"
)

// isPostmaster reports whether a live process is a postmaster of dir. A process
// id read from an old file may by now be anybody's.
func isPostmaster(pid int, dir string) bool {
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil {
		return cwd == dir
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.HasPrefix(string(name), "postgres")
}
