// Package budget is what the gateway spends on whom: costs of operations, bytes in
// flight and streams, counted per address, per guest, per operator and in all.
// docs/limits.md has the limits with their reasons.
package budget

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/souk-shop/souk/gateway/internal/problem"
)

// Caller is who asks, as far as the request proves it.
type Caller struct {
	Guest    uuid.UUID // the zero UUID for an unknown client
	Operator string    // "" for none
}

// Sizes are the limits of what is in use at a time. 0 or less is without limit.
type Sizes struct {
	// Bytes are those of bodies and large answers, with what is made of them.
	Bytes int64
	// OperatorBytes are the same of operators, who have no part in Bytes.
	OperatorBytes int64
	// Streams are open event streams, in all, of an address and of a guest.
	Streams, StreamsPerAddress, StreamsPerGuest int64
}

// Config of a Budget.
type Config struct {
	// PerSecond and Burst are units of cost that one address may spend on average and at
	// once. Below 1 nothing is counted per client.
	PerSecond, Burst int
	Sizes
	// Address is the client's, Caller who it is.
	Address func(*http.Request) netip.Addr
	Caller  func(*http.Request) Caller
	// Refuse answers for a limit; its headers are set.
	Refuse func(http.ResponseWriter, *http.Request, *problem.Error)
	// Record notes a refusal in the security log.
	Record func(ctx context.Context, limit Limit, client slog.Attr)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Budget guards a handler. Safe for concurrent use.
type Budget struct {
	cfg       Config
	routes    routes
	addresses *Rates[netip.Addr]
	networks  *Rates[netip.Addr] // IPv6 by /48
	guests    *Rates[uuid.UUID]
	operators *Rates[string]
	kept      *Rates[netip.Addr]
	carts     *Rates[netip.Addr]
	// recorded are requests that leave an entry in the audit log, by address and guest.
	recorded        *Rates[netip.Addr]
	recordedOfGuest *Rates[uuid.UUID]
	bytes           *Pool[netip.Addr]
	// ofOperators are bytes in flight of operators, who are few and known: an import of the
	// full size fits beside any traffic.
	ofOperators *Pool[netip.Addr]
	streams     *Pool[netip.Addr]
	byGuest     *Pool[uuid.UUID]
	// large answers, by whom they went to
	ofAddress peaks[netip.Addr]
	ofGuest   peaks[uuid.UUID]
	limits    map[Limit][]string // the values of RateLimit-Limit
}

// New makes a Budget.
func New(cfg Config) (*Budget, error) {
	table, err := newRoutes(Operations)
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b := &Budget{cfg: cfg, routes: table, limits: map[Limit][]string{}}
	b.ofAddress.size, b.ofGuest.size = map[netip.Addr]int64{}, map[uuid.UUID]int64{}
	perAddress, perGuest := max(cfg.StreamsPerAddress, 0), max(cfg.StreamsPerGuest, 0)
	if cfg.PerSecond > 0 {
		rate, burst := float64(cfg.PerSecond), float64(max(cfg.Burst, 1))
		if cfg.Burst == 0 {
			burst = 10 * rate
		}
		b.addresses = NewRates[netip.Addr](rate, burst, keys)
		b.networks = NewRates[netip.Addr](NetworkShare*rate, NetworkShare*burst, keys)
		b.guests = NewRates[uuid.UUID](guestShare*rate, guestShare*burst, keys)
		b.operators = NewRates[string](operatorShare*rate, operatorShare*burst, keys)
		b.kept = NewRates[netip.Addr](keptPerSecond, keptBurst, keys)
		b.carts = NewRates[netip.Addr](cartsPerSecond, cartsBurst, keys)
		b.recorded = NewRates[netip.Addr](recordedPerSecond, recordedBurst, keys)
		b.recordedOfGuest = NewRates[uuid.UUID](recordedOfGuestPerSecond, recordedOfGuestBurst, keys)
		b.limits[PersonalDataOfAddress] = []string{strconv.Itoa(recordedBurst)}
		b.limits[PersonalDataOfGuest] = []string{strconv.Itoa(recordedOfGuestBurst)}
		b.limits[CartsOfAddress] = []string{strconv.Itoa(cartsBurst)}
		b.limits[PerAddress] = []string{strconv.Itoa(int(burst))}
		b.limits[PerNetwork] = []string{strconv.Itoa(int(NetworkShare * burst))}
		b.limits[PerGuest] = []string{strconv.Itoa(int(guestShare * burst))}
		b.limits[PerOperator] = []string{strconv.Itoa(int(operatorShare * burst))}
		b.limits[KeptBytes] = []string{strconv.Itoa(keptBurst)}
	} else {
		perAddress, perGuest = -1, -1
	}
	b.bytes = NewPool[netip.Addr](cfg.Bytes, min(perAddress, 0))
	b.ofOperators = NewPool[netip.Addr](cfg.OperatorBytes, -1)
	b.streams = NewPool[netip.Addr](cfg.Streams, perAddress)
	b.byGuest = NewPool[uuid.UUID](0, perGuest)
	return b, nil
}

// Key is what an address is counted as: an IPv6 client is its /64, in which it chooses
// addresses as it likes.
func Key(addr netip.Addr) netip.Addr { return masked(addr, 64) }

// Network is the /48 of an IPv6 address.
func Network(addr netip.Addr) netip.Addr { return masked(addr, 48) }

func masked(addr netip.Addr, bits int) netip.Addr {
	if addr.Is6() {
		if network, err := addr.WithZone("").Prefix(bits); err == nil {
			return network.Addr()
		}
	}
	return addr
}

// Bytes are those in flight, for what reads requests before Guard does.
func (b *Budget) Bytes() *Pool[netip.Addr] { return b.bytes }

// refusal is a limit that was met.
type refusal struct {
	limit Limit
	wait  time.Duration // until it is worth to come again
}

// Guard refuses what exceeds a budget, and takes the rest from it.
func (b *Budget) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := b.routes.find(r.Method, r.URL.Path)
		address := b.cfg.Address(r)
		caller := b.cfg.Caller(r)
		if refused := b.admit(w.Header(), r, op, caller, address); refused.limit != "" {
			b.newHold(w, r, op, caller, address).refuse(refused)
			return
		}
		if hasBody(r) || op.Stream || op.Cost >= ownAnswer {
			b.newHold(w, r, op, caller, address).serve(next)
			return
		}
		next.ServeHTTP(w, r) // most reads: nothing is held for them
	})
}

func hasBody(r *http.Request) bool {
	return r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody
}

// admit checks a request by what its header says.
func (b *Budget) admit(header http.Header, r *http.Request, op *Operation, caller Caller, address netip.Addr) refusal {
	switch {
	case fields(r.Header) > maxHeaders:
		return refusal{limit: Headers}
	case r.ContentLength > op.body():
		return refusal{limit: BodySize}
	case b.addresses == nil:
		return refusal{}
	}
	return b.charge(header, op, caller, address, op.cost(r), r.ContentLength)
}

// fields counts header fields: the lines, of which several may have one name.
func fields(h http.Header) (n int) {
	for _, lines := range h {
		n += len(lines)
	}
	return n
}

// Canonical names of the headers: net/http spells them so.
const (
	headerLimit     = "Ratelimit-Limit"
	headerRemaining = "Ratelimit-Remaining"
	headerReset     = "Ratelimit-Reset"
)

// charge takes a cost, and that of so many bytes of a body, from the buckets of the caller,
// and says in the headers what is left: in the bucket that refuses, or else in the one that
// has the least.
func (b *Budget) charge(header http.Header, op *Operation, caller Caller, address netip.Addr, cost float64, body int64) refusal {
	now := b.cfg.Now()
	cost += op.bodyCost(body)
	if caller.Operator != "" {
		left, ok := b.operators.Take(caller.Operator, cost, now)
		return report(header, b.operators, b.limits[PerOperator], PerOperator, left, cost, ok)
	}
	least, ok := b.addresses.Take(Key(address), cost, now)
	if refused := report(header, b.addresses, b.limits[PerAddress], PerAddress, least, cost, ok); refused.limit != "" {
		return refused
	}
	if address.Is6() {
		left, ok := b.networks.Take(Network(address), cost, now)
		if !ok || left < least {
			least = left
			if refused := report(header, b.networks, b.limits[PerNetwork], PerNetwork, left, cost, ok); refused.limit != "" {
				return refused
			}
		}
	}
	if caller.Guest != uuid.Nil {
		left, ok := b.guests.Take(caller.Guest, cost, now)
		if !ok || left < least {
			if refused := report(header, b.guests, b.limits[PerGuest], PerGuest, left, cost, ok); refused.limit != "" {
				return refused
			}
		}
	}
	if cost > 0 && (op.Carts == everybody || op.Carts == newGuests && caller.Guest == uuid.Nil) {
		if left, ok := b.carts.Take(Key(address), 1, now); !ok {
			return report(header, b.carts, b.limits[CartsOfAddress], CartsOfAddress, left, 1, ok)
		}
	}
	if op.Recorded && cost > 0 && caller.Guest != uuid.Nil {
		if left, ok := b.recorded.Take(Key(address), 1, now); !ok {
			return report(header, b.recorded, b.limits[PersonalDataOfAddress], PersonalDataOfAddress, left, 1, ok)
		}
		if left, ok := b.recordedOfGuest.Take(caller.Guest, 1, now); !ok {
			return report(header, b.recordedOfGuest, b.limits[PersonalDataOfGuest], PersonalDataOfGuest, left, 1, ok)
		}
	}
	if bytes := float64(body); op.Keeps && bytes > 0 {
		if left, ok := b.kept.Take(Key(address), bytes, now); !ok {
			return report(header, b.kept, b.limits[KeptBytes], KeptBytes, left, bytes, ok)
		}
	}
	return refusal{}
}

// report sets the headers that tell of a bucket.
func report[K comparable](header http.Header, rates *Rates[K], size []string, limit Limit, left, cost float64, ok bool) refusal {
	header[headerLimit] = size
	header[headerRemaining] = []string{strconv.Itoa(int(left))}
	header[headerReset] = []string{seconds(rates.Wait(left, rates.burst))}
	if ok {
		return refusal{}
	}
	return refusal{limit, rates.Wait(left, cost)}
}

// seconds rounds up, so that who waits so long does not come too early.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// hold is what a request holds until it is answered, and its ResponseWriter.
type hold struct {
	http.ResponseWriter
	request *http.Request
	budget  *Budget
	op      *Operation
	address netip.Addr
	caller  Caller

	held     int64 // bytes
	expected int64 // size of the answer
	stopped  bool  // an answer was replaced by a refusal
	begun    bool
	streams  bool
	byGuests bool
}

func (b *Budget) newHold(w http.ResponseWriter, r *http.Request, op *Operation, caller Caller, address netip.Addr) *hold {
	return &hold{ResponseWriter: w, request: r, budget: b, op: op, address: Key(address), caller: caller}
}

// serve has next answer the request, with what it needs reserved.
func (h *hold) serve(next http.Handler) {
	defer h.release()
	r := h.request
	if h.op.Stream {
		if refused := h.stream(); refused.limit != "" {
			h.refuse(refused)
			return
		}
	}
	h.expected = h.answer()
	if expected := max(h.expected*answerHeld, h.op.Answer); expected > 0 {
		if pool := h.pool(); pool.size > 0 {
			expected = min(expected, pool.size/2) // which one address can have
		}
		if refused := h.reserve(expected); refused.limit != "" {
			h.refuse(refused)
			return
		}
	}
	if hasBody(r) {
		if refused := h.reserve(max(r.ContentLength, 0) * h.op.held()); refused.limit != "" {
			h.refuse(refused)
			return
		}
		r.Body = h.body(r)
	}
	next.ServeHTTP(h, r)
}

// answer is the size that the answer may have, by what the address and the guest were
// answered lately; 0 if it is not large.
func (h *hold) answer() int64 {
	size := h.budget.ofAddress.of(h.address)
	if h.caller.Guest != uuid.Nil {
		size = max(size, h.budget.ofGuest.of(h.caller.Guest))
	}
	return size
}

// note remembers the size of the answer.
func (h *hold) note(n int64) {
	h.budget.ofAddress.note(h.address, n)
	if h.caller.Guest != uuid.Nil {
		h.budget.ofGuest.note(h.caller.Guest, n)
	}
}

// pool is where the bytes of the request count.
func (h *hold) pool() *Pool[netip.Addr] {
	if h.caller.Operator != "" {
		return h.budget.ofOperators
	}
	return h.budget.bytes
}

// reserve takes n bytes more.
func (h *hold) reserve(n int64) refusal {
	const soon = 2 * time.Second // most bodies are there in less
	switch got := h.pool().Acquire(h.address, n); {
	case got == KeyFull:
		return refusal{BytesOfAddress, soon}
	case got == AllFull && h.caller.Operator != "":
		return refusal{BytesOfOperators, soon}
	case got == AllFull:
		return refusal{BytesInFlight, soon}
	}
	h.held += n
	return refusal{}
}

// stream takes an event stream.
func (h *hold) stream() refusal {
	const later = 10 * time.Second // streams end with the order, in seconds
	switch h.budget.streams.Acquire(h.address, 1) {
	case KeyFull:
		return refusal{StreamsOfAddress, later}
	case AllFull:
		return refusal{Streams, later}
	}
	h.streams = true
	if h.caller.Guest == uuid.Nil {
		return refusal{}
	}
	if h.budget.byGuest.Acquire(h.caller.Guest, 1) != Given {
		return refusal{StreamsOfGuest, later}
	}
	h.byGuests = true
	return refusal{}
}

func (h *hold) release() {
	if h.held > 0 {
		h.pool().Release(h.address, h.held)
	}
	if h.streams {
		h.budget.streams.Release(h.address, 1)
	}
	if h.byGuests {
		h.budget.byGuest.Release(h.caller.Guest, 1)
	}
}

// refuse answers for a limit.
func (h *hold) refuse(refused refusal) {
	b := h.budget
	b.cfg.Record(h.request.Context(), refused.limit, slog.String("client", h.address.String()))
	header := h.ResponseWriter.Header()
	if refused.wait > 0 {
		header["Retry-After"] = []string{seconds(refused.wait)}
	}
	if h.request.ContentLength != 0 {
		// What was not read is not waited for.
		header["Connection"] = []string{"close"}
		_ = http.NewResponseController(h.ResponseWriter).SetReadDeadline(time.Now().Add(unreadTime)) // not every test writer can
	}
	b.cfg.Refuse(h.ResponseWriter, h.request, explain(refused, h.op))
}

// WriteHeader has a large answer count among the bytes in flight while it is written,
// and be read at a least rate.
func (h *hold) WriteHeader(status int) {
	if h.begun || status < 200 {
		h.pass(status)
		return
	}
	h.begun = true
	length := h.Header()["Content-Length"]
	if len(length) == 0 {
		h.pass(status)
		return
	}
	n, err := strconv.ParseInt(length[0], 10, 64)
	if err == nil {
		h.note(n)
	}
	if err != nil || n < largeAnswer {
		h.pass(status)
		return
	}
	switch reads := h.request.Method == http.MethodGet || h.request.Method == http.MethodHead; {
	case n <= h.expected: // it is reserved
	case !reads:
		h.pool().Take(h.address, n) // what was asked for is done, and is said
		h.held += n
	default:
		if refused := h.reserve(n); refused.limit != "" {
			h.stopped = true
			for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type", "Etag", "Location", "Set-Cookie", "Vary"} {
				delete(h.Header(), name)
			}
			h.refuse(refused)
			return
		}
	}
	allowed := answerGrace + time.Duration(n)*time.Second/answerPerSecond
	_ = http.NewResponseController(h.ResponseWriter).SetWriteDeadline(time.Now().Add(allowed))
	h.pass(status)
}

func (h *hold) pass(status int) {
	if !h.stopped {
		h.ResponseWriter.WriteHeader(status)
	}
}

func (h *hold) Write(p []byte) (int, error) {
	if !h.begun {
		h.WriteHeader(http.StatusOK)
	}
	if h.stopped {
		return len(p), nil
	}
	return h.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (h *hold) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// body is the body of a request: at most so large, at least so quick, and reserved.
func (h *hold) body(r *http.Request) io.ReadCloser {
	return &body{
		ReadCloser: http.MaxBytesReader(h.ResponseWriter, r.Body, h.op.body()), hold: h,
		control: http.NewResponseController(h.ResponseWriter), begun: time.Now(), chunked: r.ContentLength < 0,
	}
}

type body struct {
	io.ReadCloser
	hold     *hold
	control  *http.ResponseController
	begun    time.Time
	read     int64
	reserved int64 // of a body without a length
	chunked  bool
	ended    error // what ended it, an io.EOF as well
}

// Read sets no deadline once the body has ended: the server watches the connection from
// then on, and would take the deadline for the end of the client.
func (b *body) Read(p []byte) (n int, err error) {
	if b.ended != nil {
		return 0, b.ended
	}
	n, err = b.next(p)
	b.ended = err
	return n, err
}

func (b *body) next(p []byte) (int, error) {
	if b.chunked && b.read+int64(len(p)) > b.reserved {
		more := max(chunk, b.read+int64(len(p))-b.reserved)
		if refused := b.hold.reserve(more * b.hold.op.held()); refused.limit != "" {
			return 0, b.refused(refused)
		}
		b.reserved += more
	}
	due := b.begun.Add(bodyGrace + time.Duration(b.read)*time.Second/bodyPerSecond)
	_ = b.control.SetReadDeadline(due) // not every test writer can
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, b.refused(refusal{limit: BodyRate})
	}
	if refused := b.charge(int64(n)); refused.limit != "" {
		return n, b.refused(refused)
	}
	return n, err
}

// charge takes what bytes of a body without a length cost: Guard could not know.
func (b *body) charge(n int64) refusal {
	h := b.hold
	if !b.chunked || n == 0 || h.budget.addresses == nil || h.op.Kilobyte == 0 && !h.op.Keeps {
		return refusal{}
	}
	return h.budget.charge(h.ResponseWriter.Header(), h.op, h.caller, h.address, 0, n)
}

// refused is the error of a body that met a limit: its reader answers with it.
func (b *body) refused(refused refusal) error {
	h := b.hold
	h.budget.cfg.Record(h.request.Context(), refused.limit, slog.String("client", h.address.String()))
	header := h.ResponseWriter.Header()
	header["Connection"] = []string{"close"}
	if refused.wait > 0 {
		header["Retry-After"] = []string{seconds(refused.wait)}
	}
	return explain(refused, h.op)
}

// body is the largest body; an operation that takes none is sent one now and then.
func (o *Operation) body() int64 {
	if o.Body == 0 {
		return Other.Body
	}
	return o.Body
}

func (o *Operation) held() int64 { return max(o.Held, 1) }
