package admission

import (
	"math"
	"net/netip"
	"time"
)

const (
	// memory is how long an admission counts: after that, a third of it does.
	memory = 10 * time.Second
	// maxShares is how many addresses are remembered; beyond that the one of a few that
	// was admitted least is forgotten, and is as good as new.
	maxShares = 1 << 14
	// forgotten is below what an address is as good as new.
	forgotten = 0.05
	// looked is how many addresses are looked at to find one to forget.
	looked = 8
)

// shares are how often addresses were admitted lately, by an exponential average. They
// are guarded by the Control's lock.
type shares struct {
	admitted map[netip.Addr]*share
	total    float64
	at       time.Time // of total
}

// share is what one address was admitted.
type share struct {
	count float64
	at    time.Time // of count
	// carts are admissions that no order followed yet.
	carts float64
}

func newShares() *shares { return &shares{admitted: map[netip.Addr]*share{}} }

// decayed is what is left of a count.
func decayed(count float64, d time.Duration) float64 {
	return count * math.Exp(-max(0, d.Seconds())/memory.Seconds())
}

func (s *share) decay(now time.Time) {
	left := decayed(1, now.Sub(s.at))
	s.count, s.carts, s.at = s.count*left, s.carts*left, now
}

// find returns the share of an address, as of now; nil when it has none.
func (s *shares) find(addr netip.Addr, now time.Time) *share {
	one := s.admitted[addr]
	if one == nil {
		return nil
	}
	one.decay(now)
	if one.count < forgotten {
		delete(s.admitted, addr)
		return nil
	}
	return one
}

// of returns what an address was admitted lately, and the others on average; as much
// where there are no others.
func (s *shares) of(addr netip.Addr, now time.Time) (mine, others float64) {
	if one := s.find(addr, now); one != nil {
		mine = one.count
	}
	n := len(s.admitted)
	if mine > 0 {
		n--
	}
	if n == 0 {
		return mine, mine
	}
	return mine, max(0, decayed(s.total, now.Sub(s.at))-mine) / float64(n)
}

// add counts an admission.
func (s *shares) add(addr netip.Addr, now time.Time) *share {
	one := s.find(addr, now)
	if one == nil {
		if len(s.admitted) >= maxShares {
			s.forget(now)
		}
		one = &share{at: now}
		s.admitted[addr] = one
	}
	one.count++
	s.total, s.at = decayed(s.total, now.Sub(s.at))+1, now
	return one
}

// sweep forgets the addresses that are as good as new.
func (s *shares) sweep(now time.Time) {
	for addr := range s.admitted {
		s.find(addr, now)
	}
}

func (s *shares) forget(now time.Time) {
	var least netip.Addr
	lowest, n := math.Inf(1), 0
	for addr, one := range s.admitted {
		if count := decayed(one.count, now.Sub(one.at)); count < lowest {
			least, lowest = addr, count
		}
		if n++; n == looked {
			break
		}
	}
	delete(s.admitted, least)
}
