package budget

import (
	"time"

	"github.com/souk-shop/souk/gateway/internal/problem"
)

// Limit is a limit by the name that refused requests, the security log and the docs
// know it by.
type Limit string

// The limits. docs/limits.md says of each what it bounds, why, and what a refused client
// sees.
const (
	PerAddress     Limit = "address"
	PerNetwork     Limit = "network"
	PerGuest       Limit = "guest"
	PerOperator    Limit = "operator"
	KeptBytes      Limit = "kept-bytes"
	CartsOfAddress Limit = "carts-of-address"
	BodySize       Limit = "body-size"
	// PersonalDataOfAddress and PersonalDataOfGuest are of exports and erasures.
	PersonalDataOfAddress Limit = "personal-data-of-address"
	PersonalDataOfGuest   Limit = "personal-data-of-guest"
	BodyRate              Limit = "body-rate"
	Headers               Limit = "headers"
	BytesInFlight         Limit = "bytes-in-flight"
	BytesOfAddress        Limit = "bytes-in-flight-of-address"
	BytesOfOperators      Limit = "bytes-in-flight-of-operators"
	Streams               Limit = "streams"
	StreamsOfAddress      Limit = "streams-of-address"
	StreamsOfGuest        Limit = "streams-of-guest"
	Connections           Limit = "connections"
	ConnectionsOfAddress  Limit = "connections-of-address"
	UnheardConnections    Limit = "unheard-connections"
	HeaderBytes           Limit = "header-bytes"
	HTTP2Frames           Limit = "http2-frames"
	Admission             Limit = "admission"
	WebhookBytes          Limit = "webhook-bytes"
	WebhooksForged        Limit = "webhooks-forged"
)

// The shares of what an address may spend.
const (
	// NetworkShare: a household or a small firm has an IPv6 /56 or /48, a carrier's /48 has
	// many customers with a /64 each.
	NetworkShare = 8
	// guestShare: a guest is one person, an address may be an office.
	guestShare = 0.5
	// operatorShare: operators import, export and edit by script.
	operatorShare = 5
)

// What guests have kept for them, in bytes of bodies per address: a cart of 2,000 lines
// is 200 KiB at most, and a cart of ten lines 1 KiB.
const (
	keptPerSecond = 8 * kib
	keptBurst     = 4 * mib
)

// How many carts an address makes: an office's or a carrier's shoppers, one each. What a cart
// takes in the database is 1 KiB, for 30 days.
const (
	cartsPerSecond = 1
	cartsBurst     = 1000
)

// How often what is held about a guest is exported or erased: each time leaves an entry in
// the audit log for good, some 300 bytes. A person asks once or twice, and again when a
// download breaks; behind an address are many.
const (
	recordedOfGuestPerSecond = 1.0 / 900
	recordedOfGuestBurst     = 4
	recordedPerSecond        = 1.0 / 60
	recordedBurst            = 60
)

// keys is how many addresses have a bucket at a time; a bucket is some 100 bytes.
const keys = 1 << 16

const (
	// maxHeaders is how many header fields a request may have: browsers behind proxies send
	// 30. A field of 3 bytes costs 150 in memory.
	maxHeaders = 100
	// bodyGrace and bodyPerSecond are how slowly a body may come: a telephone on its worst
	// network sends 5 KiB a second.
	bodyGrace     = 5 * time.Second
	bodyPerSecond = 4 * kib
	// answerGrace and answerPerSecond are how slowly a large answer may be read.
	answerGrace     = 10 * time.Second
	answerPerSecond = 8 * kib
	// unreadTime is how long the body of a refused request is still waited for, so that a
	// client which has sent all of it gets to read the refusal.
	unreadTime = time.Second
	// largeAnswer is from how many bytes an answer counts among the bytes in flight: less
	// is in the buffers of the system at once.
	largeAnswer = 64 * kib
	// answerHeld is how many bytes are held for each of an answer while it is made: what
	// services send, what is made of it, and the answer.
	answerHeld = 4
	// ownAnswer is the cost from which an answer is made for one caller, and so held until
	// it is read.
	ownAnswer = 3
	// chunk is in what steps a body without a length is reserved.
	chunk = 16 * kib
)

// explain is the problem of a limit that was met.
func explain(refused refusal, op *Operation) *problem.Error {
	var e *problem.Error
	switch refused.limit {
	case BodySize:
		e = problem.Newf(problem.BodyTooLarge, "The body is more than %d bytes.", op.body())
	case BodyRate:
		e = problem.Newf(problem.BodyMalformed, "The body came at less than %d bytes a second and was not waited for.", bodyPerSecond)
	case Headers:
		e = problem.Newf(problem.HeadersTooLarge, "The request has more than %d header fields.", maxHeaders)
	case BytesInFlight, BytesOfOperators, Streams:
		e = problem.New(problem.Busy)
	default:
		e = problem.New(problem.TooManyRequests)
	}
	e.Limit = string(refused.limit)
	return e
}
