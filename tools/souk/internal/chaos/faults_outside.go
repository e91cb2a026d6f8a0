package chaos

import (
	"context"
	"fmt"
	"time"
)

// outsideLasts is how long those whom the shop tells are away: longer than smtpTimeout and
// hookTimeout, so that what is tried meanwhile fails.
const outsideLasts = 10 * time.Second

// outsideFaults are of the mail server and the webhook endpoint.
func outsideFaults() []Fault {
	var out []Fault
	for _, whom := range []struct{ name, doc string }{{mailServer, "the mail server"}, {endpoint, "the webhook endpoint"}} {
		away := func(name, doc string, sends, answers Toxic) Fault {
			return Fault{
				Name: whom.name + "-" + name, Group: "outside", Doc: fmt.Sprintf("%s %s, for %s", whom.doc, doc, outsideLasts), Breaks: []string{notifier},
				Inject: func(ctx context.Context, e *Environment) error {
					e.Proxies.Disturb(whom.name, notifier, answers)
					return e.disturb(ctx, notifier, whom.name, sends, outsideLasts, "messages or connections of "+whom.doc)
				},
			}
		}
		out = append(out,
			away("down", "refuses connections", Toxic{Refuse: true}, Toxic{}),
			// What it was sent it has taken, and the shop does not know.
			away("silent", "answers nothing", Toxic{}, Toxic{Lose: true}),
		)
	}
	return out
}
