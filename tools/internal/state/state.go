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
	// OperatorToken is for the operator's calls.
	OperatorToken string `json:"operator_token"`
	// StripesimURL is the payment provider.
	StripesimURL string `json:"stripesim_url"`
	// JournalURL answers with the provider's journal, if that is not in the data
	// folder.
	JournalURL string `json:"journal_url,omitempty"`
	// Postgres has the connection string of each service's database.
	Postgres map[string]string `json:"postgres"`
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
	return s, nil
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

// Write writes the state of the shop on a data folder, whole or not at all.
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
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
