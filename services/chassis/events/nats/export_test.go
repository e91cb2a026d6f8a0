package nats

import (
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
)

// SetAckWait has a connection give up on processes sooner.
func SetAckWait(b events.Broker, d time.Duration) { b.(*Broker).ackWait = d }
