package helm_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/nats"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// broker is what the chart makes of a bundled broker, in a folder as its pods have it.
type broker struct {
	folder string
	conf   string
	secret map[string]string
	files  map[string][]byte // of the certificate
}

// broker renders the chart. Folders and the ports of the pod are replaced: the test's
// processes share one machine.
func newBroker(t *testing.T, values string) *broker {
	t.Helper()
	secrets := secretsByName(decoded(t, values, install))
	b := &broker{folder: t.TempDir(), secret: secrets["souk-nats"].StringData, files: secrets["souk-nats-tls"].Data}
	b.conf = b.secret["nats.conf"]
	for name, data := range b.files {
		if err := os.WriteFile(filepath.Join(b.folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.replace(t, `"/tls/`, `"`+b.folder+`/`)
	b.replace(t, "port: 4222", "listen: 127.0.0.1:-1")
	b.replace(t, "http: 127.0.0.1:8222", "http: 127.0.0.1:-1")
	return b
}

func (b *broker) replace(t *testing.T, before, after string) {
	t.Helper()
	if !strings.Contains(b.conf, before) {
		t.Fatalf("the configuration has no %s:\n%s", before, b.conf)
	}
	b.conf = strings.ReplaceAll(b.conf, before, after)
}

// start starts a server as the chart's pod does, but for what edit changes of its configuration.
func (b *broker) start(t *testing.T, name string, edit func(*server.Options)) *server.Server {
	t.Helper()
	conf := strings.ReplaceAll(b.conf, `"/data"`, `"`+filepath.Join(b.folder, name)+`"`)
	path := filepath.Join(b.folder, name+".conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	if edit != nil {
		edit(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatalf("%s does not start", name)
	}
	if at := s.MonitorAddr(); at == nil || !at.IP.IsLoopback() {
		t.Fatalf("%s shows its monitoring pages, which know no password, at %v", name, at)
	}
	return s
}

// config is a part's, as its pod has it but for the addresses.
func (b *broker) config(t *testing.T, user string, servers ...*server.Server) events.Config {
	t.Helper()
	at := b.secret[user+"-url"]
	if !strings.HasPrefix(at, "nats+tls://"+user+":") || !strings.HasSuffix(at, "@souk-nats:4222") {
		t.Fatalf("%s finds the broker at %s", user, at)
	}
	var hosts []string
	for _, s := range servers {
		hosts = append(hosts, s.Addr().String())
	}
	return events.Config{
		URL: config.Secret(strings.Replace(at, "souk-nats:4222", strings.Join(hosts, ","), 1)), Replicas: len(servers),
		CAFile: filepath.Join(b.folder, "ca.crt"), ServerName: "souk-nats", Retention: time.Hour, MaxBytes: 64 << 20,
	}
}

func (b *broker) open(t *testing.T, user string, servers ...*server.Server) events.Broker {
	t.Helper()
	out, err := nats.Open(b.config(t, user, servers...), telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close(context.WithoutCancel(t.Context())) })
	return out
}

// connect is a client that is no driver.
func (b *broker) connect(t *testing.T, s *server.Server, options ...client.Option) (*client.Conn, error) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b.files["ca.crt"])
	conn, err := client.Connect("tls://"+s.Addr().String(), append([]client.Option{
		client.Secure(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: "souk-nats"}),
		client.ErrorHandler(func(*client.Conn, *client.Subscription, error) {}), // what is refused is asked for
	}, options...)...)
	if err == nil {
		t.Cleanup(conn.Close)
	}
	return conn, err
}

func (b *broker) user(t *testing.T, user string) client.Option {
	t.Helper()
	at, err := url.Parse(b.secret[user+"-url"])
	if err != nil {
		t.Fatal(err)
	}
	password, _ := at.User.Password()
	return client.UserInfo(at.User.Username(), password)
}

// told are the parts that have a user of the broker.
func told(t *testing.T) (names []string) {
	t.Helper()
	for _, p := range topology(t) {
		if p.Events {
			names = append(names, p.Name)
		}
	}
	return names
}

func fact(source string, version int64) events.Event {
	return events.Event{Source: source, Subject: source + ".a", Version: version, Type: "souk.test.v1.Happened", Time: time.Now()}
}

// publish has a relay publish: at its start the broker may not have a leader yet.
func publish(t *testing.T, to events.Broker, source string, version int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		// What is asked before there is a leader is never answered.
		attempt, end := context.WithTimeout(ctx, 2*time.Second)
		err = to.Publish(attempt, fact(source, version))
		if end(); err == nil {
			return
		}
	}
	t.Fatalf("%s publishes version %d: %v", source, version, err)
}

// subscribe takes events until the test ends.
func subscribe(t *testing.T, from events.Broker, s events.Subscription, handle events.Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	s.Ready = func() { close(ready) }
	go func() { done <- from.Subscribe(ctx, s, handle) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatalf("%s is never ready", s.Group)
	}
}

// Each part does with its own user what it does in a shop, by the driver: it tells, takes,
// buries and follows, and an operator replays and empties.
func TestEachPartCanUseTheBundledBroker(t *testing.T) {
	t.Setenv("POD_NAME", "souk-nats-0") // the configuration has it
	b := newBroker(t, "events: {kind: bundled, bundled: {size: 2Gi}}")
	s := b.start(t, "data", nil)
	if s.Name() != "souk-nats-0" {
		t.Errorf("the server is called %s", s.Name())
	}
	if js := s.JetStreamConfig(); js == nil || js.MaxStore != 2<<30 || !js.SyncAlways {
		t.Errorf("its streams: %+v", js)
	}
	type got struct {
		group, id string
		replayed  bool
	}
	arrived := make(chan got, 100)
	await := func(want ...got) {
		t.Helper()
		for len(want) > 0 {
			select {
			case g := <-arrived:
				i := slices.Index(want, g)
				if i < 0 {
					t.Errorf("%+v arrived, not one of %+v", g, want)
					continue
				}
				want = slices.Delete(want, i, i+1)
			case <-time.After(time.Minute):
				t.Fatalf("%+v did not arrive", want)
			}
		}
	}
	brokers := map[string]events.Broker{}
	var groups int
	for _, p := range topology(t) {
		if !p.Events {
			continue
		}
		brokers[p.Name] = b.open(t, p.Name, s)
		if err := brokers[p.Name].Check(t.Context()); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, g := range p.Takes {
			groups++
			// Before there is anything to take: it makes what is missing.
			subscribe(t, brokers[p.Name], events.Subscription{Group: g.Name, Sources: g.Sources}, func(_ context.Context, d events.Delivery) error {
				if d.Version == 2 && !d.Replayed {
					return events.Poison(errors.New("cannot be"))
				}
				arrived <- got{g.Name, d.ID(), d.Replayed}
				return nil
			})
		}
	}
	if groups < 3 {
		t.Fatalf("%d groups", groups)
	}
	takers := func(version int64, replayed bool) (all []got) {
		for _, p := range topology(t) {
			for _, g := range p.Takes {
				for _, source := range g.Sources {
					all = append(all, got{g.Name, fact(source, version).ID(), replayed})
				}
			}
		}
		return all
	}
	for _, p := range topology(t) {
		if p.Tells {
			publish(t, brokers[p.Name], p.Name, 1)
		}
	}
	await(takers(1, false)...)
	for _, p := range topology(t) {
		for _, source := range p.Follows {
			subscribe(t, brokers[p.Name], events.Subscription{Sources: []string{source}}, func(_ context.Context, d events.Delivery) error {
				arrived <- got{"", d.ID(), false}
				return nil
			})
		}
	}
	for _, p := range topology(t) {
		if p.Tells {
			publish(t, brokers[p.Name], p.Name, 2)
		}
	}
	await(got{"", "catalog.a:2", false}) // the others are buried
	ops := b.open(t, "ops", s)
	if err := ops.Check(t.Context()); err != nil {
		t.Errorf("ops: %v", err)
	}
	waiting, replayed := takers(2, true), 0
	for deadline := time.Now().Add(time.Minute); replayed < len(waiting) && time.Now().Before(deadline); {
		found, err := ops.DeadGroups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range found {
			n, err := ops.Replay(t.Context(), group, nil)
			if err != nil {
				t.Fatal(err)
			}
			replayed += n
		}
	}
	await(waiting...)
	if err := ops.Reset(t.Context(), "order"); err != nil {
		t.Errorf("ops empties a stream: %v", err)
	}
	publish(t, brokers["order"], "order", 3)
	await(slices.DeleteFunc(takers(3, false), func(g got) bool { return g.id != "order.a:3" })...)
}

// What a user may not do is refused: another part's events, other groups' messages, the streams
// themselves, and what is said to others.
func TestWhatTheBundledBrokerRefuses(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "events: {kind: bundled}")
	b.replace(t, "$POD_NAME", `"souk-nats-0"`)
	s := b.start(t, "data", nil)
	for why, options := range map[string][]client.Option{
		"nobody": nil, "wrong password": {client.UserInfo("order", "guess")}, "user of the routes": {client.UserInfo("routes", b.secret["routes-password"])},
	} {
		if _, err := b.connect(t, s, options...); err == nil {
			t.Errorf("%s comes in", why)
		}
	}
	if conn, err := client.Connect("nats://"+s.Addr().String(), b.user(t, "ops")); err == nil && !conn.TLSRequired() {
		t.Error("the server takes plain text")
		conn.Close()
	}
	parts := map[string]part{}
	for _, p := range topology(t) {
		parts[p.Name] = p
	}
	takes := func(user, name string) bool {
		return slices.ContainsFunc(parts[user].Takes, func(g group) bool { return g.Name == name })
	}
	publishing := map[string]func(user string) bool{
		"$SYS.REQ.SERVER.PING": nil, "souk.other.3.order.a": nil, "souk-dead.other.a": nil, "anything": nil, "_INBOX.order.a": nil,
		"$JS.API.INFO": func(string) bool { return true },
	}
	ops := func(user string) bool { return user == "ops" }
	for _, p := range parts {
		if !p.Tells {
			continue
		}
		publishing["souk."+p.Name+".3."+p.Name+".a"] = func(user string) bool { return user == p.Name }
		for _, request := range []string{"STREAM.DELETE", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.MSG.GET", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT"} {
			publishing["$JS.API."+request+".souk-"+p.Name] = ops
		}
		publishing["$JS.API.DIRECT.GET.souk-"+p.Name] = ops
		publishing["$JS.API.CONSUMER.CREATE.souk-"+p.Name+".mine"] = func(user string) bool {
			return user == "ops" || slices.Contains(parts[user].Follows, p.Name)
		}
		publishing["$JS.API.STREAM.CREATE.souk-"+p.Name] = func(user string) bool {
			return user == "ops" || user == p.Name || slices.ContainsFunc(parts[user].Takes, func(g group) bool { return slices.Contains(g.Sources, p.Name) })
		}
	}
	for _, p := range parts {
		for _, g := range p.Takes {
			next := g.Sources[0] + "." + g.Name + "_7"
			own := func(user string) bool { return takes(user, g.Name) }
			ownOrOps := func(user string) bool { return user == "ops" || own(user) }
			publishing["$JS.ACK.souk-"+next+".1.2.3.4.5"] = own
			publishing["$JS.API.CONSUMER.MSG.NEXT.souk-"+g.Sources[0]+"."+g.Name+"_7"] = func(user string) bool {
				return ownOrOps(user) || slices.Contains(parts[user].Follows, g.Sources[0])
			}
			publishing["souk-dead."+g.Name+".a"] = own
			publishing["souk-position."+g.Name+"."+g.Sources[0]+".7"] = own
			publishing["$JS.API.DIRECT.GET.souk-positions.souk-position."+g.Name+"."+g.Sources[0]+".7"] = ownOrOps
			publishing["$JS.API.CONSUMER.DELETE.souk-"+next] = func(user string) bool {
				return ownOrOps(user) || slices.Contains(parts[user].Follows, g.Sources[0])
			}
			publishing["$JS.API.CONSUMER.UNPIN.souk-"+next] = ownOrOps
			publishing["souk-replay."+g.Name+".a"] = ops
		}
	}
	users := append(told(t), "ops")
	subscribing := map[string]func(user string) bool{">": nil, "souk.>": nil, "$JS.>": nil, "_INBOX.>": nil}
	for _, user := range users {
		subscribing["_INBOX."+user+".>"] = func(other string) bool { return other == user }
	}
	refused := 0
	for _, user := range users {
		conn, err := b.connect(t, s, b.user(t, user))
		if err != nil {
			t.Fatal(err)
		}
		try := func(verb, subject string, may func(string) bool, do func() error) {
			if err := errors.Join(do(), conn.Flush()); err != nil {
				t.Fatalf("%s, %s: %v", user, subject, err)
			}
			last := fmt.Sprint(conn.LastError())
			was := strings.Contains(strings.ToLower(last), "permissions violation") && strings.Contains(last, `"`+subject+`"`)
			if want := may == nil || !may(user); was != want {
				t.Errorf("%s %s %s: refused %v, want %v (%s)", user, verb, subject, was, want, last)
			}
			if was {
				refused++
			}
		}
		for _, subject := range slices.Sorted(maps.Keys(publishing)) {
			try("publishes", subject, publishing[subject], func() error { return conn.Publish(subject, nil) })
		}
		for _, subject := range slices.Sorted(maps.Keys(subscribing)) {
			try("subscribes to", subject, subscribing[subject], func() error {
				_, err := conn.Subscribe(subject, func(*client.Msg) {})
				return err
			})
		}
	}
	if refused < 200 {
		t.Errorf("%d refused", refused)
	}
}

// Three nodes find each other by the names on their certificate, keep each stream three times,
// and go on with two. A node needs the password of the routes and a certificate.
func TestBundledBrokerOfThree(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "events: {kind: bundled, bundled: {replicas: 3}}")
	var names, addresses []string
	for i := range 3 {
		name := fmt.Sprintf("souk-nats-%d", i)
		names = append(names, name)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, l.Addr().String())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		b.replace(t, name+".souk-nats-nodes:6222", addresses[i])
	}
	leaf, err := tls.X509KeyPair(b.files["tls.crt"], b.files["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"souk-nats", "souk-nats.default.svc", "souk-nats-2.souk-nats-nodes"} {
		if err := leaf.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	whole := b.conf
	start := func(i int) *server.Server {
		// On 127.0.0.1 nobody has a name: the route asks for that of a pod.
		return (&broker{folder: b.folder, conf: strings.ReplaceAll(whole, "$POD_NAME", names[i])}).start(t, names[i], func(o *server.Options) {
			host, port, _ := strings.Cut(addresses[i], ":")
			o.Cluster.Host = host
			if _, err := fmt.Sscan(port, &o.Cluster.Port); err != nil {
				t.Error(err)
			}
			o.Cluster.TLSConfig.ServerName = "souk-nats-1.souk-nats-nodes"
		})
	}
	nodes := []*server.Server{start(0), start(1), start(2)}
	order, notification := b.open(t, "order", nodes...), b.open(t, "notification", nodes...)
	publish(t, order, "order", 1)
	arrived := make(chan string, 100)
	subscribe(t, notification, events.Subscription{Group: "mail", Sources: []string{"order"}}, func(_ context.Context, d events.Delivery) error {
		arrived <- d.ID()
		return nil
	})
	conn, err := b.connect(t, nodes[2], b.user(t, "ops"), client.CustomInboxPrefix("_INBOX.ops"))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "souk-order")
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.Config.Replicas != 3 || info.Cluster == nil || len(info.Cluster.Replicas) != 2 {
		t.Errorf("the stream is on %+v", info.Cluster)
	}
	nodes[0].Shutdown()
	publish(t, order, "order", 2)
	for _, want := range []string{"order.a:1", "order.a:2"} {
		select {
		case id := <-arrived:
			if id != want {
				t.Errorf("%s arrived, not %s", id, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s did not arrive", want)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b.files["ca.crt"])
	raw, err := net.Dial("tcp", addresses[1])
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	stranger := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: "souk-nats-1.souk-nats-nodes"})
	_ = stranger.SetDeadline(time.Now().Add(time.Minute))
	if _, err = stranger.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a node without a certificate: %v", err)
	}
	intruder := (&broker{folder: b.folder, conf: regexp.MustCompile(`routes:\w+@`).ReplaceAllString(strings.ReplaceAll(whole, "$POD_NAME", "intruder"), "routes:guess@")}).start(t, "intruder",
		func(o *server.Options) {
			o.Cluster.Host, o.Cluster.Port = "127.0.0.1", -1
			o.Cluster.TLSConfig.ServerName = "souk-nats-1.souk-nats-nodes"
		})
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until) && retry.Sleep(t.Context(), 10*time.Millisecond) == nil; {
		if intruder.NumRoutes() > 0 && nodes[1].NumRoutes() > 2*server.DEFAULT_ROUTE_POOL_SIZE {
			t.Fatal("a node that does not know the password is one of them")
		}
	}
}

// The pods of the broker, their disks and what they are told.
func TestBundledBroker(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]struct {
		replicas int32
		plain    bool
	}{
		"events: {kind: bundled, bundled: {size: 7Gi, storageClass: fast}}":                                        {1, false},
		"events: {kind: bundled, bundled: {size: 7Gi, storageClass: fast, replicas: 3}}\ntls: {kind: certManager}": {3, false},
		"events: {kind: bundled, bundled: {size: 7Gi, storageClass: fast}}\ntls: {kind: 'off'}":                    {1, true},
	} {
		o := decoded(t, values, install)
		i := slices.IndexFunc(o.StatefulSets, func(s appsv1.StatefulSet) bool { return s.Name == "souk-nats" })
		if i < 0 {
			t.Fatalf("%s: no broker", values)
		}
		s := o.StatefulSets[i]
		claim := s.Spec.VolumeClaimTemplates[0].Spec
		if *s.Spec.Replicas != want.replicas || claim.Resources.Requests.Storage().String() != "7Gi" || *claim.StorageClassName != "fast" || s.Spec.ServiceName != "souk-nats-nodes" {
			t.Errorf("%s: %+v", values, s.Spec)
		}
		c := s.Spec.Template.Spec.Containers[0]
		for probe, asks := range map[*corev1.Probe]string{c.StartupProbe: "/script/started.sh", c.ReadinessProbe: "http://127.0.0.1:8222/healthz?js-server-only=true", c.LivenessProbe: "http://127.0.0.1:8222/healthz?js-enabled-only=true"} {
			if probe == nil || probe.Exec == nil || !slices.Contains(probe.Exec.Command, asks) {
				t.Errorf("%s: probe %+v, want %s", values, probe, asks)
			}
		}
		if slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.ContainerPort == 8222 }) {
			t.Errorf("%s: the monitoring pages, which know no password, are reached from outside the pod", values)
		}
		if len(s.Spec.Template.Spec.TopologySpreadConstraints) != 2 {
			t.Errorf("%s: its pods are not spread", values)
		}
		if !slices.ContainsFunc(o.Budgets, func(b policyv1.PodDisruptionBudget) bool { return b.Name == "souk-nats" }) {
			t.Errorf("%s: a drain may take all its pods", values)
		}
		conf := secretsByName(o)["souk-nats"].StringData["nats.conf"]
		if strings.Contains(conf, "cluster {") != (want.replicas == 3) || strings.Contains(conf, "tls {") == want.plain || !strings.Contains(conf, "max_file_store: 7Gi\n") {
			t.Errorf("%s:\n%s", values, conf)
		}
		scheme := "nats+tls://order:"
		if want.plain {
			scheme = "nats://order:"
		}
		if at := secretsByName(o)["souk-nats"].StringData["order-url"]; !strings.HasPrefix(at, scheme) {
			t.Errorf("%s: the broker is at %s", values, at)
		}
	}
}

// Passwords of users are different ones, and an upgrade keeps them.
func TestPasswordsOfTheBundledBrokerAreKept(t *testing.T) {
	t.Parallel()
	const values = "events: {kind: bundled, bundled: {replicas: 3}}"
	first := secretsByName(decoded(t, values, install))["souk-nats"]
	seen := map[string]bool{}
	for key, value := range first.StringData {
		if strings.HasSuffix(key, "-password") {
			if len(value) < 32 || seen[value] {
				t.Errorf("%s is short, or another's", key)
			}
			seen[value] = true
		}
	}
	if len(seen) != len(told(t))+2 { // ops, routes
		t.Errorf("%d passwords", len(seen))
	}
	if is := secretsByName(upgraded(t, values, first.DeepCopy()))["souk-nats"].StringData; !maps.Equal(is, first.StringData) {
		t.Errorf("%v is %v after an upgrade", first.StringData, is)
	}
}

// The script passes a stop on, has a change of files read, and ends as the server does.
func TestServeNATS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf, out := filepath.Join(dir, "conf"), filepath.Join(dir, "out")
	fake := "#!/bin/sh\ntrap 'echo reload >>" + out + "' HUP\ntrap 'echo stop >>" + out + "; exit 7' TERM\necho \"start $*\" >>" + out + "\nwhile :; do sleep 0.05; done\n"
	if err := errors.Join(os.Mkdir(conf, 0o700), os.WriteFile(filepath.Join(dir, "nats-server"), []byte(fake), 0o700), os.WriteFile(filepath.Join(conf, "nats.conf"), []byte("a"), 0o600)); err != nil {
		t.Fatal(err)
	}
	// A shell cannot trap a signal that was ignored when it started, as SIGHUP is under nohup. One
	// that this process takes is not ignored in the processes that it starts.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) })
	cmd := exec.Command("sh", "souk/files/serve-nats.sh", "--config", "x")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "WATCH="+conf, "EVERY=0.05")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ended bool
	t.Cleanup(func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	await := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); retry.Sleep(t.Context(), 5*time.Millisecond) == nil; {
			got, _ := os.ReadFile(out)
			if bytes.Equal(got, []byte(want)) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	await("start --config x\n")
	if err := os.WriteFile(filepath.Join(conf, "nats.conf"), []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	await("start --config x\nreload\n")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	ended = true
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("it ended with %v, not as the server", err)
	}
	await("start --config x\nreload\nstop\n")
}

// A node that is not up to date with the others is not started; after a while it is when it is well.
func TestNATSStarted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		healthy  string // the end of the URLs that answer well
		patience string
		started  bool
	}{
		"up to date":               {healthy: "z|*z[?]js-server-only=true", patience: "1000000000", started: true},
		"behind":                   {healthy: "z[?]js-server-only=true", patience: "1000000000"},
		"behind for long":          {healthy: "z[?]js-server-only=true", patience: "0", started: true},
		"behind and ill, for long": {healthy: "none", patience: "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fake := "#!/bin/sh\ncase \"$4\" in\nhttp://127.0.0.1:8222/*" + test.healthy + ") exit 0 ;;\nesac\nexit 1\n"
			if err := os.WriteFile(filepath.Join(dir, "wget"), []byte(fake), 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "souk/files/nats-started.sh")
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "PATIENCE="+test.patience)
			out, err := cmd.CombinedOutput()
			if (err == nil) != test.started {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
