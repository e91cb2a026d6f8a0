package domain

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// DefaultHold is how long a reservation holds its units when the caller names no time: as
// long as an order without a payment may, by the order service's default (SOUK_ORDER_HOLD).
const DefaultHold = 90 * time.Second

// ReservationState is where a reservation stands. The values are those of the
// database.
type ReservationState string

const (
	// Held: the units are put aside until ExpiresAt.
	Held ReservationState = "held"
	// Committed: the units are sold.
	Committed ReservationState = "committed"
	// Released: the units are on sale again, or (a tombstone) never were put aside.
	Released ReservationState = "released"
)

// Reservation is stock put aside for an order. There is one per order for good.
type Reservation struct {
	OrderID   string
	State     ReservationState
	ExpiresAt time.Time
	// Expired says that the hold's time is over by the clock of the database:
	// either it is Held and ExpiresAt has passed, or it was Released for that reason.
	Expired bool
	// Left is how much longer the hold lasts, by the same clock; nothing once it has expired.
	Left time.Duration
	// Returned says that at least one committed unit came back by Restock.
	Returned bool
}

// Touched are the ids of the products whose stock a command changed.
type Touched []string

// StockLine is a number of units of a SKU.
type StockLine struct {
	SKU      string
	Quantity int64
}

// SortLines orders lines by SKU in place: the order in which every command
// locks stock, so that no two of them wait for each other in a circle.
func SortLines(lines []StockLine) {
	slices.SortFunc(lines, func(a, b StockLine) int { return strings.Compare(a.SKU, b.SKU) })
}

// Fingerprint identifies a set of lines whatever their order; a repeat of a
// command is compared by it.
func Fingerprint(lines []StockLine) []byte {
	sorted := slices.Clone(lines)
	SortLines(sorted)
	h := sha256.New()
	var n [8]byte
	for _, l := range sorted {
		binary.BigEndian.PutUint64(n[:], uint64(len(l.SKU)))
		h.Write(n[:])
		h.Write([]byte(l.SKU))
		binary.BigEndian.PutUint64(n[:], uint64(l.Quantity))
		h.Write(n[:])
	}
	return h.Sum(nil)
}

// Step is what a legal command does to a reservation.
type Step int

const (
	// Stay: the command was carried out before; nothing changes.
	Stay Step = iota
	// Move: the reservation changes its state, and the stock with it.
	Move
)

// OnReserve decides about a Reserve for an order that has a reservation;
// sameLines says whether it names the same lines.
func (r Reservation) OnReserve(sameLines bool) error {
	switch {
	case r.State == Released, r.State == Held && r.Expired:
		return ErrReservationReleased
	case !sameLines:
		return ErrReservationMismatch
	}
	return nil
}

// OnConfirm decides about a Confirm: Held -> Committed while the hold lasts.
func (r Reservation) OnConfirm() (Step, error) {
	switch {
	case r.State == Committed:
		return Stay, nil
	case r.Expired:
		return Stay, ErrReservationExpired
	case r.State == Held:
		return Move, nil
	}
	return Stay, ErrReservationReleased
}

// OnRelease decides about a Release: Held or Committed -> Released, unless
// units were already returned: they would be given back twice.
func (r Reservation) OnRelease() (Step, error) {
	switch {
	case r.State == Released:
		return Stay, nil
	case r.Returned:
		return Stay, ErrReservationReturned
	}
	return Move, nil
}

// OnRestock decides about a Restock: only sold units come back.
func (r Reservation) OnRestock() error {
	if r.State != Committed {
		return ErrReservationNotCommitted
	}
	return nil
}

// OnExpire decides about the release of expired holds: Held -> Released once expired.
func (r Reservation) OnExpire() Step {
	if r.State == Held && r.Expired {
		return Move
	}
	return Stay
}

// Level is what of a SKU is on sale, and what orders hold and have not paid yet.
type Level struct{ Available, Held int64 }

// Levels are those of SKUs. One that is missing is unknown.
type Levels map[string]Level

// Refuse tells why lines can't be held: an unknown SKU or too little stock. It is nil when
// they can.
func (s Levels) Refuse(lines []StockLine) error {
	var unknown []string
	var short ShortageError
	for _, l := range lines {
		if have, ok := s[l.SKU]; !ok {
			unknown = append(unknown, l.SKU)
		} else if have.Available < l.Quantity {
			short.Shortages = append(short.Shortages, Shortage{SKU: l.SKU, Requested: l.Quantity, Available: have.Available, Held: have.Held})
		}
	}
	switch {
	case len(unknown) > 0:
		slices.Sort(unknown)
		return &SKUError{Err: ErrSKUNotFound, SKUs: unknown}
	case len(short.Shortages) > 0:
		slices.SortFunc(short.Shortages, func(a, b Shortage) int { return strings.Compare(a.SKU, b.SKU) })
		return &short
	}
	return nil
}
