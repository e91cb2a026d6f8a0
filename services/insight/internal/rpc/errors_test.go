package rpc

import (
	"testing"

	insightv1 "github.com/souk-shop/souk/proto/gen/souk/insight/v1"
	"github.com/souk-shop/souk/services/chassis/rpc/rpctest"
)

func TestErrorTable(t *testing.T) {
	t.Parallel()
	rpctest.CheckErrors(t, Errors, insightv1.ErrorReason(0).Descriptor())
}
