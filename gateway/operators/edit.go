package operators

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// New is an empty file.
func New() *File { return &File{Version: 1} }

// Add gives an operator a token, which is returned with what the file says of it. The
// token itself is nowhere else.
func (f *File) Add(operator string, scope Scope, life time.Duration, now time.Time) (string, *Token, error) {
	if err := CheckName(operator); err != nil {
		return "", nil, err
	}
	switch {
	case scope == 0:
		return "", nil, fmt.Errorf("no scopes: want some of %s", strings.Join(names, ", "))
	case life <= 0:
		return "", nil, fmt.Errorf("a life of %v: the token would never work", life)
	case life > MaxLife:
		return "", nil, fmt.Errorf("a life of %s: a token works for %s at most", days(life), days(MaxLife))
	case len(f.working(operator, now)) >= maxTokens:
		return "", nil, fmt.Errorf("%s has %d tokens that work: revoke one first", operator, maxTokens)
	}
	f.forget(now)
	token, id := newToken()
	for slices.ContainsFunc(f.Tokens, func(t Token) bool { return t.ID == id }) {
		token, id = newToken()
	}
	now = now.UTC().Truncate(time.Second)
	f.Tokens = append(f.Tokens, Token{
		ID: id, Operator: operator, Scope: scope, SHA256: Hash(token), Created: now, Expires: now.Add(life),
	})
	return token, &f.Tokens[len(f.Tokens)-1], nil
}

// Rotate gives the operator of a token another with the same scopes, and lets the old one
// work for the overlap. Which one is its id, or the name of an operator with one token.
func (f *File) Rotate(which string, life, overlap time.Duration, now time.Time) (string, *Token, error) {
	found := f.find(which, now)
	switch {
	case len(found) == 0:
		return "", nil, fmt.Errorf("no operator and no token %q that works", which)
	case len(found) > 1:
		var ids []string
		for _, i := range found {
			ids = append(ids, f.Tokens[i].ID)
		}
		return "", nil, fmt.Errorf("%s has %d tokens: name the one to replace: %s", which, len(found), strings.Join(ids, ", "))
	case overlap < 0:
		return "", nil, fmt.Errorf("an overlap of %v: want 0 or more", overlap)
	}
	old := f.Tokens[found[0]]
	token, made, err := f.Add(old.Operator, old.Scope, life, now)
	if err != nil {
		return "", nil, err
	}
	for i := range f.Tokens {
		t := &f.Tokens[i]
		if end := now.UTC().Truncate(time.Second).Add(overlap); t.ID == old.ID {
			if overlap == 0 {
				t.Revoked = end
			} else if end.Before(t.Expires) {
				t.Expires = end
			}
		}
	}
	return token, made, nil
}

// Revoke ends a token, or all of an operator, and returns which. A name stays that of the
// operator who had it.
func (f *File) Revoke(which string, now time.Time) ([]Token, error) {
	f.forget(now)
	var revoked []Token
	for _, i := range f.find(which, now) {
		f.Tokens[i].Revoked = now.UTC().Truncate(time.Second)
		revoked = append(revoked, f.Tokens[i])
	}
	if len(revoked) == 0 {
		return nil, fmt.Errorf("no operator and no token %q that works", which)
	}
	return revoked, nil
}

// find returns where the tokens that work are: the one of an id, or those of an operator.
func (f *File) find(which string, now time.Time) []int {
	for i := range f.Tokens {
		if f.Tokens[i].ID == which && f.Tokens[i].Works(now) {
			return []int{i}
		}
	}
	return f.working(which, now)
}

func (f *File) working(operator string, now time.Time) (at []int) {
	for i := range f.Tokens {
		if f.Tokens[i].Operator == operator && f.Tokens[i].Works(now) {
			at = append(at, i)
		}
	}
	return at
}

// forget removes the tokens that have not worked for long.
func (f *File) forget(now time.Time) {
	f.Tokens = slices.DeleteFunc(f.Tokens, func(t Token) bool { return now.Sub(t.Expires) > keepRevoked })
}
