package chaos

import (
	"context"

	"github.com/souk-shop/souk/tools/internal/localshop"
)

// sabotage breaks an invariant of the shop on purpose. A run with it has to find
// that: it tests the audit. The tests have the
// sabotages.
type sabotage struct {
	// route leads a proxy elsewhere, as localshop.Options.Route does in the shop of a
	// data folder; may be nil.
	route func(dir, from, to, addr string) (string, error)
	// started changes the shop that has started; may be nil.
	started func(context.Context, *localshop.Shop) error
	// front stands before the shop at a URL and returns its own; may be nil.
	front func(ctx context.Context, url string) (own string, end func(), err error)
}
