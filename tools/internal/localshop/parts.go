package localshop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// supervised is what keeps a part other than PostgreSQL running; an error when the
// part is inside of this process.
func (s *Shop) supervised(part string) (*process.Supervisor, error) {
	if p := s.supervisor(part); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s has no process of its own", part)
}

// supervisor is what keeps a part other than PostgreSQL running; nil when the part
// is inside of this process.
func (s *Shop) supervisor(part string) *process.Supervisor {
	if g := s.RedisGroup(); g != nil {
		if p := g.Process(part); p != nil {
			return p
		}
	}
	if part == topology.Redis {
		if s.redis == nil {
			return nil
		}
		return s.redis.proc
	}
	if part == topology.NATS {
		return s.broker.supervisor()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.processes[part]
}

// server is what keeps a PostgreSQL running; nil for other parts.
func (s *Shop) server(part string) *Postgres {
	switch part {
	case topology.Postgres:
		return s.postgres
	case topology.Replica:
		return s.replica
	}
	return nil
}

// Replay has the replica replay what its primary has written, or stop to: it answers from
// the past then.
func (s *Shop) Replay(ctx context.Context, goesOn bool) error {
	if s.replica == nil {
		return errors.New("the shop has no replica")
	}
	return s.replica.replay(ctx, goesOn)
}

// PID is the process id of a part, 0 while it has none of its own.
func (s *Shop) PID(part string) int {
	if p := s.server(part); p != nil {
		return p.PID()
	}
	if part == Varnish && s.edge != nil {
		return s.edge.running.Process().PID()
	}
	if p := s.supervisor(part); p != nil {
		return p.PID()
	}
	return 0
}

// LogPath is the log of a service's process.
func (s *Shop) LogPath(service string) string { return s.folder.join("logs", service+".log") }

// Signal sends a signal to a part's process. SIGSTOP and SIGCONT reach all
// processes of PostgreSQL, and all signals those of Varnish. A part that ends is started again. process.ErrNotRunning:
// it has just ended; any other error: it has no process of its own.
func (s *Shop) Signal(part string, sig syscall.Signal) error {
	if p := s.server(part); p != nil {
		return p.signal(sig)
	}
	if part == Varnish && s.edge != nil {
		return s.edge.running.Signal(sig)
	}
	p, err := s.supervised(part)
	if err != nil {
		return err
	}
	if err := p.Signal(sig); err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	return nil
}

// Kill ends a part at once, as a crash would; it is started again. It does
// nothing to one that is dead already.
func (s *Shop) Kill(part string) error {
	err := s.Signal(part, syscall.SIGKILL)
	if errors.Is(err, process.ErrNotRunning) {
		return nil
	}
	return err
}

// Restart ends a part in good order, waits for what it has under way, starts it
// again and returns when it answers. Connections to a service wait meanwhile.
func (s *Shop) Restart(ctx context.Context, part string) error {
	if p := s.server(part); p != nil {
		return p.restart(ctx)
	}
	p, err := s.supervised(part)
	if err != nil {
		return err
	}
	if err := p.Restart(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", part, err)
	}
	return s.Await(ctx, part)
}

// Await returns when a part answers and, if it is a service, says that it is
// ready; or when ctx is done, with the last failure. It asks the part itself,
// whatever Options.Route says.
func (s *Shop) Await(ctx context.Context, part string) error {
	if p, ok := topology.Find(part); s.listeners[part] == nil && part != topology.Replica && (part != Varnish || s.edge == nil) && (!ok || p.Kind != topology.Store) {
		return fmt.Errorf("no part %q", part)
	}
	err := poll(ctx, 10*time.Millisecond, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return s.Ready(ctx, part)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	return nil
}

// poll calls ready until it returns nil or ctx is done.
func poll(ctx context.Context, every time.Duration, ready func(context.Context) error) error {
	return retry.Do(ctx, retry.Policy{Backoff: retry.Backoff{Initial: every}}, ready)
}

// Ready asks a part once whether it is ready, itself, whatever Options.Route says.
func (s *Shop) Ready(ctx context.Context, part string) error {
	switch part {
	case topology.Postgres, topology.Replica:
		if s.cluster != nil {
			return s.cluster.ready(ctx, part == topology.Replica)
		}
		p := s.server(part)
		if p == nil {
			return errors.New("the shop has no replica")
		}
		conn, err := pgx.Connect(ctx, p.DSNs()[p.databases[0]])
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	case topology.Redis:
		if g := s.RedisGroup(); g != nil {
			return g.AwaitWhole(ctx)
		}
		return pingRedis(ctx, s.Addr(topology.Redis))
	case topology.NATS:
		if s.broker == nil {
			return errors.New("the shop has no broker of its own")
		}
		return s.broker.ask(ctx)
	case topology.Edge:
		return get(ctx, s.GatewayURL()+"/readyz")
	case Varnish:
		return get(ctx, s.edge.running.PurgeURL+"/healthz")
	case topology.Stripesim:
		return get(ctx, s.StripesimURL+"/_sim/summary")
	}
	conn, err := grpc.NewClient(s.Addr(part), grpc.WithTransportCredentials(s.identity.ClientCredentials(s.identityOf(part))))
	if err != nil {
		return err
	}
	defer conn.Close()
	status, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err == nil && status.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		err = errors.New(status.GetStatus().String())
	}
	return err
}

// identityOf is the name in a part's certificate.
func (s *Shop) identityOf(part string) string {
	for _, p := range s.parts {
		if p.Name == part {
			return p.Identity()
		}
	}
	return part
}

func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func pingRedis(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	context.AfterFunc(ctx, func() { conn.Close() })
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG"))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if !strings.HasPrefix(string(answer), "+PONG") {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}
