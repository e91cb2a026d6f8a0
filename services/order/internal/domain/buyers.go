package domain

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
)

// ErrTooManyDeclines and ErrTooManyUnpaid refuse an order before anything is written.
// See BuyerLimitError.
var (
	ErrTooManyDeclines = errors.New("too many payments were declined")
	ErrTooManyUnpaid   = errors.New("too many orders or units are unpaid")
)

// BuyerLimitError is ErrTooManyDeclines or ErrTooManyUnpaid with the limit that was met.
type BuyerLimitError struct {
	Err error
	// Limit is the limit's name in docs/limits.md.
	Limit string
	// Wait is after how long another order may be taken.
	Wait time.Duration
}

func (e *BuyerLimitError) Error() string { return fmt.Sprintf("%v: %s", e.Err, e.Limit) }

// Is makes it an Err.
func (e *BuyerLimitError) Is(target error) bool { return target == e.Err }

// ErrorMetadata names the limit to the caller.
func (e *BuyerLimitError) ErrorMetadata() map[string]string {
	return map[string]string{"limit": e.Limit}
}

// SubjectKind is what declined payments are counted by.
type SubjectKind string

// The kinds of subjects.
const (
	OfGuest   SubjectKind = "guest"
	OfAddress SubjectKind = "address"
	OfMethod  SubjectKind = "payment-method"
)

// halfLives say after how long a decline counts half. A card or a guest has a day's
// memory: Mastercard allows ten attempts of a declined card a day, and Visa twenty in
// thirty days. Behind an address may be an office or a carrier's customers, where
// some card is declined all the time: what counts there is a burst.
var halfLives = map[SubjectKind]time.Duration{OfGuest: 24 * time.Hour, OfAddress: 30 * time.Minute, OfMethod: 24 * time.Hour}

const (
	// firstPause follows the first decline that is not free; each further one doubles it.
	firstPause = 30 * time.Second
	// longestPause keeps a card that is tried for ever below ten attempts a day; of an
	// address, which others share, it is longestAddressPause.
	longestPause        = 6 * time.Hour
	longestAddressPause = 10 * time.Minute
	// unpaidWait is when to come again with too much unpaid: most orders are settled
	// within seconds.
	unpaidWait = 5 * time.Second
)

// testMethods begin the names of the provider's test payment methods, which all who test
// share. In live mode there are none.
const testMethods = "pm_card_"

// Subject is a guest, an address or a payment method by which declines are counted.
type Subject struct {
	Kind SubjectKind
	// Key is a keyed hash: neither an address nor a payment method is kept.
	Key []byte
}

// HalfLife is after how long a decline of this subject counts half.
func (s Subject) HalfLife() time.Duration { return halfLives[s.Kind] }

// BuyerLimits are what one guest, address or payment method may do before others are kept
// from buying. A number that is negative or missing is no limit.
type BuyerLimits struct {
	// Key makes the keys of subjects; the same for all replicas.
	Key []byte
	// FreeDeclines is how many declines delay nothing.
	FreeDeclines map[SubjectKind]int
	// Orders is how many orders of a guest or an address may be unsettled at once, and
	// Units how many units of a SKU may be in them, besides one order of any size.
	Orders map[SubjectKind]int
	Units  map[SubjectKind]int64
}

// limits reports that there is a limit for a kind of subject.
func limits[N int | int64](of map[SubjectKind]N, kind SubjectKind) bool {
	n, ok := of[kind]
	return ok && n >= 0
}

// AddressKey is the key of a client's address, of IPv6 of its /64; nil for no address and
// where nothing is limited by address.
func (l *BuyerLimits) AddressKey(addr netip.Addr) []byte {
	if !addr.IsValid() || !limits(l.FreeDeclines, OfAddress) && !limits(l.Orders, OfAddress) && !limits(l.Units, OfAddress) {
		return nil
	}
	return l.key(OfAddress, ClientNetwork(addr).String())
}

// ClientNetwork is what is one client among addresses: an IPv4 address, or the /64 of an
// IPv6 one. The zero Addr stays as it is.
func ClientNetwork(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		network, _ := addr.Prefix(64) // no IPv6 address is shorter
		addr = network.Addr()
	}
	return addr
}

// GuestKey is the key under which the declines of a customer are counted.
func (l *BuyerLimits) GuestKey(customerID string) []byte { return l.key(OfGuest, customerID) }

func (l *BuyerLimits) key(kind SubjectKind, value string) []byte {
	mac := hmac.New(sha256.New, l.Key)
	fmt.Fprintf(mac, "%s %s", kind, value)
	return mac.Sum(nil)[:16]
}

// Subjects are those by which an order's declines are counted.
func (l *BuyerLimits) Subjects(o Order) []Subject {
	subjects := make([]Subject, 0, len(halfLives))
	if limits(l.FreeDeclines, OfGuest) {
		subjects = append(subjects, Subject{OfGuest, l.GuestKey(o.CustomerID)})
	}
	if limits(l.FreeDeclines, OfAddress) && o.AddressKey != nil {
		subjects = append(subjects, Subject{OfAddress, o.AddressKey})
	}
	if limits(l.FreeDeclines, OfMethod) && !strings.HasPrefix(o.PaymentMethod, testMethods) {
		subjects = append(subjects, Subject{OfMethod, l.key(OfMethod, o.PaymentMethod)})
	}
	return subjects
}

// blameless are codes that say nothing of the buyer: the bank could not be asked.
var blameless = map[string]bool{
	"approve_with_id": true, "issuer_not_available": true, "processing_error": true, "reenter_transaction": true, "try_again_later": true,
}

// Counted are the subjects that a decline with a code of the bank counts for.
func (l *BuyerLimits) Counted(o Order, code string) []Subject {
	if blameless[code] {
		return nil
	}
	return l.Subjects(o)
}

// Standing is what is known of a buyer before an order is placed.
type Standing struct {
	// OrderID is the order that the idempotency key has already; "" for none.
	OrderID string
	// Declines are those of the subjects, in their order.
	Declines []Declines
	// Unsettled orders of the guest and of the address, and the units in them by SKU.
	Orders map[SubjectKind]int
	Units  map[SubjectKind]map[string]int64
}

// Declines are a subject's declined payments.
type Declines struct {
	// Score was the number of declines, less what had decayed, after the last of them.
	Score float64
	// Since is how long ago that was.
	Since time.Duration
}

// pause is how long no order is taken after a decline.
func pause(kind SubjectKind, score float64, free int) time.Duration {
	longest := longestPause
	if kind == OfAddress {
		longest = longestAddressPause
	}
	over := score - float64(free)
	if over <= 0.5 { // decayed since: n declines count a little less than n
		return 0
	}
	return min(time.Duration(math.Exp2(min(over-1, 20))*float64(firstPause)), longest)
}

// Admit refuses an order of a buyer with too many declines or unsettled orders; subjects
// are those that the standing's declines are of. Errors: *BuyerLimitError.
func (l *BuyerLimits) Admit(subjects []Subject, s Standing) error {
	var refused *BuyerLimitError
	for i, d := range s.Declines {
		kind := subjects[i].Kind
		wait := pause(kind, d.Score, l.FreeDeclines[kind]) - d.Since
		if wait > 0 && (refused == nil || wait > refused.Wait) {
			refused = &BuyerLimitError{ErrTooManyDeclines, "declines-of-" + string(kind), wait}
		}
	}
	if refused != nil {
		return refused
	}
	for _, kind := range []SubjectKind{OfGuest, OfAddress} {
		if limits(l.Orders, kind) && s.Orders[kind] >= l.Orders[kind] {
			return &BuyerLimitError{ErrTooManyUnpaid, "unpaid-orders-of-" + string(kind), unpaidWait}
		}
	}
	return nil
}

// AdmitUnits refuses an order whose buyer has too many unpaid units of one of its SKUs.
// Errors: *BuyerLimitError.
func (l *BuyerLimits) AdmitUnits(s Standing, lines []Line) error {
	for _, kind := range []SubjectKind{OfGuest, OfAddress} {
		if !limits(l.Units, kind) {
			continue
		}
		for _, line := range lines {
			if unpaid := s.Units[kind][line.SKU]; unpaid > 0 && unpaid+line.Quantity > l.Units[kind] {
				return &BuyerLimitError{ErrTooManyUnpaid, "unpaid-units-of-" + string(kind), unpaidWait}
			}
		}
	}
	return nil
}
