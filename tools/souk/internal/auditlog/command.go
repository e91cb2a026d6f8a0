// Package auditlog is `souk audit`: it reads and verifies the log of what operators did.
package auditlog

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/services/chassis/audit"

	"github.com/souk-shop/souk/tools/internal/cli"
)

const help = `usage: souk audit verify|list|anchor|prune [flags]

Works on the log of what operators did, of which each service's database has a chain of
its own.

  verify   recompute the chains; exits with 1 if one is broken
  list     print the entries, one a line
  anchor   print the heads of the chains, to be kept elsewhere for verify --anchors
  prune    remove old entries, and leave a checkpoint that stands for them

`

// Command is `souk audit`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"verify": verify, "list": list, "anchor": anchor, "prune": prune,
	}
	if len(args) > 0 {
		if run, ok := commands[args[0]]; ok {
			return run(ctx, args[1:], stdout, stderr)
		}
	}
	flags := cli.Flags("audit", help, stderr)
	if err := flags.Parse(args); err != nil {
		return err
	}
	flags.Usage()
	return fmt.Errorf("audit takes one of %s", strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
}

// databases are where the chains are, by service.
type databases struct {
	where *cli.Databases
	named map[string]string
}

func find(f *flag.FlagSet) *databases { return &databases{where: cli.FindDatabases(f)} }

func (d *databases) parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		f.Usage()
		return fmt.Errorf("it takes no argument %q", f.Arg(0))
	}
	var err error
	d.named, _, err = d.where.Find()
	return err
}

// each calls fn with every service, in their order.
func (d *databases) each(ctx context.Context, fn func(service string, db *pgx.Conn) error) error {
	for _, service := range slices.Sorted(maps.Keys(d.named)) {
		err := on(ctx, d.named[service], func(db *pgx.Conn) error { return fn(service, db) })
		if err != nil {
			return fmt.Errorf("%s: %w", service, err)
		}
	}
	return nil
}

func on(ctx context.Context, dsn string, fn func(*pgx.Conn) error) error {
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	return fn(db)
}

// head is a head as anchor prints it; the log line of each entry has the same fields.
type head struct {
	Service  string    `json:"service"`
	Chain    string    `json:"chain"`
	Sequence int64     `json:"sequence"`
	Hash     string    `json:"hash"`
	At       time.Time `json:"at"`
}

func anchor(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := cli.Flags("audit anchor", `usage: souk audit anchor [flags] >FILE

Prints the last entry of each chain as a line of JSON. Kept where who administers the
databases cannot change it, it has verify --anchors find what is removed or written anew.

`, stderr)
	where := find(f)
	if err := where.parse(f, args); err != nil {
		return err
	}
	lines := json.NewEncoder(stdout)
	return where.each(ctx, func(service string, db *pgx.Conn) error {
		h, err := audit.ReadHead(ctx, db)
		if err != nil {
			return err
		}
		return lines.Encode(head{service, h.Chain, h.Sequence, hex.EncodeToString(h.Hash), h.At.UTC()})
	})
}

// readAnchors reads what anchor printed, any number of times, by service.
func readAnchors(path string) (map[string][]audit.Head, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	anchors := map[string][]audit.Head{}
	d := json.NewDecoder(file)
	for n := 1; ; n++ {
		var h head
		if err := d.Decode(&h); errors.Is(err, io.EOF) {
			return anchors, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: anchor %d: %w", path, n, err)
		}
		hash, err := hex.DecodeString(h.Hash)
		if err != nil || len(hash) != 32 || h.Service == "" || h.Chain == "" || h.Sequence < 0 {
			return nil, fmt.Errorf("%s: anchor %d is none", path, n)
		}
		anchors[h.Service] = append(anchors[h.Service], audit.Head{Chain: h.Chain, Sequence: h.Sequence, Hash: hash, At: h.At})
	}
}

func verify(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := cli.Flags("audit verify", `usage: souk audit verify [flags]

Recomputes the hash of each entry, and prints of each service how many entries there are, the
hash of the last, and the first that is broken. Exits with 1 if one is.

`, stderr)
	where := find(f)
	path := f.String("anchors", "", "a `file` of what audit anchor printed earlier: these entries must be there as they were")
	since := f.Bool("since-anchor", false, "verify only what came after the newest anchor")
	if err := where.parse(f, args); err != nil {
		return err
	}
	anchors := map[string][]audit.Head{}
	switch {
	case *path != "":
		var err error
		if anchors, err = readAnchors(*path); err != nil {
			return err
		}
	case *since:
		return errors.New("--since-anchor wants --anchors")
	}
	broken := 0
	err := where.each(ctx, func(service string, db *pgx.Conn) error {
		v, err := audit.Verify(ctx, db, audit.Expected{Anchors: anchors[service], SinceAnchor: *since})
		if err != nil {
			return err
		}
		delete(anchors, service)
		if v.Fault != nil {
			broken++
			_, err = fmt.Fprintf(stdout, "%-8s BROKEN at %v (%d entries before it verified)\n", service, v.Fault, v.Entries)
			return err
		}
		last := "none yet"
		if v.Head.Sequence > 0 {
			last = fmt.Sprintf("the last, %d, is of %s with hash %x", v.Head.Sequence, v.Head.At.UTC().Format(time.RFC3339), v.Head.Hash)
		}
		if c := v.Checkpoint; c != nil {
			last += fmt.Sprintf("; those up to %d were removed by the checkpoint %d of %s", c.Through, c.Sequence, c.At.UTC().Format(time.RFC3339))
		}
		_, err = fmt.Fprintf(stdout, "%-8s %d entries verified; %s\n", service, v.Entries, last)
		return err
	})
	if err != nil {
		return err
	}
	for _, service := range slices.Sorted(maps.Keys(anchors)) {
		broken++
		fmt.Fprintf(stdout, "%-8s BROKEN: there is an anchor, and no database was named\n", service)
	}
	switch {
	case broken == 1:
		return errors.New("1 chain is broken")
	case broken > 1:
		return fmt.Errorf("%d chains are broken", broken)
	}
	return nil
}

func prune(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := cli.Flags("audit prune", `usage: souk audit prune --before TIME --operator NAME [flags] >>FILE

Removes of each chain the entries that are older than a time, with the rights of the
databases' owners. A chain whose entries are removed gets a checkpoint, an entry with the
number and hash of the last one, and is verified from there on. What is broken is not
pruned. Prints each checkpoint as a line of JSON, as audit anchor does: kept with the other
anchors, it has verify --anchors find what else is removed.

`, stderr)
	where := find(f)
	var before time.Time
	f.Func("before", "the `time`, as 2026-01-31 or 2026-01-31T12:00:00Z, or an age, as 8760h", func(value string) (err error) {
		before, err = moment(value, time.Now())
		return err
	})
	operator := f.String("operator", "", "your `name`, which the checkpoint has")
	if err := where.parse(f, args); err != nil {
		return err
	}
	switch {
	case before.IsZero():
		return errors.New("--before is needed: nothing is removed but by age")
	case !before.Before(time.Now()):
		return errors.New("--before is not of the past")
	case *operator == "":
		return errors.New("--operator is needed: the log says who removed what was in it")
	}
	lines := json.NewEncoder(stdout)
	return where.each(ctx, func(service string, db *pgx.Conn) error {
		// What an edit left behind would be gone with what is removed.
		switch v, err := audit.Verify(ctx, db, audit.Expected{}); {
		case err != nil:
			return err
		case v.Fault != nil:
			return fmt.Errorf("the chain is broken, and is left as it is: %w", v.Fault)
		}
		p, err := audit.RemoveBefore(ctx, db, *operator, before)
		if err != nil {
			return err
		}
		if p.Removed == 0 {
			_, err = fmt.Fprintf(stderr, "%s: nothing is older\n", service)
			return err
		}
		h := p.Checkpoint
		if err := lines.Encode(head{service, h.Chain, h.Sequence, hex.EncodeToString(h.Hash), h.At.UTC()}); err != nil {
			return err
		}
		_, err = fmt.Fprintf(stderr, "%s: %d entries removed, up to %d\n", service, p.Removed, p.Through)
		return err
	})
}

// moment reads a day, a time, or an age.
func moment(text string, now time.Time) (time.Time, error) {
	if age, err := time.ParseDuration(text); err == nil && age > 0 {
		return now.Add(-age), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("want a day (2026-01-31), a time (2026-01-31T12:00:00Z), or an age (8760h)")
}

func list(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := cli.Flags("audit list", `usage: souk audit list [flags]

Prints the entries, one a line: time, service and number, operator, action, object,
before and after. It does not verify them. Without a match it says so on the error output.

`, stderr)
	where := find(f)
	operator := f.String("operator", "", "only what the operator of this `name` did")
	object := f.String("object", "", "only entries whose object, before or after has this `text`, such as a SKU or an order's id")
	since := f.Duration("since", 0, "how far to look back; 0 for everything there ever was")
	asJSON := f.Bool("json", false, "print a JSON object a line")
	if err := where.parse(f, args); err != nil {
		return err
	}
	var from time.Time
	if *since > 0 {
		from = time.Now().Add(-*since)
	}
	read, printed := 0, 0
	err := where.each(ctx, func(service string, db *pgx.Conn) error {
		return audit.Read(ctx, db, from, func(e *audit.Entry) error {
			read++
			mentions := strings.Contains(e.Object, *object) || strings.Contains(e.Before, *object) || strings.Contains(e.After, *object)
			if *operator != "" && e.Operator != *operator || !mentions {
				return nil
			}
			printed++
			return print(stdout, service, e, *asJSON)
		})
	})
	if err == nil && printed == 0 {
		// Beside the entries, which are read by programs.
		fmt.Fprintf(stderr, "no entry matches, of %d in %s\n", read, strings.Join(slices.Sorted(maps.Keys(where.named)), ", "))
	}
	return err
}

func print(w io.Writer, service string, e *audit.Entry, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{
			"service": service, "sequence": e.Sequence, "at": e.At.UTC(), "operator": e.Operator, "caller": e.Caller, "action": e.Action,
			"object": e.Object, "before": raw(e.Before), "after": raw(e.After), "request": e.Request, "hash": hex.EncodeToString(e.Hash),
		})
	}
	action := e.Action[strings.LastIndexByte(e.Action, '/')+1:]
	_, err := fmt.Fprintf(w, "%s  %s %d  %q  %s  %q  %s -> %s\n", e.At.UTC().Format("2006-01-02 15:04:05.000Z"),
		service, e.Sequence, e.Operator, action, e.Object, orNothing(e.Before), orNothing(e.After))
	return err
}

// raw is JSON as it is, null for nothing, and what was written there by hand as text.
func raw(text string) any {
	switch {
	case text == "":
		return nil
	case json.Valid([]byte(text)):
		return json.RawMessage(text)
	}
	return text
}

func orNothing(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
