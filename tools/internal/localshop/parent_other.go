//go:build unix && !linux

package localshop

import "syscall"

// endWithParent can do nothing here: services watch a pipe, and Redis is dealt
// with at the next start.
func endWithParent(*syscall.SysProcAttr) {}
