package domain

// OrderJob is the job which guarantees that an order is driven to its end.
type OrderJob struct {
	OrderID string `json:"order_id"`
	// TraceParent continues the trace of the call that placed the order.
	TraceParent string `json:"traceparent"`
}

// Kind names the job.
func (OrderJob) Kind() string { return "drive_order" }

// RefundJob is the job of a refund.
type RefundJob struct {
	RefundID string `json:"refund_id"`
	// TraceParent continues the trace of the call that asked for the refund.
	TraceParent string `json:"traceparent"`
}

// Kind names the job.
func (RefundJob) Kind() string { return "drive_refund" }

// Stalled is an order or refund that is not done and to which nothing happened
// for a while.
type Stalled struct {
	ID          string
	Refund      bool
	TraceParent string
}

// Head is the part of an order that tells whoever waits whether it changed.
type Head struct {
	State   State
	Version int64
	// AnsweredPending as in Order.
	AnsweredPending bool
	// AnswerDue: the call that placed the order has stopped waiting.
	AnswerDue bool
}
