package dashboards

const (
	served  = `http_server_request_duration_seconds`
	called  = `rpc_server_call_duration_seconds`
	calling = `rpc_client_call_duration_seconds`
	asked   = `http_client_request_duration_seconds`
	settled = `souk_order_settle_duration_seconds`
	every   = `[` + Interval + `]`
	// checks of the gateway's health are no requests of customers.
	customers = `http_route!~"/(readyz|livez)"`
	chosen    = `job=~"` + Service + `"`
)

// All is the table.
func All() []Dashboard {
	return []Dashboard{overview(), checkout(), service(), dependencies(), events(), business()}
}

// quantile is PromQL for a quantile of a histogram.
func quantile(q, histogram, selector, by string) string {
	if by != "" {
		by = ", " + by
	}
	return `histogram_quantile(` + q + `, sum by (le` + by + `) (rate(` + histogram + `_bucket` + selector + every + `)))`
}

// latency are the median and the 99th percentile of a histogram.
func latency(histogram, selector, by, legend string) []Query {
	if legend != "" {
		legend = " " + legend
	}
	return []Query{
		{Expr: quantile("0.5", histogram, selector, by), Legend: "p50" + legend, Exemplars: true},
		{Expr: quantile("0.99", histogram, selector, by), Legend: "p99" + legend, Exemplars: true},
	}
}

// perSecond is PromQL for the rate of a counter.
func perSecond(counter, by string) string {
	return `sum by (` + by + `) (rate(` + counter + every + `))`
}

// noFault is why counters of faults have no series.
const noFault = "the series appears with the first fault"

func overview() Dashboard {
	return Dashboard{
		UID: "souk-overview", Title: "Souk: shop overview",
		Description: "Whether the shop keeps what it promises, and what customers ask of it.",
		Rows: []Row{
			{"Objectives", []Panel{
				{
					Title: "Error budget left", Kind: Number, Unit: Share,
					Description: "What is left of the error budget of 30 days: 100% when nothing was bad, negative when the promise is broken. Each five minutes with customers count alike.",
					Queries:     []Query{{Expr: `1 - avg_over_time(souk:slo_errors:ratio_rate5m[30d]) / on (slo) (1 - souk:slo_target)`, Legend: "{{slo}}"}},
					Alerts:      []string{"BrowseFails", "BrowseIsSlow", "CheckoutFails", "OrdersSettleLate", "EventsAreLate", "MailIsLate"},
				},
				{
					Title: "Burn rate over an hour", Kind: Lines, Unit: Times, Limit: 14.4,
					Description: "How many times faster than allowed the error budget burns. At 1 it lasts exactly 30 days; from 14.4 on an operator is paged.",
					Queries:     []Query{{Expr: `souk:slo_errors:ratio_rate1h / on (slo) (1 - souk:slo_target)`, Legend: "{{slo}}"}},
					Alerts:      []string{"BrowseFails", "BrowseIsSlow", "CheckoutFails", "OrdersSettleLate", "EventsAreLate", "MailIsLate"},
				},
				{
					Title: "Bad share of the last five minutes", Kind: Lines, Unit: Share,
					Description: "The share of requests, orders or time that broke an objective.",
					Queries:     []Query{{Expr: `souk:slo_errors:ratio_rate5m`, Legend: "{{slo}}"}},
				},
				{
					Title: "Processes that are read", Kind: Lines, Unit: Count,
					Description: "How many replicas of each part Prometheus can read.",
					Queries:     []Query{{Expr: `sum by (job) (up)`, Legend: "{{job}}"}},
					Alerts:      []string{"ProcessDown"},
				},
			}},
			{"Requests at the gateway", []Panel{
				{
					Title: "Requests", Kind: Stacked, Unit: Requests,
					Description: "Answered requests of customers and of the payment provider, by status.",
					Queries:     []Query{{Expr: perSecond(served+`_count{`+customers+`}`, "http_response_status_code"), Legend: "{{http_response_status_code}}"}},
				},
				{
					Title: "Share of server errors", Kind: Lines, Unit: Share,
					Description: "The share of requests that are answered with 5xx.",
					Queries: []Query{{
						Expr:   `(` + perSecond(served+`_count{http_response_status_code=~"5..",`+customers+`}`, "") + ` or vector(0)) / ` + perSecond(served+`_count{`+customers+`}`, ""),
						Legend: "errors",
					}},
					Alerts: []string{"BrowseFails", "CheckoutFails"},
				},
				{
					Title: "Latency", Kind: Lines, Unit: Seconds, Limit: 0.5,
					Description: "Time to answer a customer's request. Browsing is promised within 500 ms; checkouts that wait for the bank take longer.",
					Queries:     latency(served, `{`+customers+`}`, "", ""),
					Alerts:      []string{"BrowseIsSlow"},
				},
				{
					Title: "Slowest routes", Kind: Lines, Unit: Seconds,
					Description: "The five routes with the largest 99th percentile.",
					Queries:     []Query{{Expr: `topk(5, ` + quantile("0.99", served, `{`+customers+`}`, "http_route") + `)`, Legend: "{{http_route}}", Exemplars: true}},
					Alerts:      []string{"BrowseIsSlow"},
				},
			}},
			{"Orders and money", []Panel{
				{
					Title: "Orders paid in an hour", Kind: Number, Unit: Count,
					Description: "Orders that became PAID in the last hour.",
					Queries:     []Query{{Expr: `sum(increase(` + settled + `_count{souk_order_state="paid"}[1h]))`, Legend: "paid"}},
				},
				{
					Title: "Revenue in an hour", Kind: Number, Unit: Minor,
					Description: "Totals of orders that were paid in the last hour, before refunds, in minor units of each currency.",
					Queries:     []Query{{Expr: `sum by (souk_currency) (increase(souk_order_revenue_total[1h]))`, Legend: "{{souk_currency}}"}},
				},
				{
					Title: "Certificate of the shop", Kind: Number, Unit: Seconds,
					Description: "Time until the certificate that browsers are shown expires.",
					Queries:     []Query{{Expr: `min(souk_https_certificate_expiry_seconds)`, Legend: "expires in", Rare: "the gateway of a laptop speaks HTTP without a certificate of its own"}},
					Alerts:      []string{"CertificateExpires"},
				},
			}},
		},
	}
}

func checkout() Dashboard {
	return Dashboard{
		UID: "souk-checkout", Title: "Souk: checkout",
		Description: "How customers come from a cart to a paid order, and where orders are on their way.",
		Rows: []Row{
			{"Funnel", []Panel{
				{
					Title: "From cart to paid, in an hour", Kind: Bars, Unit: Count,
					Description: "Carts made, carts changed, orders placed and orders paid in the last hour. A cart may be changed several times and ordered once.",
					Queries: []Query{
						{Expr: inAnHour("souk.cart.v1.CartService/CreateCart"), Legend: "1 carts made"},
						{Expr: inAnHour("souk.cart.v1.CartService/(AddLine|SetLines)"), Legend: "2 carts changed"},
						{Expr: inAnHour("souk.order.v1.OrderService/PlaceOrder"), Legend: "3 orders placed"},
						{Expr: `sum(increase(` + settled + `_count{souk_order_state="paid"}[1h]))`, Legend: "4 orders paid"},
					},
				},
				{
					Title: "Outcomes", Kind: Stacked, Unit: PerSecond,
					Description: "Orders that were settled, by state and reason of a cancellation.",
					Queries:     []Query{{Expr: perSecond(settled+`_count`, "souk_order_state, souk_order_cancel_reason"), Legend: "{{souk_order_state}} {{souk_order_cancel_reason}}"}},
					Alerts:      []string{"CheckoutFails"},
				},
				{
					Title: "Time to settle", Kind: Lines, Unit: Seconds, Limit: 10,
					Description: "From the acceptance of an order to PAID or CANCELLED. Ten seconds are promised for 99%.",
					Queries:     latency(settled, "", "souk_order_state", "{{souk_order_state}}"),
					Alerts:      []string{"OrdersSettleLate"},
				},
				{
					Title: "Checkout requests", Kind: Lines, Unit: Requests,
					Description: "Orders placed at the gateway, through the storefront and the API, by status.",
					Queries:     []Query{{Expr: perSecond(served+`_count{http_request_method="POST", http_route=~"/(checkout|v1/orders)"}`, "http_route, http_response_status_code"), Legend: "{{http_route}} {{http_response_status_code}}"}},
					Alerts:      []string{"CheckoutFails"},
				},
			}},
			{"States", []Panel{
				{
					Title: "Open orders", Kind: Stacked, Unit: Count,
					Description: "Orders that have something left to do, by state.",
					Queries:     []Query{{Expr: `max by (souk_order_state) (souk_order_open)`, Legend: "{{souk_order_state}}"}},
					Alerts:      []string{"OrdersStuck"},
				},
				{
					Title: "Age of the oldest open order", Kind: Lines, Unit: Seconds, Limit: 300,
					Description: "How long ago the oldest order in each state was placed. None is open for five minutes in a shop that works.",
					Queries:     []Query{{Expr: `max by (souk_order_state) (souk_order_open_age_seconds)`, Legend: "{{souk_order_state}}"}},
					Alerts:      []string{"OrdersStuck", "OrdersSettleLate"},
				},
			}},
			{"Steps", []Panel{
				{
					Title: "Calls of the steps", Kind: Lines, Unit: Requests,
					Description: "The calls by which the order service reserves, authorizes, confirms, captures, releases and cancels.",
					Queries:     []Query{{Expr: perSecond(called+`_count{`+steps+`}`, "rpc_method"), Legend: "{{rpc_method}}"}},
				},
				{
					Title: "Latency of the steps", Kind: Lines, Unit: Seconds,
					Description: "The 99th percentile of each step. Authorizing and capturing wait for the payment provider.",
					Queries:     []Query{{Expr: quantile("0.99", called, `{`+steps+`}`, "rpc_method"), Legend: "{{rpc_method}}", Exemplars: true}},
					Alerts:      []string{"OrdersSettleLate"},
				},
			}},
			{"Stock that many want", []Panel{
				{
					Title: "Wait for stock", Kind: Lines, Unit: Seconds,
					Description: "The 99th percentile of the time that reservations, confirmations and releases waited for others of the same stock.",
					Queries:     []Query{{Expr: quantile("0.99", `souk_catalog_stock_wait_seconds`, "", ""), Legend: "wait", Exemplars: true}},
				},
				{
					Title: "Commands in a transaction", Kind: Lines, Unit: Count,
					Description: "How many reservations, confirmations and releases one transaction carried out, on average: 1 where nothing waits, up to 64 in a launch.",
					Queries:     []Query{{Expr: `sum(rate(souk_catalog_stock_commands_sum` + every + `)) / sum(rate(souk_catalog_stock_commands_count` + every + `))`, Legend: "commands"}},
				},
				{
					Title: "Reservations refused", Kind: Lines, Unit: PerSecond,
					Description: "Reservations that were refused because too many others waited for the same stock (STOCK_BUSY).",
					Queries:     []Query{{Expr: `sum(rate(souk_catalog_stock_refused_total` + every + `))`, Legend: "refused", Rare: noFault}},
				},
			}},
		},
	}
}

// steps are the calls of a checkout.
const steps = `rpc_method=~"souk.catalog.v1.CatalogService/(Reserve|Confirm|Release)|souk.payment.v1.PaymentService/(Authorize|Capture|Cancel)"`

// inAnHour is PromQL for how many calls a method answered well in an hour.
func inAnHour(methods string) string {
	return `sum(increase(` + called + `_count{rpc_method=~"` + methods + `", rpc_response_status_code="OK"}[1h]))`
}

func service() Dashboard {
	return Dashboard{
		UID: "souk-service", Title: "Souk: one service", ByService: true,
		Description: "Rate, errors and duration of a service's operations, and what its processes use.",
		Rows: []Row{
			{"Operations", []Panel{
				{
					Title: "Calls", Kind: Lines, Unit: Requests,
					Description: "Calls that a service answered, by method; for the gateway, requests by route.",
					Queries: []Query{
						{Expr: perSecond(called+`_count{`+chosen+`}`, "rpc_method"), Legend: "{{rpc_method}}"},
						{Expr: perSecond(served+`_count{`+chosen+`,`+customers+`}`, "http_route"), Legend: "{{http_route}}"},
					},
				},
				{
					Title: "Failed calls", Kind: Lines, Unit: Requests,
					Description: "Calls that failed by a fault of the server: errors of gRPC that are not the caller's, and answers with 5xx.",
					Queries: []Query{
						{Expr: perSecond(called+`_count{`+chosen+`, error_type!=""}`, "rpc_method, rpc_response_status_code"), Legend: "{{rpc_method}} {{rpc_response_status_code}}", Rare: noFault},
						{Expr: perSecond(served+`_count{`+chosen+`, http_response_status_code=~"5..", `+customers+`}`, "http_route, http_response_status_code"), Legend: "{{http_route}} {{http_response_status_code}}", Rare: noFault},
					},
				},
				{
					Title: "Latency of calls", Kind: Lines, Unit: Seconds,
					Description: "The 99th percentile of each method, or route.",
					Queries: []Query{
						{Expr: quantile("0.99", called, `{`+chosen+`}`, "rpc_method"), Legend: "{{rpc_method}}", Exemplars: true},
						{Expr: quantile("0.99", served, `{`+chosen+`,`+customers+`}`, "http_route"), Legend: "{{http_route}}", Exemplars: true},
					},
				},
				{
					Title: "Checks", Kind: Lines, Unit: Here,
					Description: "Whether the checks have passed without which a replica is not ready.",
					Queries:     []Query{{Expr: `min by (job, souk_check_name) (souk_check_passing{` + chosen + `})`, Legend: "{{job}} {{souk_check_name}}"}},
					Alerts:      []string{"PostgresDown"},
				},
			}},
			{"Calls to other parts", []Panel{
				{
					Title: "Calls made", Kind: Lines, Unit: Requests,
					Description: "Calls that the part makes to others, by method.",
					Queries:     []Query{{Expr: perSecond(calling+`_count{`+chosen+`}`, "rpc_method"), Legend: "{{rpc_method}}"}},
				},
				{
					Title: "Calls that were not answered well", Kind: Lines, Unit: Requests,
					Description: "Calls that another part refused, or did not answer in time; refusals such as NOT_FOUND are the caller's.",
					Queries:     []Query{{Expr: perSecond(calling+`_count{`+chosen+`, error_type!=""}`, "rpc_method, error_type"), Legend: "{{rpc_method}} {{error_type}}", Rare: noFault}},
				},
				{
					Title: "Latency of calls made", Kind: Lines, Unit: Seconds,
					Description: "The 99th percentile of what the part waits for others, with the network between them.",
					Queries:     []Query{{Expr: quantile("0.99", calling, `{`+chosen+`}`, "rpc_method"), Legend: "{{rpc_method}}", Exemplars: true}},
				},
			}},
			{"Processes", []Panel{
				{
					Title: "Time since the start", Kind: Lines, Unit: Seconds,
					Description: "How long each process has run; a fall is a start.",
					Queries:     []Query{{Expr: `max by (job, instance) (process_uptime_seconds{` + chosen + `})`, Legend: "{{job}} {{instance}}"}},
					Alerts:      []string{"ProcessRestarts"},
				},
				{
					Title: "Memory", Kind: Lines, Unit: Bytes,
					Description: "Memory that the Go runtime uses.",
					Queries:     []Query{{Expr: `sum by (job, instance) (go_memory_used_bytes{` + chosen + `})`, Legend: "{{job}} {{instance}}"}},
				},
				{
					Title: "Goroutines", Kind: Lines, Unit: Count,
					Description: "Goroutines that exist. A number that only grows is a leak.",
					Queries:     []Query{{Expr: `sum by (job, instance) (go_goroutine_count{` + chosen + `})`, Legend: "{{job}} {{instance}}"}},
				},
				{
					Title: "Allocation", Kind: Lines, Unit: "Bps",
					Description: "Memory that is allocated per second: what the garbage collector has to do.",
					Queries:     []Query{{Expr: perSecond(`go_memory_allocated_bytes_total{`+chosen+`}`, "job"), Legend: "{{job}}"}},
				},
				{
					Title: "Connections in use", Kind: Lines, Unit: Share, Limit: 0.9,
					Description: "The share of each pool's connections to PostgreSQL that are in use.",
					Queries:     []Query{{Expr: poolUse(chosen), Legend: "{{job}} {{db_client_connection_pool_name}}"}},
					Alerts:      []string{"PostgresPoolExhausted"},
				},
				{
					Title: "Certificates", Kind: Lines, Unit: Seconds,
					Description: "Time until the certificate by which the process is known to others expires, and its authority's.",
					Queries:     []Query{{Expr: `min by (job, souk_tls_certificate) (souk_tls_certificate_expiry_seconds{` + chosen + `})`, Legend: "{{job}} {{souk_tls_certificate}}"}},
					Alerts:      []string{"PartCertificateExpires"},
				},
				{
					Title: "Broken files", Kind: Lines, Unit: Seconds,
					Description: "For how long files that the process follows have not been usable; 0 while they are.",
					Queries:     []Query{{Expr: `max by (job, souk_file_name) (souk_file_broken_seconds{` + chosen + `})`, Legend: "{{job}} {{souk_file_name}}"}},
					Alerts:      []string{"FileBroken"},
				},
				{
					Title: "Spans lost", Kind: Lines, Unit: PerSecond,
					Description: "Spans that were dropped because the queue was full, and those that the collector did not take.",
					Queries: []Query{
						{Expr: perSecond(`otel_sdk_processor_span_processed_total{error_type!="", `+chosen+`}`, "job, error_type"), Legend: "{{job}} {{error_type}}", Rare: "nothing is lost while the collector takes all"},
						{Expr: perSecond(`otel_sdk_exporter_span_exported_total{error_type!="", `+chosen+`}`, "job, error_type"), Legend: "{{job}} {{error_type}}", Rare: "nothing is lost while the collector takes all"},
					},
					Alerts: []string{"SpansLost"},
				},
			}},
		},
	}
}

// poolUse is PromQL for the share of a pool's connections that are in use.
func poolUse(selector string) string {
	if selector != "" {
		selector = ", " + selector
	}
	return `max by (job, db_client_connection_pool_name) (db_client_connection_count{db_client_connection_state="used"` + selector + `}` +
		` / on (job, instance, db_client_connection_pool_name) db_client_connection_max)`
}

func dependencies() Dashboard {
	return Dashboard{
		UID: "souk-dependencies", Title: "Souk: dependencies",
		Description: "What the shop needs of others: PostgreSQL, Redis, the broker of events, and the payment provider.",
		Rows: []Row{
			{"PostgreSQL", []Panel{
				{
					Title: "PostgreSQL answers", Kind: Lines, Unit: Here,
					Description: "Whether the database of each service answers and is migrated, as seen by the service.",
					Queries:     []Query{{Expr: `min by (job) (souk_check_passing{souk_check_name="postgres"})`, Legend: "{{job}}"}},
					Alerts:      []string{"PostgresDown"},
				},
				{
					Title: "Pools", Kind: Lines, Unit: Share, Limit: 0.9,
					Description: "The share of each pool's connections that are in use.",
					Queries:     []Query{{Expr: poolUse(""), Legend: "{{job}} {{db_client_connection_pool_name}}"}},
					Alerts:      []string{"PostgresPoolExhausted"},
				},
				{
					Title: "Waiting for a connection", Kind: Lines, Unit: Processor,
					Description: "Time that callers have waited, per second, because no connection of a pool was idle.",
					Queries:     []Query{{Expr: perSecond(`souk_postgres_pool_wait_seconds_total`, "job, db_client_connection_pool_name"), Legend: "{{job}} {{db_client_connection_pool_name}}"}},
					Alerts:      []string{"PostgresPoolExhausted"},
				},
				{
					Title: "Callers that gave up", Kind: Lines, Unit: PerSecond,
					Description: "Callers that gave up waiting for a connection of a pool.",
					Queries:     []Query{{Expr: perSecond(`db_client_connection_timeouts_total`, "job"), Legend: "{{job}}"}},
				},
				{
					Title: "Reads that a replica may answer", Kind: Lines, Unit: PerSecond,
					Description: "Reads that a replica of the database may answer, by who did: the replica, at once or after it had waited, or the primary, and why.",
					Queries: []Query{{
						Expr: perSecond(`souk_postgres_replica_reads_total`, "job, souk_postgres_replica_outcome"), Legend: "{{job}} {{souk_postgres_replica_outcome}}",
						Rare: "there are none without replicas",
					}},
					Alerts: []string{"PostgresReplicaDown"},
				},
				{
					Title: "Lag of replicas", Kind: Lines, Unit: Seconds,
					Description: "How long ago the primary had what the replica has not replayed yet.",
					Queries:     []Query{{Expr: `max by (job) (souk_postgres_replica_lag_seconds)`, Legend: "{{job}}", Rare: "there are none without replicas"}},
					Alerts:      []string{"PostgresReplicaDown"},
				},
				{
					Title: "Log that is not archived", Kind: Lines, Unit: Seconds,
					Description: "How long ago PostgreSQL has last archived a piece of its log, while attempts fail: what was committed since is lost with its disk.",
					Queries:     []Query{{Expr: `max by (job) (souk_postgres_archive_behind_seconds)`, Legend: "{{job}}", Rare: "there is none without backups"}},
					Alerts:      []string{"ArchivingFails"},
				},
			}},
			{"Redis and caches", []Panel{
				{
					Title: "Redis answers", Kind: Lines, Unit: Here,
					Description: "Whether Redis answers each cache; a cache without it is slower, and works.",
					Queries:     []Query{{Expr: `min by (job, souk_cache_name) (souk_cache_redis_answering)`, Legend: "{{job}} {{souk_cache_name}}"}},
					Alerts:      []string{"RedisDown"},
				},
				{
					Title: "Hits of caches", Kind: Lines, Unit: Share,
					Description: "The share of lookups that each layer of a cache answered.",
					Queries: []Query{{
						Expr:   perSecond(`souk_cache_lookups_total{souk_cache_result="hit"}`, "souk_cache_name, souk_cache_layer") + ` / ` + perSecond(`souk_cache_lookups_total`, "souk_cache_name, souk_cache_layer"),
						Legend: "{{souk_cache_name}} {{souk_cache_layer}}",
					}},
					Alerts: []string{"RedisDown"},
				},
				{
					Title: "Caches that are told of changes", Kind: Lines, Unit: Here,
					Description: "Whether the gateway's cache is told of changes by events; where not, its answers expire instead.",
					Queries:     []Query{{Expr: `min by (job, souk_cache_name) (souk_cache_following)`, Legend: "{{job}} {{souk_cache_name}}"}},
					Alerts:      []string{"CacheNotFollowing"},
				},
				{
					Title: "Entries filled by peers", Kind: Lines, Unit: PerSecond,
					Description: "What gateways did not have and another gateway was to fill, by how that went: served, own where the owner was gone, late or failed where the gateway asked the catalog itself.",
					Queries:     []Query{{Expr: perSecond(`souk_peers_fills_total`, "souk_peers_result"), Legend: "{{souk_peers_result}}", Rare: "there are none without peers"}},
				},
				{
					Title: "Gateways that see each other", Kind: Lines, Unit: Count,
					Description: "How many gateways each takes for its peers, itself included; less than there are for long is a group that is split.",
					Queries:     []Query{{Expr: `min by (instance) (souk_peers_members)`, Legend: "{{instance}}", Rare: "there are none without peers"}},
				},
			}},
			{"Edge", []Panel{
				{
					Title: "Edges that are told", Kind: Lines, Unit: Count,
					Description: "How many caches in front each gateway tells of changes.",
					Queries:     []Query{{Expr: `min by (instance) (souk_edge_caches)`, Legend: "{{instance}}", Rare: "there are none without an edge"}},
				},
				{
					Title: "Purges", Kind: Lines, Unit: PerSecond,
					Description: "Requests that told an edge what has changed, by whether it took them.",
					Queries:     []Query{{Expr: perSecond(`souk_edge_purges_total`, "souk_edge_purge_outcome"), Legend: "{{souk_edge_purge_outcome}}", Rare: "there are none without an edge"}},
				},
				{
					Title: "Changes of which an edge is not told", Kind: Lines, Unit: Seconds,
					Description: "Age of the oldest change of which an edge has not been told: for so long it may show what was before.",
					Queries:     []Query{{Expr: `max by (instance) (souk_edge_purge_age_seconds)`, Legend: "{{instance}}", Rare: "there are none without an edge"}},
					Alerts:      []string{"EdgeNotTold"},
				},
			}},
			{"Broker of events", []Panel{
				{
					Title: "Publishing", Kind: Lines, Unit: PerSecond,
					Description: "Events that the broker has acknowledged, and those that it has not, by kind of error.",
					Queries:     []Query{{Expr: perSecond(`messaging_client_operation_duration_seconds_count`, "job, error_type"), Legend: "{{job}} {{error_type}}"}},
					Alerts:      []string{"BrokerDown"},
				},
				{
					Title: "Time to publish", Kind: Lines, Unit: Seconds,
					Description: "Time until the broker acknowledged an event.",
					Queries:     latency(`messaging_client_operation_duration_seconds`, "", "job", "{{job}}"),
					Alerts:      []string{"BrokerDown"},
				},
			}},
			{"Payment provider", []Panel{
				{
					Title: "Calls of the provider", Kind: Stacked, Unit: Requests,
					Description: "Calls by status. 402 is a declined card: an answer, not a fault.",
					Queries:     []Query{{Expr: perSecond(asked+`_count`, "http_request_method, http_response_status_code, error_type"), Legend: "{{http_request_method}} {{http_response_status_code}} {{error_type}}"}},
					Alerts:      []string{"ProviderDown"},
				},
				{
					Title: "Latency of the provider", Kind: Lines, Unit: Seconds,
					Description: "Time until the provider answered.",
					Queries:     latency(asked, "", "http_request_method", "{{http_request_method}}"),
					Alerts:      []string{"ProviderDown"},
				},
				{
					Title: "The provider's webhooks", Kind: Lines, Unit: PerSecond,
					Description: "Webhook events of the provider and attempts at them, by outcome.",
					Queries:     []Query{{Expr: perSecond(`souk_payment_webhook_events_total`, "souk_payment_webhook_outcome"), Legend: "{{souk_payment_webhook_outcome}}"}},
				},
				{
					Title: "Differences from the provider's list", Kind: Lines, Unit: Count,
					Description: "Differences between ledger and provider that the last daily reconciliation found.",
					Queries:     []Query{{Expr: `max by (souk_payment_difference_kind) (souk_payment_reconciliation_differences)`, Legend: "{{souk_payment_difference_kind}}", Rare: "the reconciliation is daily: none has been done in a shop that has just started"}},
					Alerts:      []string{"ReconciliationDiffers"},
				},
				{
					Title: "Last reconciliation", Kind: Number, Unit: Seconds, Limit: 108_000,
					Description: "How long ago the last daily reconciliation was done.",
					Queries:     []Query{{Expr: `max(souk_payment_reconciliation_age_seconds)`, Legend: "ago", Rare: "the reconciliation is daily: none has been done in a shop that has just started"}},
					Alerts:      []string{"ReconciliationLate"},
				},
			}},
		},
	}
}

func events() Dashboard {
	return Dashboard{
		UID: "souk-events", Title: "Souk: jobs and events",
		Description: "What happens after a commit: events from log to consumer, mails, webhooks, and the jobs of orders.",
		Rows: []Row{
			{"Events", []Panel{
				{
					Title: "Events that wait", Kind: Lines, Unit: Count,
					Description: "Events that are committed and not published.",
					Queries:     []Query{{Expr: `max by (job) (` + leading("souk_events_lag") + `)`, Legend: "{{job}}"}},
					Alerts:      []string{"EventsAreLate"},
				},
				{
					Title: "Age of the oldest", Kind: Lines, Unit: Seconds, Limit: 10,
					Description: "How long the oldest of them has waited. Ten seconds are promised.",
					Queries:     []Query{{Expr: `max by (job) (` + leading("souk_events_lag_age_seconds") + `)`, Legend: "{{job}}"}},
					Alerts:      []string{"EventsAreLate", "BrokerDown"},
				},
				{
					Title: "Events that consumers have to take", Kind: Lines, Unit: Count,
					Description: "Events that the broker has for a consumer and that it is not done with.",
					Queries: []Query{{
						Expr: `sum by (messaging_consumer_group_name, messaging_destination_name) (souk_events_consumer_lag)`, Legend: "{{messaging_consumer_group_name}} of {{messaging_destination_name}}",
					}},
					Alerts: []string{"ConsumerIsBehind"},
				},
				{
					Title: "Age of the oldest of them", Kind: Lines, Unit: Seconds, Limit: 300,
					Description: "How long ago the broker took the oldest event that a consumer is not done with.",
					Queries: []Query{{
						Expr:   `max by (messaging_consumer_group_name, messaging_destination_name) (souk_events_consumer_lag_age_seconds)`,
						Legend: "{{messaging_consumer_group_name}} of {{messaging_destination_name}}",
					}},
					Alerts: []string{"ConsumerIsBehind"},
				},
				{
					Title: "From fact to handler", Kind: Lines, Unit: Seconds,
					Description: "From when a fact became true to when its event was handled, by group of consumers; no name is the gateway's cache.",
					Queries:     []Query{{Expr: quantile("0.99", "souk_events_age_seconds", "", "messaging_consumer_group_name"), Legend: "p99 {{messaging_consumer_group_name}}", Exemplars: true}},
				},
				{
					Title: "Handled", Kind: Lines, Unit: PerSecond,
					Description: "Deliveries of events that handlers took, by group of consumers and kind of error.",
					Queries:     []Query{{Expr: perSecond(`messaging_process_duration_seconds_count`, "messaging_consumer_group_name, error_type"), Legend: "{{messaging_consumer_group_name}} {{error_type}}"}},
				},
				{
					Title: "Time of a handler", Kind: Lines, Unit: Seconds,
					Description: "Time that a handler takes for one delivery of an event.",
					Queries:     latency(`messaging_process_duration_seconds`, "", "messaging_consumer_group_name", "{{messaging_consumer_group_name}}"),
				},
				{
					Title: "Given up", Kind: Lines, Unit: Count,
					Description: "Events that a consumer could not handle, since its process started.",
					Queries:     []Query{{Expr: `sum by (messaging_consumer_group_name) (souk_events_dead_letters_total)`, Legend: "{{messaging_consumer_group_name}}", Rare: noFault}},
					Alerts:      []string{"EventsDeadLettered"},
				},
				{
					Title: "Age of the read model", Kind: Lines, Unit: Seconds,
					Description: "How long ago the operators' read model was complete with the log of each source.",
					Queries:     []Query{{Expr: `max by (souk_events_source) (souk_insight_age_seconds)`, Legend: "{{souk_events_source}}"}},
				},
			}},
			{"Mails", []Panel{
				{
					Title: "Mails that wait", Kind: Lines, Unit: Count,
					Description: "Mails that are to be sent and are not yet.",
					Queries:     []Query{{Expr: `max(souk_mail_backlog)`, Legend: "mails"}},
					Alerts:      []string{"MailIsLate"},
				},
				{
					Title: "Age of the oldest mail", Kind: Lines, Unit: Seconds, Limit: 300,
					Description: "How long ago that was true which the oldest waiting mail tells.",
					Queries:     []Query{{Expr: `max(souk_mail_backlog_age_seconds)`, Legend: "oldest"}},
					Alerts:      []string{"MailIsLate", "MailServerDown"},
				},
				{
					Title: "Mails settled", Kind: Stacked, Unit: PerSecond,
					Description: "Mails that were sent, kept, withheld, or could not be delivered.",
					Queries:     []Query{{Expr: perSecond(`souk_mail_settled_total`, "souk_mail_state"), Legend: "{{souk_mail_state}}", Rare: "a shop without a mail server sends none"}},
					Alerts:      []string{"MailsFailed"},
				},
			}},
			{"Webhooks to merchants", []Panel{
				{
					Title: "Deliveries that wait", Kind: Lines, Unit: Count,
					Description: "Deliveries that are not done, to endpoints that are enabled (waiting) or not (held).",
					Queries:     []Query{{Expr: `max by (souk_webhook_state) (souk_webhook_backlog)`, Legend: "{{souk_webhook_state}}"}},
					Alerts:      []string{"WebhookBacklog"},
				},
				{
					Title: "Age of the oldest delivery", Kind: Lines, Unit: Seconds, Limit: 3600,
					Description: "How long ago the oldest waiting delivery was made.",
					Queries:     []Query{{Expr: `max by (souk_webhook_state) (souk_webhook_backlog_age_seconds)`, Legend: "{{souk_webhook_state}}"}},
					Alerts:      []string{"WebhookBacklog"},
				},
				{
					Title: "Attempts", Kind: Stacked, Unit: PerSecond,
					Description: "Calls of webhook endpoints, by what they came to.",
					Queries:     []Query{{Expr: perSecond(`souk_webhook_attempts_total`, "souk_webhook_outcome"), Legend: "{{souk_webhook_outcome}}", Rare: "a shop without a registered endpoint calls none"}},
					Alerts:      []string{"WebhookBacklog"},
				},
				{
					Title: "Time of an attempt", Kind: Lines, Unit: Seconds,
					Description: "How long calls of webhook endpoints take.",
					Queries:     []Query{{Expr: quantile("0.99", "souk_webhook_duration_seconds", "", "souk_webhook_outcome"), Legend: "p99 {{souk_webhook_outcome}}", Exemplars: true, Rare: "a shop without a registered endpoint calls none"}},
				},
			}},
			{"Jobs of orders", []Panel{
				{
					Title: "Orders that a job drives", Kind: Stacked, Unit: Count,
					Description: "Open orders: each has a job that drives it to its end.",
					Queries:     []Query{{Expr: `max by (souk_order_state) (souk_order_open)`, Legend: "{{souk_order_state}}"}},
					Alerts:      []string{"OrdersStuck"},
				},
				{
					Title: "Connections of jobs", Kind: Lines, Unit: Count,
					Description: "Connections to PostgreSQL that jobs use, by service.",
					Queries:     []Query{{Expr: `sum by (job) (db_client_connection_count{db_client_connection_pool_name="jobs", db_client_connection_state="used"})`, Legend: "{{job}}"}},
				},
			}},
		},
	}
}

// leading is a metric of a relay, from the replica that leads: what another reported last,
// before it lost the lead, says nothing.
func leading(metric string) string {
	return metric + ` and on (job, instance) (souk_events_leading == 1)`
}

func business() Dashboard {
	return Dashboard{
		UID: "souk-business", Title: "Souk: business",
		Description: "What is sold, what is not, and why.",
		Rows: []Row{
			{"Orders", []Panel{
				{
					Title: "Orders by outcome, in an hour", Kind: Bars, Unit: Count,
					Description: "Orders that were settled in the last hour, by state and reason of a cancellation.",
					Queries:     []Query{{Expr: `sum by (souk_order_state, souk_order_cancel_reason) (increase(` + settled + `_count[1h]))`, Legend: "{{souk_order_state}} {{souk_order_cancel_reason}}"}},
				},
				{
					Title: "Share of orders that are paid", Kind: Lines, Unit: Share,
					Description: "Paid orders among those that were settled.",
					Queries:     []Query{{Expr: perSecond(settled+`_count{souk_order_state="paid"}`, "") + ` / ` + perSecond(settled+`_count`, ""), Legend: "paid"}},
				},
				{
					Title: "Declines by reason", Kind: Stacked, Unit: PerSecond,
					Description: "Orders whose payment was declined, by the bank's reason.",
					Queries:     []Query{{Expr: perSecond(`souk_order_declines_total`, "souk_decline_code"), Legend: "{{souk_decline_code}}"}},
				},
				{
					Title: "Reservations expired", Kind: Lines, Unit: PerSecond,
					Description: "Reservations whose hold ended before the order was paid, so that others get the units.",
					Queries:     []Query{{Expr: perSecond(`souk_catalog_reservations_expired_total`, ""), Legend: "expired", Rare: "a hold ends after 90 seconds, and only when the bank is silent for so long"}},
				},
			}},
			{"Money", []Panel{
				{
					Title: "Revenue by currency", Kind: Lines, Unit: Minor,
					Description: "Totals of paid orders, before refunds, in minor units of the currency per second.",
					Queries:     []Query{{Expr: perSecond(`souk_order_revenue_total`, "souk_currency"), Legend: "{{souk_currency}}"}},
				},
				{
					Title: "Average order", Kind: Lines, Unit: Minor,
					Description: "Revenue over paid orders, in minor units: meaningful in a shop of one currency.",
					Queries:     []Query{{Expr: `sum(rate(souk_order_revenue_total` + every + `)) / sum(rate(` + settled + `_count{souk_order_state="paid"}` + every + `))`, Legend: "average"}},
				},
			}},
			{"Safety", []Panel{
				{
					Title: "Security events", Kind: Stacked, Unit: PerSecond,
					Description: "Events of the security log, by kind.",
					Queries:     []Query{{Expr: perSecond(`souk_security_events_total`, "souk_security_event"), Legend: "{{souk_security_event}}"}},
				},
				{
					Title: "Buyers that were erased", Kind: Lines, Unit: PerSecond,
					Description: "Orders whose buyer was erased, by request or because of age.",
					Queries:     []Query{{Expr: perSecond(`souk_order_erased_total`, "souk_order_erasure_cause"), Legend: "{{souk_order_erasure_cause}}", Rare: "nobody has asked for it, and no order is old enough"}},
				},
			}},
		},
	}
}
