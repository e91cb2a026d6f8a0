package attack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/shopclient"
)

// connections are floods of HTTP/1.1 connections.
var connections = []Attack{
	{
		Name: "slow-bodies", Would: "fill memory with bodies that stop short of their end",
		Before: "300 connections: 48 to 391 MiB in 4 s, past the limit", Now: "bytes in flight are budgeted, bodies have a least rate", Test: "TestFloods", try: slowBodies,
	},
	{
		Name: "slow-readers", Would: "fill memory with answers that are not read",
		Before: "unlimited", Now: "large answers are bytes in flight, and read at 8 KiB a second at least", Test: "TestFloods, TestLargeAnswers", try: slowReaders,
	},
	{
		Name: "header-floods", Would: "fill memory with headers that do not end",
		Before: "unlimited", Now: "16 KiB a header, counted 32 times beyond 4 KiB", Test: "TestFloods", try: headerFloods,
	},
	{
		Name: "connections", Would: "take all connections, and say nothing on them",
		Before: "unlimited", Now: "256 of an address, 1,024 without a request, 10 s each", Test: "TestConnectionsOfOneAddress, TestFloods", try: manyConnections,
	},
	{
		Name: "pipelining", Would: "have the shop work on requests whose answers are not read",
		Now: "one after the other; each has its cost", Test: "TestFloods", try: pipelining,
	},
	{
		Name: "event-streams", Would: "take all event streams",
		Before: "400 of 400 for one guest", Now: "8 of a guest, 64 of an address, 1,024 in all", Test: "TestStreams", try: eventStreams,
	},
	{
		Name: "webhooks", Would: "keep the provider's events out by forged ones",
		Before: "80 connections: 6 of 8 signed events got 503", Now: "verified before anything is held; forged ones have a share of their own", Test: "TestSignedWebhooksGetThroughJunk, TestNoSignature", try: webhooks,
	},
}

// many is how many connections a flood has.
const many = 300

// flood opens n connections, has each send and holds them until ctx is done. It returns how many
// the shop closed or refused by then.
func (t *target) flood(ctx context.Context, n int, send func(conn net.Conn) error) (ended int64) {
	var count atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			conn, err := t.dial(ctx)
			if err != nil {
				if ctx.Err() == nil {
					count.Add(1)
				}
				return
			}
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
			defer stop()
			if err := send(conn); err != nil && ctx.Err() == nil {
				count.Add(1)
				return
			}
			_, err = io.Copy(io.Discard, conn)
			if ctx.Err() == nil || err == nil {
				count.Add(1)
			}
		})
	}
	wg.Wait()
	return count.Load()
}

// floods judges a flood of connections.
func (t *target) floods(ctx context.Context, n int, send func(conn net.Conn) error) outcome {
	var ended int64
	h := t.beside(ctx, func(ctx context.Context) { ended = t.flood(ctx, n, send) })
	return t.withstood(h, "%d of %d connections were refused or ended", ended, n)
}

func slowBodies(ctx context.Context, t *target) outcome {
	const size = 512 << 10
	body := `{"lines":[` + strings.Repeat(`{"sku":"SOUK","quantity":1},`, (size-100)/28)
	return t.floods(ctx, many, func(conn net.Conn) error {
		_, err := fmt.Fprintf(conn, "POST /v1/carts HTTP/1.1\r\nHost: souk\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, body)
		return err
	})
}

func slowReaders(ctx context.Context, t *target) outcome {
	var paths []string
	for _, path := range []string{"/v1/products?limit=100&facets=true", "/products", "/openapi.yaml", "/sitemap-products.xml"} {
		a, err := t.get(ctx, path)
		if err == nil && a.status == http.StatusOK {
			paths = append(paths, path)
		}
	}
	if paths == nil {
		return broken("no page was answered")
	}
	var next atomic.Int64
	h := t.beside(ctx, func(ctx context.Context) {
		var wg sync.WaitGroup
		for range many {
			wg.Go(func() {
				conn, err := t.dial(ctx)
				if err != nil {
					return
				}
				defer conn.Close()
				if tcp, ok := conn.(*net.TCPConn); ok {
					_ = tcp.SetReadBuffer(4 << 10)
				}
				path := paths[int(next.Add(1))%len(paths)]
				_, _ = io.WriteString(conn, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: souk\r\n\r\n", 20)) // it may be refused meanwhile
				<-ctx.Done()
			})
		}
		wg.Wait()
	})
	return t.withstood(h, "%d connections read nothing of 20 answers each", many)
}

func headerFloods(ctx context.Context, t *target) outcome {
	var head strings.Builder
	head.WriteString("GET / HTTP/1.1\r\nHost: souk\r\n")
	for i := 0; head.Len() < 15<<10; i++ {
		head.WriteString(strconv.FormatInt(int64(i), 36) + ":\r\n")
	}
	return t.floods(ctx, 2*many, func(conn net.Conn) error {
		_, err := io.WriteString(conn, head.String())
		return err
	})
}

func manyConnections(ctx context.Context, t *target) outcome {
	return t.floods(ctx, 2*many, func(net.Conn) error { return nil })
}

func pipelining(ctx context.Context, t *target) outcome {
	return t.floods(ctx, 50, func(conn net.Conn) error {
		_, err := io.WriteString(conn, strings.Repeat("GET /v1/products HTTP/1.1\r\nHost: souk\r\n\r\n", 200))
		return err
	})
}

func eventStreams(ctx context.Context, t *target) outcome {
	cart, err := t.cart(ctx, asAttacker)
	if err != nil {
		return broken("a cart: %v", err)
	}
	order, err := t.shop(asAttacker).WithToken(cart.Token).PlaceOrder(ctx, uuid.NewString(), 0, checkout(cart.ID, "pm_card_visa"))
	if err != nil {
		return broken("an order: %v", err)
	}
	var open, refused atomic.Int64
	h := t.beside(ctx, func(ctx context.Context) {
		t.flood(ctx, 150, func(conn net.Conn) error {
			if _, err := fmt.Fprintf(conn, "GET /v1/orders/%s/events HTTP/1.1\r\nHost: souk\r\nAuthorization: Bearer %s\r\n\r\n", order.ID, cart.Token); err != nil {
				return err
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			switch {
			case err != nil:
			case strings.Contains(line, " 200 ") || strings.Contains(line, " 204 "):
				open.Add(1)
			default:
				refused.Add(1)
			}
			return err
		})
	})
	o := t.withstood(h, "%d of 150 streams of one guest were opened, %d refused", open.Load(), refused.Load())
	if t.perClient && refused.Load() == 0 {
		return broken("%s", o.did)
	}
	return o
}

func webhooks(ctx context.Context, t *target) outcome {
	if !t.apart {
		return notTried(oneAddress)
	}
	junk := strings.Repeat("x", 60<<10)
	signature := func() string { return fmt.Sprintf("Stripe-Signature: t=%d,v1=%064x", time.Now().Unix(), 7) }
	var asked, answered int
	var statuses []string
	h := t.beside(ctx, func(window context.Context) {
		// The flood goes on until one event of the other address was asked to its end.
		flood, stop := context.WithCancel(ctx)
		defer stop()
		var wg sync.WaitGroup
		for range 80 {
			wg.Go(func() {
				for flood.Err() == nil {
					_, _ = t.send(flood, http.MethodPost, "/webhooks/stripe", junk, signature()) // whatever it says
				}
			})
		}
		for (asked == 0 || window.Err() == nil) && retry.Sleep(ctx, 200*time.Millisecond) == nil {
			a, err := t.sendFrom(ctx, asAccomplice, http.MethodPost, "/webhooks/stripe", `{"id":"evt_1"}`, signature())
			asked++
			if err == nil && a.status == http.StatusBadRequest {
				answered++ // it was verified
			}
			statuses = append(statuses, fmt.Sprint(a.status))
		}
		stop()
		wg.Wait()
	})
	o := t.withstood(h, "%d of %d events of another address were verified (%s)", answered, asked, counted(statuses))
	// Of a few, one may be late on a busy machine.
	if answered == 0 || float64(asked-answered) > max(1, .05*float64(asked)) {
		return broken("%s", o.did)
	}
	return o
}

// greed are attacks on what honest shoppers want.
var greed = []Attack{
	{
		Name: "greedy-address", Would: "one address that asks without end has the carts of others refused",
		Before: "9 of 30 carts of another address were refused", Now: "budgets by cost, address and guest; fair admission", Test: "TestGreedyAddress, TestCosts", try: greedyAddress,
	},
	{
		Name: "carts-without-end", Would: "fill the database with carts that are kept for 30 days",
		Before: "200 carts of 246 KiB a second", Now: "kept bytes are budgeted by address, carts counted by guest", Test: "TestCartsOfAnOwner, TestCartsOfAnAddress, TestBudgetsOfTheirOwn", try: cartsWithoutEnd,
	},
	{
		Name: "card-testing", Would: "find out which of many stolen cards live",
		Before: "hundreds an hour, each with the bank's own code", Now: "after 3 declines a guest waits, twice as long each time; the answer says nothing of the card", Test: "TestDeclinesDoNotCloseTheShop, TestDeclinesTellNothingOfTheCard", try: cardTesting,
	},
	{
		Name: "stock-hoarding", Would: "two guests who order everything with a declined card keep it from all others",
		Before: "12 of 25 honest orders were out of stock", Now: "held is not sold: orders wait for it; declines and unpaid units have limits", Test: "TestDeclinesDoNotCloseTheShop, TestUnpaidOrdersOfAGuest", try: stockHoarding,
	},
}

func greedyAddress(ctx context.Context, t *target) outcome {
	var done, refused atomic.Int64
	h := t.beside(ctx, func(ctx context.Context) {
		shop := t.shop(asAttacker)
		defer shop.Close()
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := shop.NewCart(ctx, []shopclient.Line{{SKU: t.sku, Quantity: 1}}); err == nil {
						done.Add(1)
					} else if ctx.Err() == nil {
						refused.Add(1)
					}
				}
			})
		}
		wg.Wait()
	})
	return t.withstood(h, "%d of the greedy carts were made, %d refused", done.Load(), refused.Load())
}

// cartsOfAGuest is more than the carts that a guest may have.
const cartsOfAGuest = 60

func cartsWithoutEnd(ctx context.Context, t *target) outcome {
	cart, err := t.cart(ctx, asAccomplice)
	if err != nil {
		return broken("a cart: %v", err)
	}
	shop := t.shop(asAccomplice).WithToken(cart.Token)
	defer shop.Close()
	for i := range cartsOfAGuest {
		_, err := shop.NewCart(ctx, []shopclient.Line{{SKU: t.sku, Quantity: 1}})
		if refused, ok := asProblem(err); ok {
			return held("after %d carts of one guest: %d %s", i+1, refused.Status, refused.Slug())
		}
		if err != nil {
			return broken("cart %d: %v", i+2, err)
		}
	}
	return broken("one guest has %d carts", cartsOfAGuest+1)
}

func cardTesting(ctx context.Context, t *target) outcome {
	cart, err := t.cart(ctx, asAttacker)
	if err != nil {
		return broken("a cart: %v", err)
	}
	taken, refused := 0, 0
	slug := ""
	for range 12 {
		c := checkout(cart.ID, "pm_card_chargeDeclinedStolenCard")
		_, meta, err := t.shop(asAttacker).WithToken(cart.Token).PlaceOrderMeta(ctx, uuid.NewString(), 10*time.Second, c)
		if meta != nil && strings.Contains(string(meta.Body), "stolen") {
			return broken("the answer tells the bank's code: %.200s", meta.Body)
		}
		if p, ok := asProblem(err); ok && p.Status == http.StatusTooManyRequests {
			refused++
			slug = p.Slug()
		} else if err == nil {
			taken++
		} else {
			return broken("%v", err)
		}
	}
	return either(taken <= 5, "%d of 12 cards were tried, %d refused (%s); no answer names the bank's code", taken, refused, slug)
}
