package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the kernel's USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// usage is what a process has used.
type usage struct {
	cpu time.Duration
	// peak is the largest resident set of the process so far, in bytes.
	peak int64
	// anon, file and shmem are the parts of its resident set now, in bytes.
	anon, file, shmem int64
}

// usageOf reads a process from /proc. PostgreSQL is a family: with family, all
// below the process count too, and those of them that have ended. The kernel keeps no peak
// of a family, so its peak is the memory of all as they are now, with what they share
// counted once.
func usageOf(pid int, family bool) (usage, error) {
	total, err := usageOfOne(pid, family)
	if err != nil || !family {
		return total, err
	}
	children, err := childrenByParent()
	if err != nil {
		return usage{}, err
	}
	for _, child := range children[pid] {
		u, err := usageOfOne(child, false)
		if err != nil {
			continue // it has just ended
		}
		total.cpu += u.cpu
		total.anon += u.anon
		total.file = max(total.file, u.file)
		total.shmem = max(total.shmem, u.shmem)
	}
	total.peak = total.anon + total.file + total.shmem
	return total, nil
}

func usageOfOne(pid int, ended bool) (usage, error) {
	var u usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The second field is the name in brackets and may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	times := []int{11, 12} // utime, stime
	if ended {
		times = append(times, 13, 14) // cutime, cstime
	}
	for _, i := range times {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(n) * clockTick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmHWM": &u.peak, "RssAnon": &u.anon, "RssFile": &u.file, "RssShmem": &u.shmem}[name]
		if into == nil {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return u, err
		}
		*into = kb << 10
	}
	return u, nil
}

func childrenByParent() (map[int][]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	if len(stats) == 0 {
		return nil, fmt.Errorf("processor time and memory are read from /proc, and there is none")
	}
	out := map[int][]int{}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		ppid, err2 := strconv.Atoi(string(fields[1]))
		if err1 == nil && err2 == nil {
			out[ppid] = append(out[ppid], pid)
		}
	}
	return out, nil
}
