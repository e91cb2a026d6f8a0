package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

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
	lis     net.Listener
	monitor *monitor
	drain   context.Context // ends when the server begins to stop
	stop    context.CancelCauseFunc
}

// NewServer listens and returns a server that answers once Serve runs. errs
// maps the handlers' errors; checks say whether the service is ready.
func NewServer(cfg ServerConfig, tel *telemetry.Telemetry, errs ErrorTable, checks ...Check) (*Server, error) {
	creds, err := serverCredentials(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.MaxRecvBytes == 0 {
		cfg.MaxRecvBytes = maxMessageBytes
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 15 * time.Second
	}
	s := &Server{cfg: cfg, tel: tel, lis: cfg.Listener, monitor: newMonitor(checks, tel.Log)}
	s.drain, s.stop = context.WithCancelCause(context.Background())
	i, err := newInterceptors(tel, errs, s)
	if err != nil {
		return nil, err
	}
	opts := []grpc.ServerOption{
		grpc.Creds(creds),
		grpc.MaxRecvMsgSize(cfg.MaxRecvBytes),
		grpc.MaxSendMsgSize(maxMessageBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: max(cfg.MaxConnectionAge, 0),
			Time:             30 * time.Second,
			Timeout:          10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: 10 * time.Second, PermitWithoutStream: true,
		}),
		// Calls run on a few goroutines whose stacks have grown once, and on new
		// ones when those are busy.
		grpc.NumStreamWorkers(uint32(2 * runtime.GOMAXPROCS(0))),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ChainUnaryInterceptor(i.unary),
		grpc.ChainStreamInterceptor(i.stream),
	}
	if tel.Recording {
		opts = append(opts, grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(tel.Tracers),
			otelgrpc.WithMeterProvider(noMeters),
			otelgrpc.WithPropagators(tel.Propagator),
			otelgrpc.WithFilter(notHealth),
		)))
	}
	if s.lis == nil {
		if s.lis, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	s.Server = grpc.NewServer(opts...)
	healthpb.RegisterHealthServer(s.Server, s.monitor.health)
	reflection.Register(s.Server)
	return s, nil
}

// Draining is closed once the drain's delay is over: no new calls are taken, and
// those that wait for something should be answered.
func (s *Server) Draining() <-chan struct{} { return s.drain.Done() }

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.lis.Addr() }

// Serve answers calls until ctx is done. Then health says NOT_SERVING, streams
// to clients are ended with UNAVAILABLE, no new calls are taken, and those
// under way are finished, for at most DrainTimeout; what is left is cut off.
// It returns nil after such a stop.
func (s *Server) Serve(ctx context.Context) error {
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
	err := s.Server.Serve(s.lis)
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
