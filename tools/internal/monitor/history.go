package monitor

import (
	"bytes"
	"fmt"
	"time"

	"github.com/souk-shop/souk/tools/internal/slo"
)

// remembered is what the longest window of an objective reads.
const remembered = 72 * time.Hour

// Traffic is how much customers do, a second.
type Traffic struct{ Browse, Checkout float64 }

// History is what a Prometheus has read, until a time, of a shop that has worked for as long as
// the objectives look back, in which all went well. Without it a fault is a larger share of what
// Prometheus knows, and alerts fire sooner than in a shop that is not just started.
func History(until time.Time, traffic Traffic, scale float64) []byte {
	const samples = 72 * 60
	step := time.Duration(float64(remembered) / samples / scale)
	var out bytes.Buffer
	// The replica is one that was replaced.
	write := func(name, labels string, perSecond float64) {
		labels = `job="before",instance="before",` + labels
		for i := range samples {
			at := until.Add(-step * time.Duration(samples-i))
			fmt.Fprintf(&out, "%s{%s} %g %.3f\n", name, labels, perSecond*step.Seconds()*float64(i), float64(at.UnixMilli())/1000)
		}
	}
	for _, r := range []struct {
		labels    string
		perSecond float64
	}{
		{`http_request_method="GET",http_route="/v1/products",http_response_status_code="200"`, traffic.Browse},
		{`http_request_method="POST",http_route="/v1/orders",http_response_status_code="201"`, traffic.Checkout},
	} {
		write("http_server_request_duration_seconds_count", r.labels, r.perSecond)
		write("http_server_request_duration_seconds_bucket", r.labels+`,le="0.5"`, r.perSecond)
	}
	write("souk_order_settle_duration_seconds_count", `souk_order_state="paid"`, traffic.Checkout)
	write("souk_order_settle_duration_seconds_bucket", `souk_order_state="paid",le="10"`, traffic.Checkout)
	for _, o := range slo.Objectives() {
		if o.BadNow == "" {
			continue
		}
		for i := range samples {
			at := until.Add(-step * time.Duration(samples-i))
			fmt.Fprintf(&out, "%s{slo=%q} 0 %.3f\n", slo.BadNow, o.Name, float64(at.UnixMilli())/1000)
		}
	}
	out.WriteString("# EOF\n")
	return out.Bytes()
}
