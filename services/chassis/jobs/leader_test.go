package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/souk-shop/souk/services/chassis/jobs"
	"github.com/souk-shop/souk/services/chassis/retry"
)

// network is a process's way to its database, which can be cut: as after a SIGKILL, the process
// says nothing more.
type network struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, errors.New("the network is cut")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

func (n *network) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = true
	for _, conn := range n.conns {
		_ = conn.Close()
	}
}

// TestPeriodicJobsAreTakenOver: one process of two inserts the periodic jobs, such as the review of
// payments that begins a reconciliation. When it dies without a word the other one does, once the
// lease of 15 s has ended.
func TestPeriodicJobsAreTakenOver(t *testing.T) {
	t.Parallel()
	pool := migrated(t)
	quiet := slog.New(slog.DiscardHandler)
	networks := map[string]*network{"one": {}, "two": {}}
	for id, n := range networks {
		cfg := pool.Config()
		cfg.ConnConfig.DialFunc = n.dial
		own, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
		if err != nil {
			t.Fatal(err)
		}
		workers := river.NewWorkers()
		river.AddWorker(workers, &worker{worked: make(chan string, 10_000)})
		client, err := jobs.Start(t.Context(), own, workers, jobs.Config{
			Workers: 1, Periodic: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(100*time.Millisecond), func() (river.JobArgs, *river.InsertOpts) {
				return plainArgs{EventID: id}, nil
			}, nil)},
			Configure: func(c *river.Config) { c.ID = id },
		}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
			defer cancel()
			_ = client.StopAndCancel(stopping) // the one that is cut off cannot
			n.end()
			own.Close()
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	insertedBy := func(after int64) (id string, last int64) {
		for {
			err := pool.QueryRow(ctx, "SELECT args ->> 'event_id', id FROM river_job WHERE id > $1 ORDER BY id DESC LIMIT 1", after).Scan(&id, &last)
			if err == nil {
				return id, last
			}
			if retry.Sleep(ctx, 20*time.Millisecond) != nil {
				t.Fatalf("no process inserts periodic jobs: %v", err)
			}
		}
	}
	leader, last := insertedBy(0)
	if other, n := insertedBy(last); other != leader || n <= last {
		t.Errorf("%s inserts beside %s", other, leader)
	}
	networks[leader].end()
	var newest int64 // what was under way may have come
	if err := pool.QueryRow(ctx, "SELECT max(id) FROM river_job").Scan(&newest); err != nil {
		t.Fatal(err)
	}
	cut := time.Now()
	for {
		var id string
		if id, newest = insertedBy(newest); id != leader {
			break
		}
	}
	t.Logf("periodic jobs went on after %v", time.Since(cut).Round(100*time.Millisecond))
}
