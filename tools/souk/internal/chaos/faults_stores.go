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
)

func postgresFaults() []Fault {
	return []Fault{{
		Name: "postgres-kill", Group: "postgres", Doc: "SIGKILL of PostgreSQL, which recovers",
		Strike: func(ctx context.Context, s *Stage) error { return s.kill(ctx, "postgres") },
	}, {
		Name: "postgres-restart", Group: "postgres", Doc: "PostgreSQL shuts down, ending all connections, and starts again",
		Strike: func(ctx context.Context, s *Stage) error {
			ctx, cancel := context.WithTimeout(ctx, comeback)
			defer cancel()
			pid := s.Shop.PID("postgres")
			if err := s.Shop.Restart(ctx, "postgres"); err != nil {
				return err
			}
			s.Struck(1, fmt.Sprintf("process %d became process %d", pid, s.Shop.PID("postgres")))
			return nil
		},
	}, freezeFault("postgres-freeze", "postgres", "postgres", 15*time.Second)}
}

func redisFaults() []Fault {
	return []Fault{{
		Name: "redis-flush", Group: "redis", Doc: "FLUSHALL, several times a second",
		Strike: func(ctx context.Context, s *Stage) error {
			for range 10 {
				n, err := flush(ctx, s.Shop.Addr("redis"))
				if err != nil {
					return err
				}
				if n > 0 {
					s.Struck(1, fmt.Sprintf("%d copies were lost", n))
				}
				if err := s.Hold(ctx, 150*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		},
	}, {
		Name: "redis-kill", Group: "redis", Doc: "SIGKILL of Redis, which comes back empty",
		Strike: func(ctx context.Context, s *Stage) error { return s.kill(ctx, "redis") },
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
