package rpc

import (
	"testing"

	cartv1 "github.com/souk-shop/souk/proto/gen/souk/cart/v1"
	"github.com/souk-shop/souk/services/chassis/rpc/rpctest"
)

func TestErrorTable(t *testing.T) {
	t.Parallel()
	rpctest.CheckErrors(t, Errors, cartv1.ErrorReason(0).Descriptor())
}
