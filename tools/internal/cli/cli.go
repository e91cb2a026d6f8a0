// Package cli has what souk's commands share: the shape of a flag set, and the
// flags by which a command finds a running shop.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/souk-shop/souk/tools/internal/shopclient"
	"github.com/souk-shop/souk/tools/internal/state"
)

// Flags returns the flag set of a command whose help is usage and the flags.
func Flags(name, usage string, stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	return f
}

// Shop are the flags that name a running shop.
type Shop struct {
	data, url, tokenFile string
	operator             bool
}

// Data adds the flag --data.
func Data(f *flag.FlagSet) *Shop {
	s := &Shop{}
	f.StringVar(&s.data, "data", state.DefaultDir, "the data `folder` of a shop that runs")
	return s
}

// Guest adds the flags --data and --url.
func Guest(f *flag.FlagSet) *Shop {
	s := Data(f)
	f.StringVar(&s.url, "url", "", "the `URL` of a shop, instead of --data")
	return s
}

// tokenVariable has an operator's token of the shop at --url. A flag would show it to every
// user of the machine, in the list of processes.
const tokenVariable = "SOUK_OPERATOR_TOKEN"

// Operator adds the flags --data, --url and --operator-token-file.
func Operator(f *flag.FlagSet) *Shop {
	s := Guest(f)
	s.operator = true
	f.StringVar(&s.tokenFile, "operator-token-file", "",
		"a `file` with an operator's token, mode 0600; else the data folder's is taken or, with --url, the variable "+tokenVariable)
	return s
}

// Dir is the shop's data folder.
func (s *Shop) Dir() string { return s.data }

// Find returns the shop that the flags name. Of a shop named by --url only its URL
// and the operator's token are known.
func (s *Shop) Find() (*state.State, error) {
	shop := &state.State{URL: s.url}
	if s.url == "" {
		var err error
		if shop, err = state.Read(s.data); err != nil {
			return nil, err
		}
	}
	if !s.operator {
		return shop, nil
	}
	switch {
	case s.tokenFile != "":
		token, err := state.ReadToken(s.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--operator-token-file: %w", err)
		}
		shop.OperatorToken = token
	case s.url != "":
		shop.OperatorToken = os.Getenv(tokenVariable)
	}
	if shop.OperatorToken == "" && s.url != "" {
		return nil, errors.New("this needs an operator's token: name its file with --operator-token-file, or set " + tokenVariable)
	}
	if shop.OperatorToken == "" {
		return nil, fmt.Errorf("this needs an operator's token, and there is none in %s: name its file with --operator-token-file", state.OperatorToken(s.data))
	}
	return shop, nil
}

// Client returns a client of the shop, the operator's if the flags are.
func (s *Shop) Client() (*shopclient.Client, error) {
	shop, err := s.Find()
	if err != nil {
		return nil, err
	}
	c := shopclient.New(shop.URL)
	if s.operator {
		c = c.WithToken(shop.OperatorToken)
	}
	return c, nil
}
