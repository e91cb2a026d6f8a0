package helm_test

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// env are the variables of a pod's first container: values, and secrets as name/key.
func env(p pod) map[string]string {
	all := map[string]string{}
	for _, e := range p.spec.Containers[0].Env {
		all[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			all[e.Name] = e.ValueFrom.SecretKeyRef.Name + "/" + e.ValueFrom.SecretKeyRef.Key
		}
	}
	return all
}

// The bundled stores speak TLS and nothing else, and the superuser of a database comes by
// the socket of its pod alone. Where TLS is off, because a mesh does it, they speak plain text.
func TestStoresSpeakTLSAlone(t *testing.T) {
	t.Parallel()
	for variant, off := range map[string]bool{"default": false, "backup": false, "bare": true} {
		o := decoded(t, variant, install)
		for _, s := range o.StatefulSets {
			c := s.Spec.Template.Spec.Containers[0]
			if on := slices.Contains(c.Args, "--ssl=on"); on == off || !slices.Contains(c.Args, "--hba_file=/conf/pg_hba.conf") {
				t.Errorf("%s: %s runs with %v", variant, s.Name, c.Args)
			}
		}
		files := 0
		for _, m := range o.ConfigMaps {
			service, isDatabase := strings.CutSuffix(strings.TrimPrefix(m.Name, "souk-"), "-postgres")
			if !isDatabase {
				continue
			}
			files++
			entry := "hostssl"
			if off {
				entry = "host"
			}
			var lines []string
			for line := range strings.Lines(m.Data["pg_hba.conf"]) {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					lines = append(lines, line)
				}
			}
			want := []string{"local all all peer map=pod", fmt.Sprintf(`%s "%s" "%[2]s","%[2]s_runtime","%[2]s_reader" all scram-sha-256`, entry, service)} //nolint:dupword // all databases, all roles
			if !slices.Equal(lines, want) {
				t.Errorf("%s: %s lets in %q, want %q", variant, m.Name, lines, want)
			}
		}
		if services := len(topology(t, "service")); files != services || len(o.StatefulSets) != services {
			t.Errorf("%s: %d databases, %d of them with files", variant, len(o.StatefulSets), files)
		}
		for _, d := range o.Deployments {
			if d.Name != "souk-redis" {
				continue
			}
			args := strings.Join(d.Spec.Template.Spec.Containers[0].Args, " ")
			if tls := strings.Contains(args, "--port 0 --tls-port 6379"); tls == off || !strings.Contains(args, "--aclfile /acl/users.acl") {
				t.Errorf("%s: redis runs with %s", variant, args)
			}
		}
	}
}

// readsReplicas says whether a service reads from a standby where there is one.
func readsReplicas(t *testing.T, service string) bool {
	t.Helper()
	for _, p := range topology(t, "service") {
		if p.Name == service {
			return p.Replica
		}
	}
	return false
}

// Each pod has the connection string of the role that it needs, and no other: the service
// serves, its migration owns, a backup reads, a restore owns. All check whom they talk to.
func TestDatabaseRoles(t *testing.T) {
	t.Parallel()
	for variant, c := range map[string]struct{ runtime, owner, reader string }{
		"restore": {"souk-%s-postgres/dsn", "souk-%s-postgres/owner-dsn", "souk-%s-postgres/reader-dsn"},
		"ha":      {"souk-%s-postgres-runtime/dsn", "souk-%s-postgres-app/uri", ""},
		"prod":    {"souk-%s-db/dsn", "souk-%s-db/owner-dsn", ""},
		// A dump has the audit log in it, which the role that serves may not read.
		"postgres: {kind: external, external: {secret: '%s-db'}}\nbackup: {enabled: true, restore: 20260102-030405}":                        {"%s-db/dsn", "%s-db/owner-dsn", "%s-db/owner-dsn"},
		"postgres: {kind: external, external: {secret: '%s-db', readerKey: reader-dsn}}\nbackup: {enabled: true, restore: 20260102-030405}": {"%s-db/dsn", "%s-db/owner-dsn", "%s-db/reader-dsn"},
	} {
		for _, p := range decoded(t, variant, upgrade).pods() {
			name, has := component(p.meta.Labels), env(p)
			service, migrates := strings.CutSuffix(name, "-migrate")
			want := map[string]string{}
			of := func(variable, secret, service string) { want[variable] = fmt.Sprintf(secret, service) }
			prefix := "SOUK_" + strings.ToUpper(service) + "_POSTGRES_"
			switch {
			case migrates && strings.Contains(c.owner, "-db/"): // the user of the one grants to that of the other
				of(prefix+"DSN", c.runtime, service)
				of(prefix+"OWNER_DSN", c.owner, service)
			case migrates:
				want[prefix+"RUNTIME_ROLE"] = service + "_runtime"
				want[prefix+"READER_ROLE"] = service + "_reader"
				of(prefix+"OWNER_DSN", c.owner, service)
			case isService(t, name):
				of(prefix+"DSN", c.runtime, service)
				want[prefix+"REFUSE_OWNER"] = "true"
				if variant == "ha" && readsReplicas(t, service) {
					of(prefix+"REPLICA_DSN", "souk-%s-postgres-runtime/replica-dsn", service)
				}
			case name == "backup" || name == "restore":
				for _, s := range topology(t, "service") {
					of(strings.ToUpper(s.Name)+"_DSN", map[string]string{"backup": c.reader, "restore": c.owner}[name], s.Name)
				}
			default:
				want = map[string]string{}
			}
			got := map[string]string{}
			for variable, value := range has {
				if strings.Contains(variable, "_POSTGRES_") || strings.HasSuffix(variable, "_DSN") {
					got[variable] = value
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %s has %v, want %v", variant, p.name, got, want)
			}
			if mode := has["PGSSLMODE"]; len(want) > 0 != (mode == "verify-full") {
				t.Errorf("%s: %s believes databases by %q", variant, p.name, mode)
			}
		}
	}
}

// The passwords are different ones, each in its connection string, and an upgrade keeps
// them all.
func TestPasswordsAreKept(t *testing.T) {
	t.Parallel()
	first := secretsByName(decoded(t, "default", install))
	seen := map[string]string{}
	var there []runtime.Object
	for _, s := range first {
		there = append(there, &s)
		for key, value := range s.StringData {
			if strings.HasSuffix(key, "password") {
				if len(value) < 32 || seen[value] != "" {
					t.Errorf("%s of %s is short, or that of %s", key, s.Name, seen[value])
				}
				seen[value] = s.Name + "/" + key
			}
		}
	}
	for _, p := range topology(t, "service") {
		secret := first["souk-"+p.Name+"-postgres"].StringData
		for key, role := range map[string]string{"dsn": "runtime", "owner-dsn": "owner", "reader-dsn": "reader"} {
			dsn, err := url.Parse(secret[key])
			if err != nil {
				t.Fatal(err)
			}
			user := strings.TrimSuffix(p.Name+"_"+role, "_owner")
			if password, _ := dsn.User.Password(); password != secret[role+"-password"] || dsn.User.Username() != user ||
				dsn.Host != "souk-"+p.Name+"-postgres:5432" || dsn.Path != "/"+p.Name {
				t.Errorf("%s: %s is %s", p.Name, key, dsn.Redacted())
			}
		}
	}
	for name, s := range secretsByName(upgraded(t, "default", there...)) {
		if was := first[name].StringData; was != nil && fmt.Sprint(was) != fmt.Sprint(s.StringData) {
			t.Errorf("%s has changed", name)
		}
	}
}

// Redis lets in a user for each part that uses it, with what the part needs, and no
// default user. The file has hashes.
func TestRedisUsers(t *testing.T) {
	t.Parallel()
	secret := secretsByName(decoded(t, "default", install))["souk-redis"].StringData
	var users []string
	for line := range strings.Lines(secret["users.acl"]) {
		if line = strings.TrimSpace(line); line != "" {
			users = append(users, line)
		}
	}
	want := []string{"user default off"}
	for _, p := range topology(t) {
		if !p.Redis {
			continue
		}
		password := secret[p.Name+"-password"]
		want = append(want, fmt.Sprintf("user %s on #%x resetkeys resetchannels ~souk:%[1]s:* -@all +get +mget +set +setnx +ping +select", p.Name, sha256.Sum256([]byte(password))))
		if at := secret[p.Name+"-url"]; at != "rediss://"+p.Name+":"+password+"@souk-redis:6379" {
			t.Errorf("%s finds redis at %s", p.Name, at)
		}
	}
	if !slices.Equal(users, want) {
		t.Errorf("the users are %q, want %q", users, want)
	}
	if at := secretsByName(decoded(t, "tls: {kind: 'off'}", install))["souk-redis"].StringData["catalog-url"]; !strings.HasPrefix(at, "redis://catalog:") {
		t.Errorf("without TLS redis is at %s", at)
	}
}

// An upgrade whose databases are not yet as this chart has them, from the chart before the
// roles or to TLS from none, migrates after they have changed, by jobs of its own names.
func TestUpgradeOfDatabases(t *testing.T) {
	t.Parallel()
	databases := func(variant string) (all []metav1.Object) {
		o := decoded(t, variant, install)
		for _, s := range o.StatefulSets {
			if strings.HasSuffix(s.Name, "-postgres") {
				all = append(all, s.DeepCopy())
			}
		}
		for _, c := range o.Others {
			if c.Kind == "Cluster" {
				u := &unstructured.Unstructured{}
				u.SetGroupVersionKind(c.GroupVersionKind())
				u.SetName(c.Name)
				all = append(all, u)
			}
		}
		return all
	}
	for _, c := range []struct {
		variant, has string
		hook         bool
	}{
		{"default", "", false},
		{"default", "roles-plain", false},
		{"default", "roles-tls", true},
		{"bare", "roles-plain", true},
		{"bare", "roles-tls", false},
		{"ha", "", false}, // CloudNativePG makes the roles after the Cluster has changed
		{"ha", "roles", true},
	} {
		var there []runtime.Object
		for _, d := range databases(c.variant) {
			d.SetAnnotations(map[string]string{"souk.shop/databases": c.has})
			there = append(there, d.(runtime.Object))
		}
		if len(there) != len(topology(t, "service")) {
			t.Errorf("%s: %d databases", c.variant, len(there))
		}
		found := 0
		for _, j := range upgraded(t, c.variant, there...).Jobs {
			if !strings.Contains(j.Name, "-migrate") {
				continue
			}
			found++
			hook := j.Annotations["helm.sh/hook"] == "pre-upgrade"
			if hook != c.hook || strings.HasSuffix(j.Name, "-migrate-r2") == c.hook {
				t.Errorf("%s on %q: %s is a hook: %v", c.variant, c.has, j.Name, hook)
			}
		}
		if found != len(topology(t, "service")) {
			t.Errorf("%s on %q: %d migrations", c.variant, c.has, found)
		}
	}
}

// Each service that tells what happens, or is told, finds the broker; no other does.
func TestExternalBroker(t *testing.T) {
	t.Parallel()
	const values = `events: {kind: external, external: {secret: "%s-events", key: address, caSecret: broker-ca, caKey: root.pem, replicas: 5}}`
	told := 0
	for _, p := range decoded(t, values, install).pods() {
		name, has := component(p.meta.Labels), env(p)
		prefix := "SOUK_" + strings.ToUpper(name) + "_EVENTS_"
		got := [3]string{has[prefix+"URL"], has[prefix+"REPLICAS"], has[prefix+"CA_FILE"]}
		want := [3]string{}
		if slices.ContainsFunc(topology(t, "service", "gateway"), func(p part) bool { return p.Name == name && p.Events }) {
			told++
			want = [3]string{name + "-events/address", "5", "/events/ca.crt"}
		}
		if got != want {
			t.Errorf("%s: %v, want %v", p.name, got, want)
		}
		mounted := slices.ContainsFunc(p.spec.Volumes, func(v corev1.Volume) bool {
			return v.Name == "events-ca" && v.Secret.SecretName == "broker-ca" && len(v.Secret.Items) == 1 && v.Secret.Items[0].Key == "root.pem"
		})
		if mounted != (want[0] != "") {
			t.Errorf("%s: has the broker's authorities %v", p.name, mounted)
		}
	}
	if told != 6 {
		t.Errorf("%d parts have the broker", told)
	}
	for _, p := range decoded(t, "default", install).pods() {
		for variable := range env(p) {
			if strings.Contains(variable, "_EVENTS_") {
				t.Errorf("%s without a broker has %s", p.name, variable)
			}
		}
	}
}

// Stores of one's own are believed by the authorities that the values name, of which the
// pods get nothing else of the secret.
func TestExternalStores(t *testing.T) {
	t.Parallel()
	const values = `
tls: {kind: "off"}
postgres: {kind: external, external: {secret: "%s-db", ownerKey: "", sslmode: verify-ca, caSecret: "%s-ca", caKey: root.pem}}
redis: {kind: external, external: {existingSecret: cache, caSecret: cache-ca}}
`
	for _, p := range decoded(t, values, install).pods() {
		name, has := component(p.meta.Labels), env(p)
		service := strings.TrimSuffix(name, "-migrate")
		if !isService(t, service) {
			continue
		}
		mounted := map[string]string{}
		for _, v := range p.spec.Volumes {
			if v.Secret != nil && len(v.Secret.Items) == 1 {
				mounted[v.Name] = v.Secret.SecretName + "/" + v.Secret.Items[0].Key + "/" + v.Secret.Items[0].Path
			}
		}
		if has["PGSSLMODE"] != "verify-ca" || has["PGSSLROOTCERT"] != "/postgres/"+service+"/ca.crt" || mounted[service+"-postgres-ca"] != service+"-ca/root.pem/ca.crt" {
			t.Errorf("%s: %v, %v", p.name, has, mounted)
		}
		prefix := "SOUK_" + strings.ToUpper(service) + "_POSTGRES_"
		if has[prefix+"OWNER_DSN"]+has[prefix+"REFUSE_OWNER"] != "" || has[prefix+"DSN"] != service+"-db/dsn" {
			t.Errorf("%s has one role for all: %v", p.name, has)
		}
		if redis := name == "catalog"; (has["SOUK_CATALOG_REDIS_CA"] == "/redis/ca.crt") != redis || (mounted["redis-ca"] == "cache-ca/ca.crt/ca.crt") != redis {
			t.Errorf("%s: %v, %v", p.name, has, mounted)
		}
	}
	for _, p := range decoded(t, "prod", install).pods() {
		if slices.ContainsFunc(p.spec.Volumes, func(v corev1.Volume) bool { return strings.HasSuffix(v.Name, "-postgres-ca") }) || env(p)["PGSSLROOTCERT"] != "" {
			t.Errorf("%s believes others than the system's authorities", p.name)
		}
	}
}

// TestFailover: with three instances a commit waits for a second one, and no instance that may lack
// it becomes the primary. With fewer there would be no write after the loss of one.
func TestFailover(t *testing.T) {
	t.Parallel()
	const synchronous = "    synchronous:\n      method: any\n      number: 1\n      dataDurability: required\n      failoverQuorum: true\n"
	for values, want := range map[string]int{
		`postgres: {kind: cnpg, cnpg: {instances: 3}}`:                     3,
		`postgres: {kind: cnpg, cnpg: {instances: 5}}`:                     5,
		`postgres: {kind: cnpg, cnpg: {instances: 3, synchronous: false}}`: 0,
		`postgres: {kind: cnpg, cnpg: {instances: 2}}`:                     0,
		`postgres: {kind: cnpg}`:                                           0,
		"ha":                                                               3,
	} {
		text, err := render(t, values, install)
		if err != nil {
			t.Fatal(err)
		}
		clusters := 0
		for _, doc := range strings.Split(text, "\n---\n") {
			if !strings.Contains(doc, "kind: Cluster\n") {
				continue
			}
			clusters++
			if got := strings.Contains(doc, synchronous); got != (want > 0) || want > 0 && !strings.Contains(doc, fmt.Sprintf("  instances: %d\n", want)) {
				t.Errorf("%s: synchronous %t:\n%s", values, got, doc)
			}
		}
		if clusters < 5 {
			t.Errorf("%s: %d clusters", values, clusters)
		}
	}
}

// With backups in a store, the operator archives each service's log and makes backups, and restores all
// services to one time into clusters that archive elsewhere.
func TestPointInTime(t *testing.T) {
	t.Parallel()
	const backup = `backup: {url: "s3://bucket/souk", endpoint: "https://minio.example:9000", existingSecret: store`
	kinds := func(values string) (stores, clusters, schedules []string) {
		t.Helper()
		text, err := render(t, values, install)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(text, "\n---\n") {
			switch {
			case strings.Contains(doc, "kind: ObjectStore\n"):
				stores = append(stores, doc)
			case strings.Contains(doc, "kind: Cluster\n"):
				clusters = append(clusters, doc)
			case strings.Contains(doc, "kind: ScheduledBackup\n"):
				schedules = append(schedules, doc)
			}
		}
		return stores, clusters, schedules
	}
	service := func(doc string) string {
		_, name, _ := strings.Cut(doc, "  name: ")
		name, _, _ = strings.Cut(name, "\n")
		return name
	}
	stores, clusters, schedules := kinds(`postgres: {kind: cnpg, cnpg: {` + backup + `}}}`)
	if len(stores) != 1 || len(clusters) < 5 || len(schedules) != len(clusters) {
		t.Fatalf("%d stores, %d clusters, %d schedules", len(stores), len(clusters), len(schedules))
	}
	for _, want := range []string{"destinationPath: s3://bucket/souk\n", "endpointURL: https://minio.example:9000\n", "accessKeyId: {name: store, key: access-key-id}", "retentionPolicy: 30d\n"} {
		if !strings.Contains(stores[0], want) {
			t.Errorf("the store has no %q:\n%s", want, stores[0])
		}
	}
	for i, doc := range clusters {
		name := service(doc)
		for _, want := range []string{"isWALArchiver: true\n", "{barmanObjectName: souk-postgres, serverName: " + name + "-1}", "archive_timeout: 60s", "    initdb:\n"} {
			if !strings.Contains(doc, want) {
				t.Errorf("%s has no %q:\n%s", name, want, doc)
			}
		}
		if !strings.Contains(schedules[i], "cluster: {name: "+name+"}") || !strings.Contains(schedules[i], "method: plugin\n") {
			t.Errorf("%s is not backed up:\n%s", name, schedules[i])
		}
	}

	for to, target := range map[string]string{"2026-11-30T11:30:00Z": `      recoveryTarget: {targetTime: "2026-11-30T11:30:00Z"}` + "\n", "latest": ""} {
		_, clusters, _ = kinds(`postgres: {kind: cnpg, cnpg: {` + backup + `, series: "2"}, restore: {to: "` + to + `", series: "1"}}}`)
		for _, doc := range clusters {
			name, owner := service(doc), strings.TrimSuffix(strings.TrimPrefix(service(doc), "souk-"), "-postgres")
			want := "    recovery:\n      source: before\n      database: " + owner + "\n      owner: " + owner + "\n" + target + "  storage:\n"
			if !strings.Contains(doc, want) || strings.Contains(doc, "initdb:") || !strings.Contains(doc, "serverName: "+name+"-2}") || !strings.Contains(doc, "serverName: "+name+"-1}") {
				t.Errorf("%s is not restored to %s:\n%s", name, to, doc)
			}
		}
	}

	if stores, clusters, schedules := kinds(`postgres: {kind: cnpg}`); len(stores)+len(schedules) > 0 || strings.Contains(strings.Join(clusters, ""), "barman") {
		t.Error("without a store there are backups")
	}
	for values, want := range map[string]string{
		`postgres: {kind: cnpg, cnpg: {backup: {url: "s3://bucket/souk"}}}`:                                        "backup.existingSecret",
		`postgres: {kind: cnpg, cnpg: {restore: {to: latest, series: "1"}}}`:                                       "backup.url",
		`postgres: {kind: cnpg, cnpg: {` + backup + `}, restore: {to: latest}}}`:                                   "restore.series",
		`postgres: {kind: cnpg, cnpg: {` + backup + `}, restore: {to: latest, series: "1"}}}`:                      "backup.series",
		`postgres: {kind: cnpg, cnpg: {` + backup + `}, restore: {to: "2026-11-30 11:30:00", series: "0"}}}`:       "to",
		`postgres: {kind: cnpg, cnpg: {backup: {url: "s3://bucket/souk", existingSecret: s, schedule: "@daily"}}}`: "schedule",
	} {
		if _, err := render(t, values, install); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one that names %s", values, err, want)
		}
	}
}

// Services that read from replicas have the connection string of one, where there is one, and
// no other part does.
func TestReplicas(t *testing.T) {
	t.Parallel()
	reads := map[string]bool{}
	for _, p := range topology(t, "service") {
		reads[p.Name] = p.Replica
	}
	for values, want := range map[string]string{
		`postgres: {kind: external, external: {secret: "%s-db", replicaKey: standby}}`: "SERVICE-db/standby",
		`postgres: {kind: cnpg, cnpg: {instances: 2, readReplicas: true}}`:             "souk-SERVICE-postgres-runtime/replica-dsn",
		`postgres: {kind: cnpg, cnpg: {instances: 2}}`:                                 "",
		`postgres: {kind: bundled}`:                                                    "",
	} {
		services := 0
		for _, p := range decoded(t, values, install).pods() {
			name := component(p.meta.Labels)
			expected := ""
			if reads[name] {
				services++
				expected = strings.ReplaceAll(want, "SERVICE", name)
			}
			if got := env(p)["SOUK_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_POSTGRES_REPLICA_DSN"]; got != expected {
				t.Errorf("%s: %s has the replica %q, want %q", values, p.name, got, expected)
			}
		}
		if services < 5 {
			t.Errorf("%s: %d services read from replicas", values, services)
		}
	}
}
