package pgserver

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	capDACOverride   = 1
	capDACReadSearch = 2
)

func setCapabilities(attr *syscall.SysProcAttr, caps []uintptr) { attr.AmbientCaps = caps }

// searchCapability returns the least capability that this process can pass on
// and that lets another user search any directory; nil when it has none.
func searchCapability() []uintptr {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	permitted, bounding := capabilities(string(status), "CapPrm:"), capabilities(string(status), "CapBnd:")
	for _, c := range []uintptr{capDACReadSearch, capDACOverride} {
		if permitted&bounding&(1<<c) != 0 {
			return []uintptr{c}
		}
	}
	return nil
}

func capabilities(status, set string) uint64 {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, set); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return n
		}
	}
	return 0
}
