package route

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
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
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/retry"
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
// each call by the request: the table's or, once a cell has said that it has moved, that to which
// the bucket went.
type Conn struct {
	part   string
	cells  []Cell
	table  *cell.Map // nil for one cell
	merges Merges
	next   atomic.Uint32

	mu    sync.RWMutex
	moved map[cell.Bucket]place
}

// place is where a bucket is that has moved.
type place struct {
	cell  int
	epoch int64 // of the move
}

const (
	// moveLasts is how long a call waits for a bucket that has left a cell and is not in the next,
	// which takes part of a second; askAgain is the pause between two attempts.
	moveLasts, askAgain = 3 * time.Second, 25 * time.Millisecond
)

// Dial is rpc.Dial of a service that may run in cells: then the configuration's target is a
// table of them.
func Dial(part string, cfg rpc.ClientConfig, merges Merges, id *identity.Identity, tel *telemetry.Telemetry) (*Conn, error) {
	c := &Conn{part: part, merges: Merges{scanEvents: mergeScans}, moved: map[cell.Bucket]place{}}
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

// Cells are the connections to the cells, with the buckets that they have as far as is known.
func (c *Conn) Cells() []Cell {
	cells := slices.Clone(c.cells)
	c.mu.RLock()
	defer c.mu.RUnlock()
	for b, at := range c.moved {
		for i := range cells {
			cells[i].Buckets.Remove(b)
		}
		cells[at.cell].Buckets.Add(b)
	}
	return cells
}

// of is the index of the cell that has a bucket as far as is known, and the epoch of its last move;
// 0 of one that has not moved.
func (c *Conn) of(b cell.Bucket) (index int, epoch int64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if at, ok := c.moved[b]; ok {
		return at.cell, at.epoch
	}
	return c.table.Of(b), 0
}

// learn takes note of where a cell says that a bucket has moved. It reports whether that is news.
func (c *Conn) learn(metadata map[string]string) bool {
	b, err1 := strconv.ParseUint(metadata["bucket"], 10, 16)
	epoch, err2 := strconv.ParseInt(metadata["epoch"], 10, 64)
	to := slices.IndexFunc(c.cells, func(one Cell) bool { return one.Name == metadata["moved_to"] })
	if err1 != nil || err2 != nil || b >= cell.Buckets || to < 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.moved[cell.Bucket(b)]; ok && at.epoch >= epoch {
		return false
	}
	c.moved[cell.Bucket(b)] = place{to, epoch}
	return true
}

// found takes note of a cell that has a bucket, against what others have said.
func (c *Conn) found(b cell.Bucket, index int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved[b] = place{index, c.moved[b].epoch}
}

// follow calls the cell of a request's buckets, and that to which they have moved: a cell that
// refuses a request has done nothing, or what is repeated does not happen twice. While they are on
// their way it asks again, for moveLasts.
func (c *Conn) follow(ctx context.Context, buckets []cell.Bucket, call func(Cell) error) error {
	last := 0
	for until := time.Now().Add(moveLasts); ; {
		index, _ := c.of(buckets[0])
		to := c.cells[(index+last)%len(c.cells)]
		err := call(to)
		if err == nil && last > 0 {
			c.found(buckets[0], (index+last)%len(c.cells))
		}
		if rpc.Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_WRONG_CELL {
			return to.named(err)
		}
		if c.learn(rpc.Info(err).GetMetadata()) {
			last = 0
			continue
		}
		last++ // it may have turned back, of which no other cell knows
		// Where no cell says that the bucket has moved, the table is wrong.
		if _, epoch := c.of(buckets[0]); epoch == 0 || time.Now().After(until) || retry.Sleep(ctx, askAgain) != nil {
			return to.named(err)
		}
	}
}

// Away reports whether the cell of a bucket cannot be connected to. One that is connected to may
// be away all the same: frozen, or without its database.
func (c *Conn) Away(b cell.Bucket) bool {
	if c.table == nil {
		return false
	}
	index, _ := c.of(b)
	return c.cells[index].GetState() == connectivity.TransientFailure
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
	buckets, err := c.bucketsOf(r, args)
	switch {
	case err != nil:
		return err
	case len(buckets) > 0:
		return c.follow(ctx, buckets, func(to Cell) error { return to.Invoke(ctx, method, args, reply, opts...) })
	case r.Otherwise == cellv1.Cells_CELLS_ANY:
		return c.any(ctx, method, args, reply, opts...)
	}
	merge, ok := c.merges[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "%s is asked of each cell of %s by itself", method, c.part)
	}
	cells := c.Cells()
	for i := range cells {
		cells[i].method = method
	}
	return merge(ctx, cells, args.(proto.Message), reply.(proto.Message))
}

// bucketsOf are those of a request's key, which are in one cell; none for a request without one.
func (c *Conn) bucketsOf(r *Route, req any) ([]cell.Bucket, error) {
	msg, ok := req.(proto.Message)
	if !ok {
		return nil, status.Errorf(codes.Internal, "%T is no message", req)
	}
	buckets, err := r.Buckets(msg)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	for i, b := range buckets {
		first, _ := c.of(buckets[0])
		if one, _ := c.of(b); i > 0 && one != first {
			return nil, status.Errorf(codes.InvalidArgument, "%s is about buckets %d and %d, which are in two cells", r.Method, buckets[0], b)
		}
	}
	return buckets, nil
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
	return &stream{ctx: ctx, conn: c, open: func(to Cell) (grpc.ClientStream, error) { return to.NewStream(ctx, desc, method, opts...) }, route: r}, nil
}

// stream is of one request and opened by it: at the cell that has what the request is about and, when
// that has moved, at the next. Such a stream begins with how things are, so that nothing is missing.
type stream struct {
	grpc.ClientStream // nil before the request
	ctx               context.Context
	conn              *Conn
	route             *Route
	open              func(to Cell) (grpc.ClientStream, error)
	req               any
	buckets           []cell.Bucket
	at                Cell
}

var errNotOpen = status.Error(codes.Internal, "the stream has no request yet")

func (s *stream) SendMsg(m any) (err error) {
	if s.ClientStream != nil {
		return s.ClientStream.SendMsg(m)
	}
	if s.buckets, err = s.conn.bucketsOf(s.route, m); err != nil {
		return err
	}
	if len(s.buckets) == 0 {
		return status.Errorf(codes.InvalidArgument, "%s leads to no one cell", s.route.Method)
	}
	s.req = m
	index, _ := s.conn.of(s.buckets[0])
	return s.begin(s.conn.cells[index])
}

// begin opens the stream at a cell and sends the request.
func (s *stream) begin(at Cell) error {
	opened, err := s.open(at)
	if err == nil {
		s.ClientStream, s.at = opened, at
		err = opened.SendMsg(s.req)
	}
	return at.named(err)
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
	err := s.ClientStream.RecvMsg(m)
	if rpc.Reason[errorv1.ErrorReason](err) != errorv1.ErrorReason_ERROR_REASON_WRONG_CELL {
		return err
	}
	moved := err
	s.conn.learn(rpc.Info(err).GetMetadata())
	if _, epoch := s.conn.of(s.buckets[0]); epoch == 0 {
		return s.at.named(moved)
	}
	return s.conn.follow(s.ctx, s.buckets, func(to Cell) error {
		if err := s.begin(to); err != nil {
			return err
		}
		if err := s.ClientStream.CloseSend(); err != nil {
			return err
		}
		return s.ClientStream.RecvMsg(m)
	})
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
