// Package config fills a process's configuration struct from environment
// variables, once, at its start.
package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sethvargo/go-envconfig"
)

// Load fills into, a pointer to a struct with `env` tags, from the variables
// of the process whose names start with prefix ("SOUK_ORDER_"). The error of a
// missing or malformed variable names it in full. A value that is secret never
// appears in an error.
func Load(ctx context.Context, prefix string, into any) error {
	return LoadFrom(ctx, envconfig.OsLookuper(), prefix, into)
}

// LoadFrom is Load with the variables taken from lookup.
func LoadFrom(ctx context.Context, lookup envconfig.Lookuper, prefix string, into any) error {
	// envconfig names the field at fault and not the variable. It stops at the
	// first fault, so the variable is the one that it asked for last.
	last := &lastKey{Lookuper: lookup}
	err := envconfig.ProcessWith(ctx, &envconfig.Config{
		Target:   into,
		Lookuper: envconfig.PrefixLookuper(prefix, last),
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, envconfig.ErrMissingRequired):
		return fmt.Errorf("environment variable %s is required", last.key)
	case last.key == "":
		return fmt.Errorf("read configuration: %w", err)
	default:
		// Secrets are plain strings: they cannot be malformed, and so not shown.
		value, _ := lookup.Lookup(last.key)
		return fmt.Errorf("environment variable %s is %q: %w", last.key, value, cause(err))
	}
}

// lastKey remembers the last variable asked for.
type lastKey struct {
	envconfig.Lookuper
	key string
}

func (l *lastKey) Lookup(key string) (string, bool) {
	l.key = key
	return l.Lookuper.Lookup(key)
}

// cause strips the path of fields that envconfig puts in front of an error.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// redacted stands for a secret wherever it is shown.
const redacted = "[redacted]"

// Secret is a string that shows itself only through Reveal: printed, logged or
// marshaled it is "[redacted]", or empty when it is not set.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, and so JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
