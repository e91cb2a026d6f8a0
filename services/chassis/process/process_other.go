//go:build unix && !linux

package process

import (
	"os/exec"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// signalOnParentDeath does nothing: only Linux can.
func signalOnParentDeath(*syscall.SysProcAttr, syscall.Signal) {}

// Name returns the name of the program that a process runs.
func Name(pid int) (string, error) {
	comm, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	return path.Base(strings.TrimSpace(string(comm))), err
}
