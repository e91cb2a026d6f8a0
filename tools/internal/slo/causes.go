package slo

import (
	"regexp"
	"strconv"
	"time"
)

// Cause is an alert about a cause: something the shop depends on is away, or a fact about
// money or messages that an operator must not miss.
type Cause struct {
	// Alert is its name, Summary what it says, with Prometheus' templates.
	Alert, Summary string
	Severity       Severity
	// Dependency is whose fault it is: "postgres", "redis", "broker", "provider", "mail"; ""
	// where it is the shop's.
	Dependency string
	// Expr is true while the alert is, For how long it has to be.
	Expr string
	For  time.Duration
}

// provider selects calls of the payment provider: the payment service alone makes calls by
// otelhttp.
const provider = `http_client_request_duration_seconds_count`

// Causes is the table. How an expression reads a counter that first appears with its fault:
// rate and increase do not see the step from nothing to one, so these compare with an hour ago.
func Causes() []Cause {
	return []Cause{
		{
			Alert: "ProcessDown", Severity: Page, For: time.Minute,
			Summary: "Prometheus cannot read {{ $labels.instance }} of {{ $labels.job }}",
			Expr:    `up == 0`,
		},
		{
			Alert: "ProcessRestarts", Severity: Ticket,
			Summary: "{{ $labels.instance }} of {{ $labels.job }} was started {{ $value }} times in 15 minutes",
			Expr:    `resets(process_uptime_seconds[15m]) >= 3`,
		},
		{
			Alert: "PostgresDown", Severity: Page, Dependency: "postgres", For: time.Minute,
			Summary: "PostgreSQL does not answer {{ $labels.job }}, or is not migrated",
			Expr:    `min by (job) (souk_check_passing{souk_check_name="postgres"}) == 0`,
		},
		{
			Alert: "PostgresPoolExhausted", Severity: Ticket, Dependency: "postgres", For: 5 * time.Minute,
			Summary: "{{ $labels.job }} uses more than 90% of the connections of its pool {{ $labels.db_client_connection_pool_name }}",
			Expr: `max by (job, db_client_connection_pool_name) (db_client_connection_count{db_client_connection_state="used"}` +
				` / on (job, instance, db_client_connection_pool_name) db_client_connection_max{db_client_connection_pool_name!="jobs"}) > 0.9`,
		},
		{
			Alert: "PostgresReplicaDown", Severity: Ticket, Dependency: "postgres", For: 2 * time.Minute,
			Summary: "The replica of the database of {{ $labels.job }} is away, or too far behind to answer; the primary answers in its place",
			Expr:    `min by (job) (souk_postgres_replica_answering) == 0`,
		},
		{
			// A piece of log is archived at least once a minute where it is archived at all. How long
			// ago that was says little after a stop, or of a standby that was promoted and has
			// archived none yet: it has to fail for so long.
			Alert: "ArchivingFails", Severity: Page, Dependency: "postgres", For: 5 * time.Minute,
			Summary: "PostgreSQL of {{ $labels.job }} has archived none of its log for {{ $value | humanizeDuration }}: what is committed meanwhile is lost with its disk",
			Expr:    `max by (job) (souk_postgres_archive_behind_seconds) > 60`,
		},
		{
			Alert: "RedisDown", Severity: Ticket, Dependency: "redis", For: 2 * time.Minute,
			Summary: "Redis does not answer {{ $labels.job }}; its cache {{ $labels.souk_cache_name }} works without it",
			Expr:    `min by (job, souk_cache_name) (souk_cache_redis_answering) == 0`,
		},
		{
			Alert: "BrokerDown", Severity: Page, Dependency: "broker", For: time.Minute,
			Summary: "The broker of events takes none of {{ $labels.job }}",
			Expr: `sum by (job) (rate(messaging_client_operation_duration_seconds_count{error_type!=""}[2m])) > 0` +
				` unless sum by (job) (rate(messaging_client_operation_duration_seconds_count{error_type=""}[2m])) > 0`,
		},
		{
			Alert: "ProviderDown", Severity: Page, Dependency: "provider", For: time.Minute,
			Summary: "More than half of the calls of the payment provider fail",
			Expr: `(sum(rate(` + provider + `{http_response_status_code=~"5.."}[2m]) or rate(` + provider + `{http_response_status_code="", error_type!=""}[2m]))` +
				` / sum(rate(` + provider + `[2m]))) > 0.5`,
		},
		{
			Alert: "MailServerDown", Severity: Ticket, Dependency: "mail", For: 2 * time.Minute,
			Summary: "The oldest mail has waited for {{ $value | humanizeDuration }}",
			Expr:    `max(souk_mail_backlog_age_seconds) > 300`,
		},
		{
			Alert: "MailsFailed", Severity: Ticket,
			Summary: "{{ $value }} mails of the last hour could not be delivered",
			Expr:    appeared(`sum(souk_mail_settled_total{souk_mail_state="failed"})`, `sum(souk_mail_settled_total{souk_mail_state="failed"} offset 1h)`),
		},
		{
			Alert: "WebhookBacklog", Severity: Ticket, For: 10 * time.Minute,
			Summary: "The oldest webhook delivery to an enabled endpoint has waited for {{ $value | humanizeDuration }}",
			Expr:    `max(souk_webhook_backlog_age_seconds{souk_webhook_state="waiting"}) > 3600`,
		},
		{
			Alert: "OrdersStuck", Severity: Page, For: time.Minute,
			Summary: "The oldest order that is {{ $labels.souk_order_state }} was placed {{ $value | humanizeDuration }} ago",
			Expr:    `max by (souk_order_state) (souk_order_open_age_seconds) > 300`,
		},
		{
			Alert: "ReconciliationDiffers", Severity: Ticket,
			Summary: "Ledger and provider differ in {{ $value }} transactions: {{ $labels.souk_payment_difference_kind }}",
			Expr:    `max by (souk_payment_difference_kind) (souk_payment_reconciliation_differences) > 0`,
		},
		{
			Alert: "ReconciliationLate", Severity: Ticket, For: 15 * time.Minute,
			Summary: "The last daily reconciliation was done {{ $value | humanizeDuration }} ago",
			Expr:    `max(souk_payment_reconciliation_age_seconds) > 108000`,
		},
		{
			Alert: "EventsDeadLettered", Severity: Ticket,
			Summary: "{{ $labels.messaging_consumer_group_name }} could not handle {{ $value }} events of the last hour",
			Expr: appeared(`sum by (messaging_consumer_group_name) (souk_events_dead_letters_total)`,
				`sum by (messaging_consumer_group_name) (souk_events_dead_letters_total offset 1h)`),
		},
		{
			// Also of one that fails: within a quarter of an hour it is a dead letter.
			Alert: "ConsumerIsBehind", Severity: Ticket, For: 5 * time.Minute,
			Summary: "{{ $labels.messaging_consumer_group_name }} has not taken an event of {{ $labels.messaging_destination_name }} for {{ $value | humanizeDuration }}",
			Expr:    `max by (messaging_consumer_group_name, messaging_destination_name) (souk_events_consumer_lag_age_seconds) > 300`,
		},
		{
			Alert: "FileBroken", Severity: Ticket, For: time.Minute,
			Summary: "{{ $labels.job }} cannot use the files of {{ $labels.souk_file_name }} and goes on with older ones",
			Expr:    `max by (job, souk_file_name) (souk_file_broken_seconds) > 0`,
		},
		{
			Alert: "CertificateExpires", Severity: Ticket, For: time.Minute,
			Summary: "The certificate that browsers are shown expires in {{ $value | humanizeDuration }}",
			Expr:    `min(souk_https_certificate_expiry_seconds) < 604800`,
		},
		{
			// Renewal is due when a third of the life is left; an authority's when a tenth is.
			Alert: "PartCertificateExpires", Severity: Page, For: 5 * time.Minute,
			Summary: "{{ $value | humanizePercentage }} of the life of the certificate of {{ $labels.job }} is left ({{ $labels.souk_tls_certificate }}): other parts will refuse it",
			Expr: `min by (job, souk_tls_certificate) (souk_tls_certificate_expiry_seconds{souk_tls_certificate="own"} / souk_tls_certificate_validity_seconds < 0.25` +
				` or souk_tls_certificate_expiry_seconds{souk_tls_certificate="authority"} / souk_tls_certificate_validity_seconds < 0.05)`,
		},
		{
			Alert: "CacheNotFollowing", Severity: Ticket, Dependency: "broker", For: 10 * time.Minute,
			Summary: "The cache {{ $labels.souk_cache_name }} of {{ $labels.instance }} is not told of changes; it shows them when its answers expire",
			Expr:    `min by (job, instance, souk_cache_name) (souk_cache_following) == 0`,
		},
		{
			// Longer than pages are kept that an edge is not told about.
			Alert: "EdgeNotTold", Severity: Ticket, For: time.Minute,
			Summary: "An edge cache has not been told of changes for {{ $value | humanizeDuration }}; it may show what was before them",
			Expr:    `max(souk_edge_purge_age_seconds) > 60`,
		},
		{
			Alert: "SpansLost", Severity: Ticket, For: 10 * time.Minute,
			Summary: "{{ $labels.job }} loses {{ $value | humanize }} spans a second: {{ $labels.error_type }}",
			Expr: `sum by (job, error_type) (rate(otel_sdk_processor_span_processed_total{error_type!=""}[5m])` +
				` or rate(otel_sdk_exporter_span_exported_total{error_type!=""}[5m])) > 0`,
		},
	}
}

// appeared is how much a sum of counters has grown in an hour; one that was not there then
// was 0.
func appeared(now, before string) string {
	return `(` + now + ` - (` + before + ` or ` + now + ` * 0)) > 0`
}

// window is the range that a rule reads, which it may take to see that something began, and before that of
// a rule that compares now with a time ago.
var (
	window = regexp.MustCompile(`\[(\d+)m\]`)
	before = regexp.MustCompile(`offset (\d+)h`)
)

// Window is how long a whole outage may last before the alert fires: For, and the time over which
// its rates are taken.
func (c Cause) Window() time.Duration { return c.For + c.read(window, time.Minute) }

// LooksBack is how far back the rule reads: for so long the alert may last after what it tells of has ended.
func (c Cause) LooksBack() time.Duration {
	return max(c.read(window, time.Minute), c.read(before, time.Hour))
}

// read is the first time in the rule that a pattern finds, as a number of units; 0 where there is none.
func (c Cause) read(pattern *regexp.Regexp, unit time.Duration) time.Duration {
	m := pattern.FindStringSubmatch(c.Expr)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return time.Duration(n) * unit
}

// aged is a rule about how old something is.
var aged = regexp.MustCompile(`age_seconds[^>]*> (\d+)$`)

// Threshold is how old something has to be for a rule about its age; 0 where it is about none.
func (c Cause) Threshold() time.Duration { return c.read(aged, time.Second) }
