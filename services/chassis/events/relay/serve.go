package relay

import (
	"context"

	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/events/log"
	"github.com/souk-shop/souk/services/chassis/service"
)

// Serve has a service answer from its log of events, and relay it to the broker that it is
// configured with. Without one events stay in the log.
func Serve(p *service.Parts, cfg events.Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	log.Serve(p)
	to, err := broker.Open(cfg, p.Telemetry)
	if err != nil {
		return err
	}
	if to == nil {
		p.Log.Info("events stay in the log: there is no EVENTS_URL")
		return nil
	}
	p.Close(func() error {
		closing, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return to.Close(closing)
	})
	r, err := New(log.New(p.Pool, p.Telemetry.Service), to, p.Telemetry)
	if err != nil {
		return err
	}
	p.AddReady("relay events", r.Run)
	return nil
}
