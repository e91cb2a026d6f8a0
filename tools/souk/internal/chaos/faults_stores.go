package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
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
	}, freezeFault("redis-freeze", "redis", "redis", 15*time.Second)}
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
