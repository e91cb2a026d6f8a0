package nats_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/brokertest"
	"github.com/souk-shop/souk/services/chassis/events/nats"
	"github.com/souk-shop/souk/services/chassis/events/natsserver"
	"github.com/souk-shop/souk/services/chassis/identity/identitytest"
	"github.com/souk-shop/souk/services/chassis/process"
	"github.com/souk-shop/souk/services/chassis/telemetry"
)

// nodeVariable makes the test's binary a server, a process that can be killed.
const nodeVariable = "SOUK_TEST_NATS_NODE"

func TestMain(m *testing.M) {
	if text := os.Getenv(nodeVariable); text != "" {
		os.Exit(serve(text))
	}
	os.Exit(m.Run())
}

// nodeConfig is a server's configuration on its way to its process.
type nodeConfig struct {
	natsserver.Config

	Password string // the one in Config does not show itself
}

func serve(text string) int {
	var cfg nodeConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cfg.Config.Password = config.Secret(cfg.Password)
	s, err := natsserver.Start(context.Background(), cfg.Config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready")
	fmt.Fprintln(os.Stderr, s.Wait(context.Background())) // a test that waits for a server says why it is gone
	return 1
}

// node is a server in a process of its own.
type node struct {
	cfg     nodeConfig
	process *process.Process
}

func (n *node) start(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(n.cfg)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), nodeVariable+"="+string(text)), os.Stderr
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = w
	n.process, err = process.Start(cmd, syscall.SIGKILL)
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.kill(t) })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the server of %s did not start", n.cfg.Address)
	}
}

func (n *node) kill(t *testing.T) {
	t.Helper()
	n.process.Kill()
}

// free is an address on which no process listens.
func free(t *testing.T) string {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// cluster starts n nodes with TLS and a password.
func cluster(t *testing.T, n int) ([]*node, brokertest.Harness) {
	t.Helper()
	authority := identitytest.Authority(t)
	files := identitytest.Files(t, identitytest.Issue(t, authority, "nats"), authority)
	var nodes []*node
	var addresses, routes []string
	for i := range n {
		addresses, routes = append(addresses, free(t)), append(routes, free(t))
		cfg := nodeConfig{Password: "correct horse"}
		cfg.Config = natsserver.Config{
			Dir: filepath.Join(t.TempDir(), "data"), Address: addresses[i], User: "souk", CertFile: files.TLSCert, KeyFile: files.TLSKey, Name: fmt.Sprintf("n%d", i),
		}
		nodes = append(nodes, &node{cfg: cfg})
	}
	started := make(chan struct{})
	for i, node := range nodes {
		if n > 1 {
			node.cfg.ClusterAddress, node.cfg.Routes = routes[i], routes
		}
		go func() { defer func() { started <- struct{}{} }(); node.start(t) }()
	}
	for range nodes {
		<-started
	}
	h := brokertest.Harness{Config: events.Config{
		URL: config.Secret("nats+tls://" + strings.Join(addresses, ",")), User: "souk", Password: "correct horse",
		CAFile: files.TLSCA, ServerName: "nats.souk", Replicas: n, Retention: time.Hour, MaxBytes: 64 << 20,
	}}
	h.Open = func(cfg events.Config, tel *telemetry.Telemetry) (events.Broker, error) { return nats.Open(cfg, tel) }
	connect := func(t *testing.T) *client.Conn {
		t.Helper()
		c, err := client.Connect("tls://"+addresses[0], client.UserInfo("souk", "correct horse"), client.RootCAs(files.TLSCA),
			func(o *client.Options) error { o.TLSConfig.ServerName = "nats.souk"; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	h.Consumers = func(t *testing.T, source string) int {
		t.Helper()
		c := connect(t)
		defer c.Close()
		js, err := jetstream.New(c)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(t.Context(), "souk-"+source)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Consumers
	}
	h.Foreign = func(t *testing.T, source string) {
		t.Helper()
		c := connect(t)
		defer c.Close()
		if err := c.Publish("souk."+source+".3.order.a", []byte("not an event")); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return nodes, h
}

func TestConformance(t *testing.T) {
	t.Parallel()
	nodes, h := cluster(t, 1)
	h.Kill, h.Restart = nodes[0].kill, nodes[0].start
	t.Run("promises", func(t *testing.T) { brokertest.Run(t, h) })
	t.Run("restarts", func(t *testing.T) { brokertest.RunRestarts(t, h) })
}

// TestPositions: a broker that restarts has no consumers of partitions, and a group goes on where
// it was.
func TestPositions(t *testing.T) {
	t.Parallel()
	nodes, h := cluster(t, 1)
	event := func(i int) events.Event {
		return events.Event{Source: "order", Subject: fmt.Sprintf("order.%d", i), Version: 1, Type: "souk.test.v1.Happened", Time: time.Now()}
	}
	// handled publishes events and returns what a group was given before it had the last.
	handled := func(from, to int) (ids []string) {
		b, err := h.Open(h.Config, telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for i := from; i < to; i++ {
			for b.Publish(ctx, event(i)) != nil && ctx.Err() == nil { // it is connecting
				runtime.Gosched()
			}
		}
		got, done := make(chan string), make(chan struct{})
		go func() {
			defer close(done)
			_ = b.Subscribe(ctx, events.Subscription{Group: "g", Sources: []string{"order"}}, func(_ context.Context, d events.Delivery) error {
				got <- d.ID()
				return nil
			})
		}()
		missing := map[string]bool{}
		for i := from; i < to; i++ {
			missing[event(i).ID()] = true
		}
		for len(missing) > 0 {
			select {
			case id := <-got:
				ids = append(ids, id)
				delete(missing, id)
			case <-ctx.Done():
				t.Fatalf("%d events did not come", len(missing))
			}
		}
		cancel()
		<-done
		return ids
	}
	handled(0, 40)
	nodes[0].kill(t)
	nodes[0].start(t)
	if ids := handled(40, 60); len(ids) != 20 {
		t.Errorf("%d events were delivered of 20 that were new: %q", len(ids), ids)
	}
}

// TestWhatEndsProcesses: an event that ends each process that handles it is a dead letter in the
// end, and none of its partition that they had in hand with it is.
func TestWhatEndsProcesses(t *testing.T) {
	t.Parallel()
	_, h := cluster(t, 1)
	const subjects, deliveries = 40, 3
	var all []string // of one partition
	for i := 0; len(all) < subjects; i++ {
		hash, subject := fnv.New32a(), fmt.Sprintf("order.%d", i)
		if _, _ = hash.Write([]byte(subject)); hash.Sum32()%nats.Partitions == 0 {
			all = append(all, subject)
		}
	}
	deadly := all[7]
	open := func() events.Broker {
		b, err := h.Open(h.Config, telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		nats.SetAckWait(b, 500*time.Millisecond)
		return b
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := open()
	defer func() { _ = b.Close(context.Background()) }()
	for _, subject := range all {
		e := events.Event{Source: "order", Subject: subject, Version: 1, Type: "souk.test.v1.Happened", Time: time.Now()}
		for b.Publish(ctx, e) != nil && ctx.Err() == nil { // it is connecting
			runtime.Gosched()
		}
	}
	handled := make(chan string, 10*subjects)
	var hands sync.WaitGroup
	gone := make(chan struct{})
	defer hands.Wait()
	defer close(gone)
	for process := range deliveries + 3 { // one with all in hand, and one that has what it ends by second
		begun := make(chan struct{}, subjects)
		dying, left := open(), make(chan struct{})
		hands.Go(func() {
			defer close(left)
			_ = dying.Subscribe(ctx, events.Subscription{Group: "g", Sources: []string{"order"}, MaxDeliveries: deliveries}, func(_ context.Context, d events.Delivery) error {
				if process == 0 || d.Subject == deadly {
					begun <- struct{}{}
					<-gone // for good: the process is gone
					return errors.New("gone")
				}
				handled <- d.ID()
				return nil
			})
		})
		enough := 1
		if process == 0 {
			enough = subjects
		}
		for n := 0; n < enough; n++ {
			select {
			case <-begun:
			case <-time.Tick(5 * time.Second):
				n = enough // none of them is left
			case <-ctx.Done():
				t.Fatal("nothing is begun")
			}
		}
		end, stop := context.WithCancel(ctx)
		stop()
		_ = dying.Close(end)
	}
	var dead []string
	if err := b.DeadLetters(ctx, "g", func(l events.DeadLetter) bool { dead = append(dead, l.ID()+" "+l.Reason); return true }); err != nil {
		t.Fatal(err)
	}
	if len(dead) != 1 || !strings.HasPrefix(dead[0], deadly+":1 each of 3 deliveries ended its process") {
		t.Errorf("dead letters: %q", dead)
	}
	ids := map[string]bool{}
	for len(handled) > 0 {
		ids[<-handled] = true
	}
	if len(ids) != subjects-1 {
		t.Errorf("%d of the others were handled", len(ids))
	}
}

// TestFrozen: a broker that answers nothing is noticed.
func TestFrozen(t *testing.T) {
	t.Parallel()
	nodes, h := cluster(t, 1)
	brokertest.Frozen(t, h, func() { nodes[0].process.Signal(syscall.SIGSTOP) }, func() { nodes[0].process.Signal(syscall.SIGCONT) })
}

// TestThreeNodes: nothing acknowledged is lost while one node after the other is killed.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	nodes, h := cluster(t, 3)
	brokertest.Uninterrupted(t, h, func(goesOn func()) {
		for _, n := range nodes {
			n.kill(t)
			goesOn()
			n.start(t)
			goesOn()
		}
	})
}

// TestTwoOfThreeReturn: all nodes end at once and one does not come back. The log of a partition's
// consumer is in the memory of its nodes, and two that have lost it elect no leader without the third.
func TestTwoOfThreeReturn(t *testing.T) {
	t.Parallel()
	nodes, h := cluster(t, 3)
	b, err := h.Open(h.Config, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	nats.SetLeaderless(b, time.Second)
	defer func() { _ = b.Close(context.Background()) }()
	ctx, cancel := context.WithCancel(t.Context()) // a deadline would be that of each request
	defer cancel()
	defer time.AfterFunc(2*time.Minute, cancel).Stop()
	publish := func(subject string) {
		e := events.Event{Source: "order", Subject: subject, Version: 1, Type: "souk.test.v1.Happened", Time: time.Now()}
		for ctx.Err() == nil {
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			err := b.Publish(attempt, e)
			cancel()
			if err == nil { // else it is connecting, or elects
				return
			}
		}
	}
	got, done := make(chan string), make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Subscribe(ctx, events.Subscription{Group: "g", Sources: []string{"order"}}, func(ctx context.Context, d events.Delivery) error {
			select {
			case got <- d.Subject:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	defer func() { cancel(); <-done }()
	for _, when := range []string{"before", "after"} {
		missing := map[string]bool{}
		for i := range 5 * nats.Partitions {
			missing[fmt.Sprintf("order.%s%d", when, i)] = true
		}
		for subject := range missing {
			publish(subject)
		}
		for len(missing) > 0 {
			select {
			case subject := <-got:
				delete(missing, subject)
			case <-ctx.Done():
				t.Fatalf("%s: %d events did not come", when, len(missing))
			}
		}
		if when == "before" {
			for _, n := range nodes {
				n.kill(t)
			}
			started := make(chan struct{})
			for _, n := range nodes[:2] {
				go func() { defer func() { started <- struct{}{} }(); n.start(t) }()
			}
			<-started
			<-started
		}
	}
}

// TestNKey: a client shows that it has a key, and another one is refused.
func TestNKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var seeds, public [2]string
	for i := range seeds {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		seed, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		if public[i], err = pair.PublicKey(); err != nil {
			t.Fatal(err)
		}
		seeds[i] = filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(seeds[i], seed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := natsserver.Start(t.Context(), natsserver.Config{Dir: filepath.Join(dir, "data"), Address: "127.0.0.1:0", NKey: public[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	for i, file := range seeds {
		b, err := nats.Open(events.Config{URL: config.Secret("nats://" + s.Address()), NKeyFile: file}, telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close(context.Background()) })
		if err := b.Check(t.Context()); (err == nil) != (i == 0) {
			t.Errorf("key %d: %v", i, err)
		}
	}
	if _, err := nats.Open(events.Config{URL: "nats://127.0.0.1:1", NKeyFile: filepath.Join(dir, "none")}, telemetry.Discard()); err == nil {
		t.Error("a file that is not there is taken")
	}
}

// TestReader: a user who may follow one source gets its events and can do nothing else.
func TestReader(t *testing.T) {
	t.Parallel()
	s, err := natsserver.Start(t.Context(), natsserver.Config{
		Dir: filepath.Join(t.TempDir(), "data"), Address: "127.0.0.1:0", User: "souk", Password: "correct horse",
		Readers: []natsserver.Reader{{User: "gateway", Password: "battery", Sources: []string{"catalog"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	open := func(user, password string) events.Broker {
		b, err := nats.Open(events.Config{URL: config.Secret("nats://" + s.Address()), User: user, Password: config.Secret(password)}, telemetry.Discard())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close(context.Background()) })
		return b
	}
	event := func(source string) events.Event {
		return events.Event{Source: source, Subject: source + ".a", Version: 1, Type: "souk.test.v1.Happened", Time: time.Now()}
	}
	owner, reader := open("souk", "correct horse"), open("gateway", "battery")
	ctx, cancel := context.WithCancel(t.Context())
	follow := func(source string) (ready chan struct{}, got chan string) {
		ready, got = make(chan struct{}), make(chan string, 10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = reader.Subscribe(ctx, events.Subscription{Sources: []string{source}, Ready: func() { close(ready) }}, func(_ context.Context, d events.Delivery) error {
				got <- d.ID()
				return nil
			})
		}()
		t.Cleanup(func() { cancel(); <-done })
		return ready, got
	}
	for _, source := range []string{"catalog", "order"} { // makes the streams
		if err := owner.Publish(ctx, event(source)); err != nil {
			t.Fatal(err)
		}
	}
	catalog, events := follow("catalog")
	order, _ := follow("order")
	<-catalog
	next := event("catalog")
	next.Version = 2
	if err := owner.Publish(ctx, next); err != nil {
		t.Fatal(err)
	}
	if id := <-events; id != next.ID() {
		t.Errorf("%s arrived", id)
	}
	limit, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	if err := reader.Publish(limit, event("catalog")); err == nil {
		t.Error("the reader published an event")
	}
	if err := reader.Reset(limit, "catalog"); err == nil {
		t.Error("the reader emptied a stream")
	}
	select {
	case <-order:
		t.Error("the reader follows another source")
	default:
	}
}

// TestBatches: many events are stored as one, with each once and in order, also where the server
// refuses the batch for one that it has, and where the stream takes none.
func TestBatches(t *testing.T) {
	t.Parallel()
	nodes, h := cluster(t, 1)
	broker, err := h.Open(h.Config, telemetry.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close(t.Context()) })
	c, err := client.Connect("tls://"+nodes[0].cfg.Address, client.UserInfo("souk", "correct horse"), client.RootCAs(h.Config.CAFile),
		func(o *client.Options) error { o.TLSConfig.ServerName = "nats.souk"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	js, err := jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "souk-plain", Subjects: []string{"souk.plain.>"}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		source  string
		batches int
	}{{"order", 1}, {"plain", 0}} {
		var all []events.Event
		for i := range int64(80) {
			all = append(all, events.Event{
				Source: test.source, Subject: fmt.Sprintf("order.%d", i%8), Version: 1 + i/8, Type: "souk.test.v1.Happened", Time: time.Now(),
			})
		}
		for _, publish := range [][]events.Event{all[:72], all[64:], all} { // as one; with some that are known; known altogether
			if err := broker.Publish(t.Context(), publish...); err != nil {
				t.Fatal(err)
			}
		}
		stream, err := js.Stream(t.Context(), "souk-"+test.source)
		if err != nil {
			t.Fatal(err)
		}
		if n := stream.CachedInfo().State.Msgs; n != uint64(len(all)) {
			t.Errorf("%s: %d messages of %d events", test.source, n, len(all))
		}
		ids, newest := map[string]bool{}, map[string]string{}
		for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
			msg, err := stream.GetMsg(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			if id := msg.Header.Get("Nats-Batch-Id"); id != "" {
				ids[id] = true
			}
			id := msg.Header.Get(jetstream.MsgIDHeader)
			subject, version, _ := strings.Cut(id, ":")
			if version = fmt.Sprintf("%3s", version); version <= newest[subject] {
				t.Errorf("%s: %s came after version %s", test.source, id, newest[subject])
			}
			newest[subject] = version
		}
		if len(ids) != test.batches {
			t.Errorf("%s: %d batches, not %d", test.source, len(ids), test.batches)
		}
	}
}
