package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/status"
)

// resolveOften lets a name be asked again after a second, instead of 30: when a
// neighbor's only replica is replaced, its calls wait for the next answer.
var resolveOften = sync.OnceFunc(func() { dns.SetMinResolutionInterval(time.Second) })

// Dial returns a connection to a neighbor, the part of that name: the process that answers has
// to prove that it is that part, and sees that this process is id. It connects in the background, at
// once, and again after losses; calls made while the neighbor is away fail fast
// with UNAVAILABLE. Calls without a deadline get cfg.Timeout, streams do not.
// Failures are of type *CallError.
func Dial(part string, cfg ClientConfig, id *identity.Identity, tel *telemetry.Telemetry) (*grpc.ClientConn, error) {
	if cfg.Target == "" {
		return nil, fmt.Errorf("dial %s: no target", part)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	resolveOften()
	took, err := called(tel)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", part, err)
	}
	c := client{timeout: cfg.Timeout, tel: tel, durations: took}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(id.ClientCredentials(part)),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second,
			},
			// The address of a pod that is gone may not even refuse.
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxCallSendMsgSize(maxMessageBytes),
		),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
	if tel.Recording {
		opts = append(opts, grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithTracerProvider(tel.Tracers),
			otelgrpc.WithMeterProvider(noMeters),
			otelgrpc.WithPropagators(tel.Propagator),
		)))
	}
	conn, err := grpc.NewClient(cfg.Target, opts...)
	if err != nil {
		return nil, fmt.Errorf("dial %s at %s: %w", part, cfg.Target, err)
	}
	conn.Connect()
	return conn, nil
}

type client struct {
	timeout   time.Duration
	tel       *telemetry.Telemetry
	durations *durations
}

// measured has a call measured from now until it has ended, however it ends.
func (c client) measured(ctx context.Context, method string, opts []grpc.CallOption) []grpc.CallOption {
	started := time.Now()
	return append(opts, grpc.OnFinish(func(err error) {
		c.durations.record(ctx, method, status.Code(err), time.Since(started))
	}))
}

func (c client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	if session := consistency.FromContext(ctx); session != nil {
		ctx = outgoing(ctx, session)
		trailer := metadata.MD{}
		opts = append(opts, grpc.Trailer(&trailer))
		defer func() { gain(session, trailer) }()
	}
	if err := invoke(c.inject(ctx), method, req, reply, cc, c.measured(ctx, method, opts)...); err != nil {
		return &CallError{method, err}
	}
	return nil
}

func (c client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	session := consistency.FromContext(ctx)
	s, err := open(c.inject(outgoing(ctx, session)), desc, cc, method, c.measured(ctx, method, opts)...)
	if err != nil {
		return nil, &CallError{method, err}
	}
	return &clientStream{s, method, session}, nil
}

// clientStream marks the failures of a stream as a neighbor's, and reads its trailer.
type clientStream struct {
	grpc.ClientStream
	method  string
	session *consistency.Session
}

func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		return nil
	}
	gain(s.session, s.Trailer())
	if errors.Is(err, io.EOF) {
		return err
	}
	return &CallError{s.method, err}
}

// inject sends the trace context when no stats handler does.
func (c client) inject(ctx context.Context) context.Context {
	if c.tel.Recording {
		return ctx
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	md = md.Copy()
	if md == nil {
		md = metadata.MD{}
	}
	c.tel.Propagator.Inject(ctx, carrier(md))
	return metadata.NewOutgoingContext(ctx, md)
}
