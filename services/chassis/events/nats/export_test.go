package nats

import (
	"time"

	"github.com/souk-shop/souk/services/chassis/events"
)

// SetAckWait has a connection give up on processes sooner.
func SetAckWait(b events.Broker, d time.Duration) { b.(*Broker).ackWait = d }

// SetLeaderless has a connection wait less long until it makes a consumer without a leader anew.
func SetLeaderless(b events.Broker, d time.Duration) { b.(*Broker).leaderless = d }
