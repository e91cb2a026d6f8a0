//go:build unix && !linux

package pgserver

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/souk-shop/souk/services/chassis/process"
)

// isPostmaster reports whether a live process is a postmaster.
func isPostmaster(pid int, _ string) bool {
	name, err := process.Name(pid)
	return err == nil && strings.HasPrefix(name, "postgres")
}

// childrenOf returns the process ids of a process's children.
func childrenOf(pid int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var children []int
	for line := range strings.Lines(string(out)) {
		var child, parent int
		if _, err := fmt.Sscan(line, &child, &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children, nil
}
