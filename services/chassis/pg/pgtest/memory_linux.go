package pgtest

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// memory is a folder in memory with room for what the tests of all packages that run at
// once write, or "": 1 GiB for each CPU and 2 GiB more, in a machine with twice as much
// left. A container's own /dev/shm has 64 MiB, as a rule.
func memory() string {
	const dir, tmpfs = "/dev/shm", 0x01021994 // TMPFS_MAGIC of linux/magic.h
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil || fs.Type != tmpfs {
		return ""
	}
	wanted := uint64(runtime.NumCPU()+2) << 30
	if fs.Bavail*uint64(fs.Bsize) < wanted || available() < 2*wanted {
		return ""
	}
	return dir
}

// available is how many bytes of memory processes may still have, without swapping; 0 if
// the system does not tell.
func available() uint64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:")
		if !ok {
			continue
		}
		var kib uint64
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			return 0
		}
		return kib << 10
	}
	return 0
}
