package bench

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// apart gives this process, the shoppers, half of the machine's processors and
// returns what runs start so that the process it starts has the others: people
// bring processors of their own. It reports how many each side has. On a machine
// with one processor all share it.
func apart() (on func(start func() error) error, shoppers, shop int, err error) {
	var all, here, there unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, 0, 0, err
	}
	n := all.Count()
	if n < 2 {
		return func(start func() error) error { return start() }, n, n, nil
	}
	for cpu, left := 0, n; left > 0; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		if left > n/2 {
			there.Set(cpu)
		} else {
			here.Set(cpu)
		}
		left--
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, 0, 0, err
	}
	for _, task := range tasks { // threads that come later are like the one that makes them
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return nil, 0, 0, err
		}
		if err := unix.SchedSetaffinity(tid, &here); err != nil {
			return nil, 0, 0, err
		}
	}
	runtime.GOMAXPROCS(here.Count())
	return func(start func() error) error {
		// A process is where the thread was that made it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.SchedSetaffinity(0, &there); err != nil {
			return err
		}
		err := start()
		if back := unix.SchedSetaffinity(0, &here); err == nil {
			err = back
		}
		return err
	}, here.Count(), there.Count(), nil
}
