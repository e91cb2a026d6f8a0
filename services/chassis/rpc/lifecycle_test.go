package rpc

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/pg/pgserver"
	"github.com/souk-shop/souk/services/chassis/pg/pgtest"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

func TestHealthTellsTheTruthAboutItsDatabase(t *testing.T) {
	t.Parallel()
	dir := pgtest.Folder(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := lis.Addr().(*net.TCPAddr).Port
	lis.Close()
	database := func() *pgserver.Server {
		t.Helper()
		s, err := pgserver.Start(t.Context(), pgserver.Options{Dir: dir, Port: port, Disposable: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	db := database()
	pool, err := pgxpool.New(t.Context(), db.SuperuserDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := db.Stop(t.Context()); err != nil { // late at first
		t.Fatal(err)
	}
	f := serveEcho(t, &echo{say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		_, err := pool.Exec(ctx, "SELECT 1")
		return m, err
	}}, options{checks: []Check{{"postgres", pool.Ping}}, interval: 100 * time.Millisecond})

	f.awaitHealth("", notServing)
	f.awaitHealth(Liveness, serving)
	if _, err := f.say(t.Context(), 1); status.Code(err) != codes.Unavailable || Info(err).GetReason() != "UNAVAILABLE" {
		t.Errorf("a call without the database: %v", err)
	}
	for range 2 {
		db = database()
		f.awaitHealth("", serving)
		f.awaitHealth("souk.test.v1.EchoService", serving)
		if _, err := f.say(t.Context(), 1); err != nil {
			t.Errorf("a call with the database: %v", err)
		}
		if err := db.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.awaitHealth("", notServing)
		f.awaitHealth("souk.test.v1.EchoService", notServing)
		f.awaitHealth(Liveness, serving)
	}
}

func TestAFailedCallAsksForACheckAtOnce(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	errAway := &CallError{"/x/y", status.Error(codes.Unavailable, "away")}
	check := func(context.Context) error {
		if away.Load() {
			return errAway
		}
		return nil
	}
	f := serveEcho(t, &echo{say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) { return m, check(ctx) }},
		options{checks: []Check{{"neighbor", check}}, interval: time.Hour})
	f.awaitHealth("", serving)
	away.Store(true)
	if _, err := f.say(t.Context(), 1); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	f.awaitHealth("", notServing)
}

func TestAnAbsentDependencyIsAskedForOften(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	f := serveEcho(t, &echo{}, options{interval: time.Hour, checks: []Check{{"late", func(context.Context) error {
		if asked.Add(1) < 4 {
			return errors.New("not yet")
		}
		return nil
	}}}})
	f.awaitHealth("", serving)
}

func TestOneSlowCheckIsNoOutage(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{}, options{})
	answers := make(chan func(ctx context.Context) error, 8)
	m := newMonitor([]Check{{"busy", func(ctx context.Context) error { return (<-answers)(ctx) }}}, f.tel.Log)
	m.timeout = 5 * time.Millisecond
	ok := func(context.Context) error { return nil }
	slow := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	broken := func(context.Context) error { return errors.New("broken") }
	for i, step := range []struct {
		answer func(context.Context) error
		ready  bool
	}{{slow, false}, {ok, true}, {slow, true}, {ok, true}, {slow, true}, {slow, false}, {ok, true}, {broken, false}, {ok, true}} {
		answers <- step.answer
		m.poll(t.Context())
		if m.ready != step.ready {
			t.Errorf("step %d: ready %v", i, m.ready)
		}
	}
}

func TestStopDrains(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	f := serveEcho(t, &echo{
		say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
			close(entered)
			<-release
			return m, ctx.Err()
		},
		watch: func(m *moneyv1.Money, s grpc.ServerStream) error {
			if err := s.SendMsg(m); err != nil {
				return err
			}
			<-s.Context().Done()
			return s.Context().Err()
		},
	}, options{})
	// A watcher, whose stream would never end by itself.
	stream, err := f.watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(moneyv1.Money)); err != nil {
		t.Fatal(err)
	}
	// One who watches the server's health.
	health, err := healthpb.NewHealthClient(f.conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	awaitWatched(t, health, serving)
	// And a call under way.
	answered := make(chan error, 1)
	go func() { _, err := f.say(t.Context(), 1); answered <- err }()
	<-entered

	f.stop()
	awaitWatched(t, health, notServing)
	if err := stream.RecvMsg(new(moneyv1.Money)); status.Code(err) != codes.Unavailable {
		t.Errorf("the watcher gets %v", err)
	}
	// No new calls.
	other, err := Dial("echo", ClientConfig{Target: f.server.Addr().String()}, identity.Insecure(), f.tel)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	eventually(t, "new calls are refused", func() bool {
		return status.Code(other.Invoke(t.Context(), sayMethod, &moneyv1.Money{Currency: "GBP"}, new(moneyv1.Money))) == codes.Unavailable
	})
	select {
	case err := <-f.served:
		t.Fatalf("Serve returned %v with a call under way", err)
	case err := <-answered:
		t.Fatalf("answered %v before its handler", err)
	default:
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	if err := <-f.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func awaitWatched(t *testing.T, health grpc.ServerStreamingClient[healthpb.HealthCheckResponse], want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	for {
		resp, err := health.Recv()
		if err != nil {
			t.Fatalf("watch health: %v", err)
		}
		if resp.GetStatus() == want {
			return
		}
	}
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	f := serveEcho(t, &echo{say: func(ctx context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}}, options{server: ServerConfig{DrainTimeout: 50 * time.Millisecond}, client: ClientConfig{Timeout: time.Hour}})
	answered := make(chan error, 1)
	go func() { _, err := f.say(t.Context(), 1); answered <- err }()
	<-entered
	f.stop()
	if err := <-f.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("answered")
	}
}

func TestStopBeforeServe(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{}, options{})
	s, err := NewServer(ServerConfig{Listen: "127.0.0.1:0"}, ServerParts{Identity: identity.Insecure(), Telemetry: f.tel})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
}

func TestListenFailureIsAnError(t *testing.T) {
	t.Parallel()
	f := serveEcho(t, &echo{}, options{})
	if _, err := NewServer(ServerConfig{Listen: f.server.Addr().String()}, ServerParts{Identity: identity.Insecure(), Telemetry: f.tel}); err == nil {
		t.Error("two servers on one address")
	}
}

func TestCallsAreSpreadOverAllAddresses(t *testing.T) {
	t.Parallel()
	const servers = 3
	var calls [servers]atomic.Int32
	var addresses []resolver.Address
	for i := range servers {
		f := serveEcho(t, &echo{say: func(_ context.Context, m *moneyv1.Money) (*moneyv1.Money, error) {
			calls[i].Add(1)
			return m, nil
		}}, options{})
		addresses = append(addresses, resolver.Address{Addr: f.server.Addr().String()})
	}
	names := manual.NewBuilderWithScheme("souktest")
	names.InitialState(resolver.State{Addresses: addresses})
	resolver.Register(names)
	f := serveEcho(t, &echo{}, options{client: ClientConfig{Target: "souktest:///echo"}})
	eventually(t, "all servers are called", func() bool {
		if _, err := f.say(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		return calls[0].Load() > 0 && calls[1].Load() > 0 && calls[2].Load() > 0
	})
	for i := range calls {
		calls[i].Store(0)
	}
	for range 30 {
		if _, err := f.say(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range calls {
		if n := calls[i].Load(); n != 10 {
			t.Errorf("server %d: %d of 30 calls", i, n)
		}
	}
}
