package auth

import (
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
	"github.com/souk-shop/souk/services/chassis/access"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Viewer is for whom the services are called in a request of this identity. Services
// believe the gateway: an identity becomes a viewer here, and nowhere else.
func (id Identity) Viewer() *accessv1.Viewer {
	switch {
	case id.Operator != nil:
		return access.Operator(id.Operator.Name)
	case id.Known:
		return id.Shopper.Viewer()
	}
	return access.Anyone()
}

// Viewer is the shopper, also one that was made for this request.
func (s Shopper) Viewer() *accessv1.Viewer {
	v := access.Customer(s.ID.String())
	if !s.Since.IsZero() {
		v.GetCustomer().IssuedAt = timestamppb.New(s.Since)
	}
	return v
}
