package process

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

func signalOnParentDeath(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// Name returns the name of the program that a process runs, at most 15 bytes of it. It
// reads /proc: a small system has no ps.
func Name(pid int) (string, error) {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(comm)), err
}
