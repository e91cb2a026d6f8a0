//go:build unix && !linux

package pgserver

import "syscall"

func setCapabilities(*syscall.SysProcAttr, []uintptr) {}

func searchCapability() []uintptr { return nil }
