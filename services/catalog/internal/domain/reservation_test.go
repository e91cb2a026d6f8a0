package domain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/souk-shop/souk/services/catalog/internal/domain"
)

// Every command in every state: what it does, or why it is refused.
func TestReservationTransitions(t *testing.T) {
	t.Parallel()
	type state = domain.Reservation
	var (
		held      = state{State: domain.Held}
		overdue   = state{State: domain.Held, Expired: true}
		committed = state{State: domain.Committed}
		late      = state{State: domain.Committed, Expired: true} // can't be, but must not undo a sale
		returned  = state{State: domain.Committed, Returned: true}
		released  = state{State: domain.Released}
		expired   = state{State: domain.Released, Expired: true}
	)
	for _, c := range []struct {
		name             string
		in               state
		reserve, confirm error
		confirmStep      domain.Step
		release          error
		releaseStep      domain.Step
		restock          error
		expireStep       domain.Step
	}{
		{"held", held, nil, nil, domain.Move, nil, domain.Move, domain.ErrReservationNotCommitted, domain.Stay},
		{"overdue", overdue, domain.ErrReservationReleased, domain.ErrReservationExpired, domain.Stay, nil, domain.Move, domain.ErrReservationNotCommitted, domain.Move},
		{"committed", committed, nil, nil, domain.Stay, nil, domain.Move, nil, domain.Stay},
		{"committed late", late, nil, nil, domain.Stay, nil, domain.Move, nil, domain.Stay},
		{"returned", returned, nil, nil, domain.Stay, domain.ErrReservationReturned, domain.Stay, nil, domain.Stay},
		{"released", released, domain.ErrReservationReleased, domain.ErrReservationReleased, domain.Stay, nil, domain.Stay, domain.ErrReservationNotCommitted, domain.Stay},
		{"expired", expired, domain.ErrReservationReleased, domain.ErrReservationExpired, domain.Stay, nil, domain.Stay, domain.ErrReservationNotCommitted, domain.Stay},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.in.OnReserve(true); !errors.Is(err, c.reserve) {
				t.Errorf("reserve: %v", err)
			}
			if err := c.in.OnReserve(false); err == nil {
				t.Error("reserve with other lines is accepted")
			} else if c.reserve == nil && !errors.Is(err, domain.ErrReservationMismatch) {
				t.Errorf("reserve with other lines: %v", err)
			}
			if step, err := c.in.OnConfirm(); step != c.confirmStep || !errors.Is(err, c.confirm) {
				t.Errorf("confirm: %v, %v", step, err)
			}
			if step, err := c.in.OnRelease(); step != c.releaseStep || !errors.Is(err, c.release) {
				t.Errorf("release: %v, %v", step, err)
			}
			if err := c.in.OnRestock(); !errors.Is(err, c.restock) {
				t.Errorf("restock: %v", err)
			}
			if step := c.in.OnExpire(); step != c.expireStep {
				t.Errorf("expire: %v", step)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	a := []domain.StockLine{{SKU: "A", Quantity: 1}, {SKU: "B", Quantity: 2}}
	b := []domain.StockLine{{SKU: "B", Quantity: 2}, {SKU: "A", Quantity: 1}}
	if !bytes.Equal(domain.Fingerprint(a), domain.Fingerprint(b)) {
		t.Error("the order of lines matters")
	}
	for _, other := range [][]domain.StockLine{nil, a[:1], {{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}}, {{SKU: "AB", Quantity: 1}, {SKU: "", Quantity: 2}}} {
		if bytes.Equal(domain.Fingerprint(a), domain.Fingerprint(other)) {
			t.Errorf("the same as of %v", other)
		}
	}
	if b[0].SKU != "B" {
		t.Error("the lines were sorted in place")
	}
}
