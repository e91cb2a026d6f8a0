package chaos

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/souk-shop/souk/tools/internal/topology"
)

// Alert is an alert with the labels that name what is broken.
type Alert struct {
	Name   string
	Labels map[string]string
}

// matches reports whether labels are those of the alert; * in a label stands for anything.
func (a Alert) matches(labels map[string]string) bool {
	if labels["alertname"] != a.Name {
		return false
	}
	for k, want := range a.Labels {
		if ok, err := filepath.Match(want, labels[k]); err != nil || !ok {
			return false
		}
	}
	return true
}

func (a Alert) String() string {
	return strings.TrimSpace(a.Name + " " + labelText(a.Labels))
}

// Expectation is what operators are told of a fault that lasts.
type Expectation struct {
	// Must are the alerts that have to fire, May those that fire as well where the fault hurts
	// customers for long enough. Each other alert is a false one: it would name something that is
	// not broken.
	Must, May []Alert
	// Harmless says why customers are not hurt, where nothing has to fire.
	Harmless string
}

// Expected returns what operators are to be told of a fault; false where the table has no entry.
func Expected(f Fault) (Expectation, bool) {
	for _, e := range expectations() {
		if ok, err := filepath.Match(e.faults, f.Name); err == nil && ok {
			return e.Expectation, true
		}
	}
	return Expectation{}, false
}

// expected is what is expected of faults by their names, with * for anything.
type expected struct {
	faults string
	Expectation
}

func alert(name string, labels ...string) Alert {
	a := Alert{Name: name, Labels: map[string]string{}}
	for i := 0; i+1 < len(labels); i += 2 {
		a.Labels[labels[i]] = labels[i+1]
	}
	return a
}

// symptoms are the alerts that customers are hurt, whatever the cause.
func symptoms() []Alert {
	return []Alert{alert("BrowseFails"), alert("BrowseIsSlow"), alert("CheckoutFails"), alert("OrdersSettleLate"), alert("OrdersStuck"), alert("EventsAreLate"), alert("ConsumerIsBehind"), alert("MailIsLate")}
}

// expectations are in the order in which they are looked for.
func expectations() []expected {
	var out []expected
	add := func(faults string, e Expectation) { out = append(out, expected{faults, e}) }
	must := func(may []Alert, alerts ...Alert) Expectation { return Expectation{Must: alerts, May: may} }
	harmless := func(why string, may ...Alert) Expectation { return Expectation{Harmless: why, May: may} }

	add("none", harmless("nothing happens"))

	for _, part := range parts {
		down := alert("ProcessDown", "job", part)
		switch part {
		case "cart", "catalog", "order", "payment":
			add("freeze-"+part+"-*", must(symptoms(), down, alert("CheckoutFails")))
		default: // what the gateway does not answer it does not count, either
			add("freeze-"+part+"-*", must(append(symptoms(), alert("CacheNotFollowing")), down))
		}
	}
	// Customers of one of two cells are hurt: at the pace of a slow shop they are too few for CheckoutFails.
	add("cell-down", must(symptoms(), alert("ProcessDown", "job", "cart_c?"), alert("ProcessDown", "job", "order_c?"), alert("ProcessDown", "job", "payment_c?")))
	add("bucket-moves", harmless("writes of a bucket wait for part of a second", alert("ProcessRestarts")))
	add("kill-*", harmless("calls are repeated until the process, which is back in a second, answers", append(symptoms(), alert("ProcessDown"), alert("ProcessRestarts"))...))
	add("crash-*", harmless("calls are repeated until the process, which is back in a second, answers", append(symptoms(), alert("ProcessDown"), alert("ProcessRestarts"))...))
	add("peer-kill", harmless("the other gateways load what it owned, and it is back in a second", append(symptoms(), alert("ProcessDown"), alert("ProcessRestarts"))...))
	add("peer-freeze", must(append(symptoms(), alert("CacheNotFollowing")), alert("ProcessDown", "job", topology.Edge)))
	add("edge-kill", harmless("calls are repeated until the edge, which is back in seconds, answers", append(symptoms(), alert("EdgeNotTold"))...))
	add("edge-*", must(symptoms(), alert("EdgeNotTold")))
	add("rolling-restart", harmless("no call fails", alert("ProcessRestarts")))

	postgres := alert("PostgresDown", "dependency", "postgres")
	exhausted := alert("PostgresPoolExhausted", "dependency", "postgres")
	add("postgres-freeze-*", must(append(symptoms(), exhausted), postgres, alert("CheckoutFails")))
	add("postgres-kill", must(append(symptoms(), exhausted, postgres), alert("CheckoutFails")))
	add("postgres-restart", harmless("calls are repeated until PostgreSQL, which is back in a second, answers", append(symptoms(), postgres)...))
	add("disk-full", must(append(symptoms(), postgres), alert("CheckoutFails")))
	add("database-read-only", must(append(symptoms(), postgres), alert("CheckoutFails")))
	add("database-serializable", harmless("transactions that conflict are repeated", symptoms()...))
	add("column-type-changed", harmless("statements are prepared anew", symptoms()...))
	add("row-locked-30s", harmless("one product is not sold; calls that wait for it are given up", append(symptoms(), exhausted)...))
	add("import-under-load", harmless("an import takes short transactions"))
	for _, service := range topology.Databases() {
		add("pool-exhausted-"+service, must(symptoms(), alert("PostgresPoolExhausted", "dependency", "postgres", "job", service)))
		for _, way := range []string{service + "-postgres", "postgres-" + service} {
			add("partition-"+way, must(append(symptoms(), exhausted), alert("PostgresDown", "dependency", "postgres", "job", service)))
		}
	}

	replica := alert("PostgresReplicaDown", "dependency", "postgres")
	add("replica-kill", harmless("the primary answers while the replica is away", replica))
	add("replica-freeze-*", must(nil, replica))
	add("replica-pause", must(nil, replica))
	for _, part := range topology.Parts {
		if part.Replica {
			gone := must(nil, alert("PostgresReplicaDown", "dependency", "postgres", "job", part.Name))
			add("partition-"+part.Name+"-"+topology.Replica, gone)
			add("partition-"+topology.Replica+"-"+part.Name, gone)
		}
	}

	lost := append(symptoms(), postgres, exhausted, replica)
	add("primary-*", harmless("calls are repeated until another server has the primary's place, within 25 s", lost...))
	add("standby-kill", harmless("commits wait for a standby, for seconds", lost...))
	add("switchover", harmless("calls are repeated for a second", lost...))
	add("etcd-kill", harmless("two of three agree", lost...))

	redis := alert("RedisDown", "dependency", "redis", "job", "catalog")
	add("redis-flush", harmless("the cache is filled anew"))
	add("redis-kill", harmless("the catalog asks PostgreSQL while the cache is away", redis))
	add("redis-freeze-*", must(nil, redis))
	add("redis-failover-*", harmless("the catalog asks PostgreSQL until another server has the place of the one that stands still", redis))
	add("redis-reshard", harmless("the catalog is told where keys are now", redis))
	add("partition-catalog-redis", must(nil, redis))
	add("partition-redis-catalog", must(nil, redis))

	following := alert("CacheNotFollowing", "dependency", "broker")
	brokerDown := alert("BrokerDown", "dependency", "broker")
	add("nats-kill", harmless("events are published once the broker is back, in a second", alert("EventsAreLate"), brokerDown))
	add("nats-lost", harmless("the logs are published anew", alert("EventsAreLate"), alert("ConsumerIsBehind"), brokerDown))
	add("nats-freeze-*", must([]Alert{following, alert("EventsAreLate")}, brokerDown))
	add("nats-disk-full", must([]Alert{following, alert("EventsAreLate")}, brokerDown))
	for _, service := range []string{"catalog", "order", "payment"} {
		for _, way := range []string{service + "-nats", "nats-" + service} {
			add("partition-"+way, must([]Alert{alert("EventsAreLate")}, alert("BrokerDown", "dependency", "broker", "job", service)))
		}
	}
	add("partition-gateway-nats", must(nil, following))
	add("partition-nats-gateway", must(nil, following))
	for _, reader := range []string{"insight", "notification"} {
		add("partition-"+reader+"-*", harmless("consumers go on where they were", alert("ConsumerIsBehind"), alert("MailIsLate")))
		add("partition-*-"+reader, harmless("consumers go on where they were", alert("ConsumerIsBehind"), alert("MailIsLate")))
	}

	providerDown := alert("ProviderDown", "dependency", "provider")
	// Orders are taken, and wait: nothing is known of their payment until the provider is back.
	for _, away := range []string{"provider-down-5m", "provider-slow-30s", "partition-payment-stripesim", "partition-stripesim-payment"} {
		add(away, must(symptoms(), providerDown, alert("OrdersStuck")))
	}
	add("provider-429", must(symptoms(), alert("CheckoutFails")))
	add("provider-*", harmless("calls are repeated under their idempotency keys", symptoms()...))
	add(mailServer+"-*", must([]Alert{alert("MailIsLate")}, alert("MailServerDown", "dependency", "mail")))
	add(endpoint+"-*", harmless("deliveries are repeated for three days, and operators are told when one has waited for an hour", alert("WebhookBacklog")))
	add("webhook-*", harmless("payment asks the provider itself"))
	add("partition-stripesim-gateway", harmless("payment asks the provider itself"))
	add("partition-gateway-stripesim", harmless("payment asks the provider itself"))

	for _, way := range []string{"catalog-payment", "payment-catalog"} {
		add("partition-"+way, harmless("only changes of prices wait"))
	}
	for _, way := range []string{"gateway-payment", "payment-gateway"} {
		add("partition-"+way, harmless("webhooks of the provider wait, and payment asks it itself"))
	}
	for _, service := range []string{"cart", "catalog", "order"} {
		add("partition-gateway-"+service, must(symptoms(), alert("CheckoutFails")))
		add("partition-"+service+"-gateway", must(symptoms(), alert("CheckoutFails")))
	}
	for _, service := range []string{"cart", "catalog", "payment"} {
		add("partition-order-"+service, must(symptoms(), alert("CheckoutFails")))
		add("partition-"+service+"-order", must(symptoms(), alert("CheckoutFails")))
	}

	for _, part := range parts {
		expires := alert("PartCertificateExpires", "job", part)
		switch part {
		case "insight", "notification":
			add("certificate-expired-"+part, must(symptoms(), expires))
		default:
			add("certificate-expired-"+part, must(append(symptoms(), following), expires, alert("CheckoutFails")))
		}
	}

	add("latency-50ms", harmless("it is within the objectives"))
	add("latency-500ms", must(symptoms(), alert("BrowseIsSlow")))
	add("latency-5000ms", must(append(symptoms(), alert("ProcessDown"), postgres, exhausted, redis, brokerDown, providerDown, following), alert("CheckoutFails")))
	add("resets", harmless("calls are repeated on other connections", append(symptoms(), postgres, redis, brokerDown)...))
	add("truncated", harmless("calls are repeated on other connections", append(symptoms(), postgres, redis, brokerDown)...))
	add("clock-*", harmless("no decision about money or stock depends on one service's clock"))
	add("client-*", harmless("the customer does it"))
	return out
}

func labelText(labels map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, k+"="+labels[k])
	}
	return strings.Join(out, " ")
}
