// Package operator is `souk operator`: it says who operates a shop, in the file that the
// gateway reads.
package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/souk-shop/souk/gateway/operators"
	"github.com/souk-shop/souk/tools/internal/cli"
	"github.com/souk-shop/souk/tools/internal/state"
)

const help = `usage: souk operator add NAME --scopes SCOPES [flags]
       souk operator rotate NAME|ID [flags]
       souk operator revoke NAME|ID [flags]
       souk operator list [flags]

Says who operates a shop: edits the file that its gateway is given by
SOUK_GATEWAY_OPERATORS and reads again within seconds. The file has the hashes of
tokens, never a token.

  add     gives an operator a token, also another one
  rotate  gives another with the same scopes, and ends the old one after --overlap
  revoke  ends a token by its id, or all of an operator
  list    shows operators, scopes and expiries

The scopes are read (drafts, stock, refunds, reconciliations), catalog (change products,
prices, stock), orders (read, export and cancel all customers' orders) and money
(refund, reconcile); docs/operators.md says which operation needs which.

A new token is shown once: on a terminal, or with --print. Otherwise it is written to a
file that only you can read, which is named.

`

// options are the flags of all verbs.
type options struct {
	data, file, tokenFile, scopes, expires string
	overlap                                time.Duration
	print                                  bool
}

// Command is `souk operator`.
func Command(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	f := cli.Flags("operator", help, stderr)
	f.StringVar(&o.data, "data", state.DefaultDir, "the data `folder` of a shop of `souk up`")
	f.StringVar(&o.file, "file", "", "the `file` of operators of another shop, instead of --data")
	f.StringVar(&o.scopes, "scopes", "", "of add: what the operator may do, `list` such as read,catalog")
	f.StringVar(&o.expires, "expires", "90d", "of add and rotate: until when the new token works, `time` such as 30d, 12h or 2027-01-31; a year at most")
	f.DurationVar(&o.overlap, "overlap", time.Hour, "of rotate: how long the old token still works; 0 revokes it at once")
	f.StringVar(&o.tokenFile, "token-file", "", "of add and rotate: the `file` to write the token to, mode 0600")
	f.BoolVar(&o.print, "print", false, "of add and rotate: print the token, and nothing else, on standard output")
	verb, rest := first(args)
	which, rest := first(rest)
	if err := f.Parse(rest); err != nil {
		return err
	}
	if which == "" {
		which, rest = first(f.Args())
	} else {
		rest = f.Args()
	}
	verbs := map[string]func(*options, string, io.Writer, io.Writer) error{"add": add, "rotate": rotate, "revoke": revoke, "list": list}
	do := verbs[verb]
	if do == nil || len(rest) > 0 || (which == "") != (verb == "list") {
		f.Usage()
		return errors.New("want add NAME, rotate NAME|ID, revoke NAME|ID or list")
	}
	if o.print && o.tokenFile != "" {
		return errors.New("--print and --token-file exclude each other")
	}
	if o.file == "" {
		if _, err := os.Stat(o.data); err != nil {
			return fmt.Errorf("no shop of `souk up` in %s: name its folder with --data, or the file with --file", o.data)
		}
		o.file = state.Operators(o.data)
	}
	return do(&o, which, stdout, stderr)
}

// first is the first argument, "" if it is a flag or there is none, and the others.
func first(args []string) (string, []string) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return "", args
	}
	return args[0], args[1:]
}

func add(o *options, name string, stdout, stderr io.Writer) error {
	if o.scopes == "" {
		return fmt.Errorf("--scopes: say what %s may do, some of %s", name, strings.Join(operators.Names(), ","))
	}
	scope, err := operators.ParseScope(o.scopes)
	if err != nil {
		return fmt.Errorf("--scopes: %w", err)
	}
	return o.give(stdout, stderr, func(f *operators.File, life time.Duration, now time.Time) (string, *operators.Token, error) {
		return f.Add(name, scope, life, now)
	})
}

func rotate(o *options, which string, stdout, stderr io.Writer) error {
	if err := o.give(stdout, stderr, func(f *operators.File, life time.Duration, now time.Time) (string, *operators.Token, error) {
		return f.Rotate(which, life, o.overlap, now)
	}); err != nil {
		return err
	}
	if o.overlap > 0 {
		fmt.Fprintf(stderr, "the old token works for %s more\n", o.overlap)
	}
	return nil
}

// give makes a token, and shows it or writes it to a file: before the file of operators has
// it, so that one that cannot be shown does not work either.
func (o *options) give(stdout, stderr io.Writer, edit func(*operators.File, time.Duration, time.Time) (string, *operators.Token, error)) error {
	now := time.Now()
	life, err := lifetime(o.expires, now)
	if err != nil {
		return fmt.Errorf("--expires: %w", err)
	}
	var token string
	var made operators.Token
	where := ""
	err = operators.Edit(o.file, func(f *operators.File) error {
		var entry *operators.Token
		if token, entry, err = edit(f, life, now); err != nil {
			return err
		}
		made = *entry
		if o.print || o.tokenFile == "" && isTerminal(stdout) {
			return nil
		}
		where = o.tokenFile
		if where == "" {
			where = filepath.Join(filepath.Dir(o.file), made.Operator+"-"+made.ID+".token")
		}
		return state.WriteFile(where, []byte(token+"\n"))
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s has the token %s with %s until %s\n", made.Operator, made.ID, made.Scope, made.Expires.Format(time.RFC3339))
	if where != "" {
		fmt.Fprintf(stderr, "it is in %s\n", where)
		return nil
	}
	_, err = fmt.Fprintln(stdout, token)
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// lifetime reads 30d, 12h or 2027-01-31, the last day.
func lifetime(text string, now time.Time) (time.Duration, error) {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.ParseUint(n, 10, 16); err == nil {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, fmt.Errorf("%q: want a number of days such as 30d, a duration such as 12h, or a day such as 2027-01-31", text)
	}
	return day.AddDate(0, 0, 1).Sub(now).Truncate(time.Second), nil
}

func revoke(o *options, which string, stdout, _ io.Writer) error {
	return o.existing(func() error {
		var revoked []operators.Token
		err := operators.Edit(o.file, func(f *operators.File) (err error) {
			revoked, err = f.Revoke(which, time.Now())
			return err
		})
		for _, t := range revoked {
			if err == nil {
				fmt.Fprintf(stdout, "revoked %s of %s\n", t.ID, t.Operator)
			}
		}
		return err
	})
}

// existing has a file that is not there explained, instead of made.
func (o *options) existing(do func() error) error {
	if _, err := os.Stat(o.file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there are no operators: %s is not there", o.file)
	}
	return do()
}

func list(o *options, _ string, stdout, _ io.Writer) error {
	return o.existing(func() error {
		f, err := operators.Load(o.file)
		if err != nil {
			return err
		}
		slices.SortStableFunc(f.Tokens, func(a, b operators.Token) int { return strings.Compare(a.Operator, b.Operator) })
		w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "OPERATOR\tTOKEN\tSCOPES\tCREATED\tEXPIRES\tSTATE")
		for _, t := range f.Tokens {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Operator, t.ID, t.Scope, t.Created.Format(time.DateOnly), t.Expires.Format(time.DateOnly), stateOf(&t, time.Now()))
		}
		return w.Flush()
	})
}

// soon is how long before its expiry a token is marked.
const soon = 14 * 24 * time.Hour

func stateOf(t *operators.Token, now time.Time) string {
	left := t.Expires.Sub(now)
	switch {
	case !t.Revoked.IsZero():
		return "revoked " + t.Revoked.Format(time.DateOnly)
	case left <= 0:
		return "expired"
	case left < 48*time.Hour:
		return "expires in " + left.Round(time.Minute).String()
	case left < soon:
		return fmt.Sprintf("expires in %d days", int(left/(24*time.Hour)))
	}
	return "works"
}
