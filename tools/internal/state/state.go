// Package state is the file in which a running local shop says where it is, for
// the tools that work on it.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultDir is the data folder when none is named, in the current folder.
const DefaultDir = ".souk"

// name of the file in the data folder.
const name = "souk.json"

// State is what a running shop says about itself. It holds secrets.
type State struct {
	// URL of the shop, without a slash at its end.
	URL string `json:"url"`
	// OperatorToken is for operators' calls. It is in a file of its own.
	OperatorToken string `json:"-"`
	// StripesimURL is the payment provider.
	StripesimURL string `json:"stripesim_url"`
	// JournalURL answers with the provider's journal, if that is not in the data
	// folder.
	JournalURL string `json:"journal_url,omitempty"`
	// Services has the gRPC address of each service.
	Services map[string]string `json:"services"`
	// Admin has the address of each part's listener for operators: metrics, health, profiles.
	Admin map[string]string `json:"admin"`
	// Postgres has the connection string of each service's database.
	Postgres map[string]string `json:"postgres"`
	// Superuser is the connection string of the server's superuser, for backups; empty where the shop
	// keeps none.
	Superuser string `json:"superuser,omitempty"`
	// EventsURL is where the broker of events is, with its password; empty without one.
	EventsURL string `json:"events_url,omitempty"`
	// TracesURL is where the shop's recent traces are asked for, with TracesToken; empty where
	// it keeps none.
	TracesURL   string `json:"traces_url,omitempty"`
	TracesToken string `json:"traces_token,omitempty"`
	// MetricsURL is where the shop's recent metrics are asked for, with MetricsToken; empty where
	// it keeps none.
	MetricsURL   string `json:"metrics_url,omitempty"`
	MetricsToken string `json:"metrics_token,omitempty"`
	// PIDs has the process ids by name: "up", "postgres", "redis" and, with a
	// process for each service, theirs.
	PIDs map[string]int `json:"pids"`
	// StartedAt is when the shop was ready.
	StartedAt time.Time `json:"started_at"`

	dir string
}

// ErrNotRunning means that the folder has no running shop.
var ErrNotRunning = errors.New("no shop is running")

// Read reads the state of the shop that runs on a data folder.
func Read(dir string) (*State, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w on the data in %s: start one with `souk up --data %s`", ErrNotRunning, dir, dir)
	}
	if err != nil {
		return nil, err
	}
	s := &State{dir: dir}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
	}
	s.OperatorToken, err = ReadToken(OperatorToken(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s, nil
}

// Operators is the path, in a data folder, of the file that says who operates the shop.
func Operators(dir string) string { return filepath.Join(dir, "operators.json") }

// OperatorToken is the path, in a data folder, of the file with the token of its tools.
func OperatorToken(dir string) string { return filepath.Join(dir, "operator-token") }

// ReadToken reads a token from a file that is its owner's, or also a group's.
func ReadToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); info.Mode().IsRegular() && mode&0o007 != 0 {
		return "", fmt.Errorf("%s holds a token and has mode %04o, so that all users of the machine have access: chmod 600", path, mode)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("%s: want one token, on one line", path)
	}
	return token, nil
}

// ProviderJournal is where the payment provider's journal is: a path, or a URL
// of a shop that runs elsewhere.
func (s *State) ProviderJournal() string {
	if s.JournalURL != "" {
		return s.JournalURL
	}
	return ProviderJournal(s.dir)
}

// ProviderJournal is the path of the payment provider's journal in a data folder.
func ProviderJournal(dir string) string { return filepath.Join(dir, "stripesim", "journal.jsonl") }

// Write writes the state of the shop on a data folder, whole or not at all. It does not
// write the operator's token.
func Write(dir string, s *State) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, name), append(b, '\n'))
}

// Remove says that the shop has stopped.
func Remove(dir string) error {
	err := os.Remove(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// WriteFile writes a file that only its owner may read, whole or not at all.
func WriteFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // else a loss of power after the renaming may leave an empty file
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
