package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/pairs"
)

// errStale means that read your writes did not hold, errNoControl that the control proves nothing.
var (
	errStale     = errors.New("reads lacked their reader's own write")
	errNoControl = errors.New("no read without the token was stale: the replica did not lag, so that nothing is shown")
)

func replicasCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench replicas", `usage: souk bench replicas [flags]

Starts a shop of its own with a standby of its PostgreSQL, whose replay is paused and
resumed. Each client writes a price, or places an order, and reads it: as a product, in a
listing, in the list of its orders. With the token of its last write (Souk-Consistency) no
read may lack the write; the control, which does not bring it, has to see stale ones.

`, stderr)
	cfg := pairs.Config{}
	flags.IntVar(&cfg.Clients, "clients", 2, "how many write and read at once")
	flags.IntVar(&cfg.Pairs, "pairs", 10_000, "writes with a read, for each client")
	control := flags.Int("control", 2_000, "the same without the token, for each client")
	flags.DurationVar(&cfg.Paused, "paused", 300*time.Millisecond, "how long the replay is paused")
	flags.DurationVar(&cfg.Running, "running", 300*time.Millisecond, "how long it goes on")
	asJSON := flags.Bool("json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || cfg.Clients < 1 || cfg.Pairs < 1 || *control < 1 {
		flags.Usage()
		return errors.New("bench replicas takes no arguments; one client and one pair are the least")
	}
	dir, err := os.MkdirTemp("", "souk-replicas-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	with, without, err := runPairs(ctx, dir, cfg, *control)
	if err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(map[string]pairs.Result{"with": with, "without": without})
	} else {
		err = printPairs(stdout, with, without)
	}
	switch {
	case pairs.Sum(with.Stale) > 0:
		return errors.Join(err, errStale)
	case pairs.Sum(without.Stale) == 0:
		return errors.Join(err, errNoControl)
	}
	return err
}

// runPairs does the pairs of each client with the token, and those of the control without.
func runPairs(ctx context.Context, dir string, cfg pairs.Config, control int) (with, without pairs.Result, err error) {
	shop, err := localshop.Start(ctx, localshop.Options{Dir: dir, Replica: true, Events: localshop.EmbeddedEvents})
	if err != nil {
		return with, without, err
	}
	defer func() { err = errors.Join(err, shop.Stop(context.WithoutCancel(ctx))) }()
	if with, err = pairs.Run(ctx, shop, cfg); err != nil {
		return with, without, err
	}
	cfg.Pairs, cfg.Forgetful = control, true
	without, err = pairs.Run(ctx, shop, cfg)
	return with, without, err
}

func printPairs(w io.Writer, with, without pairs.Result) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "read\tpairs\tstale\tpairs without the token\tstale")
	for _, what := range slices.Sorted(maps.Keys(with.Pairs)) {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\n", what, with.Pairs[what], with.Stale[what], without.Pairs[what], without.Stale[what])
	}
	fmt.Fprintf(tw, "all\t%d\t%d\t%d\t%d\n", pairs.Sum(with.Pairs), pairs.Sum(with.Stale), pairs.Sum(without.Pairs), pairs.Sum(without.Stale))
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nthe replay was paused %d times in %v, and %d times in %v of the control\n",
		with.Pauses, with.Took.Round(time.Second), without.Pauses, without.Took.Round(time.Second))
	return err
}
