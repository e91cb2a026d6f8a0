package telemetry

import (
	"context"
	"runtime/pprof"
	"sync"
)

// ProfileLabel is the label of CPU profiles that says what the work is for.
const ProfileLabel = "operation"

// labeled has a context with the label for each operation.
var labeled sync.Map

// Profiled has CPU profiles count what this goroutine does from now on, and goroutines that it
// starts, for an operation: a route ("/v1/products/{sku}"), a gRPC method, an event's handler, a
// kind of jobs. It takes no allocation for one that it knows; operations are few, so nothing
// that a client chooses may be one.
func Profiled(operation string) {
	ctx, ok := labeled.Load(operation)
	if !ok {
		ctx, _ = labeled.LoadOrStore(operation, pprof.WithLabels(context.Background(), pprof.Labels(ProfileLabel, operation)))
	}
	pprof.SetGoroutineLabels(ctx.(context.Context))
}
