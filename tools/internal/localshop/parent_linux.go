package localshop

import "syscall"

// endWithParent has the kernel kill the child when its parent is gone, even by
// SIGKILL.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
