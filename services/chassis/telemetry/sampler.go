package telemetry

import (
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// burstOfTraces is for how many seconds' worth of traces a service may begin at once.
const burstOfTraces = 10

// limitedSampler begins at most a number of traces a second.
type limitedSampler struct {
	limiter *rate.Limiter
}

// newLimitedSampler samples what goes on with a sampled trace, and begins at most perSecond
// traces a second, so that tracing costs a busy service no more than a calm one.
func newLimitedSampler(perSecond float64) sdktrace.Sampler {
	burst := max(1, int(perSecond*burstOfTraces))
	return sdktrace.ParentBased(limitedSampler{rate.NewLimiter(rate.Limit(perSecond), burst)})
}

// ShouldSample implements sdktrace.Sampler.
func (s limitedSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	decision := sdktrace.Drop
	if s.limiter.Allow() {
		decision = sdktrace.RecordAndSample
	}
	return sdktrace.SamplingResult{Decision: decision, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
}

// Description implements sdktrace.Sampler.
func (s limitedSampler) Description() string {
	return fmt.Sprintf("Limited{%g}", float64(s.limiter.Limit()))
}
