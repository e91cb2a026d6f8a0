package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// errDraining is the cause of the contexts of streams that a stopping server
// ends.
var errDraining = errors.New("server is stopping")

// Server is a gRPC server with all that a service of Souk needs around its
// handlers. Register them on it, then Serve.
type Server struct {
	*grpc.Server

	cfg     ServerConfig
	tel     *telemetry.Telemetry
	gain    func(context.Context)
	lis     net.Listener
	monitor *monitor
	rules   access.Table           // of what is registered, made by Serve
	checked bool                   // callers have shown certificates
	methods func() map[string]bool // that are registered when the first call comes
	guard   Guard                  // nil for a process that has all there is of its service
	drain   context.Context        // ends when the server begins to stop
	stop    context.CancelCauseFunc
}

// ServerParts is what a server is made of.
type ServerParts struct {
	// Identity is whose certificate it shows, and what it checks callers' with.
	Identity  *identity.Identity
	Telemetry *telemetry.Telemetry
	// Errors maps the handlers' errors.
	Errors ErrorTable
	// Checks say whether the service is ready.
	Checks []Check
	// Gain adds what a call has written to its consistency.Session; may be nil.
	Gain func(context.Context)
	// Unary are interceptors of calls that were found valid.
	Unary []grpc.UnaryServerInterceptor
	// Guard refuses requests that are for another cell of the service; may be nil.
	Guard Guard
}

// Guard refuses requests that are for another cell of a service that runs in cells.
type Guard interface {
	// Covers fails for a method of which it is not known what its requests are about.
	Covers(services map[string]grpc.ServiceInfo) error
	// Hold fails for a request that is for another cell, with an error that has the metadata of
	// WRONG_CELL, for one that is for none, with a *BadRequestError, and while it is not known what
	// the cell has. The context that it returns ends, with an error of the first kind as its cause,
	// when what the request is about leaves the cell, until release is called. That fails, with what
	// Hold would fail with, where the answer may be made of what was left there.
	Hold(ctx context.Context, method string, req any) (held context.Context, release func() error, err error)
}

// BadRequestError is a request that is for no cell.
type BadRequestError struct{ Why error }

func (e *BadRequestError) Error() string { return e.Why.Error() }

// Unwrap returns why.
func (e *BadRequestError) Unwrap() error { return e.Why }

// NewServer listens and returns a server that answers once Serve runs.
func NewServer(cfg ServerConfig, parts ServerParts) (*Server, error) {
	if cfg.MaxRecvBytes == 0 {
		cfg.MaxRecvBytes = maxMessageBytes
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 15 * time.Second
	}
	tel := parts.Telemetry
	checks := append([]Check{{Name: "certificate", Fn: parts.Identity.Valid}}, parts.Checks...)
	s := &Server{cfg: cfg, tel: tel, gain: parts.Gain, guard: parts.Guard, lis: cfg.Listener, monitor: newMonitor(checks, tel.Log), checked: !parts.Identity.Off()}
	s.drain, s.stop = context.WithCancelCause(context.Background())
	if err := s.monitor.measure(tel.Meter()); err != nil {
		return nil, err
	}
	i, err := newInterceptors(tel, parts.Errors, s)
	if err != nil {
		return nil, err
	}
	opts := []grpc.ServerOption{
		grpc.Creds(proving{parts.Identity.ServerCredentials()}),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.MaxRecvMsgSize(cfg.MaxRecvBytes),
		grpc.MaxSendMsgSize(maxMessageBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: max(cfg.MaxConnectionAge, 0),
			Time:             readIdle,
			Timeout:          pingTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: pingsApart, PermitWithoutStream: true,
		}),
		// Calls run on a few goroutines whose stacks have grown once, and on new
		// ones when those are busy.
		grpc.NumStreamWorkers(uint32(2 * runtime.GOMAXPROCS(0))),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ChainUnaryInterceptor(append([]grpc.UnaryServerInterceptor{i.unary}, parts.Unary...)...),
		grpc.ChainStreamInterceptor(i.stream),
	}
	if tel.Recording {
		opts = append(opts, grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(tel.Tracers),
			otelgrpc.WithMeterProvider(noMeters),
			otelgrpc.WithPropagators(tel.Propagator),
			otelgrpc.WithFilter(s.traced),
		)))
	}
	if s.lis == nil {
		if s.lis, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	s.Server = grpc.NewServer(opts...)
	s.methods = sync.OnceValue(func() map[string]bool { return methodsOf(s.Server) })
	healthpb.RegisterHealthServer(s.Server, s.monitor.health)
	if cfg.Reflection {
		reflection.Register(s.Server)
	}
	return s, nil
}

// Draining is closed once the drain's delay is over: no new calls are taken, and
// those that wait for something should be answered.
func (s *Server) Draining() <-chan struct{} { return s.drain.Done() }

// Ready fails when health does not say SERVING: the answer of /readyz.
func (s *Server) Ready(ctx context.Context) error {
	answer, err := s.monitor.health.Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if status := answer.GetStatus(); status != healthpb.HealthCheckResponse_SERVING {
		return errors.New(status.String())
	}
	return nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.lis.Addr() }

// Serve answers calls until ctx is done. Then health says NOT_SERVING, streams
// to clients are ended with UNAVAILABLE, no new calls are taken, and those
// under way are finished, for at most DrainTimeout; what is left is cut off.
// It returns nil after such a stop.
func (s *Server) Serve(ctx context.Context) error {
	var err error
	if s.rules, err = access.NewTable(s.GetServiceInfo()); err != nil {
		_ = s.lis.Close()
		return err
	}
	if s.guard != nil {
		if err := s.guard.Covers(s.GetServiceInfo()); err != nil {
			_ = s.lis.Close()
			return err
		}
	}
	for name := range s.GetServiceInfo() {
		if name != healthpb.Health_ServiceDesc.ServiceName {
			s.monitor.services = append(s.monitor.services, name)
		}
	}
	polling, stopPolling := context.WithCancel(context.WithoutCancel(ctx))
	polled := make(chan struct{})
	go func() { defer close(polled); s.monitor.run(polling) }()

	stopped := make(chan struct{})
	serving := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-serving: // Serve failed by itself
		}
		stopPolling()
		<-polled // health says NOT_SERVING from here on
		s.shutdown(context.WithoutCancel(ctx))
	}()
	s.tel.Log.InfoContext(ctx, "serving", "address", s.lis.Addr().String())
	err = s.Server.Serve(limitUnproven(s.lis, s.tel.Security))
	close(serving)
	<-stopped
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func (s *Server) shutdown(ctx context.Context) {
	_ = retry.Sleep(ctx, s.cfg.DrainDelay)
	s.stop(errDraining)
	cut := time.AfterFunc(s.cfg.DrainTimeout, s.Server.Stop)
	s.Server.GracefulStop()
	if !cut.Stop() {
		s.tel.Log.WarnContext(ctx, "calls cut off: they did not end in time", "timeout", s.cfg.DrainTimeout)
	}
}
