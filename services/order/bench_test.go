package order

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/order/internal/app/apptest"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// BenchmarkCheckout settles orders of 25 lines, 16 at a time, between fake
// neighbors: what the order service and its database cost alone.
func BenchmarkCheckout(b *testing.B) {
	for _, lines := range []int{25, 700} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) {
			s := newShop(b)
			s.cfg.Telemetry.LogOutput = io.Discard
			s.start()
			var cart []domain.CartLine
			for i := range lines {
				sku := fmt.Sprintf("SKU-%d", i)
				s.catalog.Add(sku, 1<<40, 25)
				cart = append(cart, domain.CartLine{SKU: sku, Quantity: 2})
			}
			var wg sync.WaitGroup
			slots := make(chan struct{}, 16)
			for b.Loop() {
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					req := s.checkout("pm_card_visa", 30*time.Second)
					s.carts.Put(req.GetCartId(), apptest.Cart{Owner: req.GetViewer().GetCustomer().GetId(), Version: 3, Lines: cart})
					if _, err := s.client.PlaceOrder(context.Background(), req); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
		})
	}
}
