package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// defaults of a run.
const (
	defaultDuration = 15 * time.Second
	defaultOrders   = 500
	defaultHold     = 5 * time.Minute
	// maxScale leaves 3 s for a scrape: parts wait for a database that is away for 2 s.
	maxScale = 5
)

// Command is `souk chaos`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("chaos", `usage: souk chaos [flags] --fault NAMES
       souk chaos [flags] --all
       souk chaos --alerts [--time-scale N] --fault NAMES
       souk chaos --alerts --quiet 30m
       souk chaos --list

Starts a shop with a process for each service, runs a workload of shoppers,
injects a fault, heals it, waits until nothing is under way and checks the
invariants: each order, each penny, each unit and each cart line, by the answers
that the shoppers got, by SQL and by the payment provider's journal. Exits with 1
if an invariant was broken or a run does not count.

With --alerts a real Prometheus and Alertmanager watch the shop, with the rules and
routes of k8s/observability. A fault lasts until the alerts have fired that are
expected of it, and heals; exits with 1 if one did not fire in time, did not end, or
if another fired, which would name something that is not broken. Then the
invariants are not checked.

With --control the standbys of three PostgreSQL under Patroni confirm no commit. A
failover loses what was acknowledged then, and the run has to find it: exits with 1 if it
does not.

`, stderr)
	names := flags.String("fault", "", "the `NAMES` of faults, with commas between; * stands for anything: kill-*")
	all := flags.Bool("all", false, "every fault, one after the other")
	list := flags.Bool("list", false, "list the faults and the invariants")
	duration := flags.Duration("duration", defaultDuration, "how long a fault is repeated")
	orders := flags.Int("orders", defaultOrders, "how many orders must be accepted for a run to count")
	seed := flags.Uint64("seed", 0, "repeats the choices of an earlier run; 0 draws a new seed")
	asJSON := flags.Bool("json", false, "print a JSON object for each run, and nothing else")
	data := flags.String("data", "", "keep each run's data below this `folder`; else only that of a run with something amiss is kept")
	alerts := flags.Bool("alerts", false, "check what operators are told, instead of the invariants")
	scale := flags.Float64("time-scale", 1, "with --alerts: by how much all windows and waits of the rules and routes, and the time between scrapes, are shorter")
	hold := flags.Duration("hold", defaultHold, "with --alerts: for how long a fault lasts of which no alert is expected, divided by --time-scale")
	control := flags.Bool("control", false, "with a fault that loses a primary: replicate asynchronously; the run has to find what is lost")
	quiet := flags.Duration("quiet", 0, "with --alerts: no fault for so long, and no alert may fire")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || *orders < 1 || *duration <= 0 {
		flags.Usage()
		return errors.New("chaos takes flags only, at least one order and a duration above 0")
	}
	if *list {
		return printList(stdout)
	}
	if *quiet > 0 {
		if !*alerts || *names != "" || *all {
			return errors.New("--quiet goes with --alerts and without a fault")
		}
		*names, *hold, *scale = "none", *quiet, 1
	}
	if *scale < 1 || *scale > maxScale || *hold <= 0 {
		return errors.New("--time-scale is from 1 to 5, and --hold above 0")
	}
	faults, err := choose(*names, *all)
	if err != nil {
		return err
	}
	if *control && slices.ContainsFunc(faults, func(f Fault) bool { return f.Group != failover }) {
		return errors.New("--control is of faults that end the primary of three PostgreSQL: --fault primary-kill")
	}
	if *seed == 0 {
		*seed = 1 + rand.Uint64N(1<<32) // a number to repeat, not to guess
	}
	if *alerts {
		return runAlerts(ctx, faults, AlertOptions{Scale: *scale, Hold: *hold, Seed: *seed}, *data, newPrinter(stdout, *asJSON))
	}
	out := newPrinter(stdout, *asJSON)
	out.control = *control
	out.began(len(faults), *seed)
	for _, f := range faults {
		res, err := one(ctx, Options{Fault: f, Duration: *duration, Orders: *orders, Seed: *seed, Progress: out.status, Asynchronous: *control}, *data)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := out.result(res); err != nil {
			return err
		}
	}
	return out.end()
}

// one makes a run in a folder of its own, below data if that is given. Without,
// the folder is removed unless there is something to look for in it.
func one(ctx context.Context, opts Options, data string) (res *Result, err error) {
	if data == "" {
		if opts.Dir, err = os.MkdirTemp("", "souk-chaos-"); err != nil {
			return nil, err
		}
	} else {
		opts.Dir = filepath.Join(data, opts.Fault.Name)
		if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
			return nil, err
		}
	}
	res, err = Run(ctx, opts)
	if err != nil {
		if res == nil {
			res = &Result{Fault: opts.Fault.Name, Group: opts.Fault.Group, Seed: opts.Seed}
		}
		res.Void = err.Error()
	}
	if data != "" || !res.Kept() && !opts.Asynchronous && ctx.Err() == nil {
		res.Data = opts.Dir
		return res, nil
	}
	return res, os.RemoveAll(opts.Dir)
}

// runAlerts makes a run with a monitor for each fault.
func runAlerts(ctx context.Context, faults []Fault, opts AlertOptions, data string, out *printer) error {
	out.began(len(faults), opts.Seed)
	opts.Progress, opts.Notice = out.status, out.notice
	var all []*AlertResult
	for _, f := range faults {
		opts.Fault = f
		res, err := oneAlert(ctx, opts, data)
		if err != nil {
			return err
		}
		all = append(all, res)
		if err := out.alerts(res); err != nil {
			return err
		}
	}
	return out.alertsEnd(all)
}

// oneAlert is one with a monitor.
func oneAlert(ctx context.Context, opts AlertOptions, data string) (res *AlertResult, err error) {
	if data == "" {
		if opts.Dir, err = os.MkdirTemp("", "souk-chaos-"); err != nil {
			return nil, err
		}
	} else {
		opts.Dir = filepath.Join(data, opts.Fault.Name)
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, "shop"), 0o755); err != nil {
		return nil, err
	}
	// PostgreSQL's user, who is not root, enters it.
	if err := os.Chmod(opts.Dir, 0o755); err != nil {
		return nil, err
	}
	res, err = RunAlerts(ctx, opts)
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), os.RemoveAll(opts.Dir))
	}
	if err != nil {
		if res == nil {
			res = &AlertResult{Fault: opts.Fault.Name, Scale: opts.Scale}
		}
		res.Void = err.Error()
	}
	if data != "" || !res.Kept() {
		res.Data = opts.Dir
		return res, nil
	}
	return res, os.RemoveAll(opts.Dir)
}

// choose returns the faults of a comma-separated list of patterns, in the order
// of Faults.
func choose(names string, all bool) ([]Fault, error) {
	if all == (names != "") {
		return nil, errors.New("name faults with --fault, or all with --all; --list lists them")
	}
	if all {
		return slices.DeleteFunc(Faults(), func(f Fault) bool { return f.Name == "none" }), nil
	}
	return named(Faults(), names)
}

// named returns those of some faults that a comma-separated list of patterns names.
func named(faults []Fault, names string) ([]Fault, error) {
	patterns := strings.Split(names, ",")
	used := make([]bool, len(patterns))
	var out []Fault
	for _, f := range faults {
		for i, p := range patterns {
			ok, err := filepath.Match(strings.TrimSpace(p), f.Name)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", p, err)
			}
			if ok {
				used[i] = true
				out = append(out, f)
				break
			}
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return nil, fmt.Errorf("no fault %q; souk chaos --list lists them", patterns[i])
	}
	return out, nil
}

// encode writes a result as a line of JSON.
func encode(w io.Writer, res any) error { return json.NewEncoder(w).Encode(res) }
