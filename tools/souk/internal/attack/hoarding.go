package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

func asProblem(err error) (*shopclient.Problem, bool) { return errors.AsType[*shopclient.Problem](err) }

// stockHoarding makes goods of its own, so that no shopper misses them.
func stockHoarding(ctx context.Context, t *target) outcome {
	if t.operator == "" {
		return notTried("it makes goods of its own, for which no operator's token is known")
	}
	if !t.apart {
		return notTried(oneAddress)
	}
	const stock, honestOrders = 35, 25
	code := "ATTACK-" + strings.ToUpper(uuid.NewString()[:8])
	operator := t.shop(asHonest).WithToken(t.operator)
	csv := "code,sku,name,variant,description,category,category_name,price,currency,stock,popularity\n" +
		fmt.Sprintf("%s,%s-1,Scarce Goods,,,gifts,Gifts,2.95,GBP,%d,0\n", code, code, stock)
	if _, err := operator.ImportProducts(ctx, strings.NewReader(csv)); err != nil {
		return notTried("goods of its own: %v", err)
	}
	defer func() { // no shopper is to find them
		_, _ = t.sendFrom(context.WithoutCancel(ctx), asHonest, http.MethodPut, "/v1/products/"+code+"/state", `{"state":"archived"}`,
			"Authorization: Bearer "+t.operator, "Content-Type: application/json")
	}()
	sku := code + "-1"
	var left atomic.Int64
	left.Store(stock)
	var taken, refused atomic.Int64
	attack, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, as := range []role{asAttacker, asAccomplice} {
		wg.Go(func() {
			shop := t.shop(as)
			defer shop.Close()
			cart, err := shop.NewCart(attack, []shopclient.Line{{SKU: sku, Quantity: stock}})
			for err == nil && attack.Err() == nil {
				me := shop.WithToken(cart.Token)
				if _, e := me.SetLine(attack, cart.ID, shopclient.Line{SKU: sku, Quantity: max(left.Load(), 1)}, ""); e == nil {
					if _, e = me.PlaceOrder(attack, uuid.NewString(), 0, checkout(cart.ID, "pm_card_visa_chargeDeclined")); e == nil {
						taken.Add(1)
					} else if attack.Err() == nil {
						refused.Add(1)
					}
				}
				_ = retry.Sleep(attack, 5*time.Millisecond)
			}
		})
	}
	shop := t.shop(asHonest)
	defer shop.Close()
	paid := 0
	last := ""
	for range honestOrders {
		if retry.Sleep(ctx, 50*time.Millisecond) != nil {
			break
		}
		cart, err := shop.NewCart(ctx, []shopclient.Line{{SKU: sku, Quantity: 1}})
		if err != nil {
			last = err.Error()
			continue
		}
		order, err := shop.WithToken(cart.Token).PlaceOrder(ctx, uuid.NewString(), 30*time.Second, checkout(cart.ID, "pm_card_visa"))
		switch {
		case err != nil:
			last = err.Error()
		case order.State != shopclient.StatePaid:
			last = order.State + " " + order.CancelReason
		default:
			paid++
			left.Add(-1)
		}
	}
	stop()
	wg.Wait()
	did := fmt.Sprintf("%d of %d honest orders were paid; %d of the attackers' orders were taken, %d refused", paid, honestOrders, taken.Load(), refused.Load())
	if last != "" {
		did += "; " + last
	}
	return either(paid >= honestOrders*95/100, "%s", did)
}
