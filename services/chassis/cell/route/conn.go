package route

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	cellv1 "github.com/souk-shop/souk/proto/gen/souk/cell/v1"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Merge makes one answer of a method that is asked of all cells: it asks each, and writes reply.
type Merge func(ctx context.Context, cells []Cell, req, reply proto.Message) error

// Merges are those of methods that are asked of all cells, by full method.
type Merges map[string]Merge

// Cell is a connection to a service's cell.
type Cell struct {
	// Name is the cell's; "" of a service that runs in one.
	Name    string
	Buckets cell.Set
	*grpc.ClientConn
	method string
}

// Ask calls the method that is merged.
func (c Cell) Ask(ctx context.Context, req, reply proto.Message) error {
	return c.named(c.Invoke(ctx, c.method, req, reply))
}

// named says of which cell an error is.
func (c Cell) named(err error) error {
	if err == nil || c.Name == "" {
		return err
	}
	return fmt.Errorf("cell %s: %w", c.Name, err)
}

// Conn is a connection to a service that runs in one cell or in several. It picks the cell of
// each call by the request.
type Conn struct {
	part   string
	cells  []Cell
	table  *cell.Map // nil for one cell
	merges Merges
	next   atomic.Uint32
}

// Dial is rpc.Dial of a service that may run in cells: then the configuration's target is a
// table of them.
func Dial(part string, cfg rpc.ClientConfig, merges Merges, id *identity.Identity, tel *telemetry.Telemetry) (*Conn, error) {
	c := &Conn{part: part, merges: Merges{scanEvents: mergeScans}}
	for method, merge := range merges {
		c.merges[method] = merge
	}
	cells := []cell.Cell{{Target: cfg.Target}}
	if cell.IsMap(cfg.Target) {
		table, err := cell.ParseMap(cfg.Target)
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", part, err)
		}
		c.table, cells = table, table.Cells
	}
	for _, to := range cells {
		cfg.Target = to.Target
		conn, err := rpc.Dial(part, cfg, id, tel)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.cells = append(c.cells, Cell{Name: to.Name, Buckets: to.Buckets, ClientConn: conn})
	}
	return c, nil
}

// Cells are the connections to the cells.
func (c *Conn) Cells() []Cell { return c.cells }

// Away reports whether the cell of a bucket cannot be connected to. One that is connected to may
// be away all the same: frozen, or without its database.
func (c *Conn) Away(b cell.Bucket) bool {
	return c.table != nil && c.cells[c.table.Of(b)].GetState() == connectivity.TransientFailure
}

// Close closes the connections.
func (c *Conn) Close() error {
	var err error
	for _, to := range c.cells {
		err = errors.Join(err, to.Close())
	}
	return err
}

// Invoke implements grpc.ClientConnInterface.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.table == nil {
		return c.cells[0].Invoke(ctx, method, args, reply, opts...)
	}
	r, err := Of(method)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	to, found, err := c.cellOf(r, args)
	switch {
	case err != nil:
		return err
	case found:
		return to.named(to.Invoke(ctx, method, args, reply, opts...))
	case r.Otherwise == cellv1.Cells_CELLS_ANY:
		return c.any(ctx, method, args, reply, opts...)
	}
	merge, ok := c.merges[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "%s is asked of each cell of %s by itself", method, c.part)
	}
	cells := make([]Cell, len(c.cells))
	for i, to := range c.cells {
		to.method = method
		cells[i] = to
	}
	return merge(ctx, cells, args.(proto.Message), reply.(proto.Message))
}

// cellOf is the cell of a request's key; found is false for a request without one.
func (c *Conn) cellOf(r *Route, req any) (to Cell, found bool, err error) {
	msg, ok := req.(proto.Message)
	if !ok {
		return Cell{}, false, status.Errorf(codes.Internal, "%T is no message", req)
	}
	buckets, err := r.Buckets(msg)
	if err != nil {
		return Cell{}, false, status.Error(codes.InvalidArgument, err.Error())
	}
	for i, b := range buckets {
		if i > 0 && c.table.Of(b) != c.table.Of(buckets[0]) {
			return Cell{}, false, status.Errorf(codes.InvalidArgument, "%s is about buckets %d and %d, which are in two cells", r.Method, buckets[0], b)
		}
	}
	if len(buckets) == 0 {
		return Cell{}, false, nil
	}
	return c.cells[c.table.Of(buckets[0])], true, nil
}

// anyPatience is how long one of several cells is waited for that all have the answer.
const anyPatience = time.Second

// any asks the cells in turn, and the next where one is away or does not answer in its share of the time.
func (c *Conn) any(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) (err error) {
	first := c.next.Add(1)
	for i := range c.cells {
		to := c.cells[(int(first)+i)%len(c.cells)]
		asking, cancel := share(ctx, len(c.cells)-i)
		err = to.named(to.Invoke(asking, method, args, reply, opts...))
		cancel()
		switch code := status.Code(err); {
		case code == codes.Unavailable:
		case code == codes.DeadlineExceeded && ctx.Err() == nil:
		default:
			return err
		}
	}
	return err
}

// share bounds the time for the first of so many that are asked in turn; the last one has all that is left.
func share(ctx context.Context, of int) (context.Context, context.CancelFunc) {
	if of == 1 {
		return ctx, func() {}
	}
	patience := anyPatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/time.Duration(of))
	}
	return context.WithTimeout(ctx, patience)
}

// NewStream implements grpc.ClientConnInterface. The stream begins with its request, which says
// where it goes.
func (c *Conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if c.table == nil {
		return c.cells[0].NewStream(ctx, desc, method, opts...)
	}
	r, err := Of(method)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &stream{ctx: ctx, open: func(req any) (grpc.ClientStream, error) {
		to, found, err := c.cellOf(r, req)
		if err == nil && !found {
			err = status.Errorf(codes.InvalidArgument, "%s leads to no one cell", method)
		}
		if err != nil {
			return nil, err
		}
		s, err := to.NewStream(ctx, desc, method, opts...)
		return s, to.named(err)
	}}, nil
}

// stream is of one request and opened by it.
type stream struct {
	grpc.ClientStream // nil before the request
	ctx               context.Context
	open              func(req any) (grpc.ClientStream, error)
}

var errNotOpen = status.Error(codes.Internal, "the stream has no request yet")

func (s *stream) SendMsg(m any) (err error) {
	if s.ClientStream == nil {
		if s.ClientStream, err = s.open(m); err != nil {
			s.ClientStream = nil
			return err
		}
	}
	return s.ClientStream.SendMsg(m)
}

func (s *stream) Context() context.Context {
	if s.ClientStream == nil {
		return s.ctx
	}
	return s.ClientStream.Context()
}

func (s *stream) Header() (metadata.MD, error) {
	if s.ClientStream == nil {
		return nil, errNotOpen
	}
	return s.ClientStream.Header()
}

func (s *stream) Trailer() metadata.MD {
	if s.ClientStream == nil {
		return nil
	}
	return s.ClientStream.Trailer()
}

func (s *stream) CloseSend() error {
	if s.ClientStream == nil {
		return errNotOpen
	}
	return s.ClientStream.CloseSend()
}

func (s *stream) RecvMsg(m any) error {
	if s.ClientStream == nil {
		return errNotOpen
	}
	return s.ClientStream.RecvMsg(m)
}

// AskAll asks all cells the same at once and returns their answers in the order of the cells.
// With one that fails there are none; what the others were asked for is done all the same.
func AskAll[Req, Res proto.Message](ctx context.Context, cells []Cell, req Req) ([]Res, error) {
	replies := make([]Res, len(cells))
	var g errgroup.Group
	for i, c := range cells {
		var zero Res
		replies[i] = zero.ProtoReflect().New().Interface().(Res)
		g.Go(func() error { return c.Ask(ctx, req, replies[i]) })
	}
	return replies, g.Wait()
}
