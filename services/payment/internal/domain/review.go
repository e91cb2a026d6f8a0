package domain

// Decision is why something under review was settled as it was.
type Decision struct {
	// By is "reconciliation" or a person's name.
	By, Why string
}

// Reviewed is what a review came to.
type Reviewed struct {
	// Settled attempts and refunds have an outcome now; Open ones have none yet.
	Settled, Open int
}
