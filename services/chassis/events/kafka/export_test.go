package kafka

import (
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/souk-shop/souk/services/chassis/events"
)

// Admin is a connection's client of the broker's administration.
func Admin(b events.Broker) *kadm.Client { return b.(*Broker).admin }
