// Package rpctest serves package apptest's neighbors by gRPC, for tests.
package rpctest

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/souk-shop/souk/proto/reason"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/access"
	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Serve serves the neighbors by gRPC on loopback until the test ends and
// returns their address. opts let a test look at what arrives.
func Serve(t testing.TB, catalog *apptest.Catalog, carts *apptest.Carts, payments *apptest.Payments, opts ...grpc.ServerOption) string {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var rules access.Table
	s := grpc.NewServer(append(opts, grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := errors.Join(rules.Caller(info.FullMethod, "order"), rules.Viewer(info.FullMethod, "order", req)); err != nil {
			t.Errorf("%s: %v", info.FullMethod, err)
		}
		return next(ctx, req)
	}))...)
	catalogv1.RegisterCatalogServiceServer(s, &catalogServer{fake: catalog})
	cartv1.RegisterCartServiceServer(s, &cartServer{fake: carts})
	paymentv1.RegisterPaymentServiceServer(s, &paymentServer{fake: payments})
	if rules, err = access.NewTable(s.GetServiceInfo()); err != nil {
		t.Fatal(err)
	}
	go s.Serve(lis) //nolint:errcheck // it ends with the test
	t.Cleanup(s.Stop)
	return lis.Addr().String()
}

// refusal is a status with a reason, as the contracts write it.
func refusal(r protoreflect.Enum, details ...protoadapt.MessageV1) error {
	info := reason.Of(r)
	details = append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: info.Domain, Reason: info.Name}}, details...)
	s, err := status.New(info.Code, info.Name).WithDetails(details...)
	if err != nil {
		return err
	}
	return s.Err()
}

// wire turns what a fake answered into what goes over the wire; reason is that
// of a definite refusal.
func wire(err error, reasons map[error]protoreflect.Enum) error {
	if err == nil {
		return nil
	}
	for is, reason := range reasons {
		if errors.Is(err, is) {
			return refusal(reason)
		}
	}
	return status.Error(codes.Unavailable, err.Error())
}

type catalogServer struct {
	catalogv1.UnimplementedCatalogServiceServer
	fake *apptest.Catalog
}

func (s *catalogServer) GetVariants(ctx context.Context, req *catalogv1.GetVariantsRequest) (*catalogv1.GetVariantsResponse, error) {
	variants, err := s.fake.Variants(ctx, req.GetSkus())
	if err != nil {
		return nil, wire(err, nil)
	}
	resp := &catalogv1.GetVariantsResponse{}
	for _, v := range variants {
		resp.Variants = append(resp.Variants, &catalogv1.Variant{Sku: v.SKU, ProductName: v.Name, Price: v.Price.Proto()})
	}
	return resp, nil
}

func (s *catalogServer) Reserve(ctx context.Context, req *catalogv1.ReserveRequest) (*catalogv1.ReserveResponse, error) {
	lines := make([]domain.CartLine, len(req.GetLines()))
	for i, l := range req.GetLines() {
		lines[i] = domain.CartLine{SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	left, err := s.fake.Reserve(ctx, req.GetOrderId(), lines)
	var short *domain.ShortStockError
	if errors.As(err, &short) {
		var details []protoadapt.MessageV1
		for _, sku := range short.SKUs {
			details = append(details, protoadapt.MessageV1Of(&catalogv1.Shortage{Sku: sku, Requested: 1}))
		}
		return nil, refusal(catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK, details...)
	}
	var held *domain.HeldStockError
	if errors.As(err, &held) {
		var details []protoadapt.MessageV1
		for _, sku := range held.SKUs {
			details = append(details, protoadapt.MessageV1Of(&catalogv1.Shortage{Sku: sku, Requested: 1, Held: 1}))
		}
		return nil, refusal(catalogv1.ErrorReason_ERROR_REASON_INSUFFICIENT_STOCK, details...)
	}
	return &catalogv1.ReserveResponse{Left: durationpb.New(left)}, wire(err, map[error]protoreflect.Enum{
		domain.ErrReservationLost: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_RELEASED, domain.ErrStockBusy: catalogv1.ErrorReason_ERROR_REASON_STOCK_BUSY,
	})
}

func (s *catalogServer) Confirm(ctx context.Context, req *catalogv1.ConfirmRequest) (*catalogv1.ConfirmResponse, error) {
	err := s.fake.Confirm(ctx, req.GetOrderId())
	return &catalogv1.ConfirmResponse{}, wire(err, map[error]protoreflect.Enum{domain.ErrReservationLost: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_EXPIRED})
}

func (s *catalogServer) Release(ctx context.Context, req *catalogv1.ReleaseRequest) (*catalogv1.ReleaseResponse, error) {
	err := s.fake.Release(ctx, req.GetOrderId())
	return &catalogv1.ReleaseResponse{Reservation: &catalogv1.Reservation{
		OrderId: req.GetOrderId(), State: catalogv1.ReservationState_RESERVATION_STATE_RELEASED,
	}}, wire(err, nil)
}

func (s *catalogServer) Restock(ctx context.Context, req *catalogv1.RestockRequest) (*catalogv1.RestockResponse, error) {
	lines := make([]domain.RefundLine, len(req.GetLines()))
	for i, l := range req.GetLines() {
		lines[i] = domain.RefundLine{SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	err := s.fake.Restock(ctx, req.GetRestockId(), req.GetOrderId(), lines)
	return &catalogv1.RestockResponse{}, wire(err, map[error]protoreflect.Enum{domain.ErrRestockRefused: catalogv1.ErrorReason_ERROR_REASON_RESERVATION_NOT_COMMITTED})
}

type cartServer struct {
	cartv1.UnimplementedCartServiceServer
	fake *apptest.Carts
}

func (s *cartServer) GetCart(ctx context.Context, req *cartv1.GetCartRequest) (*cartv1.GetCartResponse, error) {
	lines, version, err := s.fake.Get(ctx, req.GetCartId(), req.GetViewer().GetCustomer().GetId())
	if errors.Is(err, domain.ErrCartNotFound) {
		return nil, refusal(cartv1.ErrorReason_ERROR_REASON_CART_NOT_FOUND)
	}
	if err != nil {
		return nil, wire(err, nil)
	}
	cart := &cartv1.Cart{Id: req.GetCartId(), OwnerId: req.GetViewer().GetCustomer().GetId(), Version: version}
	for _, l := range lines {
		cart.Lines = append(cart.Lines, &cartv1.CartLine{Sku: l.SKU, Quantity: l.Quantity})
	}
	return &cartv1.GetCartResponse{Cart: cart}, nil
}

func (s *cartServer) RemoveOrdered(ctx context.Context, req *cartv1.RemoveOrderedRequest) (*cartv1.RemoveOrderedResponse, error) {
	o := domain.Order{ID: req.GetOrderId(), CustomerID: req.GetOwnerId(), CartID: req.GetCartId(), CartVersion: req.GetCartVersion()}
	for _, l := range req.GetLines() {
		o.Lines = append(o.Lines, domain.Line{SKU: l.GetSku(), Quantity: l.GetQuantity()})
	}
	return &cartv1.RemoveOrderedResponse{}, wire(s.fake.RemoveOrdered(ctx, o), nil)
}

type paymentServer struct {
	paymentv1.UnimplementedPaymentServiceServer
	fake *apptest.Payments
}

// attemptStates are the wire's names of the fake's states.
var attemptStates = map[string]paymentv1.AttemptState{
	apptest.Authorized:    paymentv1.AttemptState_ATTEMPT_STATE_AUTHORIZED,
	apptest.Declined:      paymentv1.AttemptState_ATTEMPT_STATE_DECLINED,
	apptest.Captured:      paymentv1.AttemptState_ATTEMPT_STATE_CAPTURED,
	apptest.CaptureFailed: paymentv1.AttemptState_ATTEMPT_STATE_CAPTURE_FAILED,
	apptest.Voided:        paymentv1.AttemptState_ATTEMPT_STATE_VOIDED,
}

// payment is the payment of an order as it is now.
func (s *paymentServer) payment(orderID, code string) *paymentv1.Payment {
	a, _ := s.fake.Attempt(orderID)
	return &paymentv1.Payment{OrderId: orderID, State: attemptStates[a.State], Amount: a.Amount.Proto(), DeclineCode: code}
}

func (s *paymentServer) Authorize(ctx context.Context, req *paymentv1.AuthorizeRequest) (*paymentv1.AuthorizeResponse, error) {
	amount, err := money.FromProto(req.GetAmount())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	a, err := s.fake.Authorize(ctx, domain.Order{ID: req.GetOrderId(), Total: amount, PaymentMethod: req.GetPaymentMethod()})
	if err != nil {
		return nil, wire(err, map[error]protoreflect.Enum{domain.ErrPaymentVoided: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_CANCELLED})
	}
	return &paymentv1.AuthorizeResponse{Payment: s.payment(req.GetOrderId(), a.DeclineCode)}, nil
}

func (s *paymentServer) Capture(ctx context.Context, req *paymentv1.CaptureRequest) (*paymentv1.CaptureResponse, error) {
	amount, err := money.FromProto(req.GetAmount())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	c, err := s.fake.Capture(ctx, req.GetOrderId(), amount)
	if err != nil {
		return nil, wire(err, map[error]protoreflect.Enum{domain.ErrPaymentMismatch: paymentv1.ErrorReason_ERROR_REASON_AMOUNT_MISMATCH, domain.ErrCaptureRefused: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_NOT_AUTHORIZED})
	}
	return &paymentv1.CaptureResponse{Payment: s.payment(req.GetOrderId(), c.Code)}, nil
}

func (s *paymentServer) Cancel(ctx context.Context, req *paymentv1.CancelRequest) (*paymentv1.CancelResponse, error) {
	_, known := s.fake.Attempt(req.GetOrderId())
	if err := s.fake.Cancel(ctx, req.GetOrderId()); err != nil {
		return nil, wire(err, map[error]protoreflect.Enum{domain.ErrPaymentCaptured: paymentv1.ErrorReason_ERROR_REASON_PAYMENT_CAPTURED})
	}
	if !known {
		return &paymentv1.CancelResponse{}, nil
	}
	return &paymentv1.CancelResponse{Payment: s.payment(req.GetOrderId(), "")}, nil
}

func (s *paymentServer) Refund(ctx context.Context, req *paymentv1.RefundRequest) (*paymentv1.RefundResponse, error) {
	amount, err := money.FromProto(req.GetAmount())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	r, err := s.fake.Refund(ctx, req.GetRefundId(), req.GetOrderId(), amount)
	if err != nil {
		return nil, wire(err, map[error]protoreflect.Enum{domain.ErrRefundRefused: paymentv1.ErrorReason_ERROR_REASON_REFUND_EXCEEDS_CAPTURE})
	}
	state := paymentv1.RefundState_REFUND_STATE_SUCCEEDED
	if r.Failed {
		state = paymentv1.RefundState_REFUND_STATE_FAILED
	}
	return &paymentv1.RefundResponse{Refund: &paymentv1.Refund{
		RefundId: req.GetRefundId(), State: state, Amount: req.GetAmount(), FailureCode: r.Code,
	}}, nil
}

func (s *cartServer) EraseCustomer(ctx context.Context, req *cartv1.EraseCustomerRequest) (*cartv1.EraseCustomerResponse, error) {
	n, err := s.fake.EraseCarts(ctx, req.GetCustomerId())
	return &cartv1.EraseCustomerResponse{Carts: int64(n)}, wire(err, nil)
}

func (s *paymentServer) ErasePayments(ctx context.Context, req *paymentv1.ErasePaymentsRequest) (*paymentv1.ErasePaymentsResponse, error) {
	open, err := s.fake.ErasePayments(ctx, req.GetOrderIds())
	return &paymentv1.ErasePaymentsResponse{OpenOrderIds: open}, wire(err, nil)
}
