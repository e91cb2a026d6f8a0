package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/redisgroup"
	"github.com/souk-shop/souk/tools/internal/topology"
)

func postgresFaults() []Fault {
	return []Fault{{
		Name: "postgres-kill", Group: "postgres", Doc: "SIGKILL of PostgreSQL, which recovers", Breaks: []string{topology.Postgres},
		Inject: func(ctx context.Context, e *Environment) error { return e.kill(ctx, "postgres") },
	}, {
		Name: "postgres-restart", Group: "postgres", Doc: "PostgreSQL shuts down, ending all connections, and starts again", Breaks: []string{topology.Postgres},
		Inject: func(ctx context.Context, e *Environment) error {
			ctx, cancel := context.WithTimeout(ctx, recoverWithin)
			defer cancel()
			pid := e.Shop.PID("postgres")
			if err := e.Shop.Restart(ctx, "postgres"); err != nil {
				return err
			}
			e.Injected(1, fmt.Sprintf("process %d became process %d", pid, e.Shop.PID("postgres")))
			return nil
		},
	}, freezeFault("postgres-freeze", "postgres", "postgres", 15*time.Second)}
}

func redisFaults() []Fault {
	return []Fault{{
		Name: "redis-flush", Group: "redis", Doc: "FLUSHALL, several times a second", Breaks: []string{topology.Redis},
		Inject: func(ctx context.Context, e *Environment) error {
			for range 10 {
				n, err := flush(ctx, e.Shop.Addr("redis"))
				if err != nil {
					return err
				}
				if n > 0 {
					e.Injected(1, fmt.Sprintf("%d copies were lost", n))
				}
				if err := retry.Sleep(ctx, 150*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		},
	}, {
		Name: "redis-kill", Group: "redis", Doc: "SIGKILL of Redis, which comes back empty", Breaks: []string{topology.Redis},
		Inject: func(ctx context.Context, e *Environment) error { return e.kill(ctx, "redis") },
	}, freezeFault("redis-freeze", "redis", "redis", 15*time.Second),
		redisGroupFault("redis-failover-sentinel", localshop.SentinelRedis, "Redis watched by Sentinels: the primary stands still until a replica has its place, and comes back", loseRedis),
		redisGroupFault("redis-failover-cluster", localshop.ClusterRedis, "a cluster of Redis: a primary stands still until its replica has its place, and comes back", loseRedis),
		redisGroupFault("redis-reshard", localshop.ClusterRedis, "a cluster of Redis: a tenth of the keys moves from a server to another", func(ctx context.Context, e *Environment, g *redisgroup.Group) error {
			from, to, err := g.Reshard(ctx, redisSlotsMoved)
			if err != nil {
				return err
			}
			e.Injected(1, fmt.Sprintf("%d slots went from %s to %s", redisSlotsMoved, from, to))
			return g.AwaitWhole(ctx)
		}),
	}
}

const (
	// redisSlotsMoved is how many of the 16,384 slots of a cluster are moved.
	redisSlotsMoved = 1_600
	// redisWhole bounds a failover of Redis and the return of the server that stood still: a
	// Sentinel makes a replica of it after 10 s.
	redisWhole = time.Minute
)

// redisGroupFault breaks a shop on several Redis.
func redisGroupFault(name, kind, doc string, inject func(context.Context, *Environment, *redisgroup.Group) error) Fault {
	return Fault{
		Name: name, Group: "redis", Doc: doc, Breaks: []string{topology.Redis},
		Arrange: func(opts *localshop.Options) (func() error, error) {
			opts.Redis = kind
			return nil, nil //nolint:nilnil // there is nothing to undo
		},
		Inject: func(ctx context.Context, e *Environment) error {
			ctx, cancel := context.WithTimeout(ctx, redisWhole)
			defer cancel()
			return inject(ctx, e, e.Shop.RedisGroup())
		},
	}
}

// loseRedis has a primary stand still until others have its place.
func loseRedis(ctx context.Context, e *Environment, g *redisgroup.Group) error {
	primaries, err := g.Primaries(ctx)
	if err != nil {
		return err
	}
	lost := primaries[e.Rand.IntN(len(primaries))]
	began := time.Now()
	if err := g.Process(lost).Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	now, err := g.AwaitPrimaries(ctx, lost)
	took := time.Since(began)
	if err := errors.Join(err, g.Process(lost).Signal(syscall.SIGCONT)); err != nil {
		return err
	}
	e.Injected(1, fmt.Sprintf("%s stood still, and after %s the primaries were %s", lost, round(took), strings.Join(now, ", ")))
	return g.AwaitWhole(ctx)
}

// flush empties Redis and returns how many keys there were.
func flush(ctx context.Context, addr string) (keys int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "MULTI\r\nDBSIZE\r\nFLUSHALL\r\nEXEC\r\n"); err != nil {
		return 0, err
	}
	// "+OK", "+QUEUED", "+QUEUED", "*2", ":42", "+OK"
	in := bufio.NewScanner(conn)
	var answers []string
	for len(answers) < 6 && in.Scan() {
		answers = append(answers, in.Text())
	}
	if err := in.Err(); err != nil {
		return 0, err
	}
	if len(answers) < 6 || answers[5] != "+OK" {
		return 0, fmt.Errorf("redis answered %q", answers)
	}
	return strconv.Atoi(strings.TrimPrefix(answers[4], ":"))
}
