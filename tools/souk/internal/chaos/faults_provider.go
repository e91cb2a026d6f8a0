package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/tools/internal/topology"
)

// misbehave has the provider follow rules for d.
func (e *Environment) misbehave(ctx context.Context, d time.Duration, rules ...Rule) error {
	for i := range rules {
		rules[i].Seed = e.Rand.Uint64()
	}
	return e.during(ctx, d, func(ctx context.Context) error {
		return e.Provider.Misbehave(ctx, rules...)
	}, func(ctx context.Context) error {
		fired, err := e.Provider.Behave(ctx)
		if err != nil {
			return err
		}
		e.Injected(fired, fmt.Sprintf("%d times by the provider's count", fired))
		_, err = e.Provider.Flush(ctx)
		return err
	})
}

func providerFaults() []Fault {
	fault := func(name, doc string, d time.Duration, rules ...Rule) Fault {
		return Fault{
			Name: "provider-" + name, Group: "provider", Doc: "the provider " + doc, Breaks: []string{topology.Stripesim},
			Inject: func(ctx context.Context, e *Environment) error { return e.misbehave(ctx, d, rules...) },
		}
	}
	return []Fault{
		fault("slow-30s", "takes 30s for each change", 5*time.Second,
			Rule{Kind: "latency", Latency: 30 * time.Second, Operation: "*.c*"}),
		fault("drop", "does as asked and drops the connection, for a call in 10", 4*time.Second,
			Rule{Kind: "drop_after_commit", Rate: 0.1}),
		fault("500", "does as asked and answers 500, for a call in 10, and again for the same key", 4*time.Second,
			Rule{Kind: "error_after_commit", Rate: 0.1}),
		fault("429", "answers every other call with 429 and Retry-After: 1", 4*time.Second,
			Rule{Kind: "rate_limit", RetryAfter: time.Second, Rate: 0.5}),
		fault("hang", "never answers one call in 5, half of which it does", 4*time.Second,
			Rule{Kind: "hang", Rate: 0.1}, Rule{Kind: "hang_after_commit", Rate: 0.1}),
		{
			Name: "provider-down-5m", Group: "provider", Doc: "the provider resets every connection for 5 minutes",
			Inject: func(ctx context.Context, e *Environment) error {
				return e.disturb(ctx, "payment", "stripesim", Toxic{Refuse: true}, 5*time.Minute, "connections were refused")
			},
			Times: 1, Alone: true, Breaks: []string{topology.Stripesim},
		},
	}
}

func webhookFaults() []Fault {
	fault := func(name, doc string, rule Rule) Fault {
		return Fault{
			Name: "webhook-" + name, Group: "webhook", Doc: doc, Breaks: []string{topology.Stripesim},
			Inject: func(ctx context.Context, e *Environment) error { return e.misbehave(ctx, 4*time.Second, rule) },
		}
	}
	return []Fault{
		fault("triple", "each webhook comes three times at once", Rule{Kind: "webhook_triple"}),
		fault("reorder", "the webhooks of a payment overtake each other", Rule{Kind: "webhook_reorder", Latency: 2 * time.Second}),
		fault("late", "webhooks are held for an hour, or until the fault has passed", Rule{Kind: "webhook_delay", Latency: time.Hour}),
		fault("never", "no webhook is sent", Rule{Kind: "webhook_never"}),
	}
}
