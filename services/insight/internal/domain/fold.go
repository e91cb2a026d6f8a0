package domain

// Changes are what facts make of the model's rows, at most one change of each row.
type Changes struct {
	// Placed are new rows.
	Placed []*Order
	// Moved are changes of rows that are there: what is zero stays, Refunded is added.
	Moved []*Order
	Lines []Line
	// Requested are new rows, Settled those that are there and change.
	Requested, Settled []*Refund
	RefundLines        []RefundLine
	// Returned are units of lines that were refunded, to be added.
	Returned []RefundLine
	Payments []*Payment
	Variants []Variant

	orders   map[string]*Order
	refunds  map[string]*Refund
	payments map[string]*Payment
	variants map[string]int
	returned map[[2]string]int
}

// Fold returns what facts change together. It is the same as one after the other.
func Fold(facts []Fact) *Changes {
	c := &Changes{
		orders: map[string]*Order{}, refunds: map[string]*Refund{}, payments: map[string]*Payment{},
		variants: map[string]int{}, returned: map[[2]string]int{},
	}
	for _, f := range facts {
		f.fold(c)
	}
	return c
}

// order returns the change of an order, at a version of it.
func (c *Changes) order(id string, version int64) *Order {
	o, ok := c.orders[id]
	if !ok {
		o = &Order{ID: id}
		c.orders[id] = o
		c.Moved = append(c.Moved, o)
	}
	o.Version = max(o.Version, version)
	return o
}

func (f OrderPlaced) fold(c *Changes) {
	o := f.Order
	c.orders[o.ID] = &o
	c.Placed = append(c.Placed, &o)
	c.Lines = append(c.Lines, f.Lines...)
}

func (f OrderMoved) fold(c *Changes) {
	o := c.order(f.OrderID, f.Version)
	o.State = f.State
	if f.Reason != "" {
		o.CancelReason = f.Reason
	}
	at := f.At
	switch f.State {
	case Authorizing:
		o.ReservedAt = &at
	case Confirming:
		o.AuthorizedAt = &at
	case Capturing:
		o.ConfirmedAt = &at
	case Paid:
		o.PaidAt = &at
	case Cancelling:
		o.GivenUpAt = &at
	case Cancelled:
		o.CancelledAt = &at
	}
}

func (f OrderAmended) fold(c *Changes) { c.order(f.OrderID, f.Version) }

func (f RefundRequested) fold(c *Changes) {
	c.order(f.Refund.OrderID, f.Version)
	r := f.Refund
	c.refunds[r.ID] = &r
	c.Requested = append(c.Requested, &r)
	c.RefundLines = append(c.RefundLines, f.Lines...)
}

func (f RefundSettled) fold(c *Changes) {
	o := c.order(f.OrderID, f.Version)
	r, ok := c.refunds[f.RefundID]
	if !ok {
		r = &Refund{ID: f.RefundID}
		c.refunds[r.ID] = r
		c.Settled = append(c.Settled, r)
	}
	at := f.At
	r.State, r.FailureCode, r.SettledAt = RefundFailed, f.FailureCode, &at
	if !f.Succeeded {
		return
	}
	r.State = RefundSucceeded
	o.Refunded += f.Amount
	for _, l := range f.Lines {
		k := [2]string{l.OrderID, l.SKU}
		if i, ok := c.returned[k]; ok {
			c.Returned[i].Quantity += l.Quantity
			continue
		}
		c.returned[k] = len(c.Returned)
		c.Returned = append(c.Returned, l)
	}
}

func (f PaymentChanged) fold(c *Changes) {
	p, ok := c.payments[f.OrderID]
	if !ok {
		p = &Payment{OrderID: f.OrderID}
		c.payments[f.OrderID] = p
		c.Payments = append(c.Payments, p)
	}
	if f.State != "" {
		p.State = f.State
	}
	if f.Currency != "" {
		p.Currency = f.Currency
	}
	if f.Captured != 0 {
		p.Captured += f.Captured
		p.Captures++
	}
	if f.Refunded != 0 {
		p.Refunded += f.Refunded
		p.Refunds++
	}
	p.ChangedAt = f.At
}

func (f ProductTold) fold(c *Changes) {
	for _, sku := range f.SKUs {
		v := Variant{SKU: sku, ProductID: f.ProductID, Product: f.Name}
		if i, ok := c.variants[sku]; ok {
			c.Variants[i] = v
			continue
		}
		c.variants[sku] = len(c.Variants)
		c.Variants = append(c.Variants, v)
	}
}
