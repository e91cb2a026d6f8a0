package service_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/crash"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/pg"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/service"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type shopConfig struct {
	service.Config
	Every time.Duration `env:"EVERY, default=1h"`
}

func (c *shopConfig) Validate() error {
	if c.Every < 0 {
		return errors.New("EVERY is negative")
	}
	return nil
}

// events are what happened, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, name)
}

// TestRun: defaults are there before Build, health waits for the migration as what
// needs the database does, the admin listener says the same to those who have no
// certificate, and everything stops in order.
func TestRun(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	probes, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ca := identitytest.Authority(t)
	cfg := &shopConfig{Config: service.Config{
		Server: rpc.ServerConfig{Listener: lis}, Identity: identitytest.Files(t, identitytest.Issue(t, ca, "shop"), ca),
		Postgres:  pg.Config{DSN: config.Secret(pgtest.New(t, nil))},
		Telemetry: telemetry.Config{LogOutput: io.Discard}, Migrate: true, Admin: admin.Config{Listener: probes},
	}}
	var seen events
	mayMigrate, began := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, cfg, service.Spec{
			Name: "shop",
			Migrate: func(ctx context.Context, c pg.Config, _ *slog.Logger) error {
				<-mayMigrate
				seen.add("migrate")
				pool, err := pgxpool.New(ctx, c.DSN.Reveal())
				if err != nil {
					return err
				}
				defer pool.Close()
				_, err = pool.Exec(ctx, "CREATE TABLE goods ()")
				return err
			},
			Migrated: func(ctx context.Context, pool *pgxpool.Pool) error {
				_, err := pool.Exec(ctx, "SELECT FROM goods")
				return err
			},
			Build: func(p *service.Parts) error {
				if cfg.Every != time.Hour || cfg.Postgres.MaxConns != 10 || p.JobsPool != nil || p.Crash("x") != nil {
					t.Errorf("built from %+v", cfg)
				}
				p.Close(func() error { seen.add("closed"); return nil })
				p.Add("first", func(ctx context.Context) error { <-ctx.Done(); seen.add("first stopped"); return nil })
				p.AddReady("second", func(ctx context.Context) error {
					seen.add("second begins")
					close(began)
					<-ctx.Done()
					seen.add("second stopped")
					return nil
				})
				return nil
			},
		})
	}()
	probe := func(path string, want int) {
		t.Helper()
		resp, err := http.Get("http://" + probes.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(identitytest.Open(t, ca, "gateway").ClientCredentials("shop")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	health := healthpb.NewHealthClient(conn)
	resp, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil || resp.GetStatus() == healthpb.HealthCheckResponse_SERVING {
		t.Errorf("before the migration: %v, %v", resp, err)
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	probe("/livez", http.StatusOK)
	probe("/readyz", http.StatusServiceUnavailable)
	close(mayMigrate)
	for resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		if resp, err = watch.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	probe("/readyz", http.StatusOK)
	<-began
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := []string{"migrate", "second begins", "second stopped", "first stopped", "closed"}; !slices.Equal(seen.list, want) {
		t.Errorf("got %q, want %q", seen.list, want)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	quiet := service.Config{Postgres: pg.Config{DSN: "postgres://127.0.0.1:1/none"}, Telemetry: telemetry.Config{LogOutput: io.Discard}}
	crashing := quiet
	crashing.CrashAt = "nowhere"
	for want, cfg := range map[string]*shopConfig{
		"EVERY is negative": {Config: quiet, Every: -1},
		`"nowhere"`:         {Config: crashing},
	} {
		err := service.Run(t.Context(), cfg, service.Spec{Name: "shop", CrashPoints: []crash.Point{"somewhere"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestRunClosesWhatABrokenBuildOpened: also when the service never served.
func TestRunClosesWhatABrokenBuildOpened(t *testing.T) {
	t.Parallel()
	broken, closed := errors.New("broken"), false
	cfg := &shopConfig{Config: service.Config{
		Server: rpc.ServerConfig{Listen: "127.0.0.1:0"}, Identity: identity.Config{TLSOff: true}, Postgres: pg.Config{DSN: "postgres://127.0.0.1:1/none"},
		Telemetry: telemetry.Config{LogOutput: io.Discard},
	}}
	err := service.Run(t.Context(), cfg, service.Spec{
		Name: "shop",
		Build: func(p *service.Parts) error {
			p.Close(func() error { closed = true; return nil })
			return broken
		},
	})
	if !errors.Is(err, broken) || !closed {
		t.Errorf("got %v, closed %v", err, closed)
	}
}
