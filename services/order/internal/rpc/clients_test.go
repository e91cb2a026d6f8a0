package rpc

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
)

// reserved is a catalog that answers each Reserve with a reservation.
type reserved struct {
	grpc.ClientConnInterface
	answer *catalogv1.ReserveResponse
}

func (r reserved) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	proto.Merge(reply.(proto.Message), r.answer)
	return nil
}

// A Reserve may be repeated after the stock is sold: by a driver that comes after one that died
// ahead of the table. What is sold does not expire, however long ago it was held.
func TestSoldStockDoesNotExpire(t *testing.T) {
	t.Parallel()
	const hold = 90 * time.Second
	for state, want := range map[catalogv1.ReservationState]time.Duration{
		catalogv1.ReservationState_RESERVATION_STATE_HELD:      time.Second,
		catalogv1.ReservationState_RESERVATION_STATE_COMMITTED: hold,
	} {
		answer := &catalogv1.ReserveResponse{Reservation: &catalogv1.Reservation{State: state}, Left: durationpb.New(time.Second)}
		left, err := NewCatalog(reserved{answer: answer}, hold).Reserve(t.Context(), "order", nil)
		if err != nil || left != want {
			t.Errorf("%s: %v left, %v; want %v", state, left, err, want)
		}
	}
}
