//go:build unix && !linux

package process

import "syscall"

// signalOnParentDeath does nothing: only Linux can.
func signalOnParentDeath(*syscall.SysProcAttr, syscall.Signal) {}
