package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// contender is one of two shops that are compared.
type contender struct {
	name   string
	binary string   // of souk
	flags  []string // of souk up

	shop *child
	st   *state.State

	rival rival // a shop of another make, which has none of these
}

// againstCommand is `souk bench against`.
func againstCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("bench against", `usage: souk bench against [flags]

Compares two shops that run at the same time and are measured in turn, so that
a noisy minute of the machine meets both: this build with the flags of --this, and
the limit, which is another build of souk (--binary), or this one with other
flags of souk up (--other), or both. A turn ends when its shop has told of what
was bought. Reading is measured as "souk bench" does, and
checkout; the last column is the throughput by the limit's. The CPU of each process
is beside it, which other work on the machine disturbs less.

  souk bench against --other "--events none"
  souk bench against --binary ./souk-before

`, stderr)
	b := &bench{progress: stderr}
	b.flags(flags)
	this := flags.String("this", "", "`flags` of souk up for this build")
	limit := contender{name: "the other"}
	flags.StringVar(&limit.binary, "binary", "", "the `file` of another build of souk")
	other := flags.String("other", "", "`flags` of souk up for the limit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := b.check(flags); err != nil {
		return err
	}
	if limit.binary == "" && strings.Join(strings.Fields(*other), " ") == strings.Join(strings.Fields(*this), " ") {
		flags.Usage()
		return errors.New("bench against compares two shops: name another build with --binary or other flags with --other")
	}
	limit.flags = strings.Fields(*other)
	if *other != "" {
		limit.name += " " + *other
	}
	ours := contender{name: strings.TrimSpace("souk " + *this), flags: strings.Fields(*this)}
	dir, err := os.MkdirTemp("", "souk-against-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if ours.binary, err = os.Executable(); err != nil {
		return err
	}
	if limit.binary == "" {
		limit.binary = ours.binary
	}
	for i, c := range []*contender{&ours, &limit} {
		if c.shop, c.st, err = startShop(ctx, c.binary, nil, filepath.Join(dir, fmt.Sprint(i)), nil, c.flags...); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		defer c.shop.stop()
	}
	if b.only != "checkout" {
		if err := b.readBeside(ctx, &ours, &limit); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
	}
	if b.only != "read" {
		if err := b.checkoutBeside(ctx, &ours, &limit); err != nil {
			return fmt.Errorf("checkout: %w", err)
		}
	}
	return b.report(stdout)
}

func (c *contender) side() *Side {
	s := newSide(c.name)
	if c.rival != nil {
		return s // its processes are not known
	}
	s.pids = map[string]int{"souk": c.shop.cmd.Process.Pid, "postgres": c.st.PIDs["postgres"]}
	return s
}

// readBeside reads the same pages of both shops.
func (b *bench) readBeside(ctx context.Context, ours, limit *contender) error {
	targets, err := readTargets(ctx, shopclient.New(ours.st.URL))
	if err != nil {
		return err
	}
	for _, c := range []*contender{ours, limit} {
		if _, err := fetch(ctx, c.st.URL, targets); err != nil { // so that neither is asked for a page that it lacks
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for _, t := range targets {
		err := b.beside(ctx, t.name, ours, limit, func(c *contender, _ int) (sample, error) {
			return readLoop(ctx, strings.TrimPrefix(c.st.URL, "http://"), t.paths, b.concurrency, b.time)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkoutBeside buys in both shops, with customers of each.
func (b *bench) checkoutBeside(ctx context.Context, ours, limit *contender) error {
	buys := map[*contender]func(ctx context.Context, n int) error{}
	for _, c := range []*contender{ours, limit} {
		if c.rival != nil {
			buys[c] = c.rival.checkout
			continue
		}
		buyer, err := newBuyer(ctx, c.st.URL, b.lines)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		buys[c] = func(ctx context.Context, n int) error {
			_, err := buyer.checkout(ctx, n)
			return err
		}
	}
	return b.beside(ctx, "checkout", ours, limit, func(c *contender, round int) (sample, error) {
		return closedLoop(ctx, b.concurrency, b.time, func(ctx context.Context, w, i int) error {
			return buys[c](ctx, w*1_000_003+round*100_003+i)
		})
	})
}

// beside measures both in each round; who begins takes turns. A turn ends when its shop has done
// what follows from the requests (events, mails, webhooks): else that would slow the other's turn,
// and the shop that defers more would look faster.
func (b *bench) beside(ctx context.Context, name string, ours, limit *contender, once func(c *contender, round int) (sample, error)) error {
	both := [2]*contender{ours, limit}
	sides := [2]*Side{ours.side(), limit.side()}
	var busy [2]time.Duration
	for i, c := range both {
		if _, err := becomeIdle(ctx, sides[i].pids); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for round := range b.rounds {
		for turn := range sides {
			i := (turn + round) % len(sides)
			c := both[i]
			err := sides[i].measure(func() (sample, error) {
				m, err := once(c, round)
				if err != nil {
					return m, err
				}
				after, err := becomeIdle(ctx, sides[i].pids)
				busy[i] += after
				return m, err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	b.add(name, sides[0], sides[1])
	if limit.rival != nil {
		return nil
	}
	b.notes = append(b.notes, fmt.Sprintf("%s: after %d rounds of %v the shops were busy for %.1f s and %.1f s more, which is in their CPU, not in their throughput.",
		name, b.rounds, b.time, busy[0].Seconds(), busy[1].Seconds()))
	return nil
}

const (
	// idleShare of one core is what a shop without requests stays below: timers, scrapes.
	idleShare  = 0.15
	idleWindow = 500 * time.Millisecond
	idleMost   = 2 * time.Minute
)

// becomeIdle waits until processes use next to nothing, and returns for how long they still did.
func becomeIdle(ctx context.Context, pids map[string]int) (busy time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, idleMost, fmt.Errorf("it is still busy %v after the requests", idleMost))
	defer cancel()
	start := time.Now()
	for {
		began := time.Now()
		before, err := cpuOf(pids)
		if err != nil {
			return 0, err
		}
		if err := retry.Sleep(ctx, idleWindow); err != nil {
			return 0, context.Cause(ctx)
		}
		after, err := cpuOf(pids)
		if err != nil {
			return 0, err
		}
		if (after - before).Seconds() < idleShare*time.Since(began).Seconds() {
			return began.Sub(start), nil
		}
	}
}

func cpuOf(pids map[string]int) (total time.Duration, err error) {
	for name, pid := range pids {
		u, err := usageOf(pid, name == "postgres")
		if err != nil {
			return 0, err
		}
		total += u.cpu
	}
	return total, nil
}
