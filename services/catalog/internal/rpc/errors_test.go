package rpc

import (
	"testing"

	catalogv1 "github.com/souk-shop/souk/proto/gen/souk/catalog/v1"
	"github.com/souk-shop/souk/services/chassis/rpc/rpctest"
)

func TestErrorTable(t *testing.T) {
	t.Parallel()
	rpctest.CheckErrors(t, Errors, catalogv1.ErrorReason(0).Descriptor())
}
