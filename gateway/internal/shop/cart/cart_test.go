package cart_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/services/chassis/access"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/souk-shop/souk/gateway/internal/client"
	"github.com/souk-shop/souk/gateway/internal/shop/cart"
	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
)

// carts has one cart, and an order whose units may have left it.
type carts struct {
	cart.Client
	lines   []*cartv1.CartLine
	removed string
	err     error
}

func (c *carts) GetCart(_ context.Context, in *cartv1.GetCartRequest, _ ...grpc.CallOption) (*cartv1.GetCartResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	return &cartv1.GetCartResponse{Cart: &cartv1.Cart{Lines: c.lines}, OrderRemoved: in.GetOrderId() == c.removed}, nil
}

func TestUnitsAfter(t *testing.T) {
	t.Parallel()
	order := uuid.New()
	bought := []cart.LineInput{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}}
	line := func(sku string, quantity int64) *cartv1.CartLine {
		return &cartv1.CartLine{Sku: sku, Quantity: quantity}
	}
	for name, tt := range map[string]struct {
		lines   []*cartv1.CartLine
		removed string
		want    int64
	}{
		"just that":       {[]*cartv1.CartLine{line("A", 2), line("B", 1)}, "", 0},
		"more":            {[]*cartv1.CartLine{line("A", 3), line("B", 1), line("C", 4)}, "", 5},
		"fewer":           {[]*cartv1.CartLine{line("A", 1)}, "", 0},
		"gone already":    {[]*cartv1.CartLine{line("A", 2), line("B", 1)}, order.String(), 3},
		"another is gone": {[]*cartv1.CartLine{line("A", 3)}, uuid.NewString(), 1},
		"nothing":         {nil, "", 0},
	} {
		c := cart.New(cart.Config{Client: &carts{lines: tt.lines, removed: tt.removed}, Caller: client.New(client.Config{RetryBudget: -1})})
		if got, err := c.UnitsAfter(t.Context(), access.Customer(uuid.NewString()), uuid.New(), order, bought); err != nil || got != tt.want {
			t.Errorf("%s: %d units, %v; want %d", name, got, err, tt.want)
		}
	}
	away := cart.New(cart.Config{Client: &carts{err: status.Error(codes.Unavailable, "away")}, Caller: client.New(client.Config{RetryBudget: -1})})
	if _, err := away.UnitsAfter(t.Context(), access.Customer(uuid.NewString()), uuid.New(), order, bought); err == nil {
		t.Error("no error while the cart service is unavailable")
	}
}
