package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// brokerFaults are what happens to the broker of events. That it is cut off is among the
// partitions.
func brokerFaults() []Fault {
	return []Fault{{
		Name: "nats-kill", Group: "broker", Doc: "SIGKILL of NATS, again and again", Breaks: []string{topology.NATS},
		Inject: func(ctx context.Context, e *Environment) error { return e.kill(ctx, topology.NATS) },
	}, freezeFault("nats-freeze", "broker", topology.NATS, 15*time.Second), {
		Name: "nats-lost", Group: "broker", Doc: "all data of NATS is gone; then the logs are published anew", Times: 1, Forgets: true, Breaks: []string{topology.NATS},
		Inject: func(ctx context.Context, e *Environment) error {
			began := time.Now()
			lost, err := e.loseEvents(ctx)
			if err != nil {
				return err
			}
			e.Injected(lost, fmt.Sprintf("%d files of NATS were removed", lost))
			return e.rebuild(ctx, began, e.publishAnew)
		},
	}, brokerDiskFault()}
}

// loseEvents removes all data of the broker, and returns how many files there were.
func (e *Environment) loseEvents(ctx context.Context) (lost int, err error) {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	pid, err := e.running(ctx, topology.NATS)
	if err != nil {
		return 0, err
	}
	// Stopped, it writes nothing between the two.
	if err := e.Shop.Signal(topology.NATS, syscall.SIGSTOP); err != nil {
		return 0, err
	}
	lost, err = removeAll(e.Shop.BrokerDir())
	return lost, errors.Join(err, e.Shop.Kill(topology.NATS), e.replaced(ctx, topology.NATS, pid), e.Shop.Await(ctx, topology.NATS))
}

// publishAnew has each relay publish its log from the beginning, as operators do with a
// broker that lost what it had.
func (e *Environment) publishAnew(ctx context.Context) error {
	var err error
	for _, source := range e.witness.publishers {
		err = cmp.Or(err, e.database(ctx, source, func(conn *pgx.Conn) error { return log.Rewind(ctx, conn) }))
	}
	return err
}

// removeAll removes what is in a folder and returns how many files there were.
func removeAll(dir string) (files int, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files++
		}
		return err
	})
	return files, errors.Join(err, os.RemoveAll(dir))
}

// brokerDiskFault fills the filesystem that the broker's data is on.
func brokerDiskFault() Fault {
	small := &smallDisk{}
	return Fault{
		Name: "nats-disk-full", Group: "broker", Doc: "the filesystem of NATS' data has no byte left, for 5s (needs root)", Breaks: []string{topology.NATS},
		Arrange: func(opts *localshop.Options) (undo func() error, err error) {
			return small.mount(&opts.BrokerDir, topology.NATS)
		},
		Inject: func(ctx context.Context, e *Environment) error {
			filler := small.filler()
			before := e.witness.total()
			return e.during(ctx, 5*time.Second, func(ctx context.Context) error {
				return fill(ctx, filler)
			}, func(ctx context.Context) error {
				during := e.witness.total() - before
				behind, _, err := eventBacklog(ctx, e)
				if behind > 0 {
					e.Injected(1, fmt.Sprintf("%d events arrived while the disk filled up, and %d waited for it", during, behind))
				}
				return errors.Join(err, os.Remove(filler), e.Shop.Await(ctx, topology.NATS))
			})
		},
	}
}
