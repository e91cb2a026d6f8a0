package signals

import (
	"cmp"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/souk-shop/souk/services/chassis/semconv"
)

// Metrics are all, by name: those that the code creates, with what declared says of them, and
// those of libraries.
func Metrics(root string) ([]Metric, error) {
	code, err := readCode(root)
	if err != nil {
		return nil, err
	}
	var all []Metric
	for _, m := range declared() {
		created, ok := code.instruments[m.Name]
		switch {
		case m.Kind == "" && !ok:
			return nil, fmt.Errorf("%s is declared, and no code creates it", m.Name)
		case m.Kind != "" && ok:
			return nil, fmt.Errorf("%s is declared as a library's, and %s creates it", m.Name, created.Where)
		case ok:
			m.Kind, m.Unit, m.Brief, m.Where = created.Kind, created.Unit, created.Brief, created.Where
			delete(code.instruments, m.Name)
		}
		all = append(all, m)
	}
	for _, m := range code.instruments {
		return nil, fmt.Errorf("%s, of %s, is not declared", m.Name, m.Where)
	}
	slices.SortFunc(all, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// keys are names of attributes: keys of Souk's list, and those of the conventions as text.
func keys(of ...any) []string {
	out := make([]string, len(of))
	for i, k := range of {
		if key, ok := k.(attribute.Key); ok {
			k = string(key)
		}
		out[i] = k.(string)
	}
	return out
}

const (
	services   = 8  // parts of the shop, and a few more
	methods    = 60 // of one gRPC service with health, twice what the largest has
	routes     = 250
	currencies = 180
)

// declared are the metrics. Those with a kind are of libraries.
func declared() []Metric {
	ours := func(name string, series int, of ...any) Metric {
		return Metric{Name: name, Attributes: keys(of...), Series: series}
	}
	library := func(where, name, kind, unit, brief string, series int, of ...any) Metric {
		return Metric{Name: name, Attributes: keys(of...), Series: series, Kind: kind, Unit: unit, Brief: brief, Where: where}
	}
	const (
		pool     = "db.client.connection.pool.name"
		goLib    = "contrib/instrumentation/runtime"
		httpLib  = "otelhttp"
		pgx      = "otelpgx"
		provider = 40 // methods, statuses and routes of calls between Souk and the provider
	)
	broker := []any{
		"messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.name",
		"messaging.consumer.group.name", "error.type",
	}
	return []Metric{
		ours("http.server.request.duration", 3*routes, "http.request.method", "http.route", "http.response.status_code", "url.scheme",
			// Of stripesim, whose server is otelhttp's.
			"server.address", "server.port", "network.protocol.name", "network.protocol.version"),
		ours("http.server.active_requests", 1),
		ours("rpc.server.call.duration", 4*methods, "rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"),
		ours("rpc.client.call.duration", 4*methods, "rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"),
		ours("process.uptime", 1),
		ours("souk.answer.forgotten", 1),
		ours("souk.cache.lookups", 8*services, semconv.CacheName, semconv.CacheLayer, semconv.CacheResult),
		ours("souk.cache.redis.answering", services, semconv.CacheName),
		ours("souk.cache.events", services, semconv.CacheName),
		ours("souk.cache.events.age", services, semconv.CacheName),
		ours("souk.cache.following", services, semconv.CacheName),
		ours("souk.catalog.reservations.expired", 1),
		ours("souk.catalog.stock.commands", 1),
		ours("souk.catalog.stock.refused", 1),
		ours("souk.catalog.stock.wait", 1),
		ours("souk.check.passing", 10, semconv.CheckName),
		ours("db.client.connection.count", 8, pool, "db.client.connection.state"),
		ours("db.client.connection.max", 4, pool),
		ours("db.client.connection.timeouts", 4, pool),
		ours("souk.postgres.pool.wait", 4, pool),
		ours("souk.postgres.archive.behind", 1),
		ours("souk.postgres.replica.answering", 1),
		ours("souk.postgres.replica.lag", 1),
		ours("souk.postgres.replica.reads", 7, semconv.PostgresReplicaOutcome),
		ours("souk.edge.caches", 1),
		ours("souk.edge.purge.age", 1),
		ours("souk.edge.purges", 2, semconv.EdgePurgeOutcome),
		ours("souk.events.lag", 1),
		ours("souk.events.lag.age", 1),
		ours("souk.events.consumer.lag", services, "messaging.consumer.group.name", "messaging.destination.name"),
		ours("souk.events.consumer.lag.age", services, "messaging.consumer.group.name", "messaging.destination.name"),
		ours("souk.events.leading", 1),
		ours("souk.events.published", 1),
		ours("souk.insight.age", services, semconv.EventsSource),
		ours("souk.mail.settled", 6, semconv.MailState),
		ours("souk.mail.backlog", 1),
		ours("souk.mail.backlog.age", 1),
		ours("souk.webhook.attempts", 3, semconv.WebhookOutcome),
		ours("souk.webhook.duration", 3, semconv.WebhookOutcome),
		ours("souk.webhook.disabled", 2, semconv.WebhookReason),
		ours("souk.webhook.backlog", 2, semconv.WebhookState),
		ours("souk.webhook.backlog.age", 2, semconv.WebhookState),
		ours("souk.file.age", 10, semconv.FileName),
		ours("souk.file.broken", 10, semconv.FileName),
		ours("souk.file.reloads", 30, semconv.FileName, "error.type"),
		ours("souk.https.certificate.expiry", 1),
		ours("souk.order.declines", 60, semconv.DeclineCode),
		ours("souk.order.erased", 3, semconv.OrderErasureCause),
		ours("souk.order.open", 15, semconv.OrderState),
		ours("souk.order.open.age", 15, semconv.OrderState),
		ours("souk.order.revenue", currencies, semconv.Currency),
		ours("souk.order.settle.duration", 15, semconv.OrderState, semconv.OrderCancelReason),
		ours("souk.payment.reconciliation.age", 1),
		ours("souk.payment.reconciliation.differences", 15, semconv.PaymentDifferenceKind),
		ours("souk.peers.fills", 4, semconv.PeersResult),
		ours("souk.peers.members", 1),
		ours("souk.picture.drawn", 6, semconv.PictureOutcome),
		ours("souk.payment.webhook.events", 15, semconv.PaymentWebhookOutcome),
		ours("messaging.client.operation.duration", 2*services, broker...),
		ours("messaging.process.duration", 4*services, broker...),
		ours("souk.events.age", 2*services, "messaging.consumer.group.name", "messaging.destination.name"),
		ours("souk.events.dead_letters", 3*services, "messaging.system", "messaging.consumer.group.name", "messaging.destination.name"),
		ours("otel.sdk.processor.span.processed", 2, "error.type"),
		ours("otel.sdk.processor.span.queue.size", 1),
		ours("otel.sdk.exporter.span.exported", 20, "error.type"),
		ours("souk.security.events", 4*methods, semconv.SecurityEvent, semconv.SecuritySubject),
		ours("souk.tls.certificate.expiry", 2, semconv.TLSCertificate),
		ours("souk.tls.certificate.validity", 2, semconv.TLSCertificate),

		library(goLib, "go.memory.used", "up-down counter", "By", "Memory that the Go runtime uses", 2, "go.memory.type"),
		library(goLib, "go.memory.limit", "up-down counter", "By", "Limit of memory that was set for the Go runtime", 1),
		library(goLib, "go.memory.allocated", "counter", "By", "Memory that was allocated on the heap", 1),
		library(goLib, "go.memory.allocations", "counter", "{allocation}", "Allocations on the heap", 1),
		library(goLib, "go.memory.gc.goal", "up-down counter", "By", "Size of the heap at which the next collection ends", 1),
		library(goLib, "go.goroutine.count", "up-down counter", "{goroutine}", "Goroutines", 1),
		library(goLib, "go.processor.limit", "up-down counter", "{thread}", "Threads that run Go code at once", 1),
		library(goLib, "go.config.gogc", "up-down counter", "%", "How much garbage the collector lets grow: `GOGC`", 1),
		library(httpLib, "http.client.request.duration", "histogram", "s", "Calls of the payment provider", provider,
			"http.request.method", "http.response.status_code", "server.address", "server.port", "network.protocol.name", "network.protocol.version", "url.scheme", "error.type"),
		library(httpLib, "http.client.request.body.size", "histogram", "By", "Bodies of these calls", provider,
			"http.request.method", "http.response.status_code", "server.address", "server.port", "network.protocol.name", "network.protocol.version", "url.scheme", "error.type"),
		library(httpLib, "http.server.request.body.size", "histogram", "By", "Bodies of stripesim's requests", provider,
			"http.request.method", "http.response.status_code", "http.route", "server.address", "server.port", "network.protocol.name", "network.protocol.version", "url.scheme"),
		library(httpLib, "http.server.response.body.size", "histogram", "By", "Bodies of stripesim's answers", provider,
			"http.request.method", "http.response.status_code", "http.route", "server.address", "server.port", "network.protocol.name", "network.protocol.version", "url.scheme"),
		library(pgx, "db.client.operation.duration", "histogram", "s", "Statements, connections and waits for one, while traces are exported", 6, "db.system.name", "pgx.operation.type"),
		library(pgx, "db.client.operation.errors", "counter", "", "Statements, connections and waits for one that failed, while traces are exported", 6, "db.system.name", "pgx.operation.type"),
	}
}
