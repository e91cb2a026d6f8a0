package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	errorv1 "github.com/souk-shop/souk/proto/gen/souk/error/v1"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/chassis/identity"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// noMeters keeps otelgrpc from measuring: the interceptors do, for less.
var noMeters = noop.NewMeterProvider()

const healthPrefix = "/grpc.health."

// traced reports whether a call has a span. One of a method that the server does not have would
// be named by its caller, and make series without end where spans are measured by their names.
func (s *Server) traced(info *stats.RPCTagInfo) bool {
	return !strings.HasPrefix(info.FullMethodName, healthPrefix) && s.methods()[info.FullMethodName]
}

// methodsOf are the full names of the methods that are registered.
func methodsOf(s *grpc.Server) map[string]bool {
	methods := map[string]bool{}
	for service, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			methods["/"+service+"/"+m.Name] = true
		}
	}
	return methods
}

// validator is one for the process: what it compiles is large.
var validator = sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })

// interceptors are what happens around every handler of a server.
type interceptors struct {
	tel       *telemetry.Telemetry
	errs      ErrorTable
	server    *Server
	validator protovalidate.Validator
	durations *durations
	outages   telemetry.Outages
}

func newInterceptors(tel *telemetry.Telemetry, errs ErrorTable, s *Server) (*interceptors, error) {
	v, err := validator()
	if err != nil {
		return nil, err
	}
	took, err := served(tel)
	if err != nil {
		return nil, err
	}
	return &interceptors{tel: tel, errs: errs, server: s, validator: v, durations: took}, nil
}

func (i *interceptors) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	if strings.HasPrefix(info.FullMethod, healthPrefix) {
		return handler(ctx, req)
	}
	started := time.Now()
	telemetry.Profiled(info.FullMethod)
	ctx, cancel, err := shave(i.extract(ctx))
	release := func() error { return nil }
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
		if gone := release(); gone != nil {
			err = gone
		}
		if err = i.finish(ctx, info.FullMethod, started, err); err != nil {
			resp = nil
		}
		cancel()
	}()
	if err != nil {
		return nil, err
	}
	caller, err := i.caller(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if ctx, release, err = i.check(ctx, info.FullMethod, caller, req); err != nil {
		return nil, err
	}
	session, err := begin(ctx)
	if err != nil {
		return nil, err
	}
	defer i.server.tell(session, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) })
	return handler(session, req)
}

func (i *interceptors) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	started := time.Now()
	telemetry.Profiled(info.FullMethod)
	ctx, end := context.WithCancelCause(i.extract(ss.Context()))
	if !info.IsClientStream {
		// Nothing would end a stream to a client that just listens.
		defer context.AfterFunc(i.server.drain, func() { end(errDraining) })()
	}
	ctx, cancel, err := shave(ctx)
	stream := &serverStream{ServerStream: ss, ctx: ctx}
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
		for _, release := range stream.releases {
			if gone := release(); gone != nil {
				err = gone
			}
		}
		err = i.finish(stream.ctx, info.FullMethod, started, err)
		cancel()
		end(nil)
	}()
	if err != nil {
		return err
	}
	caller, err := i.caller(ctx, info.FullMethod)
	if err != nil {
		return err
	}
	if ctx, err = begin(ctx); err != nil {
		return err
	}
	stream.ctx = ctx
	defer i.server.tell(ctx, ss.SetTrailer)
	stream.check = func(req any) error {
		held, release, err := i.check(stream.ctx, info.FullMethod, caller, req)
		if err == nil {
			stream.ctx, stream.releases = held, append(stream.releases, release)
		}
		return err
	}
	return handler(srv, stream)
}

// serverStream gives a stream's handler its context and checks what it receives.
type serverStream struct {
	grpc.ServerStream
	ctx      context.Context
	check    func(req any) error
	releases []func() error
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.check(m)
}

// caller is the part that calls, or an error when it may not; "" where certificates are
// not checked.
func (i *interceptors) caller(ctx context.Context, method string) (string, error) {
	if !i.server.checked {
		return "", nil
	}
	caller := identity.Caller(ctx)
	if err := i.server.rules.Caller(method, caller); err != nil {
		return "", i.refuse(ctx, method, caller, nil, err)
	}
	return caller, nil
}

// check refuses a request that is for whom it must not be, one that is not valid, and one that
// is for another cell. The context that it returns ends when what the request is about leaves the
// cell, until release is called; they are the caller's own and nothing where it fails.
func (i *interceptors) check(ctx context.Context, method, caller string, req any) (held context.Context, release func() error, err error) {
	release = func() error { return nil }
	if err := i.server.rules.Viewer(method, caller, req); err != nil {
		return ctx, release, i.refuse(ctx, method, caller, req, err)
	}
	if msg, ok := req.(proto.Message); ok {
		if err := i.validate(msg); err != nil {
			return ctx, release, err
		}
	}
	if i.server.guard == nil {
		return ctx, release, nil
	}
	held, end, err := i.server.guard.Hold(ctx, method, req)
	if err != nil {
		return ctx, release, i.refusedByGuard(ctx, method, err)
	}
	return held, end, nil
}

// refusedByGuard is what the caller of a request is answered that is for another cell. Where what it
// is about has not moved there, the caller's table of cells is wrong, which operators have to hear of.
func (i *interceptors) refusedByGuard(ctx context.Context, method string, err error) error {
	if metadata, ok := wrongCell(err); ok {
		if metadata["moved_to"] == "" {
			if tell, leftOut := i.outages.Tell(method, time.Now()); tell {
				i.tel.Log.ErrorContext(ctx, "a call is for another cell", "method", method, "error", err, "left_out", leftOut)
			}
		}
		return wrongCellStatus(err, metadata).Err()
	}
	if bad, ok := errors.AsType[*BadRequestError](err); ok {
		return refusal(errorv1.ErrorReason_ERROR_REASON_INVALID, bad.Error(), nil).Err()
	}
	return err
}

// refuse records a call that may not be made, and is what its caller is answered.
func (i *interceptors) refuse(ctx context.Context, method, caller string, req any, err error) error {
	refused, ok := errors.AsType[*access.Refusal](err)
	if !ok {
		return err
	}
	attrs := []slog.Attr{slog.String("caller", cmp.Or(caller, "unknown")), slog.String("error", refused.Why)}
	if viewed, ok := req.(interface{ GetViewer() *accessv1.Viewer }); ok {
		attrs = append(attrs, slog.String("viewer", access.Describe(viewed.GetViewer())))
	}
	if p, ok := peer.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("peer", p.Addr.String()))
	}
	i.tel.Security.Record(ctx, telemetry.AuthzFail, method, attrs...)
	if refused.Field == "" {
		return refusal(refused.Reason, refused.Why, nil).Err()
	}
	return refusal(refused.Reason, refused.Field+": "+refused.Why, nil, &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: refused.Field, Description: refused.Why}},
	}).Err()
}

// extract puts the caller's trace context into ctx when no stats handler does.
func (i *interceptors) extract(ctx context.Context) context.Context {
	if i.tel.Recording {
		return ctx
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		return i.tel.Propagator.Extract(ctx, carrier(md))
	}
	return ctx
}

// shave shortens the caller's deadline, or refuses to begin.
func shave(ctx context.Context) (context.Context, context.CancelFunc, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}, nil
	}
	if left := time.Until(deadline); left < minDeadline {
		return ctx, func() {}, status.Errorf(codes.DeadlineExceeded, "not enough time left: %v", left.Round(time.Millisecond))
	}
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-deadlineShave))
	return ctx, cancel, nil
}

func (i *interceptors) validate(msg proto.Message) error {
	err := i.validator.Validate(msg)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return fmt.Errorf("validate %s: %w", msg.ProtoReflect().Descriptor().FullName(), err)
	}
	bad := &errdetails.BadRequest{}
	for _, v := range invalid.Violations {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field:       protovalidate.FieldPathString(v.Proto.GetField()),
			Description: v.Proto.GetMessage(),
			Reason:      ruleReason.Replace(strings.ToUpper(v.Proto.GetRuleId())),
		})
	}
	message := "invalid request"
	if violations := bad.GetFieldViolations(); len(violations) > 0 {
		message += ": " + violations[0].GetField() + ": " + violations[0].GetDescription()
	}
	return refusal(errorv1.ErrorReason_ERROR_REASON_INVALID, message, nil, bad).Err()
}

// ruleReason makes a rule's id, "string.min_len", a reason: STRING_MIN_LEN.
var ruleReason = strings.NewReplacer(".", "_", "-", "_", "/", "_")

// panicError is a handler's panic.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// finish maps a call's error, and logs and measures the call.
func (i *interceptors) finish(ctx context.Context, method string, started time.Time, err error) error {
	took := time.Since(started)
	code := codes.OK
	var st *status.Status
	if err != nil {
		if gone := context.Cause(ctx); gone != nil {
			if _, ok := wrongCell(gone); ok {
				err = gone // what was under way goes on where it is now
			}
		}
		st = i.errs.Status(ctx, err)
		code = st.Code()
	}
	i.durations.record(ctx, method, code, took)
	level, leftOut := slog.LevelDebug, 0
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		level = slog.LevelError
	case codes.Unavailable, codes.ResourceExhausted:
		if !errors.Is(context.Cause(ctx), errDraining) {
			// Metrics count every one.
			var tell bool
			if tell, leftOut = i.outages.Tell(method, time.Now()); tell {
				level = slog.LevelWarn
			}
		}
		if code == codes.Unavailable && !errors.Is(context.Cause(ctx), errDraining) {
			i.server.monitor.poke()
		}
	case codes.DeadlineExceeded, codes.Unimplemented:
		level = slog.LevelWarn
	}
	if i.tel.Log.Enabled(ctx, level) {
		attrs := []slog.Attr{
			slog.String("method", method),
			slog.String("code", code.String()),
			slog.Duration("duration", took),
		}
		if p, ok := peer.FromContext(ctx); ok {
			attrs = append(attrs, slog.String("peer", p.Addr.String()))
		}
		if leftOut > 0 {
			attrs = append(attrs, slog.Int("left_out", leftOut))
		}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		if p, ok := errors.AsType[*panicError](err); ok {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
		i.tel.Log.LogAttrs(ctx, level, "call", attrs...)
	}
	if err != nil && i.tel.Recording && (level >= slog.LevelWarn || code == codes.Unavailable) {
		trace.SpanFromContext(ctx).RecordError(err)
	}
	return st.Err()
}

// carrier reads and writes trace context in gRPC metadata.
type carrier metadata.MD

func (c carrier) Get(key string) string {
	if values := metadata.MD(c).Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (c carrier) Set(key, value string) { metadata.MD(c).Set(key, value) }

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}
