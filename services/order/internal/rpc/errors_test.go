package rpc

import (
	"testing"

	orderv1 "github.com/souk-shop/souk/proto/gen/souk/order/v1"
	"github.com/souk-shop/souk/services/chassis/rpc/rpctest"
)

func TestErrorTable(t *testing.T) {
	t.Parallel()
	rpctest.CheckErrors(t, Errors, orderv1.ErrorReason(0).Descriptor())
}
