// Package history is what a client was answered: an append-only file with a line
// for every answer that the shop gave it. It is the client's own book in an
// audit, and what an interrupted client goes on from.
package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Dir is where the histories of a shop's clients are, below its data folder.
func Dir(data string) string { return filepath.Join(data, "history") }

// Kind says what a record is about.
type Kind string

// The kinds of records.
const (
	// KindPlan is the first record: what the client set out to do.
	KindPlan Kind = "plan"
	// KindStock says that the stock of the plan was imported.
	KindStock Kind = "stock"
	// KindCart is a cart made for a key. It is written before the order is
	// placed, so that a client that comes back places the same one.
	KindCart Kind = "cart"
	// KindOrder is a settled order.
	KindOrder Kind = "order"
	// KindRefund is a settled refund.
	KindRefund Kind = "refund"
)

// Record is one line. Which fields are set depends on the kind.
type Record struct {
	Kind Kind `json:"kind"`
	// Key is the idempotency key that the record belongs to; for a plan, its digest.
	Key string `json:"key,omitempty"`
	// Shopper names the client's customer that a cart's token belongs to.
	Shopper  string `json:"shopper,omitempty"`
	Token    string `json:"token,omitempty"`
	CartID   string `json:"cart_id,omitempty"`
	OrderID  string `json:"order_id,omitempty"`
	RefundID string `json:"refund_id,omitempty"`
	State    string `json:"state,omitempty"`
	// Amount is in minor units of Currency: an order's total, a refund's amount.
	Amount   int64  `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
}

// Log is an open history file. It is safe for concurrent use.
type Log struct {
	mu sync.Mutex
	f  *os.File
}

// Open opens or creates the file and returns what it holds. A last line that
// was cut off by a crash was never relied upon and is removed.
func Open(path string) (*Log, []Record, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	records, whole, err := read(f)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Log{f: f}, records, nil
}

// Read returns the records of a file that may be in use.
func Read(path string) ([]Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, _, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return records, nil
}

// read returns the records and the length of the whole lines in bytes.
func read(r io.Reader) (records []Record, whole int64, err error) {
	br := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return records, whole, nil
		}
		if err != nil {
			return nil, 0, err
		}
		var rec Record
		if err := json.Unmarshal(bytes.TrimSpace(line), &rec); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", len(records)+1, err)
		}
		records = append(records, rec)
		whole += int64(len(line))
	}
}

// Append writes a record. When it returns, the record survives the end of this
// process (not of the machine: the shop's ledgers are the ones under test).
func (l *Log) Append(rec Record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.f.Write(append(b, '\n'))
	return err
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }
