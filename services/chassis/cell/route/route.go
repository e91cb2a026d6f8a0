// Package route sends calls of a service that runs in cells to the cell that has the bucket of
// the request's key, and has a cell refuse what is not its own. Where the key is says the
// contract: souk.cell.v1.route.
package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	cellv1 "github.com/souk-shop/souk/proto/gen/souk/cell/v1"
	"github.com/souk-shop/souk/services/chassis/cell"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// Route says where a method's requests have their key.
type Route struct {
	// Method is the full method.
	Method    string
	Otherwise cellv1.Cells
	keys      []path
}

// path is the way to a field.
type path struct {
	name   string
	fields []protoreflect.FieldDescriptor
}

// Routes returns the routes of a service's methods, in the contract's order. It fails for a
// method without one, or with one that the request has not.
func Routes(service protoreflect.ServiceDescriptor) ([]*Route, error) {
	var routes []*Route
	var errs []error
	for i := range service.Methods().Len() {
		r, err := routeOf(service.Methods().Get(i))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		routes = append(routes, r)
	}
	return routes, errors.Join(errs...)
}

func routeOf(m protoreflect.MethodDescriptor) (*Route, error) {
	option, _ := proto.GetExtension(m.Options(), cellv1.E_Route).(*cellv1.Route)
	r := &Route{Method: "/" + string(m.Parent().FullName()) + "/" + string(m.Name()), Otherwise: option.GetOtherwise()}
	switch {
	case option == nil:
		return nil, fmt.Errorf("cell: method %s has no route (souk.cell.v1.route)", r.Method)
	case len(option.GetKeys()) == 0 && r.Otherwise == cellv1.Cells_CELLS_UNSPECIFIED:
		return nil, fmt.Errorf("cell: method %s has a route that leads nowhere", r.Method)
	case m.IsStreamingClient() || m.IsStreamingServer() && r.Otherwise == cellv1.Cells_CELLS_ALL:
		return nil, fmt.Errorf("cell: method %s is a stream that has no one cell", r.Method)
	}
	for _, key := range option.GetKeys() {
		p := path{name: key}
		in := m.Input()
		for name := range strings.SplitSeq(key, ".") {
			var f protoreflect.FieldDescriptor
			if in != nil {
				f = in.Fields().ByName(protoreflect.Name(name))
			}
			if f == nil {
				return nil, fmt.Errorf("cell: method %s has its key at %q, and %s has no such field", r.Method, key, m.Input().FullName())
			}
			p.fields = append(p.fields, f)
			in = f.Message()
		}
		if last := p.fields[len(p.fields)-1]; last.Kind() != protoreflect.StringKind || last.IsMap() {
			return nil, fmt.Errorf("cell: method %s has its key at %q, which is no text", r.Method, key)
		}
		r.keys = append(r.keys, p)
	}
	return r, nil
}

// routes are those of methods that were asked for, by method.
var routes sync.Map

// Of returns the route of a full method.
func Of(method string) (*Route, error) {
	if r, ok := routes.Load(method); ok {
		return r.(*Route), nil
	}
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("cell: method %s: %w", method, err)
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok || sd.Methods().ByName(protoreflect.Name(name)) == nil {
		return nil, fmt.Errorf("cell: there is no method %s", method)
	}
	r, err := routeOf(sd.Methods().ByName(protoreflect.Name(name)))
	if err != nil {
		return nil, err
	}
	routes.Store(method, r)
	return r, nil
}

// BadKeyError is a request whose key leads to no bucket.
type BadKeyError struct {
	// Field is the key's; "" where the request has none.
	Field string
	Why   string
}

func (e *BadKeyError) Error() string {
	if e.Field == "" {
		return e.Why
	}
	return e.Field + ": " + e.Why
}

// Buckets returns the buckets that a request is about: those of its first key that is set, none
// without. Errors: *BadKeyError.
func (r *Route) Buckets(req proto.Message) ([]cell.Bucket, error) {
	for _, p := range r.keys {
		texts := p.get(req.ProtoReflect())
		if len(texts) == 0 {
			continue
		}
		buckets := make([]cell.Bucket, len(texts))
		for i, text := range texts {
			_, id, found := strings.Cut(text, ".") // "order.<UUID>"
			if !found {
				id = text
			}
			b, err := cell.OfText(id)
			if err != nil {
				return nil, &BadKeyError{Field: p.name, Why: "is no UUID, which leads to a cell"}
			}
			buckets[i] = b
		}
		return buckets, nil
	}
	if r.Otherwise == cellv1.Cells_CELLS_UNSPECIFIED {
		names := make([]string, len(r.keys))
		for i, p := range r.keys {
			names[i] = p.name
		}
		return nil, &BadKeyError{Why: "none of " + strings.Join(names, ", ") + " is set, which leads to a cell"}
	}
	return nil, nil
}

// get returns the texts at a path; none where it is not set.
func (p path) get(m protoreflect.Message) []string {
	last := len(p.fields) - 1
	for _, f := range p.fields[:last] {
		if !m.Has(f) {
			return nil
		}
		m = m.Get(f).Message()
	}
	f := p.fields[last]
	if !m.Has(f) {
		return nil
	}
	if !f.IsList() {
		return []string{m.Get(f).String()}
	}
	list := m.Get(f).List()
	texts := make([]string, list.Len())
	for i := range texts {
		texts[i] = list.Get(i).String()
	}
	return texts
}

// WrongCellError is a request about a bucket that a cell does not have.
type WrongCellError struct {
	Cell   string
	Bucket cell.Bucket
	// MovedTo is the cell that the bucket has gone to from this one; "" where it never was here.
	MovedTo string
	// Epoch counts the moves of the bucket: of what two cells say the later counts.
	Epoch int64
}

func (e *WrongCellError) Error() string {
	if e.MovedTo != "" {
		return fmt.Sprintf("bucket %d has moved from cell %s to %s", e.Bucket, e.Cell, e.MovedTo)
	}
	return fmt.Sprintf("bucket %d is not in cell %s", e.Bucket, e.Cell)
}

// WrongCell is the metadata of the reason WRONG_CELL.
func (e *WrongCellError) WrongCell() map[string]string {
	return map[string]string{
		"bucket": strconv.Itoa(int(e.Bucket)), "cell": e.Cell, "moved_to": e.MovedTo, "epoch": strconv.FormatInt(e.Epoch, 10),
	}
}

// Buckets are those of a cell.
type Buckets interface {
	// Hold fails with a *WrongCellError for a bucket that is not there. The context that it returns
	// ends, with such an error as its cause, when the bucket leaves, until release is called. That
	// fails where the request may have read what the bucket left behind.
	Hold(ctx context.Context, b cell.Bucket) (held context.Context, release func() error, err error)
}

// Fixed are buckets that never move.
type Fixed struct {
	Cell string
	Own  cell.Set
}

// Hold implements Buckets.
func (f *Fixed) Hold(ctx context.Context, b cell.Bucket) (context.Context, func() error, error) {
	if !f.Own.Has(b) {
		return ctx, nil, &WrongCellError{Cell: f.Cell, Bucket: b}
	}
	return ctx, func() error { return nil }, nil
}

// Guard implements rpc.Guard: it refuses requests about what a cell does not have.
type Guard struct{ Of Buckets }

// open begins the names of services that have no customers' data: health, reflection.
const open = "grpc."

// Covers fails for a method of a server that has no route. The open services need none.
func (g *Guard) Covers(services map[string]grpc.ServiceInfo) error {
	var errs []error
	for name := range services {
		if strings.HasPrefix(name, open) {
			continue
		}
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			errs = append(errs, fmt.Errorf("cell: service %s: %w", name, err))
			continue
		}
		_, err = Routes(d.(protoreflect.ServiceDescriptor))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Hold implements rpc.Guard. Errors: *WrongCellError, *rpc.BadRequestError with a *BadKeyError, those
// of Buckets.
func (g *Guard) Hold(ctx context.Context, method string, req any) (context.Context, func() error, error) {
	var releases []func() error
	release := func() (err error) {
		for _, r := range releases {
			err = cmp.Or(r(), err)
		}
		return err
	}
	msg, ok := req.(proto.Message)
	if !ok || strings.HasPrefix(method, "/"+open) {
		return ctx, release, nil
	}
	r, err := Of(method)
	if err != nil {
		return ctx, release, err
	}
	buckets, err := r.Buckets(msg)
	if err != nil {
		return ctx, release, &rpc.BadRequestError{Why: err}
	}
	slices.Sort(buckets)
	held := ctx
	for _, b := range slices.Compact(buckets) {
		more, one, err := g.Of.Hold(held, b)
		if err != nil {
			_ = release() // it has read nothing
			return ctx, release, err
		}
		held, releases = more, append(releases, one) //nolint:fatcontext // a request has few buckets
	}
	return held, release, nil
}
