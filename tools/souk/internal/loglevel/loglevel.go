// Package loglevel is `souk loglevel`: how much the parts of a running shop log.
package loglevel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/souk-shop/souk/services/chassis/admin"
	"github.com/souk-shop/souk/tools/internal/cli"
)

const usage = `usage: souk loglevel [flags] [PART|all [LEVEL]]

Says how much the parts of a running shop log, or has one log more or less for a while: debug,
info, warn, error, or configured for what it was started with. The security log is written
whatever the level is, and has each change.

  souk loglevel
  souk loglevel --for 10m order debug
  souk loglevel all configured

`

// all stands for every part.
const all = "all"

// Command is `souk loglevel`.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := cli.Flags("loglevel", usage, stderr)
	shop := cli.Data(flags)
	duration := flags.Duration("for", 0, "how long the level holds, at most 24h; 15m unless set")
	if err := flags.Parse(args); err != nil {
		return err
	}
	part, level := cmp.Or(flags.Arg(0), all), flags.Arg(1)
	switch {
	case flags.NArg() > 2 && strings.HasPrefix(flags.Arg(2), "-"):
		return errors.New("flags come before the part: souk loglevel --for 10m order debug")
	case flags.NArg() > 2:
		flags.Usage()
		return errors.New("name one part and one level")
	case level == "" && *duration != 0:
		return errors.New("--for wants a level")
	case *duration < 0:
		return errors.New("--for: want a duration such as 10m")
	}
	st, err := shop.Find()
	if err != nil {
		return err
	}
	parts := slices.Sorted(maps.Keys(st.Admin))
	if part != all {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("no part %q; there are %s, and all", part, strings.Join(parts, ", "))
		}
		parts = []string{part}
	}
	var body []byte
	if level != "" {
		set := admin.SetLogLevel{Level: level}
		if *duration != 0 {
			set.For = duration.String()
		}
		if body, err = json.Marshal(set); err != nil {
			return err
		}
	}
	tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	var errs []error
	for _, p := range parts {
		answer, err := ask(ctx, st.Admin[p], body)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p, err))
			continue
		}
		fmt.Fprintf(tw, "%s\t%s", p, answer.Level)
		if answer.Until != nil {
			fmt.Fprintf(tw, "\tuntil %s, then %s", answer.Until.Local().Format(time.TimeOnly), answer.Configured)
		}
		fmt.Fprintln(tw)
	}
	return errors.Join(append(errs, tw.Flush())...)
}

// ask reads the level at an admin listener or, with a body, sets it.
func ask(ctx context.Context, address string, body []byte) (answer admin.LogLevel, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPut
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+"/loglevel", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err != nil {
		return answer, err
	}
	if res.StatusCode != http.StatusOK {
		return answer, errors.New(string(bytes.TrimSpace(data)))
	}
	return answer, json.Unmarshal(data, &answer)
}
