package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	chassisrpc "github.com/souk-shop/souk/services/chassis/rpc"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// admit refuses a customer whose session has ended. A session without a beginning is
// the oldest.
func (s *Server) admit(ctx context.Context, v *accessv1.Viewer) error {
	c := v.GetCustomer()
	if c == nil {
		return nil
	}
	return s.app.CheckSession(ctx, c.GetId(), c.GetIssuedAt().AsTime())
}

// EndSessions ends a customer's sessions.
func (s *Server) EndSessions(ctx context.Context, req *orderv1.EndSessionsRequest) (*orderv1.EndSessionsResponse, error) {
	id, err := subject(req)
	if err != nil {
		return nil, err
	}
	var session *domain.Session
	if c := req.GetViewer().GetCustomer(); c != nil {
		session = &domain.Session{Since: c.GetIssuedAt().AsTime()}
	}
	since, err := s.app.EndSessions(ctx, id, session)
	if err != nil {
		return nil, err
	}
	return &orderv1.EndSessionsResponse{Since: timestamppb.New(since)}, nil
}

// subject is the customer whom a request is about: an operator names one, a customer can
// only mean themselves.
func subject(req interface {
	GetViewer() *accessv1.Viewer
	GetCustomerId() string
}) (string, error) {
	id, problem := access.Subject(req.GetViewer(), req.GetCustomerId())
	if problem != "" {
		return "", chassisrpc.WithViolations(domain.ErrInvalidCustomer, chassisrpc.Violation{Field: "customer_id", Detail: problem})
	}
	return id, nil
}
