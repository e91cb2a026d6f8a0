// Package broker opens the broker that a configuration names.
package broker

import (
	"fmt"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/kafka"
	"github.com/souk-shop/souk/services/chassis/events/nats"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// Open returns a connection to the broker of cfg, nil when cfg has none. The broker may be
// away: the connection is made in the background.
func Open(cfg events.Config, tel *telemetry.Telemetry) (events.Broker, error) {
	if cfg.URL == "" {
		return nil, nil
	}
	endpoint, err := cfg.Endpoint()
	if err != nil {
		return nil, err
	}
	switch endpoint.Scheme {
	case "nats":
		return nats.Open(cfg, tel)
	case "kafka":
		return kafka.Open(cfg, tel)
	default:
		return nil, fmt.Errorf("events: this version has no driver of %s", endpoint.Scheme)
	}
}
