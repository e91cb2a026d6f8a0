package rpc

import (
	"context"
	"slices"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
)

// ExportPayments implements paymentv1.PaymentServiceServer.
func (s *Server) ExportPayments(ctx context.Context, req *paymentv1.ExportPaymentsRequest) (*paymentv1.ExportPaymentsResponse, error) {
	attempts, err := s.payments.Export(ctx, orderIDs(req.GetOrderIds()))
	if err != nil {
		return nil, err
	}
	resp := &paymentv1.ExportPaymentsResponse{Payments: make([]*paymentv1.ExportedPayment, len(attempts))}
	for i, a := range attempts {
		resp.Payments[i] = &paymentv1.ExportedPayment{Payment: toPayment(a), PaymentMethod: a.Method}
	}
	return resp, nil
}

// ErasePayments implements paymentv1.PaymentServiceServer.
func (s *Server) ErasePayments(ctx context.Context, req *paymentv1.ErasePaymentsRequest) (*paymentv1.ErasePaymentsResponse, error) {
	open, err := s.payments.Erase(ctx, orderIDs(req.GetOrderIds()))
	if err != nil {
		return nil, err
	}
	return &paymentv1.ErasePaymentsResponse{OpenOrderIds: open}, nil
}

// orderIDs are distinct ids in canonical form and in their order.
func orderIDs(in []string) []string {
	out := make([]string, len(in))
	for i, id := range in {
		out[i] = canonical(id)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
