package storefront

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	accessv1 "github.com/souk-shop/souk/proto/gen/souk/access/v1"
)

// A cookie may have been put into the browser by an attacker who has the same one. So an
// order begins a new session, which only the answer to the order has, and the one before
// sees no orders any more. It still fills the cart: a cart names no customer, nothing is
// bought with it from the session that ended, and the cart service works without the
// order service. Whose browser has the old cookie after all, because the answer was
// lost or another device had the same, goes on as a new guest with what is in the cart.

// viewer is the shopper of a request, to whom orders are shown.
func viewer(r *http.Request) *accessv1.Viewer { return auth.FromContext(r.Context()).Shopper.Viewer() }

// keepSession has the answer begin the session that began with the order of a checkout,
// also where the answer that first said so was lost. The form's keys are random and in
// no other session's pages: whose form has the key, or in an order in flight all of the
// order, has placed it.
func (s *Storefront) keepSession(r *http.Request, key string, placed *order.Placed, err error) {
	if err == nil {
		s.session.Continue(r.Context(), placed.SessionSince)
		return
	}
	keyed := problem.As(err).Keyed
	if _, bad := uuid.Parse(key); bad == nil && keyed != nil {
		s.session.Continue(r.Context(), keyed.SessionSince)
	}
}

// errEnded is for what belongs to a later session.
var errEnded = &pageError{
	status: http.StatusNotFound, title: "We can't show that here",
	detail: "This browser's session has ended, because an order was placed in it elsewhere or because you ended it. What was ordered is shown where that was done.",
}

// newSession lets a shopper whose session has ended go on as a new guest, with the cart.
func (s *Storefront) newSession(w http.ResponseWriter, r *http.Request) error {
	_, err := s.orders.Orders(r.Context(), viewer(r), 1, "")
	if err != nil && !problem.Is(err, problem.SessionEnded) {
		return err
	}
	if err == nil { // meanwhile the browser got the cookie of the session that followed
		http.Redirect(w, r, "/checkout", http.StatusSeeOther)
		return nil
	}
	now, err := s.currentCart(r)
	if err != nil {
		return err
	}
	var lines []cart.LineInput
	if now != nil {
		for i := range now.Lines {
			if l := &now.Lines[i]; !l.Gone {
				lines = append(lines, cart.LineInput{SKU: l.SKU, Quantity: l.Quantity})
			}
		}
	}
	guest, err := s.session.NewShopper()
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		if now, err = s.carts.NewCart(r.Context(), guest.Viewer(), lines); err != nil {
			return err
		}
		guest.Cart = now.ID
	}
	s.session.SetCookie(w, r, guest)
	http.Redirect(w, r, "/checkout", http.StatusSeeOther)
	return nil
}

// What the page of orders says after a session was ended, by its parameter forgotten.
// endedBefore is of a page that was opened in a session which had ended by then: the one
// that followed, elsewhere, goes on.
const (
	endedNow    = "1"
	endedBefore = "before"
)

var forgotten = map[string]string{
	endedNow:    "You are signed out everywhere: this browser, and any other that had the same session, no longer shows your orders.",
	endedBefore: "This browser's session had ended before, and it has forgotten it now. If an order was placed since in another browser, that one is still signed in: sign out everywhere there, too.",
}

// endSession ends the shopper's sessions everywhere, and has this browser forget its own.
func (s *Storefront) endSession(w http.ResponseWriter, r *http.Request) error {
	ended := endedNow
	if id := auth.FromContext(r.Context()); id.Known {
		_, err := s.orders.EndSessions(r.Context(), viewer(r), id.Shopper.ID)
		if problem.Is(err, problem.SessionEnded) {
			ended = endedBefore
		} else if err != nil {
			return err
		}
		s.session.Forget(r.Context())
		s.rememberCount(w, r, 0)
	}
	http.Redirect(w, r, "/orders?forgotten="+ended, http.StatusSeeOther)
	return nil
}
