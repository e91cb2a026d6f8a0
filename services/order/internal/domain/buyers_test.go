package domain_test

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/souk-shop/souk/services/order/internal/domain"
)

func buyerLimits() domain.BuyerLimits {
	return domain.BuyerLimits{
		Key:          []byte("key"),
		FreeDeclines: map[domain.SubjectKind]int{domain.OfGuest: 3, domain.OfAddress: 30, domain.OfMethod: 3},
		Orders:       map[domain.SubjectKind]int{domain.OfGuest: 5, domain.OfAddress: 30},
		Units:        map[domain.SubjectKind]int64{domain.OfGuest: 20, domain.OfAddress: 100},
	}
}

// An IPv6 client is its /64, an IPv4 client the same however it is written, and what is
// kept tells neither.
func TestAddressKey(t *testing.T) {
	t.Parallel()
	l := buyerLimits()
	key := func(s string) []byte { return l.AddressKey(netip.MustParseAddr(s)) }
	for _, same := range [][2]string{{"2001:db8:1:2::1", "2001:db8:1:2:ffff::2"}, {"203.0.113.7", "::ffff:203.0.113.7"}, {"fe80::1%eth0", "fe80::1"}} {
		if !bytes.Equal(key(same[0]), key(same[1])) {
			t.Errorf("%s and %s are two", same[0], same[1])
		}
	}
	if bytes.Equal(key("2001:db8:1:2::1"), key("2001:db8:1:3::1")) || bytes.Equal(key("203.0.113.7"), key("203.0.113.8")) {
		t.Error("two networks are one")
	}
	other := buyerLimits()
	other.Key = []byte("another")
	if bytes.Equal(key("203.0.113.7"), other.AddressKey(netip.MustParseAddr("203.0.113.7"))) {
		t.Error("the key does not matter")
	}
	if l.AddressKey(netip.Addr{}) != nil {
		t.Error("no address has a key")
	}
	l.FreeDeclines[domain.OfAddress], l.Orders[domain.OfAddress], l.Units[domain.OfAddress] = -1, -1, -1
	if key("203.0.113.7") != nil {
		t.Error("a key is kept that nothing needs")
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	l := buyerLimits()
	o := domain.Order{CustomerID: "c", PaymentMethod: "pm_1", AddressKey: []byte("k")}
	if got := l.Subjects(o); len(got) != 3 {
		t.Errorf("%d subjects", len(got))
	}
	if got := l.Counted(o, "insufficient_funds"); len(got) != 3 {
		t.Errorf("a decline counts for %d", len(got))
	}
	if got := l.Counted(o, "processing_error"); got != nil {
		t.Error("what the bank could not process counts")
	}
	o.PaymentMethod, o.AddressKey = "pm_card_visa", nil // all who test share it; the address is not known
	if got := l.Subjects(o); len(got) != 1 || got[0].Kind != domain.OfGuest {
		t.Errorf("%+v", got)
	}
}

// A card that was declined a few times delays nothing; then each decline doubles the wait.
func TestAdmit(t *testing.T) {
	t.Parallel()
	l := buyerLimits()
	guest, address := []domain.Subject{{Kind: domain.OfGuest}}, []domain.Subject{{Kind: domain.OfAddress}}
	for _, c := range []struct {
		subjects []domain.Subject
		score    float64
		since    time.Duration
		wait     time.Duration
	}{
		{guest, 0, 0, 0},
		{guest, 3, 0, 0},
		{guest, 4, 0, 30 * time.Second},
		{guest, 4, 29 * time.Second, time.Second},
		{guest, 4, 30 * time.Second, 0},
		{guest, 6, 0, 2 * time.Minute},
		{guest, 1000, 0, 6 * time.Hour},
		{address, 30, 0, 0},
		{address, 31, 0, 30 * time.Second},
		{address, 1000, 0, 10 * time.Minute},
	} {
		err := l.Admit(c.subjects, domain.Standing{Declines: []domain.Declines{{Score: c.score, Since: c.since}}})
		limit, refused := errors.AsType[*domain.BuyerLimitError](err)
		if refused != (c.wait > 0) || refused && (limit.Wait != c.wait || !errors.Is(err, domain.ErrTooManyDeclines) || limit.Limit != "declines-of-"+string(c.subjects[0].Kind)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	// The longest wait is told.
	err := l.Admit(append(guest, address...), domain.Standing{Declines: []domain.Declines{{Score: 4}, {Score: 33}}})
	if limit, ok := errors.AsType[*domain.BuyerLimitError](err); !ok || limit.Wait != 2*time.Minute || limit.Limit != "declines-of-address" {
		t.Errorf("%v", err)
	}
}

// One order may be of any size; besides it, what is unpaid is bounded.
func TestUnpaid(t *testing.T) {
	t.Parallel()
	l := buyerLimits()
	if err := l.Admit(nil, domain.Standing{Orders: map[domain.SubjectKind]int{domain.OfGuest: 4, domain.OfAddress: 29}}); err != nil {
		t.Error(err)
	}
	for kind, n := range map[domain.SubjectKind]int{domain.OfGuest: 5, domain.OfAddress: 30} {
		err := l.Admit(nil, domain.Standing{Orders: map[domain.SubjectKind]int{kind: n}})
		if limit, ok := errors.AsType[*domain.BuyerLimitError](err); !ok || limit.Limit != "unpaid-orders-of-"+string(kind) || limit.Wait <= 0 {
			t.Errorf("%v", err)
		}
	}
	lines := func(n int64) []domain.Line { return []domain.Line{{SKU: "A", Quantity: n}} }
	if err := l.AdmitUnits(domain.Standing{}, lines(5000)); err != nil {
		t.Error(err)
	}
	for unpaid, ok := range map[int64]bool{0: true, 10: true, 11: false} {
		err := l.AdmitUnits(domain.Standing{Units: map[domain.SubjectKind]map[string]int64{domain.OfGuest: {"A": unpaid, "B": 100}}}, lines(10))
		if (err == nil) != ok || err != nil && !errors.Is(err, domain.ErrTooManyUnpaid) {
			t.Errorf("%d unpaid: %v", unpaid, err)
		}
	}
}
