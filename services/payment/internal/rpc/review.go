package rpc

import (
	"context"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/payment/internal/domain"
)

// ResolvePayment implements paymentv1.PaymentServiceServer.
func (s *Server) ResolvePayment(ctx context.Context, req *paymentv1.ResolvePaymentRequest) (*paymentv1.ResolvePaymentResponse, error) {
	order, decision := canonical(req.GetOrderId()), domain.Decision{By: req.GetViewer().GetOperator().GetName(), Why: req.GetReason()}
	var err error
	if req.GetRefundId() != "" {
		_, err = s.payments.ResolveRefund(ctx, canonical(req.GetRefundId()), order, req.GetProviderId(), decision)
	} else {
		_, err = s.payments.Resolve(ctx, order, req.GetProviderId(), decision)
	}
	if err != nil {
		return nil, err
	}
	a, err := s.payments.Get(ctx, order)
	if err != nil {
		return nil, err
	}
	return &paymentv1.ResolvePaymentResponse{Payment: toPayment(a)}, nil
}
