package storefront

import (
	"net/http"
	"net/url"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
)

// ordersPage is the view of orders.html.
type ordersPage struct {
	frame
	Orders []orderRow
	Next   string // address of the next page; empty on the last
	Later  bool   // not the first page
	Known  bool   // there is a session that can be ended
	Notice string
}

// orderRow is an order in the list.
type orderRow struct {
	Number string
	URL    string
	Placed string
	State  string
	Mood   string
	Total  string
}

// shortStates are states in a word or two.
var shortStates = map[order.State]string{
	order.StatePaid:       "Complete",
	order.StateCancelled:  "Cancelled",
	order.StateCancelling: "Being cancelled",
}

func (s *Storefront) serveOrders(w http.ResponseWriter, r *http.Request) error {
	v := &ordersPage{frame: frame{Title: "Your orders", Section: "orders"}}
	cursor := r.URL.Query().Get("cursor")
	if len(cursor) > 1000 || !cleanText(cursor) {
		return problem.New(problem.InvalidCursor)
	}
	v.Later = cursor != ""
	if !auth.FromContext(r.Context()).Known {
		v.Notice = forgotten[r.URL.Query().Get("forgotten")]
		return s.show(w, r, http.StatusOK, "orders", v)
	}
	page, err := s.orders.Orders(r.Context(), viewer(r), 0, cursor)
	if err != nil {
		return err
	}
	v.Known = len(page.Orders) > 0 || v.Later
	for _, o := range page.Orders {
		row := orderRow{
			Number: o.Number, URL: "/orders/" + o.ID.String(), Total: o.Total.Format(),
			Placed: o.PlacedAt.UTC().Format("2 January 2006, 15:04"), State: firstOf(shortStates[o.State], "In the works"), Mood: "busy",
		}
		switch o.State {
		case order.StatePaid:
			row.Mood = "good"
			switch {
			case o.Refunded.Units == 0:
			case o.Refunded == o.Total:
				row.State = "Refunded"
			default:
				row.State = "Complete, refunded " + o.Refunded.Format()
			}
		case order.StateCancelled:
			row.Mood = "bad"
		}
		v.Orders = append(v.Orders, row)
	}
	if page.NextCursor != "" {
		v.Next = "/orders?" + url.Values{"cursor": {page.NextCursor}}.Encode()
	}
	return s.show(w, r, http.StatusOK, "orders", v)
}
