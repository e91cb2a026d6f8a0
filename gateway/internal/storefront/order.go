package storefront

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/sse"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/proto/contact"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
)

// orderPage is the view of order.html.
type orderPage struct {
	frame
	Number   string
	Placed   string
	Status   orderStatus
	Lines    []orderLine
	Total    string
	Refunded string // empty for nothing
	Refunds  []orderRefund
	Email    string
	Address  []string
	Events   string // address of the live updates; empty when it is settled
	Problem  string
	Traces   string // address of the order's trace; empty for who is no operator
}

// orderStatus is where an order stands, in words. It is also what the live
// updates bring.
type orderStatus struct {
	State     order.State
	Mood      string // "busy", "good" or "bad"; also a CSS class
	Heading   string
	Text      string
	Steps     []orderStep
	Short     []string // names of what was out of stock
	BackTo    bool     // offers the way back to the cart
	CancelURL string   // empty when it is too late
}

// orderRefund is money given back: what, when and why.
type orderRefund struct {
	When, Amount, Status, Reason string
	Items                        []string // empty for all that was left
}

// orderStep is one of the stations of an order.
type orderStep struct {
	Label string
	Phase string // "done", "now", "todo"; also a CSS class
}

// orderLine is what was bought.
type orderLine struct {
	Name     string
	URL      string
	Picture  string
	Quantity string
	Price    string
	Total    string
	Refunded int64
}

// saying is a state in words.
type saying struct{ heading, text string }

var sayings = map[order.State]saying{
	order.StatePending:     {"We have your order", "We are putting your items aside for you."},
	order.StateAuthorizing: {"Your items are put aside", "Now we are asking your bank."},
	order.StateConfirming:  {"Your bank said yes", "We are wrapping up your items."},
	order.StateCapturing:   {"Nearly there", "The payment is on its way."},
	order.StatePaid:        {"Thank you! Your order is complete", "It is paid, and your items are yours. We are packing them now."},
	order.StateCancelling:  {"We are cancelling the order", "Your items go back on the shelf, and nothing is charged."},
	order.StateCancelled:   {"This order was cancelled", "Nothing was charged."},
}

// cancelSayings say why an order was cancelled.
var cancelSayings = map[string]saying{
	"INSUFFICIENT_STOCK": {"Someone was faster", "There is not enough left of some of your items, so we did not take the order. Nothing was charged."},
	"HELD_BY_OTHERS":     {"Others are paying for the last ones", "All that is left is set aside for shoppers who are paying just now. Nothing was charged, and your items are still in your cart: if one of them does not buy, it works in a moment."},
	"PAYMENT_DECLINED":   {"The payment was declined", "Nothing was charged, and your items are still in your cart."},
	"CUSTOMER":           {"You cancelled this order", "Nothing was charged."},
	"TIMED_OUT":          {"This took too long", "We could not finish the order in time, so we called it off. Nothing was charged; your items are still in your cart."},
	"RESERVATION_LOST":   {"Your items slipped away", "We could not keep them aside long enough. Nothing was charged; please try again from your cart."},
	"CAPTURE_FAILED":     {"The payment did not go through", "Your bank took back its yes. Nothing was charged; please try again, perhaps with another card."},
	"AMOUNT_MISMATCH":    {"The payment did not match the order", "So we called it off. Nothing was charged; please try again from your cart."},
}

// declines say what a buyer may know of the bank's no.
var declines = map[order.Decline]string{
	order.Declined:               "Your bank did not approve this payment, and only your bank can say why. Another card may do.",
	order.AuthenticationRequired: "Your bank wants you to confirm the payment, which this card can't do here.",
	order.TryAgain:               "Your bank could not process the payment just now. Please try again in a few minutes.",
	order.NotChargeable:          "No card can be charged this amount: it is outside of what our payment provider takes.",
}

func (s *Storefront) serveOrder(w http.ResponseWriter, r *http.Request) error {
	o, err := s.order(r)
	if err != nil {
		return err
	}
	if o.State == order.StatePaid {
		s.recount(w, r, o)
	}
	v := newOrderPage(o)
	if s.traces != nil && s.signedIn(r).Has(operators.Orders) {
		v.Traces = tracesOf(o.ID.String())
	}
	return s.show(w, r, http.StatusOK, "order", v)
}

// order is the one in the address, if it is the shopper's.
func (s *Storefront) order(r *http.Request) (*order.Order, error) {
	viewer, id, err := orderID(r)
	if err != nil {
		return nil, err
	}
	return s.orders.Order(r.Context(), viewer, id)
}

func orderID(r *http.Request) (*accessv1.Viewer, uuid.UUID, error) {
	notFound := problem.New(problem.OrderNotFound)
	text := r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return nil, id, notFound
	}
	who := auth.FromContext(r.Context())
	if !who.Known {
		return nil, id, notFound
	}
	return who.Shopper.Viewer(), id, nil
}

// leavesWithin is within what time the units of a paid order have left its cart, if
// all is well. The cart service knows for longer whether they have.
const leavesWithin = 24 * time.Hour

// recount sets the number on the cart right after a purchase, to what is left when
// what was bought has gone.
func (s *Storefront) recount(w http.ResponseWriter, r *http.Request, o *order.Order) {
	shopper := auth.FromContext(r.Context()).Shopper
	if o.CartID != shopper.Cart.String() || s.cartCount(r, w) == 0 {
		return
	}
	var bought []cart.LineInput
	if o.SettledAt.IsZero() || time.Since(o.SettledAt) < leavesWithin {
		for _, l := range o.Lines {
			bought = append(bought, cart.LineInput{SKU: l.SKU, Quantity: l.Quantity})
		}
	}
	units, err := s.carts.UnitsAfter(r.Context(), shopper.Viewer(), shopper.Cart, o.ID, bought)
	if err != nil {
		s.log.WarnContext(r.Context(), "the cart could not be counted after an order", "error", err)
		return
	}
	s.rememberCount(w, r, units)
}

func newOrderPage(o *order.Order) *orderPage {
	v := &orderPage{
		frame:  frame{Title: "Order " + o.Number, Section: "orders"},
		Number: o.Number, Placed: o.PlacedAt.UTC().Format("2 January 2006, 15:04 MST"),
		Status: newOrderStatus(o), Total: o.Total.Format(), Email: o.Email,
	}
	if !o.State.Terminal() {
		v.Refresh = 2
		v.Events = "/orders/" + o.ID.String() + "/events"
	}
	if o.Refunded.Units > 0 {
		v.Refunded = o.Refunded.Format()
	}
	v.Refunds = newOrderRefunds(o)
	to, country := o.Address, o.Address.Country
	if known, ok := contact.Lookup(country); ok {
		country = known.Name
	}
	town := strings.Join(strings.Fields(to.City+" "+to.Region+" "+to.PostalCode), " ")
	for _, line := range []string{to.Name, to.Line1, to.Line2, town, country} {
		if line != "" {
			v.Address = append(v.Address, line)
		}
	}
	for _, l := range o.Lines {
		v.Lines = append(v.Lines, orderLine{
			Name: l.Name, URL: catalog.ProductURL(l.SKU), Picture: picture.URL(l.SKU, l.Name),
			Quantity: count(l.Quantity), Price: l.UnitPrice.Format(), Total: l.Total.Format(), Refunded: l.RefundedQuantity,
		})
	}
	return v
}

// refundSaying says how a paid order stands of which something was refunded.
func refundSaying(o *order.Order) (saying, bool) {
	pending := false
	for i := range o.Refunds {
		pending = pending || o.Refunds[i].State == "PENDING"
	}
	switch {
	case o.Refunded.Units == 0:
		return saying{}, false
	case o.Refunded != o.Total && pending:
		return saying{"A part of your order is being refunded", "We are giving back " + o.Refunded.Format() + " of it. The rest is paid, and we are packing what remains."}, true
	case o.Refunded != o.Total:
		return saying{"A part of your order was refunded", "We have given back " + o.Refunded.Format() + " of it. The rest is paid, and we are packing what remains."}, true
	case pending:
		return saying{"Your order is being refunded", "We are giving back all that you paid, " + o.Refunded.Format() + "."}, true
	}
	return saying{"Your order was refunded", "We have given back all that you paid, " + o.Refunded.Format() + ". It can take your bank a few days to show it."}, true
}

// refundStates say how a refund stands.
var refundStates = map[string]string{"PENDING": "on its way", "SUCCEEDED": "given back", "FAILED": "not possible"}

func newOrderRefunds(o *order.Order) []orderRefund {
	var out []orderRefund
	for i := range o.Refunds {
		r := &o.Refunds[i]
		v := orderRefund{
			When: r.CreatedAt.UTC().Format("2 January 2006"), Amount: r.Amount.Format(),
			Status: firstOf(refundStates[r.State], "on its way"), Reason: r.Reason,
		}
		for _, l := range r.Lines {
			v.Items = append(v.Items, count(l.Quantity)+" × "+nameOf(o, l.SKU))
		}
		out = append(out, v)
	}
	return out
}

// nameOf is the name under which a SKU was bought.
func nameOf(o *order.Order, sku string) string {
	for i := range o.Lines {
		if o.Lines[i].SKU == sku {
			return firstOf(o.Lines[i].Name, sku)
		}
	}
	return sku
}

func newOrderStatus(o *order.Order) orderStatus {
	v := orderStatus{State: o.State, Mood: "busy"}
	say, ok := sayings[o.State]
	if !ok {
		say = saying{"We have your order", "We are at work on it."}
	}
	switch o.State {
	case order.StatePaid:
		v.Mood = "good"
		if r, ok := refundSaying(o); ok {
			say = r
		}
	case order.StateCancelled:
		v.Mood, v.BackTo = "bad", o.CancelReason != "CUSTOMER"
		if c, ok := cancelSayings[o.CancelReason]; ok {
			say = c
		}
		if bank := declines[o.Decline]; bank != "" && o.CancelReason == "PAYMENT_DECLINED" {
			say.text = bank + " " + say.text
		}
	case order.StatePending, order.StateAuthorizing, order.StateConfirming:
		v.CancelURL = "/orders/" + o.ID.String() + "/cancel"
	}
	v.Heading, v.Text = say.heading, say.text
	for _, sku := range o.ShortSKUs {
		v.Short = append(v.Short, nameOf(o, sku))
	}
	v.Steps = orderSteps(o.State)
	return v
}

// orderSteps are the stations of an order that goes well; a cancelled one has
// none.
func orderSteps(state order.State) []orderStep {
	at, ok := map[order.State]int{
		order.StatePending: 1, order.StateAuthorizing: 2, order.StateConfirming: 2, order.StateCapturing: 2, order.StatePaid: 4,
	}[state]
	if !ok {
		return nil
	}
	steps := make([]orderStep, 4)
	for i, label := range []string{"Order received", "Items put aside", "Payment", "Complete"} {
		steps[i] = orderStep{label, "todo"}
		if i < at {
			steps[i].Phase = "done"
		} else if i == at {
			steps[i].Phase = "now"
		}
	}
	return steps
}

// liveOrder is what an event brings to the script.
type liveOrder struct {
	State   order.State `json:"state"`
	Settled bool        `json:"settled"`
	Status  string      `json:"status"` // markup of the status
}

// serveOrderEvents streams what happens to an order as server-sent events.
func (s *Storefront) serveOrderEvents(w http.ResponseWriter, r *http.Request) error {
	viewer, id, err := orderID(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		_, err := s.orders.Order(r.Context(), viewer, id)
		return err
	}
	stream, err := sse.Open(r.Context(), s.orderEvents(r.Context(), viewer, id))
	if err != nil {
		return client.Error(r.Context(), err)
	}
	stream.Serve(w, r.Header.Get("Last-Event-ID"))
	return nil
}

// orderEvents yields an event per change.
func (s *Storefront) orderEvents(ctx context.Context, viewer *accessv1.Viewer, id uuid.UUID) iter.Seq2[sse.Event, error] {
	return func(yield func(sse.Event, error) bool) {
		for seen, err := range s.orders.WatchOrder(ctx, viewer, id) {
			if err != nil {
				yield(sse.Event{}, err)
				return
			}
			// What is watched has no lines; their names are needed to say what
			// was out of stock.
			if len(seen.ShortSKUs) > 0 && len(seen.Lines) == 0 {
				if full, err := s.orders.Order(ctx, viewer, id); err == nil {
					seen = full
				}
			}
			event := sse.Event{ID: seen.Version, Last: seen.State.Terminal()}
			if event.Data, err = s.newLiveOrder(seen); err != nil {
				s.log.ErrorContext(ctx, "an order's event could not be rendered", "error", err)
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

func (s *Storefront) newLiveOrder(o *order.Order) ([]byte, error) {
	status, err := s.pages.fragment("order", "status", newOrderStatus(o))
	if err != nil {
		return nil, err
	}
	return json.Marshal(liveOrder{State: o.State, Settled: o.State.Terminal(), Status: status})
}

// cancelOrder asks for the order to be cancelled and shows what became of it.
func (s *Storefront) cancelOrder(w http.ResponseWriter, r *http.Request) error {
	viewer, id, err := orderID(r)
	if err != nil {
		return err
	}
	_, err = s.orders.CancelOrder(r.Context(), viewer, id)
	if problem.Is(err, problem.OrderNotCancellable) {
		order, err := s.orders.Order(r.Context(), viewer, id)
		if err != nil {
			return err
		}
		v := newOrderPage(order)
		v.Problem = "It was too late to cancel: the payment had begun."
		return s.show(w, r, http.StatusConflict, "order", v)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/orders/"+id.String(), http.StatusSeeOther) //nolint:gosec // a UUID
	return nil
}
