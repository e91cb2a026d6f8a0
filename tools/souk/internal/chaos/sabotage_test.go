package chaos

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/consistency"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/localshop"
)

// forgetKeys is a shop without idempotency: each call that places an order has
// a key of its own when it reaches the shop.
func forgetKeys() *sabotage {
	return rewriting(func(r *httputil.ProxyRequest) {
		if r.In.Method == http.MethodPost && r.In.URL.Path == "/v1/orders" {
			r.Out.Header.Set("Idempotency-Key", uuid.NewString())
		}
	})
}

// forgetTokens keeps from the shop what its callers have written.
func forgetTokens() *sabotage {
	return rewriting(func(r *httputil.ProxyRequest) { r.Out.Header.Del(consistency.Header) })
}

// rewriting stands before the shop and changes what it is asked.
func rewriting(change func(*httputil.ProxyRequest)) *sabotage {
	return &sabotage{front: func(ctx context.Context, target string) (string, func(), error) {
		to, err := url.Parse(target)
		if err != nil {
			return "", nil, err
		}
		lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			change(r)
		}}
		srv := &http.Server{Handler: proxy, ReadHeaderTimeout: callTimeout}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = srv.Serve(lis) // until it is closed
		}()
		return "http://" + lis.Addr().String(), func() { srv.Close(); <-done }, nil
	}}
}

// forgetCarts is a shop whose carts are not on disk, as in a Redis that keeps
// nothing: PostgreSQL empties an unlogged table when it starts after a crash.
func forgetCarts() *sabotage {
	return &sabotage{started: func(ctx context.Context, shop *localshop.Shop) error {
		conn, err := pgx.Connect(ctx, shop.DSN("cart"))
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		_, err = conn.Exec(ctx, `ALTER TABLE cart_lines SET UNLOGGED; ALTER TABLE cart_orders SET UNLOGGED;
			ALTER TABLE cart_merges SET UNLOGGED; ALTER TABLE carts SET UNLOGGED`)
		return err
	}}
}

// sentBeforehand is a shop that writes that a mail was sent before it asks the mail server.
func sentBeforehand() *sabotage {
	return &sabotage{started: func(ctx context.Context, shop *localshop.Shop) error {
		conn, err := pgx.Connect(ctx, shop.DSN(notifier))
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		_, err = conn.Exec(ctx, `CREATE FUNCTION sent_beforehand() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN NEW.state := 'sent'; RETURN NEW; END $$;
			CREATE TRIGGER sent_beforehand BEFORE UPDATE ON mails FOR EACH ROW WHEN (NEW.state = 'sending') EXECUTE FUNCTION sent_beforehand()`)
		return err
	}}
}

// confirmDelay is how long after its answer a confirmation takes place; longer than the
// capture takes, on a busy machine too.
const confirmDelay = 2 * time.Second

// confirmLate is a shop that captures before it confirms: the order service is
// answered at once that the stock is confirmed, and it is confirmed later, unless
// the order service dies before.
func confirmLate() *sabotage {
	return &sabotage{route: func(dir, from, to, addr string) (string, error) {
		if from != "order" || to != "catalog" {
			return addr, nil
		}
		return startMiddlebox(dir, from, to, addr)
	}}
}

// middlebox passes gRPC calls on as they are, but confirmations late.
type middlebox struct {
	to *grpc.ClientConn

	mu   sync.Mutex
	late []*time.Timer
}

// startMiddlebox listens in front of addr, until the process ends. It has the
// certificates of both sides.
func startMiddlebox(dir, from, to, addr string) (string, error) {
	caller, err := identity.Open(from, localshop.Identity(dir, from), telemetry.Discard())
	if err != nil {
		return "", err
	}
	called, err := identity.Open(to, localshop.Identity(dir, to), telemetry.Discard())
	if err != nil {
		return "", err
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(caller.ClientCredentials(to)))
	if err != nil {
		return "", err
	}
	lis, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", errors.Join(err, conn.Close())
	}
	m := &middlebox{to: conn}
	srv := grpc.NewServer(grpc.Creds(called.ServerCredentials()), grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(m.pass), grpc.StatsHandler(m))
	go func() { _ = srv.Serve(lis) }()
	return lis.Addr().String(), nil
}

// pass handles one unary call.
func (m *middlebox) pass(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var req, res []byte
	if err := stream.RecvMsg(&req); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	forward := func(ctx context.Context) error {
		return m.to.Invoke(metadata.NewOutgoingContext(ctx, md), method, &req, &res, grpc.ForceCodecV2(raw{}))
	}
	if method != catalogv1.CatalogService_Confirm_FullMethodName {
		if err := forward(stream.Context()); err != nil {
			return err
		}
		return stream.SendMsg(&res)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.late = append(m.late, time.AfterFunc(confirmDelay, func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		_ = forward(ctx) // no caller waits for the answer
	}))
	return stream.SendMsg(&[]byte{}) // order reads no field of the answer
}

// HandleConn implements stats.Handler: what the order service had still to
// confirm dies with it.
func (m *middlebox) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, end := s.(*stats.ConnEnd); !end {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.late {
		t.Stop()
	}
	m.late = nil
}

// TagConn implements stats.Handler.
func (*middlebox) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC implements stats.Handler.
func (*middlebox) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (*middlebox) HandleRPC(context.Context, stats.RPCStats) {}

// raw is a codec of messages that are passed on as bytes.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
