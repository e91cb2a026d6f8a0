// Package operators is the file that says who operates the shop: each token's
// operator, scopes, expiry and hash, never the token. The gateway reads it, and the
// commands that give and revoke tokens write it.
package operators

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/souk-shop/souk/services/chassis/filewatch"
)

// The bounds of a token's life.
const (
	DefaultLife = 90 * 24 * time.Hour
	MaxLife     = 366 * 24 * time.Hour
)

// keepRevoked is how long a token that works no longer stays in the file after its
// expiry: so long its use is told apart from a guess.
const keepRevoked = 90 * 24 * time.Hour

// maxFile bounds the file, in bytes: some thousands of tokens.
const maxFile = filewatch.MaxSize

// maxTokens bounds the tokens that work of one operator.
const maxTokens = 10

// File is the content of the file.
type File struct {
	Version int     `json:"version"` // 1
	Tokens  []Token `json:"tokens"`
}

// Token is what the file says of one token.
type Token struct {
	ID string `json:"id"`
	// Operator is the name of who has it. An operator may have several.
	Operator string    `json:"operator"`
	Scope    Scope     `json:"scopes"`
	SHA256   Sum       `json:"sha256"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	Revoked  time.Time `json:"revoked,omitzero"`
}

// Sum is a hash, in JSON 64 hexadecimal digits.
type Sum [32]byte

// MarshalText writes s.
func (s Sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads s.
func (s *Sum) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(make([]byte, len(text)/2+1), text); err != nil || n != len(s) {
		return errors.New("want 64 hexadecimal digits")
	}
	_, err := hex.Decode(s[:], text)
	return err
}

var (
	nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
	idForm   = regexp.MustCompile(`^[0-9a-z]{8}$`)
)

// CheckName says what is wrong with the name of an operator.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("operator %q: want 1 to 63 characters of a-z, 0-9, dot, dash and underscore, with a letter or digit at both ends", name)
	}
	return nil
}

// Works reports whether the token is taken at a time.
func (t *Token) Works(now time.Time) bool { return t.Revoked.IsZero() && now.Before(t.Expires) }

// Load reads the file at path, as ReadFile does.
func Load(path string) (*File, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// ReadFile returns the content of the file at path. Users who are neither its owner nor in
// its group must have no access to it.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); info.Mode().IsRegular() && mode&0o007 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so that all users of the machine have access: want 0600, or 0640 for a group", path, mode)
	}
	return filewatch.Read(path)
}

// Parse reads the content of the file. It refuses what it does not understand: an
// expiry that is mistyped must not become none.
func Parse(data []byte) (*File, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	f := &File{}
	if err := dec.Decode(f); err != nil {
		return nil, fmt.Errorf("not a file of operators: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a file of operators: there is something after its end")
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("version %d: this understands version 1", f.Version)
	}
	ids, sums := map[string]bool{}, map[Sum]bool{}
	for i := range f.Tokens {
		t := &f.Tokens[i]
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", i, err)
		}
		if ids[t.ID] || sums[t.SHA256] {
			return nil, fmt.Errorf("tokens[%d]: the token %s is there twice", i, t.ID)
		}
		ids[t.ID], sums[t.SHA256] = true, true
		t.Created, t.Expires, t.Revoked = t.Created.UTC(), t.Expires.UTC(), t.Revoked.UTC()
	}
	return f, nil
}

func (t *Token) check() error {
	switch {
	case !idForm.MatchString(t.ID):
		return fmt.Errorf("id %q: want 8 characters of a-z and 0-9", t.ID)
	case t.Scope == 0:
		return errors.New("scopes: there are none")
	case t.SHA256 == Sum{}:
		return errors.New("sha256: there is none")
	case t.Created.IsZero():
		return errors.New("created: there is no time")
	case !t.Created.Before(t.Expires):
		return errors.New("expires: not after created")
	case t.Expires.Sub(t.Created) > MaxLife:
		return fmt.Errorf("expires: more than %s after created", days(MaxLife))
	}
	return CheckName(t.Operator)
}

func days(d time.Duration) string { return fmt.Sprintf("%d days", d/(24*time.Hour)) }

// Encode returns the content of the file.
func (f *File) Encode() ([]byte, error) {
	out := *f
	if out.Tokens == nil {
		out.Tokens = []Token{}
	}
	b, err := json.MarshalIndent(out, "", "  ")
	return append(b, '\n'), err
}
