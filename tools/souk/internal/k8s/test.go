package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/audit"
	"github.com/souk-shop/souk/tools/internal/load"
	"github.com/souk-shop/souk/tools/internal/state"
	"github.com/souk-shop/souk/tools/smoke"
	"github.com/souk-shop/souk/tools/souk/internal/images"
)

const testHelp = `usage: souk k8s test [flags]

Tests the shop that "souk k8s up" (or you, with helm) installed: helm test, the
end-to-end tests through the API server; then that a pod without a certificate and
without passwords gets nothing from any service, PostgreSQL, Redis or NATS, and not a word
in plain text; and then one disruption after the other while clients inside the cluster browse, fill carts and buy: no client may fail.
At the end the ledgers are audited.

`

func test(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c cluster
	f := c.flags("test", testHelp, stderr)
	chosen := f.String("disruptions", "", "the disruptions, comma separated; all but upgrade and drain when empty, \"none\" for none")
	rate := f.Float64("rate", 20, "clients a second")
	mix := f.String("mix", smoke.BuyersMix, "what they do, as `shares`")
	tag := f.String("tag", "", "the image tag that the disruption \"upgrade\" upgrades to")
	node := f.String("node", "", "the node that the disruption \"drain\" drains")
	suites := f.Bool("suites", true, "run helm test and the end-to-end tests")
	strangers := f.Bool("strangers", true, "try the parts and stores from a pod that has no certificate; false where a mesh does what the chart's tls.kind does")
	list := f.Bool("list", false, "list the disruptions")
	asJSON := f.Bool("json", false, "print the results as JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 || *rate <= 0 {
		f.Usage()
		return errors.New("test takes no arguments, and a rate above 0")
	}
	if *list {
		for _, d := range disruptions() {
			fmt.Fprintf(stdout, "%-26s %s\n", d.name, d.summary)
		}
		return nil
	}
	if _, err := load.ParseMix(*mix); err != nil {
		return err
	}
	wanted, err := chooseDisruptions(*chosen, *tag, *node)
	if err != nil {
		return err
	}
	if err := c.choose(ctx); err != nil {
		return err
	}
	t := &tester{cluster: &c, baseline: baseline, follow: followTimeout, rate: *rate, mix: *mix, tag: *tag, node: *node, stdout: stdout}
	if *asJSON {
		t.stdout = stderr
	}
	if *suites {
		if err := t.suites(ctx); err != nil {
			return err
		}
	}
	if *strangers {
		if err := t.strangers(ctx); err != nil {
			return err
		}
	}
	if len(wanted) > 0 {
		if err := t.disrupt(ctx, wanted); err != nil {
			return err
		}
	}
	err = t.audit(ctx)
	if *asJSON {
		if jsonErr := json.NewEncoder(stdout).Encode(t.results); jsonErr != nil {
			return jsonErr
		}
	}
	return errors.Join(err, t.verdict())
}

// verdict fails for disruptions that failed clients, and for those that none
// came to.
func (t *tester) verdict() (err error) {
	for _, r := range t.results {
		switch {
		case r.Error != "":
			err = errors.Join(err, fmt.Errorf("%s: %s", r.Disruption, r.Error))
		case r.Clients == 0:
			err = errors.Join(err, fmt.Errorf("%s: no clients arrived", r.Disruption))
		case r.Failed+r.Shed > 0:
			err = errors.Join(err, fmt.Errorf("%s: %d of %d clients failed, %d more were shed", r.Disruption, r.Failed, r.Clients, r.Shed))
		}
	}
	return err
}

// tester is one run of `souk k8s test`.
type tester struct {
	*cluster
	baseline  time.Duration
	follow    time.Duration // how long a server may take to present a new certificate
	rate      float64       // clients a second
	mix       string
	tag, node string
	stdout    io.Writer
	results   []result
}

// suites runs helm test, then the end-to-end tests of the repository through the API server.
func (t *tester) suites(ctx context.Context) error {
	fmt.Fprintln(t.stdout, "helm test")
	if _, err := t.helm(ctx, "test", t.release, "--timeout", "5m"); err != nil {
		logs, _ := t.kubectl(ctx, "logs", t.name("smoke"))
		return fmt.Errorf("%w\n%s", err, logs)
	}
	root, err := images.Repository(ctx)
	if err != nil {
		return err
	}
	return t.reach(ctx, "", func(dir string, _ *state.State) error {
		fmt.Fprintln(t.stdout, "go test ./tools/e2e")
		cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "./tools/e2e")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "SOUK_E2E_SHOP="+dir)
		cmd.Stdout, cmd.Stderr = t.stdout, t.stdout
		return cmd.Run()
	})
}

// audit compares the ledgers.
func (t *tester) audit(ctx context.Context) error {
	return t.reach(ctx, "", func(_ string, shop *state.State) error {
		return audit.Check(ctx, audit.Sources{Databases: shop.Postgres, ProviderJournal: shop.ProviderJournal()}, 2*time.Minute, t.stdout)
	})
}

// result is what clients saw of a disruption.
type result struct {
	Disruption string `json:"disruption"`
	// Clients came between its beginning and the time when all pods were ready
	// again and clients answered; Failed of them were refused or saw an error.
	Clients   int64 `json:"clients"`
	Checkouts int64 `json:"checkouts"`
	Failed    int64 `json:"failed"`
	// Shed found so many before them that they did not even try.
	Shed int64 `json:"shed,omitempty"`
	// SlowestMS is the longest that one waited, in milliseconds.
	SlowestMS int64 `json:"slowest_ms"`
	// Seconds until all pods were ready again.
	Seconds float64 `json:"seconds"`
	// Failures are some of what the failed ones saw.
	Failures []string `json:"failures,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// baseline is how long clients come before, between and after disruptions, so that
// what a disruption did is seen under its own name.
const baseline = 8 * time.Second

// disrupt starts the clients and makes the disruptions, one after the other.
func (t *tester) disrupt(ctx context.Context, wanted []disruption) (err error) {
	clients, err := t.startClients(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clients.stop(context.WithoutCancel(ctx))) }()
	undisrupted := disruption{name: "none", summary: "nothing is disrupted", do: func(context.Context, *tester) error { return nil }}
	for _, d := range append([]disruption{undisrupted}, wanted...) {
		before, err := clients.report(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		r := result{Disruption: d.name}
		if err := d.do(ctx, t); err != nil {
			r.Error = err.Error()
		} else if err := t.ready(ctx); err != nil {
			r.Error = err.Error()
		}
		r.Seconds = time.Since(began).Seconds()
		if err := retry.Sleep(ctx, t.baseline); err != nil {
			return err
		}
		after, err := clients.report(ctx)
		if err != nil {
			return err
		}
		r.Clients, r.Failed = after.Done-before.Done+after.Failed-before.Failed, after.Failed-before.Failed
		r.Checkouts, r.Shed = after.Checkouts-before.Checkouts, after.Shed-before.Shed
		if r.SlowestMS, r.Failures, err = clients.worst(ctx, began); err != nil {
			return err
		}
		t.results = append(t.results, r)
		fmt.Fprintf(t.stdout, "%s: %d clients, %d failed, slowest %s, pods ready after %.1f s %s\n", r.Disruption,
			r.Clients, r.Failed, (time.Duration(r.SlowestMS) * time.Millisecond).Round(10*time.Millisecond), r.Seconds, r.Error)
		for _, failure := range r.Failures {
			fmt.Fprintf(t.stdout, "  %s\n", failure)
		}
	}
	fmt.Fprintln(t.stdout)
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "disruption\tclients\tcheckouts\tfailed\tslowest\tpods ready after")
	for _, r := range t.results {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f s\t%.1f s\n", r.Disruption, r.Clients, r.Checkouts, r.Failed, float64(r.SlowestMS)/1000, r.Seconds)
	}
	return w.Flush()
}

// ready waits until every deployment and every database is whole.
func (t *tester) ready(ctx context.Context) error {
	for _, kind := range []string{"deployment", "statefulset"} {
		if _, err := t.kubectl(ctx, "rollout", "status", kind, "--selector", t.selector(""), "--timeout", "5m"); err != nil {
			return err
		}
	}
	return nil
}

// chooseDisruptions returns the named disruptions, or those that need nothing.
func chooseDisruptions(names, tag, node string) ([]disruption, error) {
	var chosen []disruption
	if names == "none" {
		return nil, nil
	}
	if names == "" {
		for _, d := range disruptions() {
			if d.needs == "" || d.needs == "tag" && tag != "" || d.needs == "node" && node != "" {
				chosen = append(chosen, d)
			}
		}
		return chosen, nil
	}
	all := disruptions()
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(d disruption) bool { return d.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no disruption %q: see --list", name)
		}
		d := all[i]
		if d.needs == "tag" && tag == "" || d.needs == "node" && node == "" {
			return nil, fmt.Errorf("%s needs --%s", name, d.needs)
		}
		chosen = append(chosen, d)
	}
	return chosen, nil
}
