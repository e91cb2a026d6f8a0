package attack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/topology"
)

// Command is `souk attack`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("attack", `usage: souk attack [flags]

Attacks a running shop as strangers would: floods of connections, headers, bodies, HTTP/2
frames and webhooks, forged tokens and certificates, planted cookies, requests that mean
something else to a proxy, tried cards, hoarded stock. It says of each attack what the shop
did, and whether it held; exit code 1 when one got through. What cannot be tried is said, and
not counted as held.

Each attack is bounded: some hundred connections and requests, and --time. They leave guests
and carts, some orders with declined test cards and, where an operator's token is known, an
archived product.

Only a shop on this machine is attacked, or one on the hosts that --host names: attack what
is yours, or what you were asked to.

`, stderr)
	shop := cli.Operator(flags)
	host := flags.String("host", "", "the `hosts` of a shop elsewhere that is yours to attack, with commas between")
	from := flags.String("from", "", "three `addresses` of this machine, with commas between, that the attacker, an accomplice and honest shoppers come from, for a shop elsewhere")
	certificates := flags.String("certificates", "", "the `folder` with certificates of the shop's parts, as a data folder has them: tls/PART.pem with the key, tls/authorities.pem; else the data folder's")
	services := flags.String("services", "", "gRPC addresses of the services, `list` such as catalog=127.0.0.1:9090,cart=...; else the data folder's")
	names := flags.String("attack", "", "the `NAMES` of attacks, with commas between; * stands for anything: grpc-*")
	list := flags.Bool("list", false, "list the attacks")
	length := flags.Duration("time", 3*time.Second, "how long a flood lasts, 30s at most")
	asJSON := flags.Bool("json", false, "print a JSON object for each attack, and nothing else")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || *length <= 0 || *length > 30*time.Second {
		flags.Usage()
		return errors.New("attack takes flags only, and a --time of up to 30s")
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	if *list {
		return printList(stdout, chosen)
	}
	st, err := shop.Find()
	if err != nil {
		return err
	}
	t := &target{operator: st.OperatorToken, services: st.Services, gateway: st.PIDs[topology.Edge], time: *length}
	if st.URL != "" && len(st.PIDs) > 0 {
		t.dir = shop.Dir()
	}
	if *certificates != "" {
		t.dir = *certificates
	}
	if *from != "" {
		list := strings.Split(*from, ",")
		if len(list) != int(roles) {
			return fmt.Errorf("--from: %d addresses, want %d", len(list), roles)
		}
		for i, address := range list {
			address = strings.TrimSpace(address)
			if net.ParseIP(address) == nil {
				return fmt.Errorf("--from: %q is no IP address", address)
			}
			if slices.Contains(t.from[:], address) {
				return fmt.Errorf("--from: %s is there twice; the shop could not tell them apart", address)
			}
			t.from[i] = address
		}
	}
	if *services != "" {
		if t.services, err = addresses(*services); err != nil {
			return fmt.Errorf("--services: %w", err)
		}
	}
	if t.url, err = url.Parse(strings.TrimSuffix(st.URL, "/")); err != nil || t.url.Hostname() == "" {
		return fmt.Errorf("--url %q: want http://host:port or https://host", st.URL)
	}
	hosts := []string{t.url.Hostname()}
	for _, address := range t.services {
		h, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		hosts = append(hosts, h)
	}
	if err := permitted(hosts, *host); err != nil {
		return err
	}
	if err := t.survey(ctx); err != nil {
		return err
	}
	return report(stdout, *asJSON, run(ctx, t, chosen, stderr), ctx.Err())
}

// run makes the attacks, one after the other.
func run(ctx context.Context, t *target, attacks []Attack, progress io.Writer) []Result {
	var all []Result
	for _, a := range attacks {
		t.rest(ctx)
		began := time.Now()
		o := a.try(ctx, t)
		if ctx.Err() != nil {
			return all
		}
		fmt.Fprintf(progress, "%s: %s (%.1fs)\n", a.Name, o.verdict, time.Since(began).Seconds())
		all = append(all, Result{Attack: a, Verdict: o.verdict, Did: o.did})
	}
	return all
}

func choose(names string) ([]Attack, error) {
	if names == "" {
		return Attacks(), nil
	}
	var out []Attack
	patterns := strings.Split(names, ",")
	used := make([]bool, len(patterns))
	for _, a := range Attacks() {
		for i, p := range patterns {
			ok, err := filepath.Match(strings.TrimSpace(p), a.Name)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", p, err)
			}
			if ok {
				used[i] = true
				out = append(out, a)
				break
			}
		}
	}
	for i, found := range used {
		if !found {
			return nil, fmt.Errorf("no attack %q; souk attack --list lists them", patterns[i])
		}
	}
	return out, nil
}

// addresses reads part=host:port,...
func addresses(list string) (map[string]string, error) {
	out := map[string]string{}
	for entry := range strings.SplitSeq(list, ",") {
		part, address, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if _, known := topology.Find(part); !ok || !known {
			return nil, fmt.Errorf("%q: want a service and its address, such as catalog=127.0.0.1:9090", entry)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, err
		}
		out[part] = address
	}
	return out, nil
}

func printList(w io.Writer, attacks []Attack) error {
	width := 0
	for _, a := range attacks {
		width = max(width, len(a.Name))
	}
	for _, a := range attacks {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, a.Name, a.Would); err != nil {
			return err
		}
	}
	return nil
}

// report prints the results as a table of Markdown, and fails when an attack got through.
func report(w io.Writer, asJSON bool, results []Result, interrupted error) error {
	count := map[Verdict]int{}
	if !asJSON {
		fmt.Fprintln(w, "| attack | what it would do | what the shop did | |\n|---|---|---|---|")
	}
	for _, r := range results {
		count[r.Verdict]++
		var err error
		if asJSON {
			err = json.NewEncoder(w).Encode(r)
		} else {
			_, err = fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r.Name, r.Would, strings.ReplaceAll(r.Did, "|", "\\|"), r.Verdict)
		}
		if err != nil {
			return err
		}
	}
	if !asJSON {
		fmt.Fprintf(w, "\n%d attacks: %d held, %d broken, %d not tried.\n", len(results), count[Held], count[Broken], count[NotTried])
	}
	if count[Broken] > 0 {
		return fmt.Errorf("%d attacks got through", count[Broken])
	}
	return interrupted
}
