package rpc

import (
	"testing"

	notificationv1 "github.com/souk-shop/souk/proto/gen/souk/notification/v1"
	"github.com/souk-shop/souk/services/chassis/rpc/rpctest"
)

func TestErrorTable(t *testing.T) {
	t.Parallel()
	rpctest.CheckErrors(t, Errors, notificationv1.ErrorReason(0).Descriptor())
}
