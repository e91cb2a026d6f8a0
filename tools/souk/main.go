// Command souk runs Souk on one machine and works on a running shop: it starts
// it, fills it, replays a real shop's invoices, audits its ledgers, puts load on
// it and measures it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/souk-shop/souk/tools/internal/load"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/souk/internal/archive"
	"github.com/souk-shop/souk/tools/souk/internal/attack"
	"github.com/souk-shop/souk/tools/souk/internal/auditlog"
	"github.com/souk-shop/souk/tools/souk/internal/bench"
	"github.com/souk-shop/souk/tools/souk/internal/cells"
	"github.com/souk-shop/souk/tools/souk/internal/chaos"
	"github.com/souk-shop/souk/tools/souk/internal/customer"
	"github.com/souk-shop/souk/tools/souk/internal/eventlog"
	"github.com/souk-shop/souk/tools/souk/internal/images"
	"github.com/souk-shop/souk/tools/souk/internal/insight"
	"github.com/souk-shop/souk/tools/souk/internal/k8s"
	"github.com/souk-shop/souk/tools/souk/internal/kafka"
	"github.com/souk-shop/souk/tools/souk/internal/loglevel"
	"github.com/souk-shop/souk/tools/souk/internal/mails"
	"github.com/souk-shop/souk/tools/souk/internal/operator"
	"github.com/souk-shop/souk/tools/souk/internal/profile"
	"github.com/souk-shop/souk/tools/souk/internal/reconcile"
	"github.com/souk-shop/souk/tools/souk/internal/recovery"
	"github.com/souk-shop/souk/tools/souk/internal/relevance"
	"github.com/souk-shop/souk/tools/souk/internal/replay"
	"github.com/souk-shop/souk/tools/souk/internal/suite"
	"github.com/souk-shop/souk/tools/souk/internal/top"
	"github.com/souk-shop/souk/tools/souk/internal/trace"
	"github.com/souk-shop/souk/tools/souk/internal/up"
	"github.com/souk-shop/souk/tools/souk/internal/verify"
)

// command is a subcommand. Each has its own flags and its own help.
type command struct {
	name    string
	summary string // empty hides it from the help
	run     func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

var commands = []command{
	{"up", "run the whole shop", up.Command},
	{"test", "install what the tests need, and run them", suite.Command},
	{"backup", "back up a running shop's databases", recovery.Backup},
	{"restore", "bring a shop's databases back to one moment", recovery.Restore},
	{"seed", "import the embedded catalog into a running shop", up.Seed},
	{"operator", "say who operates a shop, and what each may do", operator.Command},
	{"customer", "export or erase what a shop holds about a person", customer.Command},
	{"replay", "replay a real shop's invoices and audit the ledgers", replay.Command},
	{"verify", "audit the ledgers of a running shop", verify.Command},
	{"archive", "write old orders to files and delete them from the databases", archive.Command},
	{"audit", "verify and read the log of what operators did", auditlog.Command},
	{"mails", "show the mails that a shop sent to buyers, or keeps", mails.Command},
	{"events", "say how far events are, show dead letters, rebuild streams", eventlog.Command},
	{"kafka", "run a broker of Apache Kafka for development", kafka.Command},
	{"trace", "print the trace of an order as a tree", trace.Command},
	{"insight", "say how far a shop's read model is, or make it anew", insight.Command},
	{"reconcile", "compare a shop's ledger with its payment provider", reconcile.Command},
	{"cells", "say where a shop's buckets are, or move them to another cell", cells.Command},
	{"load", "put load on a running shop", load.Command},
	{"top", "show what a running shop does, live", top.Command},
	{"profile", "say what a shop's processors are busy with", profile.Command},
	{"loglevel", "have a part of a running shop log more or less, for a while", loglevel.Command},
	{"bench", "measure the shop against its limits", bench.Command},
	{"cost", "say what the shop costs a month on AWS, from what it was measured to use", bench.CostCommand},
	{"relevance", "judge the search by queries in many scripts", relevance.Command},
	{"overload", "send the shop more shoppers than it can serve", bench.OverloadCommand},
	{"attack", "attack a running shop, and say what held", attack.Command},
	{"chaos", "break the shop while it sells, and audit its promises", chaos.Command},
	{"images", "build the programs' images, without Docker", images.Command},
	{"k8s", "run the shop on a Kubernetes cluster, and test it there", k8s.Command},
	{"service", "", service},
	{"bench-baseline", "", func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
		return bench.Baseline(ctx, os.Stdin, stdout)
	}},
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) == 0 {
		usage(os.Stderr)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) == 1 {
			usage(os.Stdout)
			return 0
		}
		args = []string{args[1], "-h"}
	}
	for _, c := range commands {
		if c.name == args[0] {
			return execute(c, args[1:])
		}
	}
	fmt.Fprintf(os.Stderr, "souk: no command %q\n\n", args[0])
	usage(os.Stderr)
	return 2
}

func execute(c command, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal kills
	err := c.run(ctx, args, os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 130
	default:
		fmt.Fprintf(os.Stderr, "souk %s: %v\n", c.name, err)
		return 1
	}
}

// service is a process of `up --processes`.
func service(ctx context.Context, args []string, _, _ io.Writer) error {
	if len(args) != 1 {
		return errors.New("service takes the name of one")
	}
	return localshop.RunService(ctx, args[0])
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: souk COMMAND [flags]\n\n")
	for _, c := range commands {
		if c.summary != "" {
			fmt.Fprintf(w, "  %-9s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(w, "\n`souk COMMAND -h` tells more.\n")
}
