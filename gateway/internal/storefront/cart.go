package storefront

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/catalog"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
)

// cartPage is the view of cart.html.
type cartPage struct {
	frame
	Lines   []cartLine
	Units   int64
	Total   string
	Version int64
	// Ready says that nothing stands in the way of the checkout.
	Ready bool
	// Complaint says why the total cannot be paid.
	Complaint string
	Notice    string // what just happened
	Ended     bool   // the session has ended: only a new one can order
	Problem   string // what went wrong
	Popular   []card // when it is empty
}

// cartLine is a line of the cart.
type cartLine struct {
	SKU      string
	Name     string
	URL      string
	Picture  string
	Price    string
	Total    string
	Quantity string // as typed, when that was wrong
	Limit    int64
	Gone     bool
	Repriced string // how the price changed since it was added
	Warning  string // too few in stock
	Waits    string // others hold it just now; it can be ordered
	Fix      string // quantity that could be bought; empty for none
	Error    string // of what was typed
}

// maxLineText bounds what is shown again of a wrong quantity.
const maxLineText = 20

func (s *Storefront) serveCart(w http.ResponseWriter, r *http.Request) error {
	cart, err := s.currentCart(r)
	if err != nil {
		return err
	}
	v := s.newCartPage(r, cart)
	if cart == nil {
		s.rememberCount(w, r, 0) // sends nothing to those who have no count
	} else {
		s.rememberCount(w, r, cart.Units)
		if sku := r.URL.Query().Get("added"); sku != "" {
			for i := range cart.Lines {
				if l := &cart.Lines[i]; l.SKU == sku {
					if said, short := addedMessage(l); short {
						v.Problem = said
					} else {
						v.Notice = said
					}
				}
			}
		}
	}
	if r.URL.Query().Has("added") && !auth.FromContext(r.Context()).Known {
		v.Failed, v.Problem = true, noCookies
	}
	v.Ended = r.URL.Query().Get("ended") == "1"
	if r.URL.Query().Get("checkout") == "1" && len(v.Lines) > 0 && !v.Ready {
		v.Problem = cmp.Or(v.Complaint, "Please settle the lines marked below, then you can go on.")
	}
	return s.show(w, r, http.StatusOK, "cart", v)
}

// noCookies is for a browser that sent back no cookie right after something was
// added.
const noCookies = "Your browser did not keep this shop's cookie, so nothing is in your cart. Please allow cookies for this site and add it again."

// othersPay is what is said of units that others hold, unpaid.
const othersPay = "Others are paying for the last ones just now; you can order, and get it if one of them does not buy."

// addedMessage says what a line holds after something was added to it, and
// whether that is more than there is.
func addedMessage(l *cart.Line) (said string, short bool) {
	switch {
	case l.Waits():
		return l.Name + " is in your cart. " + othersPay, false
	case l.Available+l.Held <= 0:
		return fmt.Sprintf("Your cart holds %s of “%s”, but it has just sold out.", count(l.Quantity), l.Name), true
	case l.Short():
		return fmt.Sprintf("Your cart holds %s of “%s”, but only %s %s left. Please take fewer before you order.",
			count(l.Quantity), l.Name, count(l.Available+l.Held), plural(l.Available+l.Held, "is", "are")), true
	case l.Quantity == 1:
		return l.Name + " is in your cart.", false
	default:
		return fmt.Sprintf("%s is in your cart. You have %s of it.", l.Name, count(l.Quantity)), false
	}
}

// currentCart is the shopper's cart; nil for those who have none yet.
func (s *Storefront) currentCart(r *http.Request) (*cart.Cart, error) {
	id := auth.FromContext(r.Context())
	if !id.Known || !id.Shopper.HasCart() {
		return nil, nil
	}
	cart, err := s.carts.Cart(r.Context(), id.Shopper.Viewer(), id.Shopper.Cart)
	if problem.Is(err, problem.CartNotFound) {
		return nil, nil // it expired
	}
	return cart, err
}

func (s *Storefront) newCartPage(r *http.Request, cart *cart.Cart) *cartPage {
	v := &cartPage{frame: frame{Title: "Your cart", Section: "cart"}}
	if cart == nil || len(cart.Lines) == 0 {
		popular, err := s.catalog.ListProducts(r.Context(), catalog.ProductQuery{Sort: catalog.SortPopularity, InStock: true, Limit: 8})
		if err == nil {
			v.Popular = newCards(popular.Products, firstRow)
		} else {
			s.log.WarnContext(r.Context(), "empty cart without suggestions", "error", err)
		}
		return v
	}
	v.Units, v.Total, v.Version, v.Ready = cart.Units, cart.Total.Format(), cart.Version, cart.Orderable
	v.Complaint = cart.Complaint
	for i := range cart.Lines {
		line := newCartLine(&cart.Lines[i])
		v.Ready = v.Ready && line.Warning == "" && !line.Gone
		v.Lines = append(v.Lines, line)
	}
	return v
}

func newCartLine(l *cart.Line) cartLine {
	line := cartLine{
		SKU: l.SKU, Name: l.Name, URL: l.ProductURL,
		Quantity: strconv.FormatInt(l.Quantity, 10), Limit: cart.MaxQuantity, Gone: l.Gone,
	}
	if l.Gone {
		line.Warning = "We no longer sell this. Please remove it to go on."
		return line
	}
	line.Picture = picture.URL(l.SKU, l.Name)
	line.Price, line.Total, line.Repriced = l.UnitPrice.Format(), l.Total.Format(), repriced(l)
	switch {
	case l.Waits():
		line.Waits = othersPay
	case l.Available+l.Held <= 0:
		line.Warning = "Sold out at the moment. Please remove it to go on."
	case l.Short():
		line.Warning = fmt.Sprintf("Only %s left.", count(l.Available+l.Held))
		line.Fix = strconv.FormatInt(l.Available+l.Held, 10)
	}
	return line
}

// repriced says how a line's price changed since it was added.
func repriced(l *cart.Line) string {
	then, now := l.SeenPrice.Format(), l.UnitPrice.Format()
	switch l.PriceChange() {
	case cart.PriceIncreased:
		return fmt.Sprintf("The price went up from %s to %s since you added it.", then, now)
	case cart.PriceDecreased:
		return fmt.Sprintf("The price came down from %s to %s since you added it.", then, now)
	case cart.PriceOtherCurrency:
		return fmt.Sprintf("It was %s when you added it and is sold in another currency now, for %s.", then, now)
	default:
		return ""
	}
}

// addToCart puts units of a variant into the cart, making the cart, and the
// guest, when there is none.
func (s *Storefront) addToCart(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	sku := r.PostForm.Get("sku")
	if !plausibleSKU(sku) {
		return problem.New(problem.SKUNotFound)
	}
	quantity, complaint := readQuantity(r.PostForm.Get("quantity"), 1)
	if complaint != "" {
		return s.refuseQuantity(w, r, sku, complaint)
	}
	shopper, fresh, err := s.session.Ensure(r.Context())
	if err != nil {
		return err
	}
	var now *cart.Cart
	if shopper.HasCart() {
		now, err = s.carts.AddLine(r.Context(), cart.AddLine{Owner: shopper.Viewer(), Cart: shopper.Cart, SKU: sku, Quantity: quantity})
	}
	if !shopper.HasCart() || problem.Is(err, problem.CartNotFound) {
		now, err = s.carts.NewCart(r.Context(), shopper.Viewer(), []cart.LineInput{{SKU: sku, Quantity: quantity}})
	}
	switch {
	case err == nil:
	case problem.Is(err, problem.SKUNotFound):
		return problem.New(problem.SKUNotFound)
	case problem.Is(err, problem.QuantityTooLarge):
		return s.refuseQuantity(w, r, sku, "With what is in your cart already that is more than the 100,000 a line can hold.")
	default:
		return err
	}
	if fresh || shopper.Cart != now.ID {
		shopper.Cart = now.ID
		s.session.SetCookie(w, r, shopper)
	}
	s.rememberCount(w, r, now.Units)
	if wantsJSON(r) {
		answer := added{Units: now.Units, Badge: badgeOf(now.Units), NoCookies: noCookies}
		for i := range now.Lines {
			if l := &now.Lines[i]; l.SKU == sku {
				answer.Message, answer.Short = addedMessage(l)
			}
		}
		sendJSON(w, http.StatusOK, answer)
		return nil
	}
	http.Redirect(w, r, "/cart?"+url.Values{"added": {sku}}.Encode(), http.StatusSeeOther)
	return nil
}

// added answers the script.
type added struct {
	Units   int64  `json:"units"`
	Badge   string `json:"badge"` // markup
	Message string `json:"message"`
	Short   bool   `json:"short"` // there are fewer than the cart holds
	// NoCookies is what to say instead when the browser kept no cookie.
	NoCookies string `json:"no_cookies"`
}

// refuseQuantity shows the product again with what is wrong beside the field.
func (s *Storefront) refuseQuantity(w http.ResponseWriter, r *http.Request, sku, complaint string) error {
	p, err := s.catalog.Product(r.Context(), sku)
	if err != nil {
		return err
	}
	if wantsJSON(r) {
		sendJSON(w, http.StatusBadRequest, map[string]string{"error": complaint})
		return nil
	}
	v := s.newProductPage(r, p, sku)
	v.Failed = true
	v.Quantity, v.QuantityError = typed(r.PostForm.Get("quantity")), complaint
	return s.show(w, r, http.StatusBadRequest, "product", v)
}

// quantityField is the name of a line's field in the cart's form.
func quantityField(sku string) string { return "quantity." + sku }

// updateCart sets the quantities that were changed, or removes a line.
func (s *Storefront) updateCart(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	cart, err := s.currentCart(r)
	if err != nil {
		return err
	}
	if cart == nil {
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return nil
	}
	change, page := s.readCartForm(r, cart)
	if page != nil {
		return s.show(w, r, http.StatusBadRequest, "cart", page)
	}
	if len(change.Lines) > 0 {
		cart, err = s.carts.SetLines(r.Context(), change)
		switch {
		case err == nil:
		case problem.Is(err, problem.PreconditionFailed, problem.VersionConflict, problem.SKUNotFound, problem.CartNotFound):
			return s.showChangedCart(w, r)
		default:
			return err
		}
	} else if change.Version != 0 && change.Version != cart.Version {
		return s.showChangedCart(w, r)
	}
	s.rememberCount(w, r, cart.Units)
	if r.PostForm.Get("then") == "checkout" {
		http.Redirect(w, r, "/checkout", http.StatusSeeOther)
		return nil
	}
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
	return nil
}

// showChangedCart shows the cart as it is now to a shopper who changed an older
// one.
func (s *Storefront) showChangedCart(w http.ResponseWriter, r *http.Request) error {
	cart, err := s.currentCart(r)
	if err != nil {
		return err
	}
	v := s.newCartPage(r, cart)
	v.Problem = "Your cart was changed in another window in the meantime. This is how it is now; please make your change again."
	if cart != nil {
		s.rememberCount(w, r, cart.Units)
	}
	return s.show(w, r, http.StatusConflict, "cart", v)
}

// readCartForm reads what is to be changed. When something typed is wrong it
// returns the page that says so instead.
func (s *Storefront) readCartForm(r *http.Request, now *cart.Cart) (cart.SetLines, *cartPage) {
	id := auth.FromContext(r.Context())
	change := cart.SetLines{Owner: id.Shopper.Viewer(), Cart: now.ID}
	// Removing is meant whatever else has changed; a quantity is not.
	if sku := r.PostForm.Get("remove"); sku != "" {
		for _, l := range now.Lines {
			if l.SKU == sku {
				change.Lines = []cart.LineInput{{SKU: sku}}
			}
		}
		return change, nil
	}
	change.Version, _ = strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	change.Version = max(change.Version, 0)
	page := s.newCartPage(r, now)
	wrong := false
	for i, l := range now.Lines {
		name := quantityField(l.SKU)
		if fix, ok := strings.CutPrefix(r.PostForm.Get("fix"), l.SKU+":"); ok {
			r.PostForm.Set(name, fix)
		}
		if !r.PostForm.Has(name) {
			continue
		}
		text := r.PostForm.Get(name)
		quantity, complaint := readQuantity(text, 0)
		page.Lines[i].Quantity = typed(text)
		if complaint != "" {
			page.Lines[i].Error, wrong = complaint, true
			continue
		}
		if quantity != l.Quantity {
			change.Lines = append(change.Lines, cart.LineInput{SKU: l.SKU, Quantity: quantity})
		}
	}
	if wrong {
		page.Failed, page.Problem = true, "One of the quantities can't be. Nothing was changed."
		return change, page
	}
	return change, nil
}

// readQuantity reads a number of units; the complaint is for the person who
// typed it.
func readQuantity(text string, least int64) (n int64, complaint string) {
	text = latinDigits(strings.TrimSpace(text))
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && n >= least && n <= cart.MaxQuantity:
		return n, ""
	case err == nil && n < least && least == 1:
		return 0, "One is the least you can order."
	case err == nil && n < least:
		return 0, "A quantity can't be less than nothing."
	case err == nil, numeric(text):
		return 0, "100,000 is the most a line can hold."
	default:
		return 0, "Please write a whole number."
	}
}

func numeric(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// typed is what was typed, fit to be shown again.
func typed(s string) string {
	if !cleanText(s) {
		return ""
	}
	if r := []rune(s); len(r) > maxLineText {
		return string(r[:maxLineText])
	}
	return s
}

// readForm reads a posted form; only its body counts.
func readForm(r *http.Request) error {
	// ParseForm takes any other type for an empty form.
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != "application/x-www-form-urlencoded" {
		return &pageError{
			status: http.StatusUnsupportedMediaType, title: "We didn't quite get that",
			detail: "The forms of this shop are sent as application/x-www-form-urlencoded. Programs are welcome at /docs.",
		}
	}
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		var limit *problem.Error
		if errors.As(err, &large) || errors.As(err, &limit) {
			return err
		}
		return badRequest("The form arrived garbled. Please go back and send it again.")
	}
	return nil
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own small types
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone
}
