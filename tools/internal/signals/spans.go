package signals

import "github.com/souk-shop/souk/services/chassis/semconv"

// Resource are the attributes of the process that emits; OTEL_RESOURCE_ATTRIBUTES adds to them.
func Resource() []Field {
	return []Field{
		{"service.name", "the part: `gateway`, `order`, ...; the label `job` where Prometheus reads the chart's ServiceMonitor"},
		{"service.namespace", "`souk`"},
		{"telemetry.sdk.language", "`go`"},
		{"telemetry.sdk.name", "`opentelemetry`"},
		{"telemetry.sdk.version", "the SDK's version"},
	}
}

// Events are those that spans have.
func Events() []Event {
	return []Event{
		{"exception", keys("exception.type", "exception.message", "exception.stacktrace"), "an error that a span ended with or went on after, by OpenTelemetry's conventions"},
		{"souk.order.overtaken", nil, "another process changed the order first"},
		{"souk.order.step_unknown", keys(semconv.OrderStep, "exception.message"), "the outcome of a step is not known: it is asked again"},
		{"souk.order.stock_held", nil, "others hold the units that the order wants: it waits for them"},
		{"souk.order.stock_busy", nil, "too many others wait for a SKU of the order: it tries again"},
		{"souk.order.transition", keys(semconv.OrderFrom, semconv.OrderEvent, semconv.OrderTo), "the order changed its state"},
		{"souk.refund.settled", keys(semconv.RefundState), "the refund came to its end"},
	}
}

// Spans are all.
func Spans() []Span {
	server := keys("http.request.method", "url.path", "url.scheme", "client.address", "user_agent.original", "http.route", "http.response.status_code",
		"http.response.header.request-id")
	otelhttpServer := keys("http.request.method", "http.request.method_original", "http.request.body.size", "http.response.body.size", "http.response.status_code", "http.route",
		"url.path", "url.scheme", "server.address", "server.port", "network.peer.address", "network.peer.port", "network.protocol.version", "client.address", "user_agent.original")
	otelhttpClient := keys("http.request.method", "http.request.method_original", "http.response.status_code", "url.full", "server.address", "server.port",
		"network.protocol.name", "network.protocol.version", "error.type")
	rpc := keys("rpc.system.name", "rpc.method", "rpc.response.status_code", "server.address", "server.port")
	messaging := func(more ...any) []string {
		return append(keys("messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.name", "messaging.message.id"), keys(more...)...)
	}
	db := keys("db.system.name", "db.namespace", "db.query.text", "db.query.summary", "db.operation.name", "db.operation.batch.size", "db.collection.name",
		"server.address", "server.port", "user.name", "pgx.rows_affected", "pgx.sql_state", "pgx.prepare_stmt.name")
	redis := keys("db.system", "db.connection_string", "server.address", "server.port", "db.redis.num_cmd")
	return []Span{
		{Name: "{method} {route}", Pattern: `(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|_OTHER)(?: /\S*)?`, Kind: "server", By: []string{"gateway"}, Attributes: server, Core: true,
			Brief: "a request of a browser or a client; the method alone where there is no such route; links to the trace that the client names", Where: "gateway/internal/edge"},
		{Name: "{package}.{Service}/{Method}", Pattern: `souk\.[a-z]+\.v1\.\w+/\w+|grpc\.(?:health|reflection)\.\S+`, Kind: "client", Attributes: rpc, Core: true,
			Brief: "a call of another part", Where: "otelgrpc, in services/chassis/rpc"},
		{Name: "{package}.{Service}/{Method}", Pattern: `souk\.[a-z]+\.v1\.\w+/\w+`, Kind: "server", Attributes: rpc, Core: true,
			Brief: "a call that a part answers; none of health checks, and none of methods that it does not have", Where: "otelgrpc, in services/chassis/rpc"},
		{Name: "souk.order.drive", Pattern: `souk\.order\.drive`, Kind: "internal", By: []string{"order"}, Attributes: keys(semconv.OrderID, semconv.OrderNumber, semconv.OrderState), Core: true,
			Events: []string{"souk.order.transition", "souk.order.step_unknown", "souk.order.overtaken", "souk.order.stock_held", "souk.order.stock_busy"},
			Brief:  "an order on its way to its end", Where: "services/order/internal/app"},
		{Name: "souk.order.drive_refund", Pattern: `souk\.order\.drive_refund`, Kind: "internal", By: []string{"order"}, Attributes: keys(semconv.OrderID, semconv.RefundID),
			Events: []string{"souk.refund.settled", "souk.order.transition", "souk.order.step_unknown", "souk.order.overtaken"},
			Brief:  "a refund on its way to its end", Where: "services/order/internal/app"},
		{Name: "souk.catalog.stock.group", Pattern: `souk\.catalog\.stock\.group`, Kind: "internal", By: []string{"catalog"}, Attributes: keys("db.operation.batch.size"),
			Brief: "commands that waited for the same stock and are carried out in one transaction, in the trace of the first of them that is sampled; links to the others that are, and each of these links to it", Where: "services/catalog/internal/postgres"},
		{Name: "publish {service}", Pattern: `publish \w+`, Kind: "producer", Attributes: messaging(semconv.EventType), Core: true,
			Brief: "an event that the broker takes, in the trace in which the fact became true", Where: "services/chassis/events/internal/driver"},
		{Name: "publish {event}", Pattern: `publish souk\.[a-z]+\.v1\.\w+`, Kind: "producer", Attributes: messaging(), Core: true,
			Brief: "an event from the relay's reading to the broker's answer, in the same trace", Where: "services/chassis/events/relay"},
		{Name: "relay events", Pattern: `relay events`, Kind: "internal", Attributes: keys("messaging.batch.message_count"), Core: true,
			Brief: "a batch of events, a trace of its own; links to the trace of each event", Where: "services/chassis/events/relay"},
		{Name: "process {service}", Pattern: `process \w+`, Kind: "consumer", Attributes: messaging("messaging.consumer.group.name", semconv.EventType, semconv.EventAttempt), Core: true,
			Brief: "an event of a service that is handled: the first delivery to a group in the event's trace; a later one, a replay, and what every replica is told (the gateway's cache) in a trace of its own with a link", Where: "services/chassis/events/internal/driver"},
		{Name: "process {job}", Pattern: `process \w+`, Kind: "consumer", Attributes: messaging(semconv.JobAttempt), Core: true,
			Brief: "a run of a job of River: the first in the trace of the call that made the job, later ones in traces of their own with a link", Where: "services/chassis/jobs"},
		{Name: "POST webhook", Pattern: `POST webhook`, Kind: "client", By: []string{"notification"}, Core: true,
			Attributes: keys("http.request.method", "http.response.status_code", "server.address", semconv.WebhookID, semconv.WebhookAttempt),
			Brief:      "a call of a webhook endpoint: the first in the trace in which the fact became true, later ones in traces of their own with a link; the header `traceparent` hands it on", Where: "services/notification/internal/outbound"},
		{Name: "send mail", Pattern: `send mail`, Kind: "client", By: []string{"notification"}, Core: true,
			Attributes: keys("server.address", "server.port", "network.protocol.name", "messaging.message.id"),
			Brief:      "a mail that is handed to the mail server", Where: "services/notification/internal/smtp"},
		{Name: "{db.query.summary}", Pattern: `[A-Z]+(?: [\w." ]+)?`, Kind: "client", Attributes: db, Core: true,
			Brief: "a statement, as `SELECT orders order_lines`; its text has parameters, which are not recorded", Where: "otelpgx, in services/chassis/pg"},
		{Name: "connect, pool.acquire, prepare {statement}, batch start, copy_from {table}", Pattern: `connect|pool\.acquire|prepare .*|batch start|copy_from .*`, Kind: "client", Attributes: db, Core: true,
			Brief: "a connection to PostgreSQL and what is not one statement", Where: "otelpgx, in services/chassis/pg"},
		{Name: "{command}, redis.dial, redis.pipeline {commands}", Pattern: `[a-z][a-z ]*|redis\.dial|redis\.pipeline .*`, Kind: "client", Attributes: redis, Core: true,
			Brief: "a command of Redis by its name, without keys and values, which may say what a shopper searched for", Where: "redisotel, in services/chassis/cache"},
		{Name: "HTTP {method}", Pattern: `HTTP (?:GET|POST|DELETE)`, Kind: "client", By: []string{"payment"}, Attributes: otelhttpClient, Core: true,
			Brief: "a call of the provider", Where: "otelhttp, in services/payment/internal/stripe"},
		{Name: "{method} {route}", Pattern: `(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|_OTHER|HTTP)(?: /\S*)?`, Kind: "server", By: []string{"stripesim"}, Attributes: otelhttpServer, Core: true,
			Brief: "stripesim's side of a call of the provider", Where: "otelhttp, in tools/stripesim"},
	}
}
