// Command ogen buys something with the client that ogen makes.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"clients/ogen/gen"
)

// token is the shopper's.
type token string

func (t token) Shopper(context.Context, gen.OperationName) (gen.Shopper, error) {
	return gen.Shopper{Token: string(t)}, nil
}

func (t token) Operator(context.Context, gen.OperationName) (gen.Operator, error) {
	return gen.Operator{}, nil
}

func main() {
	ctx := context.Background()
	shop, err := gen.NewClient(os.Args[1], token(os.Args[3]))
	if err != nil {
		log.Fatal(err)
	}
	made, err := shop.CreateCart(ctx, gen.NewOptNewCart(gen.NewCart{Lines: []gen.Line{{Sku: os.Args[2], Quantity: 2}}}), gen.CreateCartParams{})
	if err != nil {
		log.Fatal(err)
	}
	cart, ok := made.(*gen.CartHeaders)
	if !ok {
		log.Fatalf("cart: %+v", made)
	}
	placed, err := shop.PlaceOrder(ctx, &gen.Checkout{
		CartID: cart.Response.ID, PaymentMethod: "pm_card_visa", Email: "ada@example.com",
		ShippingAddress: gen.Address{Name: "Ada Lovelace", Line1: "12 St James's Square", City: gen.NewOptString("London"), PostalCode: gen.NewOptString("SW1Y 4JH"), Country: "GB"},
	}, gen.PlaceOrderParams{IdempotencyKey: fmt.Sprint("ogen-", time.Now().UnixNano()), Prefer: gen.NewOptString("wait=20")})
	if err != nil {
		log.Fatal(err)
	}
	order, ok := placed.(*gen.PlaceOrderCreated)
	if !ok || order.Response.State != gen.OrderStatePAID {
		log.Fatalf("order: %+v", placed)
	}
	fmt.Println("ogen: order", order.Response.Number, "is", order.Response.State)
}
