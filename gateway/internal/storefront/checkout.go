package storefront

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/auth"
	"github.com/souk-shop/souk/gateway/internal/edge/clientaddr"
	"github.com/souk-shop/souk/gateway/internal/problem"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	"github.com/souk-shop/souk/gateway/internal/shop/order"
	"github.com/souk-shop/souk/gateway/internal/storefront/picture"
	"github.com/souk-shop/souk/proto/contact"
)

// PaymentMethod is a way to pay that the checkout offers.
type PaymentMethod struct {
	ID    string // the provider's
	Label string
	Note  string // what it does; may be empty
	Test  bool   // no real money
}

// TestCards are the provider's test payment methods.
var TestCards = []PaymentMethod{
	{"pm_card_visa", "Visa test card", "pays", true},
	{"pm_card_mastercard", "Mastercard test card", "pays", true},
	{"pm_card_visa_chargeDeclined", "Test card that is declined", "the bank says no", true},
	{"pm_card_chargeDeclinedInsufficientFunds", "Test card with too little money", "the bank says no: too little money", true},
	{"pm_card_authenticationRequired", "Test card that asks for more", "declined: authentication required", true},
}

// checkoutWait is how long placing an order waits for it to settle. Most have by
// then, and the order's page opens with the outcome.
const checkoutWait = 2 * time.Second

// checkoutPage is the view of checkout.html.
type checkoutPage struct {
	frame
	Key       string      // one order for one rendered form, however often it is sent
	Version   int64       // of the cart that is shown
	Agreement string      // what is shown, for the order service to compare
	Lines     []quoteLine // the first of them
	More      []quoteLine // the rest, folded
	Units     int64
	Total     string
	Changes   []lineChange // since the page that was sent
	// MoreChanges is how many more there are; "" for none.
	MoreChanges string
	Before      string // the total of that page, if it changed
	Form        checkoutForm
	Errors      map[string]string // by field
	Wrong       []fieldError      // the same in the order of the form
	Notice      string
	Methods     []methodOption
	Test        bool
	Countries   []countryOption
}

// quoteLine is a line of the summary.
type quoteLine struct{ Name, Picture, Quantity, Total string }

// lineChange is a line that differs from what was shown before. Before or Now is "" when
// the line was not there, Was when its name is the same.
type lineChange struct{ Name, Was, Before, Now string }

// checkoutForm is what is typed.
type checkoutForm struct {
	Email, Name, Line1, Line2, City, Region, PostalCode, Country, Method string
}

// fieldError is an item of the summary of what is wrong.
type fieldError struct{ Field, Message string }

// checkoutFields are the form's fields from top to bottom.
var checkoutFields = []string{"email", "name", "line1", "line2", "city", "region", "postal_code", "country", "payment_method"}

// checkoutLines is the number of lines that the summary shows unfolded.
const checkoutLines = 4

type methodOption struct {
	PaymentMethod
	Selected bool
}

type countryOption struct {
	*contact.Country
	Selected bool
}

func (s *Storefront) serveCheckout(w http.ResponseWriter, r *http.Request) error {
	cart, err := s.currentCart(r)
	if err != nil {
		return err
	}
	if !ready(cart) {
		http.Redirect(w, r, "/cart?checkout=1", http.StatusSeeOther)
		return nil
	}
	quote, err := s.quote(r, cart, "")
	if problem.Is(err, notOrderable...) {
		http.Redirect(w, r, "/cart?checkout=1", http.StatusSeeOther)
		return nil
	}
	if problem.Is(err, problem.SessionEnded) {
		http.Redirect(w, r, "/cart?ended=1", http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	v := s.newCheckoutPage(cart, quote, s.lastForm(r))
	return s.show(w, r, http.StatusOK, "checkout", v)
}

// notOrderable are the problems of a cart that cannot be ordered; its own page says why.
var notOrderable = []*problem.Type{problem.CartEmpty, problem.CartNotFound, problem.LineNoLongerSold}

// quote is what an order of the cart would be placed with now, and what of it differs
// from the agreement that the page which was sent has shown, "" for none.
func (s *Storefront) quote(r *http.Request, cart *cart.Cart, shown string) (*order.Quote, error) {
	quote, err := s.orders.Quote(r.Context(), viewer(r), cart.ID, shown)
	if problem.Is(err, problem.InvalidAgreement) {
		return nil, errIncomplete
	}
	return quote, err
}

var errIncomplete = badRequest("The form arrived incomplete. Please open the checkout again.")

// lastForm is the form as the shopper's last order filled it, so that nothing is
// to be typed twice after a declined card. Without one it is empty.
func (s *Storefront) lastForm(r *http.Request) checkoutForm {
	form := checkoutForm{Country: "GB", Method: s.methods[0].ID}
	o, err := s.lastOrder(r)
	if err != nil {
		s.log.WarnContext(r.Context(), "checkout without the last order's address", "error", err)
	}
	if o == nil {
		return form
	}
	to := &o.Address
	form.Email, form.Name, form.Line1, form.Line2 = o.Email, to.Name, to.Line1, to.Line2
	form.City, form.Region, form.PostalCode, form.Country = to.City, to.Region, to.PostalCode, to.Country
	return form
}

// lastOrder is the shopper's newest order; nil for none.
func (s *Storefront) lastOrder(r *http.Request) (*order.Order, error) {
	page, err := s.orders.Orders(r.Context(), viewer(r), 1, "")
	if err != nil || len(page.Orders) == 0 {
		return nil, err
	}
	return page.Orders[0], nil
}

// ready reports whether the cart can be ordered as far as one can see now.
func ready(cart *cart.Cart) bool {
	if cart == nil || !cart.Orderable {
		return false
	}
	for i := range cart.Lines {
		if l := &cart.Lines[i]; l.Gone || l.Short() {
			return false
		}
	}
	return true
}

// newCheckoutPage shows a quote of the cart; without one, while the outcome of an order is
// not known, only the form.
func (s *Storefront) newCheckoutPage(cart *cart.Cart, quote *order.Quote, form checkoutForm) *checkoutPage {
	v := &checkoutPage{
		frame: frame{Title: "Checkout", Section: "cart"},
		Key:   uuid.NewString(), Form: form, Errors: map[string]string{},
	}
	if quote != nil {
		v.showQuote(cart, quote)
	}
	for _, m := range s.methods {
		v.Methods = append(v.Methods, methodOption{m, m.ID == form.Method})
		v.Test = v.Test || m.Test
	}
	for _, c := range contact.Countries() {
		v.Countries = append(v.Countries, countryOption{c, c.Code == form.Country})
	}
	return v
}

func (v *checkoutPage) showQuote(cart *cart.Cart, quote *order.Quote) {
	pictures := make(map[string]string, len(cart.Lines))
	for i := range cart.Lines {
		pictures[cart.Lines[i].SKU] = picture.URL(cart.Lines[i].SKU, cart.Lines[i].Name)
	}
	v.Version, v.Agreement, v.Total = quote.CartVersion, quote.Agreement, quote.Total.Format()
	for _, l := range quote.Lines {
		v.Units += l.Quantity
		v.Lines = append(v.Lines, quoteLine{l.Name, pictures[l.SKU], count(l.Quantity), l.Total.Format()})
	}
	if len(v.Lines) > checkoutLines+1 {
		v.Lines, v.More = v.Lines[:checkoutLines], v.Lines[checkoutLines:]
	}
	if quote.Change == nil {
		return
	}
	v.Before = quote.Change.Before.Format()
	if more := quote.Change.More; more > 0 {
		v.MoreChanges = count(int64(more))
	}
	for _, c := range quote.Change.Lines {
		v.Changes = append(v.Changes, newLineChange(c))
	}
}

// newLineChange says what differs: the price, and the quantity and the name where these do.
func newLineChange(c problem.LineChange) lineChange {
	if c.Before == nil {
		return lineChange{Name: c.Now.Name, Now: units(c.Now)}
	}
	if c.Now == nil {
		return lineChange{Name: c.Before.Name, Before: units(c.Before)}
	}
	change := lineChange{Name: c.Now.Name, Before: c.Before.UnitPrice.Format(), Now: c.Now.UnitPrice.Format()}
	if c.Before.Quantity != c.Now.Quantity {
		change.Before, change.Now = units(c.Before), units(c.Now)
	}
	if c.Before.Name != c.Now.Name {
		change.Was = c.Before.Name
	}
	return change
}

func units(l *problem.PricedLine) string { return count(l.Quantity) + " × " + l.UnitPrice.Format() }

// placeOrder orders the cart and goes to the order's page.
func (s *Storefront) placeOrder(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	id := auth.FromContext(r.Context())
	if !id.Known || !id.Shopper.HasCart() {
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return nil
	}
	form, wrong := s.readCheckout(r)
	key := r.PostForm.Get("key")
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	agreement := r.PostForm.Get("agreement")
	if !plausibleKey(key) || err != nil || version < 1 || agreement == "" {
		return errIncomplete
	}
	if len(wrong) > 0 {
		return s.showCheckout(w, r, http.StatusUnprocessableEntity, form, key, wrong, "Please look at the marked fields. Nothing was ordered yet.")
	}
	checkout := order.Checkout{
		Viewer: viewer(r), RenewSession: true, Client: clientaddr.FromContext(r.Context()), IdempotencyKey: key, Cart: id.Shopper.Cart, CartVersion: version,
		PaymentMethod: form.Method, Email: form.Email, Wait: checkoutWait,
		Address: form.address(), Agreement: agreement,
	}
	placed, err := s.orders.PlaceOrder(r.Context(), checkout)
	s.keepSession(r, key, placed, err)
	if next := s.nextKey(r, checkout, placed, err); next != "" {
		checkout.IdempotencyKey, key, checkout.Viewer = next, next, viewer(r)
		placed, err = s.orders.PlaceOrder(r.Context(), checkout)
		s.keepSession(r, key, placed, err)
	}
	if err != nil {
		return s.notPlaced(w, r, form, key, err)
	}
	if placed.Order.State == order.StatePaid {
		s.recount(w, r, placed.Order)
	}
	http.Redirect(w, r, "/orders/"+placed.Order.ID.String(), http.StatusSeeOther)
	return nil
}

// nextKey is the key to order with when the form's own has made an order that was
// cancelled, and the shopper came back to the form and sends it again: with
// other contents, such as another card, or, as the script reports in the field
// "again", deliberately. It is derived from the cancelled order, so that two
// clicks are still one order. "" means that the answer stands.
func (s *Storefront) nextKey(r *http.Request, c order.Checkout, placed *order.Placed, err error) string {
	again := err == nil && placed.Replayed && placed.Order.State == order.StateCancelled && r.PostForm.Get("again") == "1"
	if !again && !problem.Is(err, problem.IdempotencyKeyReused) {
		return ""
	}
	last, err := s.lastOrder(r)
	if err != nil {
		s.log.WarnContext(r.Context(), "checkout without the order that its form has made", "error", err)
	}
	if last == nil || last.State != order.StateCancelled || last.CartID != c.Cart.String() {
		return ""
	}
	return uuid.NewSHA1(last.ID, []byte(c.IdempotencyKey)).String()
}

// whose says what else a limit may be about than the shopper.
var whose = map[string]string{
	"declines-of-address":      "This may be about somebody else who uses the same internet connection. ",
	"unpaid-orders-of-address": "They may be of others who use the same internet connection. ",
	"unpaid-units-of-address":  "They may be of others who use the same internet connection. ",
}

// within says a time to wait for people.
func within(d time.Duration) string {
	switch {
	case d <= time.Minute:
		return "in a minute"
	case d <= 90*time.Minute:
		return "in " + strconv.Itoa(int((d+time.Minute-1)/time.Minute)) + " minutes"
	default:
		return "in " + strconv.Itoa(int((d+time.Hour-1)/time.Hour)) + " hours"
	}
}

// notPlaced answers a checkout that did not make an order.
func (s *Storefront) notPlaced(w http.ResponseWriter, r *http.Request, form checkoutForm, key string, err error) error {
	e := problem.As(err)
	switch {
	case e.Type == problem.CartVersionConflict:
		// Another cart is another order: it gets a key of its own.
		return s.showCheckout(w, r, http.StatusConflict, form, "", nil, "Your cart has changed since this page was opened. This is what it holds now; please look it over and order again.")
	case e.Type == problem.PriceChanged:
		// The same key: when the first of two clicks has made an order after all, the second
		// must not make another.
		return s.showCheckout(w, r, http.StatusConflict, form, key, nil, "What you order has changed since this page was opened. Nothing was ordered yet: please look at what is new, and order again if you agree.")
	case e.Type == problem.InvalidAgreement:
		return errIncomplete
	case e.Type == problem.SessionEnded:
		// An order from another window began the next session, whose cookie this browser may
		// have by now: the checkout shows what is left to order, or how to go on.
		http.Redirect(w, r, "/checkout", http.StatusSeeOther)
		return nil
	case problem.Is(err, notOrderable...):
		http.Redirect(w, r, "/cart?checkout=1", http.StatusSeeOther)
		return nil
	case e.Type == problem.IdempotencyKeyInFlight:
		// The first click is still at work; its order is first in the list.
		http.Redirect(w, r, "/orders", http.StatusSeeOther)
		return nil
	case e.Type == problem.IdempotencyKeyReused:
		return &pageError{http.StatusConflict, "This form was sent before", "It has already made an order, with what it said then. You find it under “Your orders”. To order again, open the checkout anew."}
	case e.Type == problem.RequestInvalid && len(e.Fields) > 0:
		return s.showCheckout(w, r, http.StatusUnprocessableEntity, form, key, refused(e.Fields), "Please look at the marked fields. Nothing was ordered yet.")
	case e.Type == problem.TotalTooSmall, e.Type == problem.TotalTooLarge, e.Type == problem.TotalNotChargeable:
		return s.showCheckout(w, r, http.StatusUnprocessableEntity, form, key, nil, cmp.Or(details[e.Type], e.Detail)+" Nothing was ordered.")
	case e.Type == problem.TooManyDeclines:
		w.Header().Set("Retry-After", strconv.Itoa(e.Seconds()))
		return s.showCheckout(w, r, http.StatusTooManyRequests, form, key, nil, "Several payments did not go through, so we take a short break before the next one: please try again "+within(e.RetryAfter)+", with another card if you have one. "+whose[e.Limit]+"Nothing was charged, and your items are still in your cart.")
	case e.Type == problem.TooManyUnpaid:
		w.Header().Set("Retry-After", strconv.Itoa(e.Seconds()))
		return s.showCheckout(w, r, http.StatusTooManyRequests, form, key, nil, "Orders that were placed just before are still being paid. Please send the form again "+within(e.RetryAfter)+". "+whose[e.Limit]+"Nothing was charged, and your items are still in your cart.")
	case e.Type == problem.Overloaded:
		w.Header().Set("Retry-After", "3")
		return s.showCheckout(w, r, http.StatusServiceUnavailable, form, key, nil, "So many people are ordering that we can't take your order just now. Please send the form again in a moment: however often you do, it makes one order and one payment.")
	case statusOf(e) == http.StatusServiceUnavailable:
		s.log.ErrorContext(r.Context(), "checkout failed", "error", err)
		w.Header().Set("Retry-After", "3")
		return s.showCheckout(w, r, http.StatusServiceUnavailable, form, key, nil, "The shop did not answer in time. Please send the form again: however often you do, it makes one order and one payment.")
	default:
		return err
	}
}

// showCheckout shows the form again with what was typed. With a key, sending it
// again is the same order.
func (s *Storefront) showCheckout(w http.ResponseWriter, r *http.Request, status int, form checkoutForm, key string, wrong map[string]string, notice string) error {
	// An order may have been made whose answer was lost: the page must send the same
	// again, whatever the cart holds by now.
	lost := status == http.StatusServiceUnavailable
	cart, err := s.currentCart(r)
	if err != nil && !lost {
		return err
	}
	if !lost && (cart == nil || len(cart.Lines) == 0) {
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
		return nil
	}
	var quote *order.Quote
	if cart != nil {
		quote, err = s.quote(r, cart, r.PostForm.Get("agreement"))
		switch {
		case lost && (err != nil || quote.Change != nil):
			quote = nil
		case problem.Is(err, notOrderable...):
			http.Redirect(w, r, "/cart?checkout=1", http.StatusSeeOther)
			return nil
		case err != nil:
			return err
		}
	}
	v := s.newCheckoutPage(cart, quote, form)
	if lost {
		v.Agreement = r.PostForm.Get("agreement")
	}
	v.Notice = notice
	v.Failed = true
	for f, e := range wrong {
		v.Errors[f] = e
	}
	for _, f := range checkoutFields {
		if e := wrong[f]; e != "" {
			v.Wrong = append(v.Wrong, fieldError{f, e})
		}
	}
	if key != "" {
		v.Key = key
	}
	// The same order must mean the same cart.
	if version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64); err == nil && key != "" {
		v.Version = version
	}
	return s.show(w, r, status, "checkout", v)
}

// refused maps the service's names of fields to the form's.
func refused(fields []problem.Field) map[string]string {
	out := map[string]string{}
	for _, f := range fields {
		name := f.Field[strings.LastIndexByte(f.Field, '.')+1:]
		switch name {
		case "email", "name", "line1", "line2", "city", "region", "postal_code", "country", "payment_method":
			out[name] = f.Detail
		default:
			out["form"] = "Something in the form is not accepted."
		}
	}
	return out
}

// plausibleKey reports whether this shop's form can have made the key.
func plausibleKey(key string) bool {
	if key == "" || len(key) > 255 {
		return false
	}
	for _, c := range []byte(key) {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

// address is the one that was typed.
func (f *checkoutForm) address() contact.Address {
	return contact.Address{
		Name: f.Name, Line1: f.Line1, Line2: f.Line2, City: f.City, Region: f.Region, PostalCode: f.PostalCode, Country: f.Country,
	}
}

// readCheckout reads the form, as it was typed, and says what is wrong, by field.
func (s *Storefront) readCheckout(r *http.Request) (checkoutForm, map[string]string) {
	read := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f := checkoutForm{
		Email: read("email"), Name: read("name"), Line1: read("line1"), Line2: read("line2"), City: read("city"),
		Region: read("region"), PostalCode: read("postal_code"), Country: read("country"), Method: read("payment_method"),
	}
	wrong := map[string]string{}
	if _, detail := contact.Email(f.Email); detail != "" {
		wrong["email"] = detail
	}
	_, problems := f.address().Check()
	for _, p := range problems {
		wrong[p.Field] = p.Detail
	}
	if !s.offers(f.Method) {
		wrong["payment_method"] = "Please choose one of these."
	}
	// What is shown again is text of a bounded length.
	for _, v := range []*string{&f.Email, &f.Name, &f.Line1, &f.Line2, &f.City, &f.Region, &f.PostalCode, &f.Country, &f.Method} {
		if !cleanText(*v) {
			*v = ""
		} else if utf8.RuneCountInString(*v) > contact.MaxEmail {
			*v = string([]rune(*v)[:contact.MaxEmail])
		}
	}
	return f, wrong
}

func (s *Storefront) offers(method string) bool {
	for _, m := range s.methods {
		if m.ID == method {
			return true
		}
	}
	return false
}
