// Package cart is the cart service: it keeps what shoppers mean to buy.
package cart

import (
	"context"
	"errors"
	"time"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/services/cart/internal/app"
	"github.com/souk-shop/souk/services/cart/internal/postgres"
	"github.com/souk-shop/souk/services/cart/internal/rpc"
	"github.com/souk-shop/souk/services/chassis/answers"
	"github.com/souk-shop/souk/services/chassis/service"
)

// Config is what the service's operator chooses; its variables start with
// SOUK_CART_.
type Config struct {
	service.Config

	// GuestTTL is how long a cart is kept that is not read or changed, an hour at
	// least. Until there are customers with accounts, every cart is a guest's.
	GuestTTL time.Duration `env:"GUEST_TTL, default=720h"`
	// SweepEvery is how often carts past that are deleted.
	SweepEvery time.Duration `env:"SWEEP_EVERY, default=1h"`
}

const (
	// changesTTL is for how long a repeat of a change is known as such: twice the 24 hours
	// of an Idempotency-Key (answers.Keep), because a call may be under way at their end.
	changesTTL = 48 * time.Hour
	// ordersTTL is the same for the removal of what an order bought, which the order
	// service repeats until it is answered.
	ordersTTL = 30 * 24 * time.Hour
)

// Validate refuses what the service cannot run with.
func (c *Config) Validate() error {
	if c.GuestTTL < time.Hour {
		return errors.New("GUEST_TTL is shorter than an hour")
	}
	if c.SweepEvery <= 0 {
		return errors.New("SWEEP_EVERY is not positive")
	}
	return nil
}

// Run serves until ctx is done, then drains.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, &cfg, service.Spec{
		Name: "cart", Cells: &postgres.Cells, Migrate: postgres.Migrate, Migrated: postgres.Migrated, Errors: rpc.Errors,
		Build: func(p *service.Parts) error {
			store := postgres.NewStore(p.Pool).ReadFrom(p.ReadPool)
			cartv1.RegisterCartServiceServer(p.Server, rpc.NewServer(app.New(store, p.Now, p.Log)))
			if err := answers.Serve(p); err != nil {
				return err
			}
			sweeper := app.Sweeper{
				Carts: store, TTL: cfg.GuestTTL, ChangesTTL: changesTTL, OrdersTTL: ordersTTL, Every: cfg.SweepEvery, Now: p.Now, Log: p.Log,
			}
			p.AddReady("sweeper", sweeper.Run)
			return nil
		},
	})
}
