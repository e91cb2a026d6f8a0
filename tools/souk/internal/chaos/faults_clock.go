package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// clockFaults set one service's clock wrong by an hour.
func clockFaults() []Fault {
	var out []Fault
	for _, service := range parts {
		for _, c := range []struct {
			name   string
			offset time.Duration
		}{{"ahead", time.Hour}, {"behind", -time.Hour}} {
			out = append(out, Fault{
				Name: "clock-" + service + "-" + c.name, Group: "clock", Breaks: []string{service},
				Doc: fmt.Sprintf("the clock of %s is an hour %s, for 5s", service, c.name),
				Inject: func(ctx context.Context, e *Environment) error {
					return e.during(ctx, 5*time.Second, func(ctx context.Context) error {
						vars := []string{fmt.Sprintf("SOUK_%s_CLOCK_OFFSET=%s", strings.ToUpper(service), c.offset)}
						if service == "gateway" { // what asks for the time there is the limit of requests
							vars = append(vars, "SOUK_GATEWAY_RATE_LIMIT=100000")
						}
						e.SetEnv(service, vars...)
						if err := e.restartQuietly(ctx, service); err != nil {
							return err
						}
						e.Injected(1, fmt.Sprintf("%s, process %d, answered with its clock off by %s", service, e.Shop.PID(service), c.offset))
						return nil
					}, func(ctx context.Context) error {
						e.SetEnv(service)
						return e.restartQuietly(ctx, service)
					})
				},
			})
		}
	}
	return out
}
