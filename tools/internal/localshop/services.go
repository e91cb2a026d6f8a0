package localshop

import (
	"context"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// tracesPerSecond are enough for who clicks through the shop, and bound what tracing costs under
// load: a quarter of the throughput, where every trace is kept.
const tracesPerSecond = "20"

// runInside runs a part in this process.
func (s *Shop) runInside(ctx context.Context, part topology.Part) error {
	p := topology.Process{Env: s.lookuper(part), Listener: s.listeners[part.Name], Admin: s.admin[part.Name], Log: s.logFile, Spans: s.opts.SpanProcessors}
	if s.opts.Tracer != nil {
		p.Tracer = s.opts.Tracer(part.Name)
	}
	return part.Run(ctx, p)
}

// environment returns the variables of all services. What wires the shop
// together is fixed; the rest yields to what this process's environment says,
// so that a setting can be tried with `SOUK_ORDER_DRIVERS=8 souk up`.
func (s *Shop) environment() map[string]string {
	// More connections than the machine can serve compete with each other and
	// with the shop for its processors: with 12 for each service instead of 4, on
	// two cores, a busy shop sold a fifth less, and its refusals took thrice as
	// long. The rule is that of "Number Of Database Connections" in PostgreSQL's
	// wiki: twice the cores. The server takes 100 from all.
	conns := strconv.Itoa(min(max(4, 2*runtime.NumCPU()), 16))
	out := map[string]string{
		// All clients of this machine share one address, the replay and the load too.
		"SOUK_GATEWAY_RATE_LIMIT":              "-1",
		"SOUK_GATEWAY_MAX_CONNECTIONS":         "-1",
		"SOUK_GATEWAY_MAX_UNHEARD_CONNECTIONS": "-1",
		"SOUK_GATEWAY_PUBLIC_URL":              s.URL,
		"SOUK_NOTIFICATION_SHOP_URL":           s.URL,
		"SOUK_ORDER_FREE_DECLINES_OF_ADDRESS":  "-1",
		"SOUK_ORDER_UNPAID_ORDERS_OF_ADDRESS":  "-1",
		"SOUK_ORDER_UNPAID_UNITS_OF_ADDRESS":   "-1",
	}
	if s.opts.Processes {
		// A gateway that is replaced under load closes connections once their
		// clients have had time to leave them.
		out["SOUK_GATEWAY_DRAIN_DELAY"] = "1s"
	}
	for _, part := range s.parts {
		out[part.Prefix()+"LOG_LEVEL"] = "info"
		if part.Database {
			out[part.Prefix()+"POSTGRES_MAX_CONNS"] = conns
		}
	}
	if s.recorder != nil {
		for _, part := range s.parts {
			out[part.Prefix()+"TRACES_PER_SECOND"] = tracesPerSecond
		}
	}
	for k := range out {
		if v, ok := os.LookupEnv(s.known(k)); ok {
			out[k] = v
		}
	}
	maps.Copy(out, s.wiring())
	return out
}

// known is the name by which a part's process knows a variable: that of its service.
func (s *Shop) known(variable string) string {
	for _, part := range s.parts {
		if name, ok := strings.CutPrefix(variable, part.Prefix()); ok && part.Cell != "" {
			return part.ServicePrefix() + name
		}
	}
	return variable
}

// wiring are the variables that this shop alone knows.
func (s *Shop) wiring() map[string]string {
	out := map[string]string{
		"SOUK_STRIPESIM_JOURNAL":        s.Journal,
		"SOUK_STRIPESIM_WEBHOOK_SECRET": s.secrets.Webhooks,
		"SOUK_PAYMENT_STRIPE_KEY":       s.secrets.Stripe,
		"SOUK_PAYMENT_WEBHOOK_SECRET":   s.secrets.Webhooks,
		"SOUK_GATEWAY_SECRET":           s.secrets.Gateway,
		"SOUK_GATEWAY_OPERATORS":        state.Operators(s.folder.path),
		"SOUK_NOTIFICATION_WEBHOOK_KEY": s.secrets.Outgoing,
	}
	if s.recorder != nil {
		out["SOUK_GATEWAY_TRACES_URL"], out["SOUK_GATEWAY_TRACES_TOKEN"] = s.recorder.url(), s.recorder.token
	}
	if s.meter != nil {
		out["SOUK_GATEWAY_METRICS_URL"], out["SOUK_GATEWAY_METRICS_TOKEN"] = s.meter.url(), s.meter.token
	}
	if s.edge != nil {
		maps.Copy(out, s.edge.wiring())
	}
	if s.peers.there() {
		for _, kv := range s.peers.First() {
			name, value, _ := strings.Cut(kv, "=")
			out[name] = value
		}
	}
	maps.Copy(out, s.connections)
	for _, part := range s.parts {
		if part.Cell != "" {
			out[part.Prefix()+"CELL"], out[part.Prefix()+"BUCKETS"] = part.Cell, part.Buckets.String()
		}
	}
	if s.opts.JobsOnly {
		out["SOUK_ORDER_DRIVERS"] = "-1"
	}
	for _, part := range s.parts {
		out[part.Prefix()+"LOG_FORMAT"] = "json"
		if slices.Contains(topology.Identities(), part.Identity()) {
			files := Identity(s.folder.path, part.Identity())
			out[part.Prefix()+"TLS_CERT"], out[part.Prefix()+"TLS_KEY"], out[part.Prefix()+"TLS_CA"] = files.TLSCert, files.TLSKey, files.TLSCA
		}
		if part.Database {
			out[part.Prefix()+"MIGRATE"] = "true"
		}
	}
	return out
}
