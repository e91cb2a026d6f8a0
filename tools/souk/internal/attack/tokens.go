package attack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// tokens are attacks on who is who.
var tokens = []Attack{
	{
		Name: "altered-tokens", Would: "act as another shopper by a token that was forged, altered, cut or has another algorithm",
		Now: "401", Test: "TestForgedTokens, FuzzIdentify", try: alteredTokens,
	},
	{
		Name: "another's", Would: "read and change another shopper's cart and orders by their ids",
		Now: "404, as if there were none", Test: "TestWhoMayDoWhat, TestAnotherOwnersCartIsNotFound", try: anothers,
	},
	{
		Name: "planted-cookie", Would: "show the order and address of a victim whose browser was given the attacker's cookie",
		Before: "it showed them, for ever", Now: "an order begins a new session, which only its answer has", Test: "TestPlantedCookieShowsNoOrders, TestOrderRenewsTheSessionOfACookie", try: plantedCookie,
	},
	{
		Name: "operator-guessing", Would: "find an operator's token by trying",
		Before: "300 wrong tokens left no line in any log, and the one token was in argv", Now: "401, each an event of the security log; 256 random bits", Test: "TestWrongTokensAreRecorded, TestForgedOperator", try: operatorGuessing,
	},
	{
		Name: "operators-calls", Would: "refund, price, import and read everybody's orders as a guest",
		Before: "an empty customer was the operator", Now: "401 or 403", Test: "TestScopes, TestWhoMayDoWhat", try: operatorsCalls,
	},
}

// cart is a new guest's, with their token.
func (t *target) cart(ctx context.Context, as role) (*shopclient.Cart, error) {
	return t.shop(as).NewCart(ctx, []shopclient.Line{{SKU: t.sku, Quantity: 1}})
}

func alteredTokens(ctx context.Context, t *target) outcome {
	cart, err := t.cart(ctx, asAttacker)
	if err != nil {
		return broken("a cart: %v", err)
	}
	token, path := cart.Token, "/v1/carts/"+cart.ID
	if a, err := t.get(ctx, path, "Authorization: Bearer "+token); err != nil || a.status != http.StatusOK {
		return broken("its own token: %d %v", a.status, err)
	}
	forged := []string{
		"", "x", token[:len(token)-1], token[1:], token + "A", strings.ToUpper(token), token + "." + token, strings.Repeat("A", len(token)),
		"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIxIn0.", "souk_op_" + strings.Repeat("A", 43), uuid.NewString(),
	}
	for i := 0; i < len(token); i += max(1, len(token)/40) {
		c := byte('A')
		if token[i] == c {
			c = 'B'
		}
		forged = append(forged, token[:i]+string(c)+token[i+1:])
	}
	ways := []string{"Authorization: Bearer "}
	for _, way := range []string{"Cookie: souk_shopper=", "Cookie: __Host-souk_shopper="} { // by HTTP, and by HTTPS
		if a, err := t.get(ctx, path, way+token); err == nil && a.status == http.StatusOK {
			ways = append(ways, way)
		}
	}
	if len(ways) != 2 {
		return broken("its own token is taken in %d ways, not as a bearer's and in one cookie", len(ways))
	}
	for _, f := range forged {
		for _, way := range ways {
			header := way + f
			a, err := t.get(ctx, path, header)
			if err != nil {
				return broken("%q: %v", f, err)
			}
			if a.status != http.StatusUnauthorized && a.status != http.StatusNotFound && a.status != http.StatusBadRequest && a.status != http.StatusTooManyRequests {
				return broken("%.60q: %d", header, a.status)
			}
		}
	}
	return held("%d forgeries refused", len(ways)*len(forged))
}

func anothers(ctx context.Context, t *target) outcome {
	victim, err := t.cart(ctx, asHonest)
	if err != nil {
		return broken("a cart: %v", err)
	}
	order, err := t.shop(asHonest).WithToken(victim.Token).PlaceOrder(ctx, uuid.NewString(), 0, checkout(victim.ID, "pm_card_visa"))
	if err != nil {
		return broken("an order: %v", err)
	}
	thief, err := t.cart(ctx, asAttacker)
	if err != nil {
		return broken("a cart: %v", err)
	}
	me := "Authorization: Bearer " + thief.Token
	n := 0
	for _, r := range [][3]string{
		{"GET", "/v1/carts/" + victim.ID, ""}, {"GET", "/v1/carts/" + victim.ID + "/quote", ""}, {"PUT", "/v1/carts/" + victim.ID + "/lines", `{"lines":[]}`},
		{"POST", "/v1/carts/" + victim.ID + "/lines", fmt.Sprintf(`{"sku":%q,"quantity":1}`, t.sku)},
		{"GET", "/v1/orders/" + order.ID, ""}, {"GET", "/v1/orders/" + order.ID + "/events", ""}, {"POST", "/v1/orders/" + order.ID + "/cancel", ""}, {"GET", "/orders/" + order.ID, ""},
	} {
		headers := []string{me, "Idempotency-Key: " + uuid.NewString()}
		if r[2] != "" {
			headers = append(headers, "Content-Type: application/json")
		}
		a, err := t.send(ctx, r[0], r[1], r[2], headers...)
		if err != nil || a.status != http.StatusNotFound || strings.Contains(a.body, "A Victim") {
			return broken("%s %s: %d %v", r[0], r[1], a.status, err)
		}
		n++
	}
	return held("404 to each of %d", n)
}

// checkout of a cart.
func checkout(cart, method string) shopclient.Checkout {
	return shopclient.Checkout{
		CartID: cart, PaymentMethod: method, Email: "victim@example.com",
		ShippingAddress: shopclient.Address{Name: "A Victim", Line1: "1 High Street", City: "London", PostalCode: "SW1Y 4JH", Country: "GB"},
	}
}

// cookieOf is the name and value of a cookie that an answer sets.
func cookieOf(a answer) string {
	for _, line := range a.header.Values("Set-Cookie") {
		if pair, _, _ := strings.Cut(line, ";"); strings.Contains(pair, "souk") {
			return pair
		}
	}
	return ""
}

func plantedCookie(ctx context.Context, t *target) outcome {
	form := url.Values{"sku": {t.sku}, "quantity": {"1"}}.Encode()
	a, err := t.send(ctx, http.MethodPost, "/cart/lines", form, "Content-Type: application/x-www-form-urlencoded")
	if err != nil {
		return broken("a cookie: %v", err)
	}
	planted := cookieOf(a)
	if planted == "" {
		return broken("POST /cart/lines: %d, and no cookie", a.status)
	}
	// The victim's browser has it, and buys.
	as := "Cookie: " + planted
	made, err := t.sendFrom(ctx, asHonest, http.MethodPost, "/v1/carts", fmt.Sprintf(`{"lines":[{"sku":%q,"quantity":1}]}`, t.sku), as, "Content-Type: application/json", "Idempotency-Key: "+uuid.NewString())
	if err != nil || made.status != http.StatusCreated {
		return broken("the victim's cart: %d %s %v", made.status, made.body, err)
	}
	cart := made.header.Get("Location")[strings.LastIndexByte(made.header.Get("Location"), '/')+1:]
	const order = `{"cart_id":%q,"payment_method":"pm_card_visa","email":"victim@example.com","shipping_address":{"name":"A Victim","line1":"1 High Street","city":"London","postal_code":"SW1Y 4JH","country":"GB"}}`
	bought, err := t.sendFrom(ctx, asHonest, http.MethodPost, "/v1/orders", fmt.Sprintf(order, cart), as, "Content-Type: application/json", "Idempotency-Key: "+uuid.NewString())
	if err != nil || bought.status >= 300 {
		return broken("the victim's order: %d %s %v", bought.status, bought.body, err)
	}
	fresh := cookieOf(bought)
	own, err := t.sendFrom(ctx, asHonest, http.MethodGet, bought.header.Get("Location"), "", "Cookie: "+fresh)
	if err != nil || own.status != http.StatusOK {
		return broken("the victim does not see the order: %d %v", own.status, err)
	}
	for _, path := range []string{"/v1/orders", bought.header.Get("Location"), "/orders", strings.TrimPrefix(bought.header.Get("Location"), "/v1")} {
		a, err := t.get(ctx, path, as)
		if err != nil || strings.Contains(a.body, "victim@example.com") || strings.Contains(a.body, "A Victim") {
			return broken("%s shows it with the planted cookie: %d %v", path, a.status, err)
		}
		if strings.HasPrefix(path, "/v1") && a.status < 400 {
			return broken("%s with the planted cookie: %d", path, a.status)
		}
	}
	return held("the victim sees the order, the planted cookie gets 401 and no order")
}

func operatorGuessing(ctx context.Context, t *target) outcome {
	var got []string
	for i := range 60 {
		token := "souk_op_" + strings.ReplaceAll(uuid.NewString()+uuid.NewString(), "-", "")[:43]
		if i%3 == 0 {
			token = []string{"", "operator", "souk", "admin", "0123456789abcdef0123456789abcdef"}[i/3%5]
		}
		a, err := t.get(ctx, "/v1/orders/export?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", "Authorization: Bearer "+token)
		if err != nil {
			return broken("%v", err)
		}
		if a.status != http.StatusUnauthorized && a.status != http.StatusTooManyRequests {
			return broken("%q: %d", token, a.status)
		}
		got = append(got, fmt.Sprint(a.status))
	}
	return held("60 tokens: %s", counted(got))
}

func operatorsCalls(ctx context.Context, t *target) outcome {
	cart, err := t.cart(ctx, asAttacker)
	if err != nil {
		return broken("a cart: %v", err)
	}
	id, n := uuid.NewString(), 0
	for _, r := range [][3]string{
		{"GET", "/v1/orders/export", ""}, {"POST", "/v1/orders/" + id + "/refunds", `{}`}, {"GET", "/v1/orders/" + id + "/refunds/" + id, ""},
		{"PUT", "/v1/products/" + t.sku, `{}`}, {"DELETE", "/v1/products/" + t.sku, ""}, {"PUT", "/v1/products/" + t.sku + "/state", `{"state":"archived"}`},
		{"POST", "/v1/products/import", "code\n"}, {"POST", "/v1/stock-adjustments", `{}`}, {"POST", "/v1/prices", `{}`}, {"POST", "/v1/reconciliations", `{}`}, {"GET", "/v1/reconciliations/" + id, ""},
	} {
		for _, who := range []string{"Souk-Operator: true", "Authorization: Bearer " + cart.Token} {
			a, err := t.insist(ctx, r[0], r[1], r[2], who, "Idempotency-Key: "+uuid.NewString(), "Content-Type: application/json")
			if err != nil || a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
				return broken("%s %s with %.20s: %d %v", r[0], r[1], who, a.status, err)
			}
			n++
		}
	}
	return held("401 or 403 to each of %d", n)
}
