package domain

// Viewer is for whom orders are read or changed. The zero value sees none.
type Viewer struct {
	// Customer sees their own orders; "" is no customer.
	Customer string
	// All is the sight of an operator, and of the service itself.
	All bool
}

// Sees reports whether a customer's orders are the viewer's to see.
func (v Viewer) Sees(customerID string) bool {
	return v.All || v.Customer != "" && v.Customer == customerID
}
