package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
)

// quotaPeriod is in which time processors are counted.
const quotaPeriod = 100 * time.Millisecond

// quota bounds the processor time of processes, by a control group of the kernel.
type quota struct{ group string }

// newQuota makes a quota of so many processors, which may be parts of one. It needs the right
// to make control groups: root has it.
func newQuota(processors float64) (*quota, error) {
	share := strconv.FormatInt(int64(processors*float64(quotaPeriod.Microseconds())), 10)
	period := strconv.FormatInt(quotaPeriod.Microseconds(), 10)
	name := fmt.Sprint("souk-bench-", os.Getpid())
	q, files := &quota{filepath.Join("/sys/fs/cgroup", name)}, map[string]string{"cpu.max": share + " " + period} // version 2
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); errors.Is(err, fs.ErrNotExist) {
		q.group, files = filepath.Join("/sys/fs/cgroup/cpu", name), map[string]string{"cpu.cfs_period_us": period, "cpu.cfs_quota_us": share} // version 1
	}
	if err := os.Mkdir(q.group, 0o755); err != nil {
		return nil, fmt.Errorf("control group for a quota of processors: %w", err)
	}
	for file, value := range files {
		if err := os.WriteFile(filepath.Join(q.group, file), []byte(value), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("quota of processors: %w", err), os.Remove(q.group))
		}
	}
	return q, nil
}

// hold puts a process and all below it under the quota; what they start is, too.
func (q *quota) hold(pid int) error {
	children, err := childrenByParent()
	if err != nil {
		return err
	}
	for _, child := range children[pid] {
		if err := q.hold(child); err != nil {
			return err
		}
	}
	err = os.WriteFile(filepath.Join(q.group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600)
	if errors.Is(err, syscall.ESRCH) { // it has just ended
		return nil
	}
	return err
}

// release ends the quota, of which all processes have to end.
func (q *quota) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: 10 * time.Millisecond}}, func(context.Context) error {
		return os.Remove(q.group)
	})
}
