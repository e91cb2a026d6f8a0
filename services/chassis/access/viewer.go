package access

import (
	"strings"

	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
)

// Customer is the viewer for a shopper, by UUID.
func Customer(id string) *accessv1.Viewer {
	return &accessv1.Viewer{Kind: &accessv1.Viewer_Customer{Customer: &accessv1.Customer{Id: id}}}
}

// Operator is the viewer for an operator, by name.
func Operator(name string) *accessv1.Viewer {
	return &accessv1.Viewer{Kind: &accessv1.Viewer_Operator{Operator: &accessv1.Operator{Name: name}}}
}

// Service is the viewer for a part that acts for itself.
func Service(part string) *accessv1.Viewer {
	return &accessv1.Viewer{Kind: &accessv1.Viewer_Service{Service: &accessv1.Service{Name: part}}}
}

// Anyone is the viewer of what is the same for all customers.
func Anyone() *accessv1.Viewer {
	return &accessv1.Viewer{Kind: &accessv1.Viewer_Anyone{Anyone: &accessv1.Anyone{}}}
}

// kindOf is the kind of a viewer; UNSPECIFIED for none.
func kindOf(v *accessv1.Viewer) accessv1.ViewerKind {
	switch v.GetKind().(type) {
	case *accessv1.Viewer_Anyone:
		return accessv1.ViewerKind_VIEWER_KIND_ANYONE
	case *accessv1.Viewer_Customer:
		return accessv1.ViewerKind_VIEWER_KIND_CUSTOMER
	case *accessv1.Viewer_Operator:
		return accessv1.ViewerKind_VIEWER_KIND_OPERATOR
	case *accessv1.Viewer_Service:
		return accessv1.ViewerKind_VIEWER_KIND_SERVICE
	}
	return accessv1.ViewerKind_VIEWER_KIND_UNSPECIFIED
}

// Describe says who a viewer is, for logs: "customer 0199...", "operator ann".
func Describe(v *accessv1.Viewer) string {
	switch kind := v.GetKind().(type) {
	case *accessv1.Viewer_Anyone:
		return "anyone"
	case *accessv1.Viewer_Customer:
		return "customer " + kind.Customer.GetId()
	case *accessv1.Viewer_Operator:
		return "operator " + kind.Operator.GetName()
	case *accessv1.Viewer_Service:
		return "service " + kind.Service.GetName()
	}
	return "none"
}

// Subject is the id of the customer whom a call is about: an operator names one, a customer
// can only mean themselves, by name or without. problem says what is wrong with the
// field customer_id, "" if nothing is.
func Subject(v *accessv1.Viewer, customerID string) (id, problem string) {
	named, own := strings.ToLower(customerID), strings.ToLower(v.GetCustomer().GetId())
	switch {
	case own == "" && named == "":
		return "", "must be set: an operator says whom it is about"
	case own != "" && named != "" && own != named:
		return "", "must be the viewer's own, or empty"
	case own != "":
		return own, ""
	}
	return named, ""
}
