package telemetry_test

import (
	"bytes"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/souk-shop/souk/services/chassis/telemetry"
)

func TestProfiled(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	go func() {
		telemetry.Profiled("souk.test.v1.TestService/Work")
		close(begun)
		<-end
	}()
	<-begun
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(profile.String(), `labels: {"operation":"souk.test.v1.TestService/Work"}`) {
		t.Error("no goroutine has the label")
	}
}

//nolint:paralleltest // allocations are counted
func TestProfiledAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { telemetry.Profiled("/v1/products/{sku}") }); n != 0 {
		t.Errorf("%v allocations for an operation that is known", n)
	}
}
