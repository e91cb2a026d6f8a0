package operators

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func add(t *testing.T, f *File, name string, scope Scope, life time.Duration) (string, *Token) {
	t.Helper()
	token, entry, err := f.Add(name, scope, life, now)
	if err != nil {
		t.Fatal(err)
	}
	return token, entry
}

func TestToken(t *testing.T) {
	t.Parallel()
	token, id := newToken()
	if got, ok := TokenID(token); !ok || got != id || !regexp.MustCompile(`^souk_op_[0-9a-z]{8}_[0-9A-Za-z]{43}[0-9a-f]{8}$`).MatchString(token) {
		t.Fatalf("%s: id %q, %t", token, got, ok)
	}
	if other, _ := newToken(); other == token {
		t.Error("two tokens are the same")
	}
	// The checksum finds each character that is wrong.
	for i := range token {
		for _, c := range "0aZ_ \n" {
			if wrong := token[:i] + string(c) + token[i+1:]; wrong != token {
				if _, ok := TokenID(wrong); ok {
					t.Fatalf("%q has the form of a token", wrong)
				}
			}
		}
	}
	for _, wrong := range []string{"", Prefix, token[1:], token + "0", "op_known_to_everybody"} {
		if id, ok := TokenID(wrong); ok || id != "" {
			t.Errorf("%q has the id %q", wrong, id)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	if s, err := ParseScope("money, read"); err != nil || s != Read|Money || s.String() != "read,money" || !s.Has(Money) || s.Has(Catalog) || s.Has(Read|Catalog) {
		t.Errorf("%v, %v", s, err)
	}
	for _, wrong := range []string{"", "all", "read,", "READ"} {
		if _, err := ParseScope(wrong); err == nil || !strings.Contains(err.Error(), "read, catalog, orders, money") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if Everything.String() != strings.Join(Names(), ",") {
		t.Error(Everything)
	}
}

// What is written is read as it was, and has no token.
func TestFile(t *testing.T) {
	t.Parallel()
	f := New()
	token, entry := add(t, f, "ada", Read|Catalog, DefaultLife)
	if !entry.Expires.Equal(now.Add(DefaultLife)) || entry.SHA256 != Hash(token) {
		t.Errorf("%+v", entry)
	}
	add(t, f, "bot.1", Money, time.Hour)
	if _, err := f.Revoke("bot.1", now); err != nil {
		t.Fatal(err)
	}
	data, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), token) || strings.Contains(string(data), token[len(token)-20:]) {
		t.Errorf("the token is in the file: %s", data)
	}
	got, err := Parse(data)
	if err != nil || len(got.Tokens) != 2 || got.Tokens[0] != f.Tokens[0] || got.Tokens[1] != f.Tokens[1] {
		t.Errorf("%+v, %v", got, err)
	}
	if empty, err := New().Encode(); err != nil || !strings.Contains(string(empty), `"tokens": []`) {
		t.Errorf("%s, %v", empty, err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	f := New()
	add(t, f, "ada", Read, time.Hour)
	encoded, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(encoded)
	doubled, err := (&File{Version: 1, Tokens: append(f.Tokens, f.Tokens...)}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	id, sum := f.Tokens[0].ID, strings.Split(strings.Split(good, `"sha256": "`)[1], `"`)[0]
	for name, wrong := range map[string]string{
		"there is no scope":  strings.Replace(good, `"read"`, `"everything"`, 1),
		"there are none":     strings.Replace(good, "\"read\"", "", 1),
		"unknown field":      strings.Replace(good, `"expires"`, `"expiry"`, 1),
		"not after created":  strings.Replace(good, "T13:00", "T12:00", 1),
		"more than 366 days": strings.Replace(good, "2026-11-28T13", "2027-12-01T13", 1),
		"hexadecimal":        strings.Replace(good, sum, sum[1:], 1),
		"there is none":      strings.Replace(good, sum, strings.Repeat("0", 64), 1),
		"want 8 characters":  strings.Replace(good, id, "x", 1),
		"want 1 to 63":       strings.Replace(good, `"ada"`, `"Ada Lovelace"`, 1),
		"version 2":          strings.Replace(good, `: 1`, `: 2`, 1),
		"after its end":      good + "{}",
		"unexpected EOF":     good[:len(good)/2],
		"more than 1048576":  good + strings.Repeat(" ", maxFile),
		"is there twice":     string(doubled),
	} {
		if wrong == good {
			t.Errorf("%s: not changed", name)
		}
		if _, err := Parse([]byte(wrong)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
}

// A file that all users of the machine can read is refused.
func TestMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "operators.json")
	data, err := New().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o440: true, 0o640: true, 0o644: false, 0o604: false, 0o602: false, 0o601: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "mode") {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if _, err := Load(filepath.Dir(path)); err == nil {
		t.Error("a folder was read")
	}
}

func TestAddRotateRevoke(t *testing.T) {
	t.Parallel()
	f := New()
	_, first := add(t, f, "ada", Read|Money, time.Hour)
	id := first.ID
	// The old token works for the overlap.
	token, made, err := f.Rotate("ada", DefaultLife, 10*time.Minute, now)
	if err != nil || made.Operator != "ada" || made.Scope != Read|Money || made.SHA256 != Hash(token) || made.ID == id {
		t.Fatalf("%+v, %v", made, err)
	}
	old := f.Tokens[0]
	if !old.Works(now.Add(9*time.Minute)) || old.Works(now.Add(10*time.Minute)) || !f.Tokens[1].Works(now.Add(time.Hour)) {
		t.Errorf("old %+v, new %+v", f.Tokens[0], f.Tokens[1])
	}
	// Of two, one has to be named; without an overlap the old one ends at once.
	if _, _, err := f.Rotate("ada", DefaultLife, 0, now); err == nil || !strings.Contains(err.Error(), id) || len(f.Tokens) != 2 {
		t.Errorf("%v", err)
	}
	if _, _, err := f.Rotate(id, DefaultLife, 0, now); err != nil || f.Tokens[0].Works(now) || f.Tokens[0].Revoked.IsZero() {
		t.Errorf("%+v, %v", f.Tokens[0], err)
	}
	// A revoked token stays, so that its use can be told apart from a guess.
	revoked, err := f.Revoke("ada", now)
	if err != nil || len(revoked) != 2 || len(f.Tokens) != 3 {
		t.Errorf("%+v, %v", revoked, err)
	}
	for _, which := range []string{"ada", id, "nobody", ""} {
		if _, err := f.Revoke(which, now); err == nil {
			t.Errorf("%q revoked again", which)
		}
	}
	// Long after its expiry it is forgotten.
	if _, _, err := f.Add("bob", Read, time.Hour, now.Add(DefaultLife+keepRevoked+time.Hour)); err != nil || len(f.Tokens) != 1 {
		t.Errorf("%+v, %v", f.Tokens, err)
	}
}

func TestTokensThatAreNotGiven(t *testing.T) {
	t.Parallel()
	f := New()
	for name, give := range map[string]func() error{
		"want 1 to 63": func() error { _, _, err := f.Add("Ada", Read, time.Hour, now); return err },
		"no scopes":    func() error { _, _, err := f.Add("ada", 0, time.Hour, now); return err },
		"never work":   func() error { _, _, err := f.Add("ada", Read, 0, now); return err },
		"366 days at":  func() error { _, _, err := f.Add("ada", Read, MaxLife+time.Second, now); return err },
		"revoke one first": func() error {
			for {
				if _, _, err := f.Add("bob", Read, time.Hour, now); err != nil {
					return err
				}
			}
		},
	} {
		if err := give(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
	if len(f.Tokens) != maxTokens {
		t.Errorf("%d tokens", len(f.Tokens))
	}
}

// Edits of many at a time are all made, the file keeps its mode, a link stays a link, and what
// fails changes nothing.
func TestEdit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "operators.json"), filepath.Join(dir, "link.json")
	edit := func(name string) error {
		return Edit(link, func(f *File) error {
			_, _, err := f.Add(name, Read, time.Hour, now)
			return err
		})
	}
	if err := Edit(path, func(*File) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new file: %v, %v", info.Mode(), err)
	}
	if err := errors.Join(os.Chmod(path, 0o640), os.Symlink("operators.json", link)); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := edit(fmt.Sprintf("op%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if err := edit("No Name"); err == nil {
		t.Error("a name that is none")
	}
	f, err := Load(path)
	if err != nil || len(f.Tokens) != 20 {
		t.Fatalf("%d tokens, %v", len(f.Tokens), err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("an edited file: %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became a file: %v, %v", info.Mode(), err)
	}
	// A clock that went back makes a file that the gateway would refuse: it is not written.
	err = Edit(path, func(f *File) error {
		_, _, err := f.Rotate("op3", time.Hour, time.Minute, now.Add(-2*time.Hour))
		return err
	})
	if again, loaded := Load(path); err == nil || loaded != nil || len(again.Tokens) != 20 {
		t.Errorf("%v, %v", err, loaded)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 { // with the lock
		t.Errorf("left over: %v, %v", entries, err)
	}
}
