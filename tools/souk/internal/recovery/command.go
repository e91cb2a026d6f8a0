// Package recovery is `souk backup` and `souk restore`, which brings the databases of a shop back to
// one moment.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/localshop"
	"github.com/souk-shop/souk/tools/internal/state"
)

// Backup is `souk backup`.
func Backup(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("backup", `usage: souk backup [flags]

Makes a backup of the databases of a running shop, which 'souk up --backups FOLDER' has
archive its log there, and prints what the folder holds: backups, and from when to
when the databases can be restored. See docs/recovery.md.

`, stderr)
	shop := cli.Data(flags)
	full := flags.Bool("full", false, "copy all, not only what changed since the last backup; of full backups the last two are kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		flags.Usage()
		return errors.New("backup takes no arguments")
	}
	began := time.Now()
	report, err := localshop.Backup(ctx, shop.Dir(), *full)
	if err != nil {
		return err
	}
	return printBackups(stdout, report, time.Since(began))
}

func printBackups(w io.Writer, r *localshop.BackupReport, took time.Duration) error {
	fmt.Fprintf(w, "backed up in %.1f s to %s\n\n", took.Seconds(), r.Repository)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "backup\tkind\tended\tdatabases\tstored")
	for _, b := range r.Backups {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", b.Label, b.Kind, moment(b.Stop), megabytes(b.Size), megabytes(b.Stored))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if r.Archiving != nil {
		_, err := fmt.Fprintf(w, "\nThe databases can be restored to times from %s, but not until now: %v.\n", moment(r.From), r.Archiving)
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe databases can be restored to any time from %s until now.\n", moment(r.From))
	return err
}

func moment(t time.Time) string { return t.Local().Format(time.RFC3339) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// latest as --to is the end of the log.
const latest = "latest"

// Restore is `souk restore`.
func Restore(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("restore", `usage: souk restore --to TIME|latest [flags]

Brings the databases of all services back to what was committed until one moment. The shop
must not run. What was there before is set aside, in a folder beside it. The payment
provider is not restored: 'souk reconcile --settle TIME' settles what it did since, once the
shop runs again. See docs/recovery.md.

`, stderr)
	data := flags.String("data", state.DefaultDir, "the data `folder` of a shop that does not run")
	to := flags.String("to", "", "the `time`, with its zone, as 2026-11-30T12:30:00.5+01:00 or 2026-11-30T11:30:00Z; latest for the end of the log")
	backups := flags.String("backups", "", "the `folder` of the backups, where the data folder does not say it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	at, err := parseTo(*to)
	if err == nil && flags.NArg() != 0 {
		err = errors.New("restore takes no arguments")
	}
	if err != nil {
		flags.Usage()
		return err
	}
	r, err := localshop.Restore(ctx, *data, localshop.RestoreOptions{
		To: at, Backups: *backups, Progress: func(text string) { fmt.Fprintln(stderr, text) },
	})
	if running, ok := errors.AsType[*localshop.RunningError](err); ok {
		return fmt.Errorf("%w; nothing was restored", running)
	}
	if err != nil {
		return err
	}
	printRestored(stdout, r, at)
	return nil
}

// parseTo reads --to; the zero time is the end of the log.
func parseTo(text string) (time.Time, error) {
	switch text {
	case "":
		return time.Time{}, errors.New("say to what time: --to 2026-11-30T11:30:00Z, or --to latest")
	case latest:
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("--to %q: want a time with its zone, as 2026-11-30T11:30:00Z or 2026-11-30T12:30:00+01:00, or latest", text)
	}
	return at, nil
}

func printRestored(w io.Writer, r *localshop.Restored, at time.Time) {
	last := "none"
	if !r.Last.IsZero() {
		last = r.Last.UTC().Format(time.RFC3339Nano)
	}
	fmt.Fprintf(w, "restored in %.1f s from the backup %s (%.1f s of it replayed the log)\nlast commit  %s\n",
		r.Took.Seconds(), r.Backup, r.Replayed.Seconds(), last)
	for _, dir := range r.Aside {
		fmt.Fprintf(w, "set aside    %s\n", dir)
	}
	if at.IsZero() {
		at = r.Last
	}
	fmt.Fprintf(w, `
next:
  souk up                  start the shop as before; its relays publish the events anew
  souk events rebuild      only with a broker of events elsewhere
  souk reconcile --settle %s
                           void or refund what the payment provider has since and the shop does not
  souk verify              compare the books
`, at.UTC().Format(time.RFC3339Nano))
}
