package stripesim_test

import (
	"sync"
	"testing"

	paymentv1 "github.com/souk-shop/souk/proto/gen/souk/payment/v1"
	"github.com/souk-shop/souk/services/chassis/rpc"
)

// TestTwoCardsForOneOrder: payments begun at once with two cards, at two
// processes. One card is asked, once; for the other nothing is begun.
func TestTwoCardsForOneOrder(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	services := []paymentv1.PaymentServiceClient{h.payments(), h.payments()}
	order := id()
	cards := []string{"pm_card_visa", "pm_card_mastercard"}
	var mu sync.Mutex
	accepted, refused := map[string]int{}, map[string]int{}
	together(20, func(i int) {
		card := cards[i%2]
		for {
			_, err := services[i/2%2].Authorize(h.ctx, authorize(order, card))
			reason := rpc.Info(err).GetReason()
			if reason == "OUTCOME_UNKNOWN" && h.ctx.Err() == nil {
				continue // the other process has it under way
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				accepted[card]++
			case reason == "PAYMENT_MISMATCH":
				refused[card]++
			default:
				t.Error(err)
			}
			return
		}
	})
	if len(accepted) != 1 || len(refused) != 1 {
		t.Errorf("accepted %v, refused %v", accepted, refused)
	}
	for card := range accepted {
		if refused[card] != 0 || accepted[card] != 10 {
			t.Errorf("%s: accepted %d times, refused %d", card, accepted[card], refused[card])
		}
	}
	if w := h.witness(order); w.authorizations != 1 || w.held != 1250 || w.captures != 0 {
		t.Errorf("witness %+v", w)
	}
}
