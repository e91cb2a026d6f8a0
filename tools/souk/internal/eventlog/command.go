// Package eventlog is `souk events`: how far relays and consumers of events are, the events that
// consumers could not handle, and making the broker's streams anew from the logs.
package eventlog

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/sethvargo/go-envconfig"

	"github.com/souk-shop/souk/services/chassis/config"
	"github.com/souk-shop/souk/services/chassis/events"
	"github.com/souk-shop/souk/services/chassis/events/broker"
	"github.com/souk-shop/souk/services/chassis/retry"
	"github.com/souk-shop/souk/services/chassis/telemetry"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/state"
)

const usage = `usage: souk events lag [flags]
       souk events dead [--group GROUP] [--event ID] [flags]
       souk events dead replay [--group GROUP] [--event ID] [flags]
       souk events rebuild [flags]

lag says how far each relay is with its log of events, and each consumer with each log. It
asks the databases alone, so that it also counts what the broker lost.
dead lists the events that consumers could not handle, with the reason; dead replay has them
delivered to their consumers again, out of order.
rebuild empties the broker's streams, has the relays publish the logs again from the
beginning, and waits until every consumer has all that had happened when it began. The shop
may go on meanwhile. Consumers drop what they know, so that nothing takes effect twice.

The broker is that of the shop on the data folder, or of the variables SOUK_EVENTS_URL,
SOUK_EVENTS_USER, SOUK_EVENTS_PASSWORD, SOUK_EVENTS_CA_FILE and the others of a service's
SOUK_<PART>_EVENTS_....

`

var (
	errAction   = errors.New("say lag, dead, dead replay or rebuild")
	errNoBroker = errors.New("no broker is configured: the shop keeps its events in the services' logs (souk up --events none). For a shop elsewhere set SOUK_EVENTS_URL")
)

const (
	// lookEvery is the pause between two looks at a rebuild.
	lookEvery = time.Second
	// answerWithin is how long the broker may take to answer at all.
	answerWithin = 10 * time.Second
)

// Command is `souk events`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("events", usage, stderr)
	where := cli.FindDatabases(flags)
	group := flags.String("group", "", "dead: only those of a `consumer`")
	event := flags.String("event", "", "dead: only the event of this `id`, SUBJECT:VERSION")
	wait := flags.Duration("wait", 10*time.Minute, "how long it may take; a rebuild goes on after that")
	action := ""
	if len(args) > 0 {
		action, args = args[0], args[1:]
	}
	if action == "dead" && len(args) > 0 && args[0] == "replay" {
		action, args = "dead replay", args[1:]
	}
	run, ok := map[string]func(context.Context, *places, io.Writer) error{
		"lag": lag, "rebuild": rebuild,
		"dead": func(ctx context.Context, p *places, w io.Writer) error {
			return dead(ctx, p, selection{*group, *event}, w)
		},
		"dead replay": func(ctx context.Context, p *places, w io.Writer) error {
			return replay(ctx, p, selection{*group, *event}, w)
		},
	}[action]
	if !ok {
		flags.Usage()
		if action == "-h" || action == "--help" || action == "-help" {
			return flag.ErrHelp
		}
		return errAction
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return fmt.Errorf("%s takes no argument %q", action, flags.Arg(0))
	}
	named, shop, err := where.Find()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	found, err := open(ctx, named)
	if err != nil {
		return err
	}
	defer found.close()
	found.shop = shop
	return run(ctx, found, stdout)
}

// connect returns the broker, once it has answered.
func connect(ctx context.Context, shop *state.State) (events.Broker, error) {
	var cfg events.Config
	if err := config.LoadFrom(ctx, envconfig.OsLookuper(), "SOUK_EVENTS_", &cfg); err != nil {
		return nil, err
	}
	if cfg.URL == "" && shop != nil {
		cfg.URL = config.Secret(shop.EventsURL)
	}
	to, err := broker.Open(cfg, telemetry.Discard())
	if err != nil {
		return nil, err
	}
	if to == nil {
		return nil, errNoBroker
	}
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = retry.Do(asking, retry.Policy{Backoff: retry.Backoff{Initial: 100 * time.Millisecond, Max: time.Second}}, to.Check)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the broker does not answer: %w", err), to.Close(context.WithoutCancel(ctx)))
	}
	return to, nil
}

func lag(ctx context.Context, p *places, w io.Writer) error {
	r, err := p.look(ctx)
	if err != nil {
		return err
	}
	return r.print(w)
}

// print shows a report as two tables.
func (r *report) print(w io.Writer) error {
	now := time.Now()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "log\tnewest event\trelayed until\tnot relayed\tbehind")
	for _, l := range r.logs {
		until := moment(l.progress.Until)
		if !l.progress.Led {
			until += " (no relay runs)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\n", l.source, moment(l.progress.Newest), until, l.progress.Lag.Events, seconds(l.progress.Lag.Age))
	}
	fmt.Fprintln(tw, "\nconsumer\tof\tnot taken\tbehind\tpassed over")
	for _, c := range r.consumers {
		behind := time.Duration(0)
		if !c.oldest.IsZero() {
			behind = now.Sub(c.oldest)
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%d\n", c.name, c.source, c.events, seconds(behind), c.skipped)
	}
	if len(r.consumers) == 0 {
		fmt.Fprintln(tw, "none has taken an event yet")
	}
	err := tw.Flush()
	for _, c := range r.consumers {
		if c.ahead > 0 {
			_, said := fmt.Fprintf(w, "\n%s has taken events of %d subjects that the log of %s does not have: was its database restored to an earlier time? docs/events.md says what to do.\n", c.name, c.ahead, c.source)
			err = errors.Join(err, said)
		}
	}
	return err
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", max(0, d.Seconds())) }

// selection is which dead letters are meant; empty fields mean all.
type selection struct{ group, event string }

func (s selection) has(l events.DeadLetter) bool { return s.event == "" || l.ID() == s.event }

// groups are those that the selection is about.
func (s selection) groups(ctx context.Context, to events.DeadLetters) ([]string, error) {
	if s.group != "" {
		return []string{s.group}, nil
	}
	return to.DeadGroups(ctx)
}

// none says that there is nothing of the selection: an error where it names an event.
func (s selection) none(w io.Writer) error {
	if s.event != "" {
		return fmt.Errorf("there is no dead letter of %s", s.event)
	}
	_, err := fmt.Fprintln(w, "no dead letters")
	return err
}

func dead(ctx context.Context, p *places, s selection, w io.Writer) error {
	to, err := connect(ctx, p.shop)
	if err != nil {
		return err
	}
	defer to.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was published
	groups, err := s.groups(ctx, to)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for _, group := range groups {
		err := to.DeadLetters(ctx, group, func(l events.DeadLetter) bool {
			if !s.has(l) {
				return true
			}
			if n++; n == 1 {
				fmt.Fprintln(tw, "since\tconsumer\tevent\ttype\tdeliveries\treason")
			}
			id, kind := l.ID(), l.Type
			if l.Subject == "" {
				id, kind = "(no event)", "-"
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\n", moment(l.Since), group, id, kind, l.Attempts, l.Reason)
			return true
		})
		if err != nil {
			return errors.Join(err, tw.Flush())
		}
	}
	if n == 0 {
		return s.none(w)
	}
	return tw.Flush()
}

func replay(ctx context.Context, p *places, s selection, w io.Writer) error {
	to, err := connect(ctx, p.shop)
	if err != nil {
		return err
	}
	defer to.Close(context.WithoutCancel(ctx)) //nolint:errcheck // what was published is acknowledged
	groups, err := s.groups(ctx, to)
	if err != nil {
		return err
	}
	total := 0
	for _, group := range groups {
		n, err := to.Replay(ctx, group, s.has)
		if n > 0 {
			fmt.Fprintf(w, "%s: %d of its dead letters are delivered again\n", group, n)
		}
		if err != nil {
			return err
		}
		total += n
	}
	if total == 0 {
		return s.none(w)
	}
	return nil
}

// rebuild empties the streams and sets the relays back. A stream is emptied first: what its
// relay publishes before it is set back is published again after it. When this ends in
// between, the stream lacks what it had, as when the broker loses its data, and the next
// rebuild mends it.
func rebuild(ctx context.Context, p *places, w io.Writer) error {
	to, err := connect(ctx, p.shop)
	if err != nil {
		return err
	}
	defer to.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it published nothing
	begun := time.Now()
	before, err := p.look(ctx)
	if err != nil {
		return err
	}
	if len(before.logs) == 0 {
		return errors.New("none of the databases has a log of events")
	}
	for _, l := range before.logs {
		if err := to.Reset(ctx, l.source); err != nil {
			return fmt.Errorf("empty the stream of %s: %w", l.source, err)
		}
		if err := p.rewind(ctx, l.source); err != nil {
			return fmt.Errorf("%s, whose stream is empty: %w", l.source, err)
		}
		if !l.progress.Led {
			fmt.Fprintf(w, "%s: no relay runs; its events are published once one does\n", l.source)
		}
	}
	published := false
	for {
		now, err := p.look(ctx)
		if err == nil {
			if !published && now.published(before) {
				published = true
				took := time.Since(begun)
				fmt.Fprintf(w, "the logs are published again after %s: %d events, %.0f a second\n", took.Round(100*time.Millisecond), before.events, float64(before.events)/took.Seconds())
			}
			if published && now.complete(before) {
				_, err := fmt.Fprintf(w, "%d consumers have taken all of %d events after %s\n", now.names(), before.events, time.Since(begun).Round(100*time.Millisecond))
				return err
			}
		}
		if ended := retry.Sleep(ctx, lookEvery); ended != nil {
			return fmt.Errorf("it is not complete yet, and goes on without this command (souk events lag): %w", cmp.Or(err, ended))
		}
	}
}
