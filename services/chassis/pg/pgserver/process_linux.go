package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/services/chassis/process"
)

// isPostmaster reports whether a live process is a postmaster of dir. A process
// id read from an old file may by now be another process's.
func isPostmaster(pid int, dir string) bool {
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil {
		return cwd == dir
	}
	name, err := process.Name(pid)
	return err == nil && strings.HasPrefix(name, "postgres")
}

// childrenOf returns the process ids of a process's children. It reads /proc: a
// small system has no ps.
func childrenOf(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	if len(stats) == 0 {
		return nil, fmt.Errorf("list processes: nothing in /proc")
	}
	var children []int
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// "PID (COMMAND) STATE PARENT ..."; a command may have parentheses in it.
		s := string(stat)
		var state string
		var parent int
		if _, err := fmt.Sscan(s[strings.LastIndexByte(s, ')')+1:], &state, &parent); err != nil || parent != pid {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			children = append(children, child)
		}
	}
	return children, nil
}
