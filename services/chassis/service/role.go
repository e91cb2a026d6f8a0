package service

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/souk-shop/souk/services/chassis/pg"
)

// roleCheck looks at the role of the service's connections, once: it is to be able to do
// no more than the service does.
type roleCheck struct {
	cfg  pg.Config
	log  *slog.Logger
	done atomic.Bool
}

// ready returns an error while the role is too powerful and the service is to refuse
// such a one; else it warns.
func (c *roleCheck) ready(ctx context.Context, db pg.Queryer) error {
	if c.done.Load() {
		return nil
	}
	err := pg.CheckRole(ctx, db)
	powerful := (*pg.PowerfulRoleError)(nil)
	if errors.As(err, &powerful) && !c.cfg.RefuseOwner {
		c.log.WarnContext(ctx, "the service's role can do what only migrations need", "error", err)
		err = nil
	}
	if err == nil {
		c.done.Store(true)
	}
	return err
}
