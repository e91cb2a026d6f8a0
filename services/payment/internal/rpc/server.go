// Package rpc is the payment service's gRPC interface.
package rpc

import (
	"context"
	"errors"
	"strings"

	"github.com/souk-shop/souk/services/payment/internal/app"

	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/souk-shop/souk/proto/gen/souk/money/v1"
	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// Server implements paymentv1.PaymentServiceServer.
type Server struct {
	paymentv1.UnimplementedPaymentServiceServer
	payments   *app.Payments
	webhooks   *app.Webhooks
	reconciler *app.Reconciler
}

// NewServer returns the server of the commands, of the provider's webhooks and of
// reconciliations.
func NewServer(payments *app.Payments, webhooks *app.Webhooks, reconciler *app.Reconciler) *Server {
	return &Server{payments: payments, webhooks: webhooks, reconciler: reconciler}
}

// Authorize implements paymentv1.PaymentServiceServer.
func (s *Server) Authorize(ctx context.Context, req *paymentv1.AuthorizeRequest) (*paymentv1.AuthorizeResponse, error) {
	amount, err := positive(req.GetAmount())
	if err != nil {
		return nil, err
	}
	a, err := s.payments.Authorize(ctx, app.AuthorizeCommand{
		OrderID: canonical(req.GetOrderId()), OrderNumber: req.GetOrderNumber(), Amount: amount, Method: req.GetPaymentMethod(),
	})
	if err != nil {
		return nil, err
	}
	return &paymentv1.AuthorizeResponse{Payment: toPayment(a)}, nil
}

// Capture implements paymentv1.PaymentServiceServer.
func (s *Server) Capture(ctx context.Context, req *paymentv1.CaptureRequest) (*paymentv1.CaptureResponse, error) {
	amount, err := positive(req.GetAmount())
	if err != nil {
		return nil, err
	}
	a, err := s.payments.Capture(ctx, canonical(req.GetOrderId()), amount)
	if err != nil {
		return nil, err
	}
	return &paymentv1.CaptureResponse{Payment: toPayment(a)}, nil
}

// Cancel implements paymentv1.PaymentServiceServer.
func (s *Server) Cancel(ctx context.Context, req *paymentv1.CancelRequest) (*paymentv1.CancelResponse, error) {
	a, err := s.payments.Cancel(ctx, canonical(req.GetOrderId()))
	if err != nil {
		return nil, err
	}
	if a.Tombstone() {
		return &paymentv1.CancelResponse{}, nil
	}
	return &paymentv1.CancelResponse{Payment: toPayment(a)}, nil
}

// Refund implements paymentv1.PaymentServiceServer.
func (s *Server) Refund(ctx context.Context, req *paymentv1.RefundRequest) (*paymentv1.RefundResponse, error) {
	amount, err := positive(req.GetAmount())
	if err != nil {
		return nil, err
	}
	r, err := s.payments.Refund(ctx, canonical(req.GetRefundId()), canonical(req.GetOrderId()), amount)
	if err != nil {
		return nil, err
	}
	return &paymentv1.RefundResponse{Refund: toRefund(r)}, nil
}

// GetPayment implements paymentv1.PaymentServiceServer.
func (s *Server) GetPayment(ctx context.Context, req *paymentv1.GetPaymentRequest) (*paymentv1.GetPaymentResponse, error) {
	a, err := s.payments.Get(ctx, canonical(req.GetOrderId()))
	if err != nil {
		return nil, err
	}
	return &paymentv1.GetPaymentResponse{Payment: toPayment(a)}, nil
}

// GetLimits implements paymentv1.PaymentServiceServer.
func (s *Server) GetLimits(_ context.Context, req *paymentv1.GetLimitsRequest) (*paymentv1.GetLimitsResponse, error) {
	l, err := s.payments.Limits(req.GetCurrency())
	if errors.Is(err, domain.ErrCurrencyNotCharged) {
		return &paymentv1.GetLimitsResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &paymentv1.GetLimitsResponse{Limits: &paymentv1.Limits{Currency: l.Currency, Min: l.Min, Max: l.Max, Step: l.Step}}, nil
}

// HandleWebhook implements paymentv1.PaymentServiceServer.
func (s *Server) HandleWebhook(ctx context.Context, req *paymentv1.HandleWebhookRequest) (*paymentv1.HandleWebhookResponse, error) {
	e, duplicate, err := s.webhooks.Receive(ctx, req.GetPayload(), req.GetSignature(), telemetry.TraceParent(ctx))
	if err != nil {
		return nil, err
	}
	return &paymentv1.HandleWebhookResponse{EventId: e.ID, Duplicate: duplicate}, nil
}

// canonical is a UUID as the database writes it. The request was validated.
func canonical(uuid string) string { return strings.ToLower(uuid) }

func positive(m *moneyv1.Money) (money.Money, error) {
	amount, err := money.FromProto(m)
	if err != nil || amount.Units <= 0 {
		return money.Money{}, domain.ErrInvalidAmount
	}
	return amount, nil
}

var states = map[domain.State]paymentv1.AttemptState{
	domain.Sent:          paymentv1.AttemptState_ATTEMPT_STATE_SENT,
	domain.Authorized:    paymentv1.AttemptState_ATTEMPT_STATE_AUTHORIZED,
	domain.Declined:      paymentv1.AttemptState_ATTEMPT_STATE_DECLINED,
	domain.CaptureSent:   paymentv1.AttemptState_ATTEMPT_STATE_CAPTURE_SENT,
	domain.Captured:      paymentv1.AttemptState_ATTEMPT_STATE_CAPTURED,
	domain.CaptureFailed: paymentv1.AttemptState_ATTEMPT_STATE_CAPTURE_FAILED,
	domain.VoidSent:      paymentv1.AttemptState_ATTEMPT_STATE_VOID_SENT,
	domain.Voided:        paymentv1.AttemptState_ATTEMPT_STATE_VOIDED,
	domain.NeedsReview:   paymentv1.AttemptState_ATTEMPT_STATE_NEEDS_REVIEW,
}

var refundStates = map[domain.RefundState]paymentv1.RefundState{
	domain.RefundSent:      paymentv1.RefundState_REFUND_STATE_SENT,
	domain.RefundSucceeded: paymentv1.RefundState_REFUND_STATE_SUCCEEDED,
	domain.RefundFailed:    paymentv1.RefundState_REFUND_STATE_FAILED,
}

func toPayment(a domain.Attempt) *paymentv1.Payment {
	out := &paymentv1.Payment{
		OrderId: a.OrderID, AttemptId: a.ID, State: states[a.State], Amount: a.Amount.Proto(),
		Captured:   money.Money{Units: a.Captured, Currency: a.Amount.Currency}.Proto(),
		Refunded:   money.Money{Units: a.Refunded, Currency: a.Amount.Currency}.Proto(),
		ProviderId: a.ProviderID, CreatedAt: timestamppb.New(a.CreatedAt),
	}
	if a.State == domain.Declined {
		out.DeclineCode = a.Code
	}
	for _, r := range a.Refunds {
		out.Refunds = append(out.Refunds, toRefund(r))
	}
	return out
}

func toRefund(r domain.Refund) *paymentv1.Refund {
	return &paymentv1.Refund{RefundId: r.ID, State: refundStates[r.State], Amount: r.Amount.Proto(), FailureCode: r.FailureCode}
}
