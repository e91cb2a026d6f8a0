package k8s

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/internal/topology"
	"github.com/souk-shop/souk/tools/smoke"
)

// The tests' kubectl, helm and kind are this program by another name. They ask
// the test what to say, at the socket named after their context.
const (
	socketsVar = "SOUK_TEST_SOCKETS" // the folder of the sockets
	currentVar = "SOUK_TEST_CURRENT" // the context of those who are told none
)

// call is one run of a program; answer is what it does.
type (
	call struct {
		Program string
		Args    []string // without the flags that all have
		Context string
		Stdin   string
		PID     int
	}
	answer struct {
		Stdout, Stderr string
		Exit           int
		Stay           bool // until it is told to end
	}
)

func (c call) String() string { return c.Program + " " + strings.Join(c.Args, " ") }

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); name == "kubectl" || name == "helm" || name == "kind" {
		os.Exit(pretend(name, os.Args[1:]))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "k8s") // short: it holds sockets
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		for _, program := range []string{"kubectl", "helm", "kind"} {
			if err := os.Symlink(self, filepath.Join(dir, program)); err != nil {
				panic(err)
			}
		}
		for key, value := range map[string]string{"PATH": dir + ":" + os.Getenv("PATH"), socketsVar: dir} {
			if err := os.Setenv(key, value); err != nil {
				panic(err)
			}
		}
		return m.Run()
	}())
}

// pretend is what the tests' programs do.
func pretend(program string, args []string) (exit int) {
	c := call{Program: program, Context: os.Getenv(currentVar), PID: os.Getpid()}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--context", "--kube-context":
			i++
			c.Context = args[i]
		case "--namespace":
			i++
		default:
			c.Args = append(c.Args, args[i])
		}
	}
	if slices.Contains(args, "-") {
		stdin, err := io.ReadAll(os.Stdin)
		if err != nil {
			panic(err)
		}
		c.Stdin = string(stdin)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	conn, err := net.Dial("unix", filepath.Join(os.Getenv(socketsVar), c.Context))
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(c); err != nil {
		panic(err)
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		panic(err)
	}
	fmt.Fprint(os.Stdout, a.Stdout)
	fmt.Fprint(os.Stderr, a.Stderr)
	if a.Stay {
		<-stop
	}
	return a.Exit
}

// world answers the programs that a test runs.
type world struct {
	context string
	mu      sync.Mutex
	calls   []string
	each    chan call // every call, for tests that wait for one
}

// pretended lets a test say what its programs answer. What it answers nil to is
// an error of the test.
func pretended(t *testing.T, say func(call) *answer) *world {
	t.Helper()
	w := &world{context: fmt.Sprintf("c%x", time.Now().UnixNano()), each: make(chan call, 1000)}
	l, err := net.Listen("unix", filepath.Join(os.Getenv(socketsVar), w.context))
	if err != nil {
		t.Fatal(err)
	}
	var answering sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		answering.Wait()
	})
	answering.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var c call
			if err := json.NewDecoder(conn).Decode(&c); err != nil {
				t.Errorf("a program says %v", err)
			}
			w.mu.Lock()
			w.calls = append(w.calls, c.String())
			w.mu.Unlock()
			a := say(c)
			if a == nil {
				t.Errorf("nobody expects %s", c)
				a = &answer{Exit: 1, Stderr: "not expected"}
			}
			if err := json.NewEncoder(conn).Encode(a); err != nil {
				t.Errorf("%s goes without an answer: %v", c, err)
			}
			_ = conn.Close()
			w.each <- c
		}
	})
	return w
}

func (w *world) cluster() *cluster {
	return &cluster{context: w.context, namespace: "souk", release: "souk", stderr: io.Discard}
}

// ran reports whether a program was run with these first words.
func (w *world) ran(words string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.calls, func(c string) bool { return strings.HasPrefix(c, words) })
}

// Nobody's real shop is touched because kubectl happens to point at it.
func TestChoose(t *testing.T) {
	w := pretended(t, func(c call) *answer {
		switch c.String() {
		case "kubectl config current-context":
			return &answer{Stdout: c.Context + "\n"}
		case "kubectl version --request-timeout=10s":
			return &answer{}
		}
		return nil
	})
	t.Setenv(currentVar, w.context)
	c := &cluster{}
	if err := c.choose(t.Context()); err == nil || !strings.Contains(err.Error(), "--context "+w.context) {
		t.Errorf("a current context that is not local: %v", err)
	}
	if w.ran("kubectl version") {
		t.Error("it was asked for its version nevertheless")
	}
	if c.context = w.context; c.choose(t.Context()) != nil || !w.ran("kubectl version") {
		t.Error("a named context is refused, or not tried")
	}

	none := pretended(t, func(call) *answer { return &answer{Exit: 1, Stderr: "current-context is not set"} })
	t.Setenv(currentVar, none.context)
	if err := (&cluster{}).choose(t.Context()); !errors.Is(err, errNoContext) {
		t.Errorf("without a context: %v", err)
	}
	if err := none.cluster().choose(t.Context()); err == nil || !strings.Contains(err.Error(), "current-context is not set") {
		t.Errorf("a cluster that does not answer: %v", err)
	}
	for context, want := range map[string]bool{
		"kind-souk": true, "minikube": true, "k3d-x": true, "docker-desktop": true,
		"minikube-prod": false, "gke_kind-x": false, "arn:aws:eks:eu-west-1:1:cluster/kind-": false, "": false,
	} {
		if local(context) != want {
			t.Errorf("local(%q) is %v", context, !want)
		}
	}
}

func TestCommandNeedsAVerb(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"upp"}, {"down", "now"}, {"test", "--rate", "0"}, {"test", "--disruptions", "earthquake"}, {"test", "--disruptions", "upgrade"}} {
		if err := Command(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	var out bytes.Buffer
	if err := Command(t.Context(), []string{"test", "--list"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "delete-order-postgres") {
		t.Errorf("the list is %q, %v", out.String(), err)
	}
}

// An install that fails says what helm said and which pods there are.
func TestInstall(t *testing.T) {
	t.Parallel()
	var fails atomic.Bool
	w := pretended(t, func(c call) *answer {
		switch {
		case c.Program == "helm" && fails.Load():
			return &answer{Exit: 1, Stderr: "Error: context deadline exceeded"}
		case c.Program == "helm":
			return &answer{}
		case c.String() == "kubectl get pods":
			return &answer{Stdout: "souk-cart-1 0/1 ImagePullBackOff"}
		}
		return nil
	})
	if err := w.cluster().install(t.Context(), "/r", "v2", []string{"mine.yaml"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	want := "helm upgrade souk /r/helm/souk --install --create-namespace --wait --timeout 1m0s --values /r/helm/souk/values-dev.yaml --values mine.yaml --set image.tag=v2"
	if !w.ran(want) {
		t.Errorf("ran %q, want %q", w.calls, want)
	}
	fails.Store(true)
	err := w.cluster().install(t.Context(), "/r", "v2", nil, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "deadline exceeded") || !strings.Contains(err.Error(), "ImagePullBackOff") {
		t.Errorf("the failure is %v", err)
	}
}

func TestLoader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ load, context, where, name string }{
		{"", "kind-souk", "kind", "souk"},
		{"kind", "kind-mine", "kind", "mine"},
		{"", "minikube", "minikube", ""},
		{"", "docker-desktop", "docker", ""},
		{"containerd", "k3d-x", "containerd", ""},
		{"none", "prod", "none", ""},
	} {
		where, name, err := loader(c.load, c.context)
		if where != c.where || name != c.name || err != nil {
			t.Errorf("%q, %q: %q, %q, %v", c.load, c.context, where, name, err)
		}
	}
	if _, _, err := loader("", "prod"); err == nil {
		t.Error("how images get into prod is guessed")
	}
}

// A shop's orders are deleted only on request, and only this release's.
func TestDown(t *testing.T) {
	t.Parallel()
	for _, data := range []bool{false, true} {
		w := pretended(t, func(call) *answer { return &answer{} })
		if err := down(t.Context(), []string{"--context", w.context, fmt.Sprintf("--data=%v", data)}, io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
		if !w.ran("helm uninstall souk --ignore-not-found --wait") {
			t.Errorf("ran %q", w.calls)
		}
		deleted := w.ran("kubectl delete persistentvolumeclaims,secrets --selector app.kubernetes.io/name=souk,app.kubernetes.io/instance=souk")
		if deleted != data || !data && w.ran("kubectl delete") {
			t.Errorf("with --data=%v: %q", data, w.calls)
		}
	}
}

// shop pretends a cluster with a shop whose clients see what the test says.
func shop(t *testing.T, clients func() smoke.LoadReport, others func(call) *answer) *world {
	t.Helper()
	return pretended(t, func(c call) *answer {
		line := c.String()
		switch {
		case strings.HasPrefix(line, "kubectl get deployment souk-gateway"):
			return &answer{Stdout: "registry/souk/gateway:v1"}
		case strings.HasPrefix(line, "kubectl logs souk-clients"):
			r := clients()
			r.At = time.Now()
			b, err := json.Marshal(r)
			if err != nil {
				t.Error(err)
			}
			return &answer{Stdout: string(b) + "\n"}
		case strings.HasPrefix(line, "kubectl apply"):
			if !strings.Contains(c.Stdin, "image: registry/souk/smoke:v1\n") {
				t.Errorf("the clients are %s", c.Stdin)
			}
			return &answer{}
		case strings.HasPrefix(line, "kubectl wait pod/souk-clients"), strings.HasPrefix(line, "kubectl delete pod souk-clients"),
			strings.HasPrefix(line, "kubectl rollout status"):
			return &answer{}
		}
		return others(c)
	})
}

// What clients saw is counted to the disruption, and those who failed are told.
func TestDisrupt(t *testing.T) {
	t.Parallel()
	seen := smoke.LoadReport{Done: 10, Checkouts: 4}
	w := shop(t, func() smoke.LoadReport { return seen }, func(c call) *answer {
		switch line := c.String(); {
		case strings.HasPrefix(line, "kubectl get pods") && strings.Contains(line, "component=cart"):
			return &answer{Stdout: "pod/souk-cart-1\npod/souk-cart-2\n"}
		case line == "kubectl delete pod/souk-cart-1 --wait --timeout 2m":
			seen.Done, seen.Checkouts = seen.Done+5, seen.Checkouts+2
			return &answer{}
		case line == "kubectl delete pod/souk-cart-2 --wait --timeout 2m":
			seen.Failed, seen.SlowestMS, seen.Errors = 1, 1500, []string{"PUT /v1/cart/lines: 503"}
			return &answer{}
		}
		return nil
	})
	wanted, err := chooseDisruptions("delete-cart", "", "")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	tester := &tester{cluster: w.cluster(), rate: 1, stdout: &out}
	if err := tester.disrupt(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if len(tester.results) != 2 || tester.results[0].Disruption != "none" || tester.results[0].Clients != 0 {
		t.Fatalf("the results are %+v", tester.results)
	}
	r := tester.results[1]
	if r.Disruption != "delete-cart" || r.Clients != 6 || r.Checkouts != 2 || r.Failed != 1 || r.SlowestMS != 1500 || r.Error != "" {
		t.Errorf("the result is %+v", r)
	}
	if !strings.Contains(out.String(), "PUT /v1/cart/lines: 503") {
		t.Errorf("printed %s", out.String())
	}
	if last := w.calls[len(w.calls)-1]; !strings.HasPrefix(last, "kubectl delete pod souk-clients") {
		t.Errorf("the clients stay: the last call is %s", last)
	}
	if err := tester.verdict(); err == nil || !strings.Contains(err.Error(), "delete-cart: 1 of 6 clients failed") {
		t.Errorf("the verdict is %v", err)
	}
}

// A disruption that did not happen, or found no clients, proves nothing.
func TestDisruptNothing(t *testing.T) {
	t.Parallel()
	w := shop(t, func() smoke.LoadReport { return smoke.LoadReport{Done: 10} }, func(c call) *answer {
		if strings.HasPrefix(c.String(), "kubectl get pods") {
			return &answer{}
		}
		return nil
	})
	tester := &tester{cluster: w.cluster(), rate: 1, stdout: io.Discard}
	if err := tester.disrupt(t.Context(), []disruption{deletion("cart")}); err != nil {
		t.Fatal(err)
	}
	if err := tester.verdict(); err == nil || !strings.Contains(err.Error(), "cart has no pod") || !strings.Contains(err.Error(), "none: no clients arrived") {
		t.Errorf("the verdict is %v", err)
	}
}

// Clients who have gone silent are not taken for happy ones.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	old, err := json.Marshal(smoke.LoadReport{Done: 10, At: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{string(old), "", "panic: x"} {
		w := pretended(t, func(call) *answer { return &answer{Stdout: says} })
		v := &clients{tester: &tester{cluster: w.cluster()}, pod: "souk-clients"}
		if _, err := v.report(t.Context()); err == nil {
			t.Errorf("clients who say %q are believed", says)
		}
	}
}

// What leads to a shop is there for as long as it is used.
func TestReach(t *testing.T) {
	t.Parallel()
	server := &api{}
	w := pretended(t, func(c call) *answer {
		switch {
		case c.Args[0] == "proxy":
			return server.serve(t, c)
		case c.Args[0] == "get" && c.Args[1] == "statefulset" && c.Args[2] == "souk-order-postgres":
			return &answer{} // without TLS
		case c.Args[0] == "get" && c.Args[1] == "statefulset":
			return &answer{Stdout: c.Args[2] + "-tls"}
		case c.Args[0] == "get" && strings.HasSuffix(c.Args[2], "-postgres-tls"):
			return &answer{Stdout: "authorities of " + c.Args[2]}
		case c.Args[0] == "get" && strings.HasSuffix(c.Args[2], "-postgres"):
			if !strings.Contains(c.String(), `"reader-dsn"`) {
				t.Errorf("not the role that reads: %s", c)
			}
			return &answer{Stdout: "postgres://u:p@" + c.Args[2] + ":5432/" + c.Args[2]}
		case c.Args[0] == "get" && c.Args[2] == "souk-operator":
			return &answer{Stdout: "op_1"}
		}
		return nil
	})
	dir := t.TempDir()
	ca := filepath.Join(dir, "cart-ca.pem")
	err := w.cluster().reach(t.Context(), dir, func(at string, s *state.State) error {
		talk(t, s.URL).hears(t, "souk-gateway:8080")
		talk(t, s.StripesimURL).hears(t, "souk-stripesim:8080")
		for _, service := range topology.Databases() {
			dsn, err := url.Parse(s.Postgres[service])
			if err != nil {
				t.Fatal(err)
			}
			talk(t, dsn.Host).hears(t, "souk-"+service+"-postgres:8080")
			want := "postgres://u:p@" + dsn.Host + "/souk-" + service + "-postgres?sslmode=verify-ca&sslrootcert=" + url.QueryEscape(filepath.Join(dir, service+"-ca.pem"))
			if service == "order" {
				want = "postgres://u:p@" + dsn.Host + "/souk-order-postgres?sslmode=disable"
			}
			if dsn.String() != want {
				t.Errorf("%s; want %s", dsn, want)
			}
		}
		if at != dir || s.OperatorToken != "op_1" || len(s.Postgres) != len(topology.Databases()) || s.ProviderJournal() != s.StripesimURL+"/_sim/journal" {
			t.Errorf("the state is %+v", s)
		}
		if text, err := os.ReadFile(ca); err != nil || string(text) != "authorities of souk-cart-postgres-tls" {
			t.Errorf("the cart's database is believed by %q, %v", text, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ca); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", ca, err)
	}
	if _, err := state.Read(dir); !errors.Is(err, state.ErrNotRunning) {
		t.Errorf("the folder still says that a shop is there: %v", err)
	}
}

func TestReachNothing(t *testing.T) {
	t.Parallel()
	w := pretended(t, func(c call) *answer {
		return &answer{Exit: 1, Stderr: `error: context "c1" does not exist`}
	})
	err := w.cluster().reach(t.Context(), "", func(string, *state.State) error {
		t.Error("used")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("it says %v", err)
	}
}

// The folder of a shop that runs here is not taken for one on a cluster.
func TestConnectKeepsFolders(t *testing.T) {
	t.Parallel()
	w := pretended(t, func(c call) *answer { return &answer{} })
	dir := t.TempDir()
	if err := state.Write(dir, &state.State{URL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	err := connect(t.Context(), []string{"--context", w.context, "--data", dir}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("it says %v", err)
	}
	if s, err := state.Read(dir); err != nil || s.URL != "http://127.0.0.1:1" {
		t.Errorf("the folder says %+v, %v", s, err)
	}
}
