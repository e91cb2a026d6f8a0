// Package cli has what souk's commands share: the shape of a flag set, and the
// flags by which a command finds a running shop.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"

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
	data, url, token string
	operator         bool
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

// Operator adds the flags --data, --url and --token.
func Operator(f *flag.FlagSet) *Shop {
	s := Guest(f)
	s.operator = true
	f.StringVar(&s.token, "token", "", "the operator `token` of the shop at --url")
	return s
}

// Dir is the shop's data folder.
func (s *Shop) Dir() string { return s.data }

// Find returns the shop that the flags name. Of a shop named by --url only its URL
// and token are known.
func (s *Shop) Find() (*state.State, error) {
	if s.operator && (s.url == "") != (s.token == "") {
		return nil, errors.New("want --data, or --url and --token")
	}
	if s.url != "" {
		return &state.State{URL: s.url, OperatorToken: s.token}, nil
	}
	return state.Read(s.data)
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
