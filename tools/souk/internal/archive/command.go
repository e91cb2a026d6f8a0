// Package archive is `souk archive`: old orders and their payments are written to files and deleted
// from the databases, so that these do not grow without end. docs/growth.md says what stays.
package archive

import (
	"context"
	"errors"
	"flag"
	"io"
	"time"

	"github.com/souk-shop/souk/tools/internal/cli"
)

// Command is `souk archive`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("archive", `usage: souk archive --before MONTH [flags]
       souk archive [flags] verify FOLDER
       souk archive [flags] restore FOLDER/ARCHIVE

Writes the orders that were placed before a month, with their payments, to files, a folder for each
month, and deletes them from the databases of a running shop. A month is refused while anything of
it is not settled, not told, or says who placed an order. The books still close. A run that was broken off
goes on when it is repeated. See docs/growth.md.

verify reads the files and compares them with their manifests and, where --data or --dsn is given,
with what the shop has left of them. restore puts an archive's orders back into the shop.

`, stderr)
	databases := cli.FindDatabases(flags)
	before := flags.String("before", "", "the first `month` that stays, as 2025-01")
	to := flags.String("to", "souk-archive", "the `folder` for the archives")
	if err := flags.Parse(args); err != nil {
		return err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	opts := Options{To: *to, Now: time.Now(), Out: stdout}
	verb := flags.Arg(0)
	switch {
	case verb == "" && !given["before"]:
		return errors.New("say which month is the first that stays: --before 2025-01")
	case verb == "":
		var err error
		if opts.Before, err = ParseMonth(*before); err != nil {
			return err
		}
	case verb != "verify" && verb != "restore" || flags.NArg() != 2 || given["before"] || given["to"]:
		flags.Usage()
		return errors.New("archive takes verify or restore with one folder and without --before and --to, or no argument")
	}
	if verb != "verify" || given["data"] || given["dsn"] {
		var err error
		if opts.Databases, _, err = databases.Find(); err != nil {
			return err
		}
	}
	switch verb {
	case "verify":
		return Verify(ctx, opts, flags.Arg(1))
	case "restore":
		return Restore(ctx, opts, flags.Arg(1))
	}
	return Run(ctx, opts)
}
