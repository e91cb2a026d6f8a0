package history_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/souk-shop/souk/tools/internal/history"
)

func TestReopenAfterTornLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "h.jsonl")
	log, records, err := history.Open(path)
	if err != nil || len(records) != 0 {
		t.Fatalf("Open of a new file = %v, %v", records, err)
	}
	want := []history.Record{
		{Kind: history.KindCart, Key: "a", Token: "t", CartID: "c"},
		{Kind: history.KindOrder, Key: "a", OrderID: "o", State: "PAID", Amount: 250, Currency: "GBP"},
	}
	for _, r := range want {
		if err := log.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"kind":"order","key":"b","amo`); err != nil {
		t.Fatal(err)
	}
	f.Close()

	log, records, err = history.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(records, want) {
		t.Fatalf("after a torn line: %+v, want %+v", records, want)
	}
	third := history.Record{Kind: history.KindRefund, Key: "r", Amount: 5, Currency: "GBP"}
	if err := log.Append(third); err != nil {
		t.Fatal(err)
	}
	log.Close()
	records, err = history.Read(path)
	if err != nil || !reflect.DeepEqual(records, append(want, third)) {
		t.Fatalf("after going on: %+v, %v", records, err)
	}
}

func TestGarbageIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "h.jsonl")
	if err := os.WriteFile(path, []byte("not json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := history.Open(path); err == nil {
		t.Fatal("a file that is no history was opened")
	}
}
