// Command oapi buys something with the client that oapi-codegen makes.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"clients/oapi/gen"
)

func main() {
	ctx := context.Background()
	shop, err := gen.NewClientWithResponses(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	cart, err := shop.CreateCartWithResponse(ctx, &gen.CreateCartParams{}, gen.NewCart{Lines: &[]gen.Line{{Sku: os.Args[2], Quantity: 2}}})
	if err != nil || cart.JSON201 == nil {
		log.Fatalf("cart: %v %s", err, cart.Body)
	}
	prefer, city, postcode := "wait=20", "London", "SW1Y 4JH"
	order, err := shop.PlaceOrderWithResponse(ctx, &gen.PlaceOrderParams{IdempotencyKey: fmt.Sprint("oapi-", time.Now().UnixNano()), Prefer: &prefer}, gen.Checkout{
		CartId: cart.JSON201.Id, PaymentMethod: "pm_card_visa", Email: "ada@example.com",
		ShippingAddress: gen.Address{Name: "Ada Lovelace", Line1: "12 St James's Square", City: &city, PostalCode: &postcode, Country: "GB"},
	}, func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+*cart.JSON201.Token)
		return nil
	})
	if err != nil || order.JSON201 == nil || order.JSON201.State != "PAID" {
		log.Fatalf("order: %v %s", err, order.Body)
	}
	fmt.Println("oapi-codegen: order", order.JSON201.Number, "is", order.JSON201.State)
}
