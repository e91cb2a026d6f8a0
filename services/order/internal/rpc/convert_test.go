package rpc

import (
	"strconv"
	"testing"

	"github.com/souk-shop/souk/proto/money"
	"github.com/souk-shop/souk/services/order/internal/domain"
)

// TestPriceChangeSaysWhatItLeavesOut: of a large cart it names the first lines and counts
// the others.
func TestPriceChangeSaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	for lines, want := range map[int][2]int{0: {0, 0}, maxChanges: {maxChanges, 0}, maxChanges + 7: {maxChanges, 7}} {
		changes := make([]domain.LineChange, lines)
		for i := range changes {
			changes[i].SKU = "SKU-" + strconv.Itoa(i)
		}
		got := priceChangeProto(money.Money{}, money.Money{}, changes)
		if len(got.Lines) != want[0] || int(got.MoreLines) != want[1] {
			t.Errorf("%d lines: %d named and %d more", lines, len(got.Lines), got.MoreLines)
		}
	}
}
